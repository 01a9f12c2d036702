"""One file per step, named by its number. A step is never changed after a release: expand, then contract."""
