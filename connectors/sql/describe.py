"""What a table looks like: columns, key, client column and the rules its catalogue knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.sql.client import PostgresClient, Settings
from isthmus.connector import Column, Table
from isthmus.errors import ConfigError, did_you_mean

TYPES: dict[str, pa.DataType] = {
    "varchar": pa.string(),
    "text": pa.string(),
    "bpchar": pa.string(),
    "bytea": pa.binary(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A CHECK rule of the catalogue, as an expression over plain column names."""

    name: str
    expression: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A described table and what only this connector needs: schema, client column, types by name, rules.

    `native` gives the database's own type of each column; `indexes` the columns of each index in order and
    `unique` the column sets that identify a row, both without the client; `triggers` whether some fire for each row.
    """

    table: Table
    schema: str | None
    client: str | None = None
    native: dict[str, str] | None = None
    rules: tuple[Rule, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    triggers: bool = False

    def column(self, name: str) -> Column:
        """Return the column of that name, whatever its case; raises ConfigError with the nearest name."""
        found = self.table.column(name)
        if found is None:
            names = [column.name for column in self.table.columns]
            raise ConfigError(f'Table "{self.table.name}" has no column "{name}".{did_you_mean(name, names)}')
        return found

    def indexed(self, names: Iterable[str]) -> bool:
        """Return whether an index finds rows by these columns: it begins with them, or they hold a whole key."""
        wanted = set(names)
        begins = any(set(columns[: len(wanted)]) == wanted for columns in self.indexes)
        return begins or any(columns <= wanted for columns in self.unique if columns)

    def kind(self, name: str) -> str:
        """Return the database's own type name of a column, e.g. `varchar`."""
        return (self.native or {}).get(name, "")


def decimal_type(precision: int | None, scale: int | None) -> pa.DataType:
    """Return the exact Arrow type of a numeric column; one without bounds gets the widest."""
    if precision is None:
        return pa.decimal256(76, 30)
    return pa.decimal128(precision, scale or 0) if precision <= 38 else pa.decimal256(precision, scale or 0)


def nearest(settings: Settings, table: str, names: Iterable[str]) -> ConfigError:
    """Make the error for a table that is not there."""
    where = f' in schema "{settings.schema}"' if settings.schema else ""
    return ConfigError(f'There is no table "{table}"{where} in the {settings.place}.{did_you_mean(table, names)}')


def client_column(settings: Settings, names: Iterable[str]) -> str | None:
    """Return the client column: the first of these columns, if it goes by one of the client's names."""
    first = next(iter(names), None)
    return first if first is not None and first.casefold() in settings.client_columns else None


TABLE = """
SELECT c.oid, n.nspname, c.relname, EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid
    AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 1 = 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = lower(%(table)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN %(schema)s::text IS NULL THEN n.nspname = ANY (current_schemas(false))
           ELSE lower(n.nspname) = lower(%(schema)s) END
ORDER BY array_position(current_schemas(false), n.nspname), c.relname = %(table)s DESC LIMIT 1
"""

NAMES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN %(schema)s::text IS NULL THEN n.nspname = ANY (current_schemas(false))
           ELSE lower(n.nspname) = lower(%(schema)s) END
ORDER BY c.relname
"""

COLUMNS = """
SELECT a.attnum, a.attname, b.typname, a.attnotnull,
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
       coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

INDEXES = """
SELECT indisprimary, indisunique, (indkey::int2[])[0:indnkeyatts - 1] FROM pg_index
WHERE indrelid = %(oid)s AND indisvalid AND indpred IS NULL AND indexprs IS NULL
ORDER BY indisprimary DESC
"""

RULES = """
SELECT conname, pg_get_expr(conbin, conrelid), conkey FROM pg_constraint
WHERE conrelid = %(oid)s AND contype = 'c' ORDER BY conname
"""


def postgres_names(client: PostgresClient) -> list[str]:
    """List the tables and views that can be read, in a stable order."""
    with client.speaking() as session:
        return [name for (name,) in session.execute(NAMES, {"schema": client.settings.schema})]


