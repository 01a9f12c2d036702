"""Queries on a staged table: names resolved, values bound, rows in key order, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors.files import readings
from connectors.files.formats import ROWS
from connectors.files.stage import Staged
from isthmus.connector import ColumnRef, Comparison, KeyRange, Keys, Query, Where
from isthmus.errors import ConfigError, Finding, SpecError, did_you_mean

if TYPE_CHECKING:
    import duckdb

SORTED_AT_ONCE = 65_536
OPERATORS = ("=", "<>", "<", "<=", ">", ">=")


def refuse_joins(query: Query) -> None:
    """Raise SpecError for a query over several tables: files are read one table at a time."""
    if len(query.sources) > 1:
        others = ", ".join(source.table for source in query.sources[1:])
        message = (
            f'files cannot join: the query ties {others} to "{query.root.table}". Read each table by itself, '
            "or load the files into a database and read that"
        )
        raise SpecError([Finding(query.root.table, 1, 1, message)])


@dataclass(slots=True)
class Statement:
    """A query being written as SQL; `values` are the parameters bound so far."""

    query: Query
    staged: Staged
    values: dict[str, Any] = field(default_factory=dict)

    def column(self, ref: ColumnRef) -> str:
        """Return the described name of a column; raises ConfigError with the nearest name."""
        alias = self.query.root.alias
        if ref.alias != alias:
            raise ConfigError(f'The query has no table "{ref.alias}", only "{alias}".')
        found = self.staged.table.column(ref.column)
        if found is None:
            names = [column.name for column in self.staged.table.columns]
            table = self.staged.table.name
            raise ConfigError(f'Table "{table}" has no column "{ref.column}".{did_you_mean(ref.column, names)}')
        return found.name

    def at(self, ref: ColumnRef) -> str:
        """Return a column as an expression."""
        return self.staged.columns[self.column(ref)]

    @property
    def keys(self) -> list[str]:
        """Return the key columns as expressions."""
        return [self.at(ref) for ref in self.query.key]

    @property
    def by_reading(self) -> bool:
        """Say whether the rows are readings in the order of their own key, so that whole days can be skipped."""
        return self.staged.meter and [self.column(ref) for ref in self.query.key] == [readings.KEY]

    def value(self, ref: ColumnRef, text: str) -> str:
        """Bind a literal as a value of a column."""
        name = f"v{len(self.values)}"
        self.values[name] = text
        kind = self.staged.types[self.column(ref)]
        return f"from_hex(${name})" if kind == "BLOB" else f"CAST(${name} AS {kind})"

    def blank(self, ref: ColumnRef) -> str:
        """Return the condition that a column is missing, empty or nothing but zeros."""
        return f"coalesce(trim(CAST({self.at(ref)} AS VARCHAR), ' 0'), '') = ''"

    def condition(self, comparison: Comparison) -> str:
        """Return a comparison as SQL; raises ConfigError for an operator that is not known."""
        left, operator, right = self.at(comparison.left), comparison.operator, comparison.right
        if operator in ("is blank", "is set"):
            return self.blank(comparison.left) if operator == "is blank" else f"NOT ({self.blank(comparison.left)})"
        if operator == "in":
            options = right if isinstance(right, tuple) else (str(right),)
            return (
                f"{left} IN ({', '.join(self.value(comparison.left, one) for one in options)})" if options else "false"
            )
        if operator not in OPERATORS:
            raise ConfigError(f'A comparison of {comparison.left} uses "{operator}", which files cannot answer.')
        other = self.at(right) if isinstance(right, ColumnRef) else self.value(comparison.left, str(right))
        compared = f"{left} {operator} {other}"
        return f"({compared} OR {left} IS NULL)" if operator == "<>" else compared

    def within(self, part: KeyRange) -> list[str]:
        """Return the conditions of a half-open key range."""
        conditions = []
        for bound, operator in ((part.low, ">="), (part.high, "<")):
            if bound is None:
                continue
            if len(bound) != len(self.query.key):
                raise ConfigError(f"A key range has {len(bound)} parts, the key has {len(self.query.key)}.")
            values = [self.value(ref, text) for ref, text in zip(self.query.key, bound, strict=True)]
            conditions.append(_ordered(self.keys, values, operator))
        return conditions

    def filters(self) -> list[str]:
        """Return the query's own conditions."""
        return [self.condition(comparison) for comparison in self.query.where]

    def days(self, part: KeyRange) -> str:
        """Return the condition that a day may hold readings of a key range; more days than that do no harm."""
        conditions = []
        if part.low is not None:
            conditions.append(f"day_id >= left({self._bound(part.low[0])}, len(day_id))")
        if part.high is not None:
            conditions.append(f"day_id < {self._bound(part.high[0])}")
        return " AND ".join(conditions)

    def _bound(self, text: str) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = text
        return f"${name}"


