"""The durable memory: runs, packages, keys, cursors, outcomes."""
