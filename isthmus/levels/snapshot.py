"""Fingerprints: one number per object over all columns that its mapping reads, for feeds that know no change dates."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector
from isthmus.levels.resolve import canonical_key, read_raw
from isthmus.mapping.plan import ReadPlan

ROWS = 50_000  # read at a time
# MD5 of every row's text; the rows of one object (its own, those of its lists) are put in order first.
_DIGEST = """
SELECT key, unhex(md5(string_agg(md5(content), '' ORDER BY md5(content)))) AS print FROM contents
WHERE key IS NOT NULL GROUP BY key
"""
CONTENTS = pa.schema([("key", pa.string()), ("content", pa.binary())])


def fingerprints(plans: Sequence[ReadPlan], system: Connector) -> pa.Table:
    """Return canonical key and fingerprint of every object; memory is one part and the fingerprints."""
    import duckdb  # 20 MB: only what takes fingerprints pays for it

    parts = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for plan in plans:
            for within in system.partitions(plan.query, ROWS):
                raw = read_raw(system, plan, within)
                batches = [content(plan, raw.root, plan.key.columns, "")]
                batches += [
                    content(plan, raw.lists[e.name], e.parent, e.name) for e in plan.lists if e.name in raw.lists
                ]
                connection.register("contents", pa.Table.from_batches(batches, CONTENTS))
                found: pa.Table = connection.sql(_DIGEST).to_arrow_table()
                parts.append(found.cast(pa.schema([("key", pa.string()), ("print", pa.binary())])))
                connection.unregister("contents")
    if not parts:
        return pa.table({"key": pa.array([], pa.string()), "print": pa.array([], pa.binary(16))})
    whole = pa.concat_tables(parts).combine_chunks()
    return whole.set_column(1, "print", whole["print"].cast(pa.binary(16)))


def content(plan: ReadPlan, rows: pa.RecordBatch, key: Sequence[str], name: str) -> pa.RecordBatch:
    """Return the key each raw row belongs to, and all its columns as one text; `name` tells lists apart."""
    columns = [pa.repeat(pa.scalar(name.encode()), rows.num_rows), *map(as_bytes, rows.columns)]
    whole = pc.binary_join_element_wise(*columns, b"\x1f", null_handling="replace", null_replacement=b"\x00")
    keys = canonical_key(plan, pa.RecordBatch.from_arrays([rows.column(k) for k in key], names=list(plan.key.columns)))
    return pa.RecordBatch.from_arrays([keys, whole], schema=CONTENTS)


def as_bytes(column: pa.Array) -> pa.Array:
    """Return a column as bytes: text of what is no text."""
    if pa.types.is_binary(column.type):
        return column
    return column.cast(pa.string()).cast(pa.binary())
