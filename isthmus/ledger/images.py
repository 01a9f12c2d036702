"""Agreed images: what both sides of a synchronized flow last held in common, one typed table per flow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import errors, sql
from sqlalchemy import Connection, text

from isthmus.errors import ConfigError, DataError
from isthmus.ledger.database import Database, copy_in, raw
from isthmus.ledger.leaves import has, is_empty, leaf, walk_indexes

PAGE = 50_000
LONGEST = 60
OWN = ("id", "known", "there", "gone_source", "gone_target")
KNOWN = "known."
GONE = ("gone_source", "gone_target")
# How Arrow spells a type: its column's type, and the type that values travel in.
TYPES: dict[str, tuple[str, pa.DataType]] = {
    "string": ("text", pa.string()),
    "bool": ("boolean", pa.bool_()),
    "int16": ("smallint", pa.int16()),
    "int32": ("integer", pa.int32()),
    "int64": ("bigint", pa.int64()),
    "double": ("double precision", pa.float64()),
    "date32[day]": ("date", pa.date32()),
    "timestamp[s]": ("timestamp", pa.timestamp("us")),
    "timestamp[us]": ("timestamp", pa.timestamp("us")),
    "timestamp[s, tz=UTC]": ("timestamptz", pa.timestamp("us", "UTC")),
    "timestamp[us, tz=UTC]": ("timestamptz", pa.timestamp("us", "UTC")),
    "binary": ("bytea", pa.binary()),
}
_RESTORED = {
    "timestamp[s]": pa.timestamp("s"),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[s, tz=UTC]": pa.timestamp("s", "UTC"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
}
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")

_MERGE = """
INSERT INTO {leaf} AS t ({columns}) SELECT {columns} FROM pg_temp.image_stage ORDER BY id
ON CONFLICT (id) DO UPDATE SET {assigned} WHERE ({old}) IS DISTINCT FROM ({new})
"""
_READ = """
SELECT array_agg(t.known), array_agg(t.gone_source), array_agg(t.gone_target) {columns}
FROM (SELECT t.* FROM unnest(%(ids)b::bytea[]) WITH ORDINALITY k(id, n)
    LEFT JOIN {leaf} t ON t.id = encode(k.id, 'hex')::uuid ORDER BY k.n) t
