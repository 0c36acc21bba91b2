"""Measuring what a model knows. Imports no torch."""
