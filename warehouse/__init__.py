"""The warehouse: BW's semantics in plain PostgreSQL tables.  What there is, is declared in `stores/` and `cubes/`."""
