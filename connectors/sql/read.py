"""Read rows of a range or of explicit keys as Arrow blocks, joins and filters done by the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.client import BLOCK_BYTES, PortableClient, PostgresClient
from connectors.sql.statement import Dialect, Resolved, array_literal, raw
from isthmus.connector import Column, KeyRange, Keys, Where
from isthmus.errors import ConfigError, DataError

KEY_BLOCK = 1_000  # keys per statement: the planner stays with index look-ups
BOUND_BLOCK = 200  # key tuples per statement where each value is a bound parameter
FETCH_ROWS = 10_000


def read_postgres(client: PostgresClient, query: Resolved, where: Where) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query from PostgreSQL, ordered by key; an empty result yields no block."""
    for conditions in postgres_conditions(query, where):
        for batch in client.stream(query.select(conditions), query.by_index):
            if batch.num_rows:
                yield shaped(batch.columns, query)


def postgres_conditions(query: Resolved, where: Where) -> Iterator[list[str]]:
    """Yield the conditions of one statement after the other: one range, or blocks of 1,000 keys."""
    if isinstance(where, KeyRange):
        yield query.within(where)
        return
    kinds = [query.shapes[ref.alias].kind(query.column(ref).name) for ref in query.query.key]
    for block in key_blocks(query, where, KEY_BLOCK):
        arrays = [array_literal(values, kind) for values, kind in zip(block, kinds, strict=True)]
        if len(arrays) == 1:
            yield [f"{query.keys[0]} = ANY ({_looked_up(query, arrays[0])})"]
        else:
            yield [f"({', '.join(query.keys)}) IN (SELECT * FROM unnest({', '.join(arrays)}))"]


def _looked_up(query: Resolved, array: str) -> str:
    """Return an array of keys so that the planner does not look into it where an index finds them.

    It would weigh every key against its statistics, which takes longer than the look-ups (15 ms for 1,000 keys), and
    scan joined tables whole once that seems cheaper.  Without an index it has to see the keys, to hash them.
    """
    names = [query.column(ref).name for ref in query.query.key]
    indexed = query.shapes[query.query.root.alias].indexed(names)
    return f"ARRAY(SELECT unnest({array}))" if indexed else array


def key_blocks(query: Resolved, where: Keys, size: int) -> Iterator[list[pa.Array]]:
    """Yield explicit keys as raw texts, sorted, each once, in blocks."""
    if len(where.arrays) != len(query.query.key):
        raise ConfigError(f"{len(where.arrays)} key columns are given, the key has {len(query.query.key)}.")
    names = [f"k{i}" for i in range(len(where.arrays))]
    table = pa.table([raw(_whole(array)) for array in where.arrays], names=names).drop_null()
    table = table.group_by(names, use_threads=False).aggregate([]).sort_by([(name, "ascending") for name in names])
    for start in range(0, table.num_rows, size):
        yield [_whole(column) for column in table.slice(start, size).columns]


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def shaped(arrays: Sequence[pa.Array], query: Resolved) -> pa.RecordBatch:
    """Return a block under the names asked for, each column in its described type; raises DataError."""
    wanted = query.query.columns
    columns = [typed(array, query.column(ref), str(ref)) for array, ref in zip(arrays, wanted, strict=False)]
    return pa.RecordBatch.from_arrays(columns, names=[str(ref) for ref in wanted])


def typed(array: pa.Array, column: Column, name: str) -> pa.Array:
    """Return an array in its described type; numbers with decimals never pass through a float."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type == column.type:
        return array
    try:
        return array.cast(column.type)
    except pa.ArrowInvalid:
        raise DataError(f"Column {name} holds a value that does not fit its type {column.type}.") from None


def read_portable(client: PortableClient, query: Resolved, where: Where) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query from any database, ordered by key; an empty result yields no block."""
    import sqlalchemy as sa

    for conditions in portable_conditions(query, where):
        with client.speaking() as connection:
            statement = sa.text(query.select(conditions))
            result = connection.execution_options(stream_results=True).execute(statement, query.dialect.values)
            for rows in result.partitions(FETCH_ROWS):
                yield from _bounded(portable_block(rows, query))
        query.dialect.values.clear()


def portable_conditions(query: Resolved, where: Where) -> Iterator[list[str]]:
    """Yield the conditions of one statement after the other: one range, or blocks of keys."""
    if isinstance(where, KeyRange):
        yield query.within(where)
        return
    columns = [query.column(ref) for ref in query.query.key]
    for block in key_blocks(query, where, BOUND_BLOCK):
        yield [tuples(query.dialect, query.keys, columns, zip(*(keys.to_pylist() for keys in block), strict=True))]


def tuples(dialect: Dialect, names: Sequence[str], columns: Sequence[Column], keys: Iterable[Sequence[str]]) -> str:
    """Return the condition that a row has one of these keys."""
    if len(names) == 1:
        return f"{names[0]} IN ({', '.join(dialect.value(columns[0], key[0]) for key in keys)})"
    each = []
    for key in keys:
        equal = (f"{n} = {dialect.value(c, v)}" for n, c, v in zip(names, columns, key, strict=True))
        each.append(f"({' AND '.join(equal)})")
    return f"({' OR '.join(each)})"


def portable_block(rows: Sequence[Sequence[object]], query: Resolved) -> pa.RecordBatch:
    """Make a block of a driver's rows (a plain DBAPI hands out nothing else)."""
    wanted = query.query.columns
    given = zip(wanted, zip(*rows, strict=True), strict=False)
    columns = [column_of(values, query.column(ref), str(ref)) for ref, values in given]
    return pa.RecordBatch.from_arrays(columns, names=[str(ref) for ref in wanted])


def column_of(values: Sequence[object], column: Column, name: str) -> pa.Array:
    """Make an array of one column's Python values in its described type; raises DataError."""
    try:
        if pa.types.is_decimal(column.type):
            return pa.array([None if v is None else str(v) for v in values], pa.string()).cast(column.type)
        return pa.array(values, column.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        try:
            texts = [None if v is None else str(v) for v in values]
            return pa.array(texts, pa.string()).cast(column.type)
        except pa.ArrowInvalid:
            raise DataError(f"Column {name} holds a value that does not fit its type {column.type}.") from None


def _bounded(block: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    pieces = max(1, -(-block.nbytes // BLOCK_BYTES))
    size = -(-block.num_rows // pieces) or 1
    for start in range(0, block.num_rows, size):
        yield block.slice(start, size)


def sorted_by(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the table ordered by these columns; one that already is comes back as it is."""
    if table.num_rows < 2 or not names:
        return table
    first = table[names[0]].combine_chunks()
    ascending = pc.all(pc.less(first.slice(0, len(first) - 1), first.slice(1)), min_count=0).as_py()
    return table if ascending else table.sort_by([(name, "ascending") for name in names])
