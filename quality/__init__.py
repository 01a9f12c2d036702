"""The quality gate, checks across rows, and what is shown of their results."""
