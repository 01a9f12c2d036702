"""Tables filled by COPY: created, filled, keyed and indexed in one transaction each."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pgpq
import psycopg
import pyarrow as pa
import pyarrow.csv as arrow_csv

from landscape.columns import Columns, text
from landscape.schema import Table

_NUMERIC = {"DEC", "CURR", "QUAN"}
_ROWS = 25_000


def batches(table: Table, contents: Iterable[Columns]) -> Iterator[pa.RecordBatch]:
    """Return columns as record batches in the table's order; scalars are repeated, absent columns stay initial.

    Raises KeyError for a column the table does not have.
    """
    for content in contents:
        rows = max((len(value) for value in content.values() if isinstance(value, pa.Array)), default=0)
        if rows:
            names = [name for name in table.names if name in content]
            if len(names) < len(content):
                raise KeyError(f"{table.name}: {sorted(set(content) - set(names))}")
            arrays = [_array(content[name], rows) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=[name.lower() for name in names])


def _array(value: Any, rows: int) -> Any:
    return value if isinstance(value, pa.Array) else pa.repeat(value, rows)


def fill(connection: psycopg.Connection[Any], table: Table, contents: Iterable[Columns]) -> int:
    """Create a table, fill it and build its indexes, leaving the commit to the caller; return the rows written."""
    connection.execute(f"DROP TABLE IF EXISTS {table.name.lower()} CASCADE")
    for statement in table.create():
        connection.execute(statement)
    rows = sum(copy(connection, table, batch, fresh=True) for batch in batches(table, contents))
    for statement in table.constrain():
        connection.execute(statement)
    connection.execute(f"ANALYZE {table.name.lower()}")
    return rows


def copy(connection: psycopg.Connection[Any], table: Table, batch: pa.RecordBatch, *, fresh: bool = False) -> int:
    """Append a record batch; `fresh` freezes the rows of a table created in this transaction.

    The binary encoder knows no decimals, so tables with a number in SAP's packed format go as text.
    """
    kinds = {column.name.lower(): column.kind for column in table.columns}
    binary = not any(kinds[name] in _NUMERIC for name in batch.schema.names)
    options = ["FORMAT binary" if binary else "FORMAT csv", *(["FREEZE"] if fresh else [])]
    statement = f"COPY {table.name.lower()} ({', '.join(batch.schema.names)}) FROM STDIN WITH ({', '.join(options)})"
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for piece in _binary(batch) if binary else _csv(batch):
            stream.write(piece)
    return int(batch.num_rows)


def _binary(batch: pa.RecordBatch) -> Iterator[bytes]:
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
    yield encoder.write_header()
    for start in range(0, batch.num_rows, _ROWS):
        yield encoder.write_batch(batch.slice(start, _ROWS))
    yield encoder.finish()


def _csv(batch: pa.RecordBatch) -> Iterator[bytes]:
    options = arrow_csv.WriteOptions(include_header=False)
    for start in range(0, batch.num_rows, _ROWS):
        piece = batch.slice(start, _ROWS)
        arrays = [_hex(array) if pa.types.is_binary(array.type) else array for array in piece.columns]
        sink = io.BytesIO()
        arrow_csv.write_csv(pa.RecordBatch.from_arrays(arrays, names=piece.schema.names), sink, options)
        yield sink.getvalue()


_HEX = np.array([[*f"{byte:02x}".encode()] for byte in range(256)], dtype=np.uint8)


def _hex(array: Any) -> Any:
    """Spell GUIDs as bytea literals; every one is 16 bytes, so their data stand side by side."""
    start, rows = array.offset * 16, len(array)
    data = np.frombuffer(array.buffers()[2], dtype=np.uint8)[start : start + rows * 16]
    head = np.tile(np.frombuffer(b"\\x", dtype=np.uint8), (rows, 1))
    return text(np.hstack([head, _HEX[data].reshape(rows, -1)]))
