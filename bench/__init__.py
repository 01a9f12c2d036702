"""Benchmarks: the initial download against its limit in the server and against other tools."""
