"""Bring Arrow rows into PostgreSQL: binary COPY into tables or into temporary ones of the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from connectors.sql.describe import TYPES, Shape
from connectors.sql.wanted import NUMBER, POSITION, Wanted

COPY_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Stage:
    """Two temporary tables: the wanted rows (n, position, c0 …) and what is to be done with them (todo)."""

    rows: str
    todo: str
    wanted: Wanted

    def load(self, session: Any) -> None:
        """Copy the wanted rows in; the transaction's end empties the table."""
        copy_in(session, self.rows, ["n", "position", *self.wanted.columns], staged(self.wanted))

    def at(self, name: str, alias: str = "s") -> str:
        """Return a staged column as an expression of the target column's type."""
        kind = self.wanted.shape.kind(name)
        expression = f"{alias}.{quoted(name)}"
        return expression if encodable(self.wanted.shape, name) else f'{expression}::"{kind}"'


class Stages:
    """The temporary tables of one session, made once per table and set of columns, empty at every commit.

    A table is made when it first has rows: where all stands as it is wanted, there are none.
    """

    def __init__(self) -> None:
        self._session: Any = None
        self._names: dict[tuple[int, str | None, str, tuple[str, ...], int], str] = {}
        self._made: set[str] = set()

    def ready(self, session: Any, tables: Sequence[Wanted]) -> list[Stage]:
        """Return an empty stage for each table of a change; made outside its transaction, so they outlive it."""
        if session is not self._session:
            self._session, self._names, self._made = session, {}, set()
        stages = []
        for place, wanted in enumerate(tables):
            key = (place, wanted.shape.schema, wanted.shape.table.name, wanted.columns, wanted.words)
            known = self._names.setdefault(key, f"isthmus_stage_{len(self._names)}")
            if known not in self._made and wanted.data.num_rows:
                self._make(session, known, wanted)
                self._made.add(known)
            name = f"pg_temp.{known}"
            stages.append(Stage(name, f"{name}_todo", wanted))
        return stages

    def _make(self, session: Any, name: str, wanted: Wanted) -> None:
        columns = [f"{quoted(c)} {_staged_type(wanted.shape, c)}" for c in wanted.columns]
        words = [f"keep{i} int8 NOT NULL" for i in range(wanted.words)]
        listed = ", ".join(["n int4 NOT NULL", "position int4 NOT NULL", *columns])
        todo = ", ".join(["n int4 NOT NULL", "fresh bool NOT NULL", *words])
        session.execute(f"DROP TABLE IF EXISTS pg_temp.{name}, pg_temp.{name}_todo")
        session.execute(f"CREATE TEMPORARY TABLE {name} ({listed}) ON COMMIT DELETE ROWS")
        session.execute(f"CREATE TEMPORARY TABLE {name}_todo ({todo}) ON COMMIT DELETE ROWS")


def quoted(name: str) -> str:
    """Return an identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def target(shape: Shape) -> str:
    """Return a table's full name, quoted."""
    return f"{quoted(shape.schema)}.{quoted(shape.table.name)}" if shape.schema else quoted(shape.table.name)


def encodable(shape: Shape, name: str) -> bool:
    """Return whether a column can travel in binary as it is; others are staged as text and converted there."""
    kind = shape.kind(name)
    return kind in TYPES or (kind == "numeric" and pa.types.is_decimal128(shape.column(name).type))


def _staged_type(shape: Shape, name: str) -> str:
    return quoted(shape.kind(name)) if encodable(shape, name) else "text"


def staged(wanted: Wanted) -> pa.Table:
    """Return the rows as the stage holds them."""
    columns = [
        wanted.data[name] if encodable(wanted.shape, name) else wanted.data[name].cast(pa.string())
        for name in wanted.columns
    ]
    return pa.table([wanted.data[NUMBER], wanted.data[POSITION], *columns], names=["n", "position", *wanted.columns])


def copy_in(session: Any, table: str, columns: Sequence[str], rows: pa.Table) -> None:
    """Copy rows into a table in PostgreSQL's binary format; the columns are those of `rows`, in order."""
    import pgpq

    # The encoder matches columns by order; plain names keep any character out of its way.
    plain = rows.rename_columns([f"c{i}" for i in range(rows.num_columns)])
    encoder = pgpq.ArrowToPostgresBinaryEncoder(plain.schema)
    listed = ", ".join(quoted(name) for name in columns)
    with session.cursor() as cursor, cursor.copy(f"COPY {table} ({listed}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(encoder.write_header())
        for batch in plain.to_batches(max_chunksize=COPY_ROWS):
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def fetch(session: Any, query: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return the result of a query as Arrow columns of these types; bytes must come as hex text.

    The server joins the rows into one value: the driver hands out a COPY row by row, in Python.
    """
    labels = [f"f{i}" for i in range(len(types))]
    fields = [_field(label, kind) for label, kind in zip(labels, types.values(), strict=True)]
    line = " || ',' || ".join(fields)
    whole = f"SELECT convert_to(string_agg({line}, E'\\n'), 'UTF8') FROM ({query}) q ({', '.join(labels)})"
    data = session.execute(whole, binary=True).fetchone()[0]
    if not data:
        return pa.schema(list(types.items())).empty_table()
    sent = {name: pa.string() if pa.types.is_binary(kind) else kind for name, kind in types.items()}
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(column_names=list(types), block_size=max(len(data), 1 << 20)),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=sent,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["true"],
            false_values=["false"],
        ),
    )
    for name, kind in types.items():
        if pa.types.is_binary(kind):
            table = table.set_column(table.column_names.index(name), name, from_hex(table[name].combine_chunks()))
    return table


def _field(label: str, kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return f"""coalesce('"' || replace({label}, '"', '""') || '"', '')"""
    return f"coalesce({label}::text, '')"


def from_hex(texts: pa.Array) -> pa.Array:
    """Return hexadecimal texts as bytes, all at once."""
    lengths = pc.divide(pc.fill_null(pc.binary_length(texts), 0), 2).to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
    packed = bytes.fromhex("".join(pc.fill_null(texts, "").to_pylist()))
    whole = pa.BinaryArray.from_buffers(pa.binary(), len(texts), [None, offsets.buffers()[1], pa.py_buffer(packed)])
    return pc.if_else(texts.is_valid(), whole, pa.scalar(None, pa.binary()))
