"""Slow, obvious versions of what the engine computes, to compare it with."""
