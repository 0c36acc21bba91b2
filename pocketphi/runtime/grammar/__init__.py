"""Answers that keep to a form: JSON by a schema, a regular expression, one of some texts, a grammar."""
