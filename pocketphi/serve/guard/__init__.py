"""Who gets in: what a connection may do (`protocol`), and what a request must be and bring (`middleware`)."""