def postgres_shape(client: PostgresClient, table: str) -> Shape:
    """Describe a table from PostgreSQL's catalogue; raises ConfigError when it is not there."""
    settings = client.settings
    with client.speaking() as session:
        found = session.execute(TABLE, {"table": table, "schema": settings.schema}).fetchone()
        if found is None:
            raise nearest(settings, table, postgres_names(client))
        oid, schema, name, triggers = found
        columns = session.execute(COLUMNS, {"oid": oid}).fetchall()
        indexes = session.execute(INDEXES, {"oid": oid}).fetchall()
        rules = session.execute(RULES, {"oid": oid}).fetchall()
    by_number = {number: column for number, column, *_ in columns}
    known = [(first, unique, [by_number[number] for number in numbers]) for first, unique, numbers in indexes]
    primary = next((names for is_primary, _, names in known if is_primary), [])
    held = client_column(settings, primary or by_number.values())
    return Shape(
        table=Table(name, tuple(_column(*row) for row in columns), tuple(c for c in primary if c != held)),
        schema=schema,
        client=held,
        native={column: kind for _, column, kind, *_ in columns},
        rules=tuple(Rule(n, text, tuple(by_number[k] for k in keys or ())) for n, text, keys in rules),
        unique=tuple(frozenset(names) - {held} for _, unique, names in known if unique),
        indexes=tuple(tuple(name for name in names if name != held) for _, _, names in known),
        triggers=triggers,
    )


def _column(_: int, name: str, kind: str, required: bool, modifier: int, label: str) -> Column:
    if kind == "numeric":
        bounded = modifier >= 4
        precision = ((modifier - 4) >> 16) & 0xFFFF if bounded else None
        scale = (modifier - 4) & 0x7FF if bounded else None
        type_ = decimal_type(precision, scale)
        return Column(name, type_, not required, precision=precision, scale=scale, label=label)
    length = modifier - 4 if kind in ("varchar", "bpchar") and modifier >= 4 else None
    return Column(name, TYPES.get(kind, pa.string()), not required, length=length, label=label)


class Catalogue:
    """Shapes of tables, looked up once per connector."""

    def __init__(self, look: Callable[[str], Shape]) -> None:
        self._look = look
        self._known: dict[str, Shape] = {}

    def shape(self, table: str) -> Shape:
        """Return the shape of a table; raises ConfigError when it is not there."""
        if table.casefold() not in self._known:
            self._known[table.casefold()] = self._look(table)
        return self._known[table.casefold()]


def portable_names(connection: Any, settings: Settings) -> list[str]:
    """List the tables and views that can be read, in a stable order."""
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    return sorted([*inspector.get_table_names(settings.schema), *inspector.get_view_names(settings.schema)])


def portable_shape(connection: Any, settings: Settings, table: str) -> Shape:
    """Describe a table through SQLAlchemy's inspector; raises ConfigError when it is not there."""
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    names = portable_names(connection, settings)
    name = next((n for n in names if n.casefold() == table.casefold()), None)
    if name is None:
        raise nearest(settings, table, names)
    columns = inspector.get_columns(name, settings.schema)
    primary = list(inspector.get_pk_constraint(name, settings.schema).get("constrained_columns") or ())
    held = client_column(settings, primary or [column["name"] for column in columns])
    described = tuple(_reflected(column, column["name"] in primary) for column in columns)
    return Shape(
        table=Table(name, described, tuple(column for column in primary if column != held)),
        schema=settings.schema,
        client=held,
        native={column["name"]: type(column["type"]).__name__.casefold() for column in columns},
    )


def _reflected(column: Any, key: bool) -> Column:
    import sqlalchemy as sa

    kind, name = column["type"], str(column["name"])
    nullable = bool(column.get("nullable", True)) and not key
    label = str(column.get("comment") or "")
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        type_ = decimal_type(kind.precision, kind.scale)
        return Column(name, type_, nullable, precision=kind.precision, scale=kind.scale, label=label)
    length = getattr(kind, "length", None)
    return Column(name, _arrow(kind), nullable, length=length, label=label)


def _arrow(kind: Any) -> pa.DataType:
    import sqlalchemy as sa

    known: tuple[tuple[type, pa.DataType], ...] = (
        (sa.SmallInteger, pa.int16()),
        (sa.BigInteger, pa.int64()),
        (sa.Integer, pa.int64()),
        (sa.Float, pa.float64()),
        (sa.Boolean, pa.bool_()),
        (sa.DateTime, pa.timestamp("us")),
        (sa.Date, pa.date32()),
        (sa.Time, pa.time64("us")),
        (sa.types._Binary, pa.binary()),
    )
    return next((arrow for sql, arrow in known if isinstance(kind, sql)), pa.string())
