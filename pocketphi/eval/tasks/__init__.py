"""Benchmarks: what is asked, and how an answer is judged. Nothing here knows how a model is run."""