"""


_FULFIL = "DELETE FROM {leaf} WHERE id IN (SELECT encode(b, 'hex')::uuid FROM unnest(%(ids)b::bytea[]) b)"


class Images:
    """Reads and writes what was agreed; a field that a row's image was not written with has no base yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._indexed: set[str] = set()
        self._fields: dict[str, dict[str, str]] = {}
        self._shapes: dict[tuple[str, tuple[str, ...]], int] = {}

    def prepare(self, flow: str, fields: Sequence[pa.Field]) -> None:
        """Make a flow's table before its first load, without index while it is empty; add fields that are new.

        A field that changed its type loses what was agreed of it. Raises ConfigError for a type or name that an
        image cannot hold.
        """
        self._shape(flow, fields)
        with self._database.transaction() as connection:
            filled = not is_empty(connection, image_name(flow))
        if filled:
            self.index(flow)

    def ensure(self, flow: str, fields: Sequence[pa.Field]) -> None:
        """Make or widen a flow's table, with its index; call it before a transaction that writes images."""
        self._shape(flow, fields)
        self.index(flow)

    def index(self, flow: str) -> None:
        """Build the index that a first load left out; of images that came twice the later one stays."""
        name = image_name(flow)
        if name in self._indexed:
            return
        with self._database.transaction() as connection:
            if not has(connection, name):
                return
            if not has(connection, f"{name}_i"):
                connection.execute(text("SELECT ledger.index_image(:name)"), {"name": name})
        self._indexed.add(name)

    def put(self, flow: str, batch: pa.RecordBatch) -> None:
        """Store agreed images: column `id`, one per field, none twice.

        Optional are `known.<field>` (false: this row has no base for the field) and `gone_source`, `gone_target`. A
        row replaces the image of its thing as a whole. Into a table without index the rows are copied straight.
        """
        self.ready(flow, batch)
        with self._database.transaction() as connection:
            self.write(connection, flow, batch)

    def ready(self, flow: str, batch: pa.RecordBatch | None) -> None:
        """Bring the table to the shape of a batch, before the transaction that writes it."""
        if batch is None:
            return
        fields = _fields(batch)
        if not self._covers(flow, fields):
            with self._database.transaction() as connection:
                there = has(connection, image_name(flow))
            (self.prepare if there else self.ensure)(flow, fields)
        for known in _patterns(batch)[1]:
            self._shape_number(flow, known)

    def ensure_for(self, flow: str, batch: pa.RecordBatch | None) -> None:
        """Do as `ready`, and see that the table has its index."""
        if batch is not None:
            self.ready(flow, batch)
            self.index(flow)

    def write(self, connection: Connection, flow: str, batch: pa.RecordBatch) -> None:
        """Write a batch within a transaction; `ready` comes before it."""
        if not batch.num_rows:
            return
        name, rows = image_name(flow), self._rows(flow, batch)
        raw(connection).execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(leaf(name)))
        if name in self._indexed or has(connection, f"{name}_i"):
            _merge(connection, name, rows)
        else:
            copy_in(connection, leaf(name), rows)

    def read(self, flow: str, ids: pa.Array) -> pa.RecordBatch:
        """Return the images of these things, aligned with `ids`.

        Columns: `id`, one per field, `known.<field>` (false: no base yet), `there`, `gone_source`, `gone_target`.
        """
        self.index(flow)
        types = self._known_fields(flow)
        with self._database.transaction() as connection:
            parts = [self._read(connection, flow, types, ids.slice(at, PAGE)) for at in range(0, len(ids), PAGE)]
            shapes = self._shapes_of(connection, flow)
        if not parts:
            return self._read_none(types)
        return pa.Table.from_batches([_aligned(part, types, shapes) for part in parts]).combine_chunks().to_batches()[0]

    def fields(self, flow: str) -> list[pa.Field]:
        """Return the fields of a flow's image, in their order; none where it has no table yet."""
        return [pa.field(name, arrow_type(kind)) for name, kind in self._known_fields(flow).items()]

    def count(self, flow: str) -> int:
        """Count the things of a flow that have an agreed image."""
        with self._database.transaction() as connection:
            if not has(connection, image_name(flow)):
                return 0
            statement = sql.SQL("SELECT count(*) FROM {}").format(leaf(image_name(flow)))
            return int((raw(connection).execute(statement).fetchone() or (0,))[0])

    def ids(self, flow: str, page: int = PAGE) -> Iterator[pa.Array]:
        """Yield the ids of things that have an agreed image, sorted, in pages."""
        self.index(flow)
        statement = sql.SQL(
            "SELECT string_agg(uuid_send(id), ''), (array_agg(id))[count(*)] FROM (SELECT id FROM {} WHERE"
            " %(after)s::uuid IS NULL OR id > %(after)s::uuid ORDER BY id LIMIT %(page)s) t"
        ).format(leaf(image_name(flow)))
        after = None
        while True:
            with self._database.transaction() as connection:
                if not has(connection, image_name(flow)):
                    return
                asked = {"after": after, "page": page}
                found, after = raw(connection).execute(statement, asked, binary=True).fetchone() or (None, None)
            if not found:
                return
            yield pa.Array.from_buffers(pa.binary(16), len(found) // 16, [None, pa.py_buffer(found)])

    def fulfil(self, connection: Connection, flow: str, ids: pa.Array) -> None:
        """Forget what was promised of things, within the transaction that stores what is agreed of them."""
        for side in ("source", "target"):
            name = image_name(promised(flow, side))
            if has(connection, name):
                statement = sql.SQL(_FULFIL).format(leaf=leaf(name))
                raw(connection).execute(statement, {"ids": ids.to_pylist()})

    def drop(self, flow: str) -> int:
        """Forget every agreed image of a flow, and what was promised; returns how many images."""
        with self._database.transaction() as connection:
            for side in ("source", "target"):
                if has(connection, image_name(promised(flow, side))):
                    raw(connection).execute(sql.SQL("DELETE FROM {}").format(leaf(image_name(promised(flow, side)))))
            if not has(connection, image_name(flow)):
                return 0
            return raw(connection).execute(sql.SQL("DELETE FROM {}").format(leaf(image_name(flow)))).rowcount

    def _covers(self, flow: str, fields: Sequence[pa.Field]) -> bool:
        known = self._known_fields(flow)
        return all(known.get(field.name) == spelling(flow, field) for field in fields)

    def _known_fields(self, flow: str) -> dict[str, str]:
        if flow not in self._fields:
            with self._database.transaction() as connection:
                self._fields[flow] = _stored_fields(connection, flow)
        return self._fields[flow]

    def _shape(self, flow: str, fields: Sequence[pa.Field]) -> None:
        wanted = {field.name: spelling(flow, field) for field in fields}
        name = image_name(flow)
        with self._database.transaction() as connection:
            if not has(connection, name):
                connection.execute(text("SELECT ledger.add_image(:name, :flow)"), {"name": name, "flow": flow})
            if any(_stored_fields(connection, flow).get(field) != kind for field, kind in wanted.items()):
                _widen(connection, flow, name, wanted)
                self._shapes = {key: number for key, number in self._shapes.items() if key[0] != flow}
            self._fields[flow] = _stored_fields(connection, flow)

    def _shape_number(self, flow: str, known: tuple[str, ...]) -> int:
        if (flow, known) not in self._shapes:
            with self._database.transaction() as connection:
                self._shapes[flow, known] = _shape_number(connection, flow, known)
        return self._shapes[flow, known]

    def _shapes_of(self, connection: Connection, flow: str) -> dict[int, frozenset[str]]:
        found = raw(connection).execute("SELECT number, fields FROM ledger.image_shapes WHERE flow = %s", [flow])
        return {number: frozenset(fields) for number, fields in found}

    def _rows(self, flow: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows, patterns = _patterns(batch)
        numbers = pa.array([self._shape_number(flow, known) for known in patterns], pa.int16())
        columns = {"id": batch["id"], "known": numbers.take(rows)}
        for name in GONE:
            said = batch[name].fill_null(False) if name in batch.schema.names else pa.repeat(False, batch.num_rows)
            columns[name] = said
        columns |= {field.name: _sent(batch[field.name]) for field in _fields(batch)}
        return pa.record_batch(list(columns.values()), list(columns))

    def _read(self, connection: Connection, flow: str, types: dict[str, str], ids: pa.Array) -> tuple[Any, ...]:
        name = image_name(flow)
        if not has(connection, name):
            return (ids, *([None] * len(ids) for _ in range(3 + len(types))))
        columns = sql.SQL("").join(sql.SQL(", array_agg(t.{})").format(sql.Identifier(field)) for field in types)
        statement = sql.SQL(_READ).format(leaf=leaf(name), columns=columns)
        walk_indexes(connection)
        found = raw(connection).execute(statement, {"ids": ids.to_pylist()}, binary=True).fetchone() or ()
        return (ids, *found)

    def _read_none(self, types: dict[str, str]) -> pa.RecordBatch:
        return _aligned((pa.array([], pa.binary(16)), *([] for _ in range(3 + len(types)))), types, {})


def promised(flow: str, side: str) -> str:
    """Return the name under which images of what is about to be written to a side of a flow are kept."""
    return f"{flow}.to_{side}"


def image_name(flow: str) -> str:
    """Return the name of a flow's table; a very long one ends in a digest of the flow's name."""
    name = "agreed_" + "__".join(flow.split("."))
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ConfigError(f"flow {flow!r} cannot name a table of images; expected lower-case letters, digits, _ and .")
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}_{hashlib.md5(flow.encode(), usedforsecurity=False).hexdigest()[:8]}"


def spelling(flow: str, field: pa.Field) -> str:
    """Return how Arrow spells a field's type; raises ConfigError where an image cannot hold it."""
    kind = "string" if pa.types.is_large_string(field.type) else str(field.type)
    if field.name in OWN or field.name.startswith(KNOWN):
        raise ConfigError(f"flow {flow}: field {field.name!r} bears a name the agreed image uses itself; rename it")
    if kind not in TYPES and not _DECIMAL.fullmatch(kind):
        raise ConfigError(
            f"flow {flow}: field {field.name} is of type {kind}, which cannot be synchronized; "
            f"expected one of {', '.join(TYPES)} or decimal128"
        )
    return kind


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a spelling."""
    decimal = _DECIMAL.fullmatch(kind)
    if decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return _RESTORED.get(kind, TYPES[kind][1]) if kind in TYPES else pa.string()


def _column_type(kind: str) -> str:
    return TYPES[kind][0] if kind in TYPES else kind.replace("decimal128", "numeric")


def _sent(column: pa.Array) -> pa.Array:
    kind = "string" if pa.types.is_large_string(column.type) else str(column.type)
    return column.cast(TYPES[kind][1]) if kind in TYPES and column.type != TYPES[kind][1] else column


def _fields(batch: pa.RecordBatch) -> list[pa.Field]:
    return [field for field in batch.schema if field.name not in OWN and not field.name.startswith(KNOWN)]


def _patterns(batch: pa.RecordBatch) -> tuple[pa.Array, list[tuple[str, ...]]]:
    """Return which fields are known: per row a number into the list of patterns, mostly one for all."""
    names = [field.name for field in _fields(batch)]
    told = [name for name in names if KNOWN + name in batch.schema.names]
    flags = [batch[KNOWN + name].fill_null(False) for name in told]
    partly = [name for name, flag in zip(told, flags, strict=True) if not pc.all(flag, min_count=0).as_py()]
    if not partly:
        return pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows), [tuple(names)]
    bits = [pc.if_else(batch[KNOWN + name].fill_null(False), "1", "0") for name in partly]
    coded = pc.binary_join_element_wise(*bits, "").dictionary_encode()
    without = [
        {name for name, bit in zip(partly, code, strict=True) if bit == "0"} for code in coded.dictionary.to_pylist()
    ]
    return coded.indices, [tuple(name for name in names if name not in gone) for gone in without]


def _merge(connection: Connection, name: str, rows: pa.RecordBatch) -> None:
    names = [column for column in rows.schema.names if column != "id"]
    driver = raw(connection)
    driver.execute(sql.SQL("CREATE TEMP TABLE image_stage (LIKE {}) ON COMMIT DROP").format(leaf(name)))
    copy_in(connection, sql.Identifier("pg_temp", "image_stage"), rows)
    statement = sql.SQL(_MERGE).format(
        leaf=leaf(name),
        columns=_listed(rows.schema.names),
        assigned=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names),
        old=_listed(names, "t"),
        new=_listed(names, "excluded"),
    )
    try:
        driver.execute(statement)
    except errors.CardinalityViolation as error:
        raise DataError(f"{name}: a thing has two images in one batch; expected one. Nothing was stored") from error
    driver.execute("DROP TABLE pg_temp.image_stage")


def _listed(names: Iterable[str], of: str = "") -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(of, name) if of else sql.Identifier(name) for name in names)


def _aligned(part: tuple[Any, ...], types: dict[str, str], shapes: dict[int, frozenset[str]]) -> pa.RecordBatch:
    ids, known, gone_source, gone_target, *values = part
    numbers = pa.array(known, pa.int16())
    shape = numbers.fill_null(-1).to_numpy(zero_copy_only=False)
    columns: dict[str, pa.Array] = {"id": ids}
    for (name, kind), column in zip(types.items(), values, strict=True):
        columns[name] = pa.array(column, arrow_type(kind))
    for name in types:
        columns[KNOWN + name] = pa.array(np.isin(shape, [number for number, held in shapes.items() if name in held]))
    columns["there"] = numbers.is_valid()
    columns["gone_source"] = pa.array(gone_source, pa.bool_()).fill_null(False)
    columns["gone_target"] = pa.array(gone_target, pa.bool_()).fill_null(False)
    return pa.record_batch(list(columns.values()), list(columns))


def _stored_fields(connection: Connection, flow: str) -> dict[str, str]:
    listed = "SELECT field, type FROM ledger.image_fields WHERE flow = %s ORDER BY position"
    return dict(raw(connection).execute(listed, [flow]).fetchall())


def _widen(connection: Connection, flow: str, name: str, wanted: dict[str, str]) -> None:
    """Add what is missing and make anew what changed its type; one at a time does so."""
    driver = raw(connection)
    driver.execute("SELECT pg_advisory_xact_lock(360140037)")
    stored = _stored_fields(connection, flow)
    for field, kind in wanted.items():
        if stored.get(field) == kind:
            continue
        driver.execute(
            "SELECT ledger.add_image_field(%s, %s, %s, %s)", [name, field, _column_type(kind), field in stored]
        )
        if field in stored:
            driver.execute(
                "UPDATE ledger.image_shapes SET fields = array_remove(fields, %s) WHERE flow = %s", [field, flow]
            )
        driver.execute(
            "INSERT INTO ledger.image_fields (flow, field, position, type) VALUES (%(flow)s, %(field)s, (SELECT"
            " coalesce(max(position), 0) + 1 FROM ledger.image_fields WHERE flow = %(flow)s), %(type)s)"
            " ON CONFLICT (flow, field) DO UPDATE SET type = excluded.type",
            {"flow": flow, "field": field, "type": kind},
        )


def _shape_number(connection: Connection, flow: str, known: tuple[str, ...]) -> int:
    driver = raw(connection)
    driver.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ledger image shapes {flow}"])
    asked = {"flow": flow, "fields": sorted(known)}
    found = driver.execute(
        "SELECT number FROM ledger.image_shapes WHERE flow = %(flow)s AND fields = %(fields)s::text[]", asked
    ).fetchone()
    if found is None:
        found = driver.execute(
            "INSERT INTO ledger.image_shapes (flow, number, fields) VALUES (%(flow)s, (SELECT coalesce(max(number), 0)"
            " + 1 FROM ledger.image_shapes WHERE flow = %(flow)s), %(fields)s) RETURNING number",
            asked,
        ).fetchone()
    return int(found[0]) if found else 0
