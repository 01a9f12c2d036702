"""Cut a key range into packages: disjoint, complete, every boundary a key that stands in the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.sql.client import PortableClient, PostgresClient
from connectors.sql.statement import Resolved
from isthmus.connector import KeyRange


def boundaries(query: Resolved, rows: int, within: KeyRange) -> tuple[str, str]:
    """Return two statements: every n-th key of the root with its place, and the number of rows.

    Keys compare by the column's own collation, here as in `read`, so ranges and order agree and the index of
    the key serves both.
    """
    keys = ", ".join(query.keys)
    filters = [*query.root_only(), *query.within(within)]
    where = f"WHERE {' AND '.join(filters)}" if filters else ""
    source = f"FROM {query.table(query.query.root.alias)} {where}"
    labels = ", ".join(f"{key} k{i}" for i, key in enumerate(query.keys))
    outer = ", ".join(f"k{i}" for i in range(len(query.keys)))
    windows = f"ROW_NUMBER() OVER (ORDER BY {keys}) n, RANK() OVER (ORDER BY {keys}) place"
    numbered = f"SELECT {labels}, {windows} {source}"
    every = f"SELECT {outer}, place FROM ({numbered}) numbered WHERE (n - 1) % {max(rows, 1)} = 0 ORDER BY n"
    return every, f"SELECT count(*) {source}"


def ranges(found: Sequence[Sequence[Any]], total: int, within: KeyRange) -> list[KeyRange]:
    """Make ranges of placed keys; a key that several rows share is never cut and bounds no range twice."""
    starts: list[tuple[tuple[str, ...] | None, int]] = [(within.low, 1)]
    for *key, place in found:
        low = tuple(text(value) for value in key)
        if int(place) > starts[-1][1] and None not in key:
            starts.append((low, int(place)))
    ends = [*starts[1:], (within.high, total + 1)]
    return [KeyRange(low, high, after - at) for (low, at), (high, after) in zip(starts, ends, strict=True)]


def text(value: Any) -> str:
    """Return a key value as the raw text a key tuple carries; bytes as upper-case hex."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def postgres_partitions(client: PostgresClient, query: Resolved, rows: int, within: KeyRange) -> list[KeyRange]:
    """Cut a range in PostgreSQL: one pass over the index of the key."""
    every, count = boundaries(query, rows, within)
    with client.speaking() as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = session.execute(every).fetchall()
        total = session.execute(count).fetchone()[0]
    return ranges(found, total, within)


def portable_partitions(client: PortableClient, query: Resolved, rows: int, within: KeyRange) -> list[KeyRange]:
    """Cut a range in any database that knows window functions."""
    import sqlalchemy as sa

    every, count = boundaries(query, rows, within)
    with client.speaking() as connection:
        found = connection.execute(sa.text(every), query.dialect.values).fetchall()
        total = connection.execute(sa.text(count), query.dialect.values).scalar_one()
    query.dialect.values.clear()
    return ranges(found, total, within)
