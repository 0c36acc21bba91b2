"""Fewer bits for a model's weights. Imports no torch but in `sensitivity`, which runs the model."""
