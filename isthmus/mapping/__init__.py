"""The mapping language: read, check, compile, apply."""
