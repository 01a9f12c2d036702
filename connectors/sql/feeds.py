"""What the sql connector's feeds have in common: polling by kind, keys in the types the catalogue describes.

Date and timestamp work on every database and install nothing.  Pointers are PostgreSQL's (`feeds_pointer`).  A
snapshot is taken by the engine, which reads the rows like any others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from connectors.sql import feeds_pointer
from connectors.sql.client import PortableClient, PostgresClient, Settings
from connectors.sql.describe import Shape
from connectors.sql.feeds_clock import gathered, selects, since
from connectors.sql.feeds_cursor import ClockCursor
from connectors.sql.read import FETCH_ROWS, portable_block, shaped
from connectors.sql.statement import Resolved
from isthmus.connector import FeedKind, Polled, Query, Watched
from isthmus.errors import ConfigError

Resolve = Callable[[Query], Resolved]


def poll_postgres(
    client: PostgresClient,
    resolve: Resolve,
    kind: FeedKind,
    watched: Sequence[Watched],
    cursor: str | None,
    now: datetime,
) -> Polled:
    """Read a feed of PostgreSQL; raises FeedLost, ConfigError, SystemUnavailable."""
    if kind == "pointer":
        return feeds_pointer.poll(client, resolve, watched, cursor)

    def read(resolved: Resolved, statement: str) -> Iterator[pa.RecordBatch]:
        for batch in client.stream(statement):
            yield shaped(batch.columns, resolved)

    return _by_clock(client.settings, resolve, read, kind, watched, cursor, now)


def begin_postgres(
    client: PostgresClient, resolve: Resolve, kind: FeedKind, watched: Sequence[Watched], now: datetime
) -> str:
    """Return the cursor of this moment; raises ConfigError when there are no pointers to read."""
    if kind == "pointer":
        return feeds_pointer.begin(client, resolve, watched)
    return _begin(kind, now)


def poll_portable(
    client: PortableClient,
    resolve: Resolve,
    kind: FeedKind,
    watched: Sequence[Watched],
    cursor: str | None,
    now: datetime,
) -> Polled:
    """Read a feed of any other database; raises FeedLost, ConfigError, SystemUnavailable."""
    _refuse_pointer(client.settings, kind)

    def read(resolved: Resolved, statement: str) -> Iterator[pa.RecordBatch]:
        import sqlalchemy as sa

        with client.speaking() as connection:
            result = connection.execute(sa.text(statement), resolved.dialect.values)
            for rows in result.partitions(FETCH_ROWS):
                yield portable_block(rows, resolved)

    return _by_clock(client.settings, resolve, read, kind, watched, cursor, now)


def begin_portable(client: PortableClient, kind: FeedKind, now: datetime) -> str:
    """Return the cursor of this moment; raises ConfigError for a feed that this database has not."""
    _refuse_pointer(client.settings, kind)
    return _begin(kind, now)


def key_types(shapes: Callable[[str], Shape], watched: Watched) -> list[pa.DataType]:
    """Return the described types of the key columns that a watched table leads to."""
    tables = {source.alias: source.table for source in watched.query.sources}
    return [shapes(tables[ref.alias]).column(ref.column).type for ref in watched.query.key]


def _begin(kind: FeedKind, now: datetime) -> str:
    _refuse_snapshot(kind)
    return ClockCursor(kind, now).text()


def _by_clock(
    settings: Settings,
    resolve: Resolve,
    read: Callable[[Resolved, str], Iterator[pa.RecordBatch]],
    kind: FeedKind,
    watched: Sequence[Watched],
    cursor: str | None,
    now: datetime,
) -> Polled:
    _refuse_snapshot(kind)
    parts: list[Sequence[pa.Array]] = []
    types: list[pa.DataType] = []
    for table in watched:
        resolved = resolve(table.query)
        types = types or [resolved.column(ref).type for ref in table.query.key]
        if not table.changed:
            since(kind, cursor, now, settings, table.stamp)  # a cursor that is lost is told of in any case
            continue
        first = since(kind, cursor, now, settings, table.stamp)
        for batch in read(resolved, selects(resolved, table, first)):
            parts.append([column.cast(type_) for column, type_ in zip(batch.columns, types, strict=True)])
    keys = gathered(parts, types)
    return Polled(keys, ClockCursor(kind, now).text(), sum(len(part[0]) for part in parts))


def _refuse_snapshot(kind: FeedKind) -> None:
    if kind not in ("date", "timestamp"):
        raise ConfigError(f'The sql connector polls by date, timestamp or pointer, not by "{kind}".')


def _refuse_pointer(settings: Settings, kind: FeedKind) -> None:
    if kind == "pointer":
        raise ConfigError(
            f"The {settings.place} has no change pointers: they need PostgreSQL's transaction snapshots. "
            "Set `feed: date`, `timestamp` or `snapshot` for this system in isthmus.yaml."
        )
