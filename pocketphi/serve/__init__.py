"""Where a model meets people: the chat at a terminal, and one answer for a pipe."""
