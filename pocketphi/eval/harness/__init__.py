"""lm-evaluation-harness with our backends as its model: the one place that imports it."""