def read(session: duckdb.DuckDBPyConnection, query: Query, staged: Staged, where: Where) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a range or of explicit keys, ordered by key, in blocks of at most `formats.ROWS` rows.

    Raises ConfigError for unknown names at once, for values of another type than their column when it meets them.
    """
    large = isinstance(where, KeyRange) and (where.rows is None or where.rows > SORTED_AT_ONCE)
    if isinstance(where, KeyRange) and large and Statement(query, staged).by_reading:
        # Days are in order already, their readings are not: made and sorted by the package, memory stays small.
        cuts = partitions(session, replace(query, where=()), staged, SORTED_AT_ONCE, where)
        return chain.from_iterable(_read(session, query, staged, part) for part in cuts)
    return _read(session, query, staged, where)


def _read(session: duckdb.DuckDBPyConnection, query: Query, staged: Staged, where: Where) -> Iterator[pa.RecordBatch]:
    statement = Statement(query, staged)
    fields = [pa.field(str(ref), _type(staged, statement.column(ref))) for ref in query.columns]
    wanted = ", ".join(f"{statement.at(ref)} AS o{at}" for at, ref in enumerate(query.columns))
    conditions = statement.filters()
    if isinstance(where, Keys):
        source, found = _by_keys(session, statement, where)
        conditions.append(found)
    else:
        source = staged.source(statement.days(where) if statement.by_reading else "")
        conditions += statement.within(where)
    if query.distinct:
        _refuse_distinct(query)
        wanted = f"DISTINCT {wanted}"
    order = f"ORDER BY {', '.join(statement.keys)}" if query.key else ""
    text = f"SELECT {wanted} FROM {source}{_where(conditions)} {order}"
    schema = pa.schema(fields)
    return (batch.rename_columns(schema.names).cast(schema) for batch in _run(session, text, statement.values))


def partitions(
    session: duckdb.DuckDBPyConnection, query: Query, staged: Staged, rows: int, within: KeyRange
) -> list[KeyRange]:
    """Cut a range where the running count passes a multiple of `rows`; a key is never on both sides of a cut."""
    statement = Statement(query, staged)
    keys = [f"k{at}" for at in range(len(query.key))]
    if statement.by_reading and not query.where:
        runs, accumulated = staged.relations
        conditions = _days_within(statement, within)
        counted = f"(SELECT * FROM {readings.weights(runs, accumulated)}{_where(conditions)})"
    else:
        conditions = [*statement.filters(), *statement.within(within)]
        named = ", ".join(f"{expression} AS {key}" for expression, key in zip(statement.keys, keys, strict=True))
        counted = f"(SELECT {named}, count(*) AS weight FROM {staged.source()}{_where(conditions)} GROUP BY ALL)"
    order = ", ".join(keys)
    running = f"SELECT *, (sum(weight) OVER (ORDER BY {order}) - weight) // {max(rows, 1)} AS bucket FROM {counted}"
    cuts = f"SELECT *, lag(bucket) OVER (ORDER BY {order}) AS before, sum(weight) OVER (PARTITION BY bucket) AS size"
    shown = ", ".join(_shown(statement, key, at) for at, key in enumerate(keys))
    text = f"SELECT {shown}, size FROM ({cuts} FROM ({running})) WHERE before IS DISTINCT FROM bucket ORDER BY {order}"
    found = [
        row for batch in _run(session, text, statement.values) for row in zip(*batch.to_pydict().values(), strict=True)
    ]
    if not found:
        return [KeyRange(within.low, within.high, 0)]
    lows = [within.low, *(tuple(row[:-1]) for row in found[1:])]
    return [
        KeyRange(low, high, int(row[-1])) for low, high, row in zip(lows, [*lows[1:], within.high], found, strict=True)
    ]


def _shown(statement: Statement, key: str, at: int) -> str:
    kind = statement.staged.types[statement.column(statement.query.key[at])]
    return f"hex({key}) AS {key}s" if kind == "BLOB" else f"CAST({key} AS VARCHAR) AS {key}s"


def _days_within(statement: Statement, within: KeyRange) -> list[str]:
    """Keep a first day that the range enters in its middle: its count is a little too high, its rows are not."""
    conditions = []
    if within.low is not None:
        conditions.append(f"k0 >= left({statement._bound(within.low[0])}, len(k0) - 6)")
    if within.high is not None:
        conditions.append(f"k0 < {statement._bound(within.high[0])}")
    return conditions


def _by_keys(session: duckdb.DuckDBPyConnection, statement: Statement, where: Keys) -> tuple[str, str]:
    """Register explicit keys; return the source and the condition that a row's key is among them."""
    if len(where.arrays) != len(statement.query.key):
        raise ConfigError(f"Keys have {len(where.arrays)} columns, the key has {len(statement.query.key)}.")
    types = [statement.staged.types[statement.column(ref)] for ref in statement.query.key]
    names = [f"k{at}" for at in range(len(types))]
    session.register("wanted", pa.table(dict(zip(names, where.arrays, strict=True))))
    cast = ", ".join(
        f"from_hex({name})" if kind == "BLOB" and not pa.types.is_binary(array.type) else f"CAST({name} AS {kind})"
        for name, kind, array in zip(names, types, where.arrays, strict=True)
    )
    days = "day_id IN (SELECT left(k0, len(k0) - 6) FROM wanted UNION ALL SELECT k0 FROM wanted)"
    source = statement.staged.source(days if statement.by_reading else "")
    return source, f"({', '.join(statement.keys)}) IN (SELECT {cast} FROM wanted)"


def _run(session: duckdb.DuckDBPyConnection, text: str, values: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    import duckdb

    try:
        yield from session.sql(text, params=values).to_arrow_reader(ROWS)
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise ConfigError(
            "A value of a filter or key cannot be read as the type of its column; write it as the column holds it."
        ) from error


def _refuse_distinct(query: Query) -> None:
    missing = [str(ref) for ref in query.key if ref not in query.columns]
    if missing:
        message = f"distinct rows ordered by {', '.join(missing)} need that column among those read"
        raise SpecError([Finding(query.root.table, 1, 1, message)])


def _type(staged: Staged, name: str) -> pa.DataType:
    found = staged.table.column(name)
    return found.type if found is not None else pa.string()


def _ordered(columns: list[str], values: list[str], operator: str) -> str:
    """Return the comparison of two tuples, spelled out: the first column alone already narrows the search."""
    (column, *columns), (value, *values) = columns, values
    if not columns:
        return f"{column} {operator} {value}"
    strict = operator[0]
    rest = _ordered(columns, values, operator)
    return f"({column} {strict}= {value} AND ({column} {strict} {value} OR {rest}))"


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
