"""Programs that a model wrote, run where they can do no harm and cannot say that they passed. See docs/sandbox.md."""
