"""Feeds by date and by timestamp: rows stamped since the last reading, with an overlap, and rows without a stamp.

A stamp is set before its row is committed, and by another clock than ours.  So a feed by timestamp reads an overlap
again, and one by date the whole day until it is certainly over everywhere.  Rows without any date are always read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from connectors.sql.client import Settings
from connectors.sql.feeds_cursor import ClockCursor
from connectors.sql.statement import Resolved
from isthmus.connector import ColumnRef, Comparison, FeedKind, Watched
from isthmus.errors import ConfigError

UNDATED = ("", " ", "0", "00000000", "00000000000000", " " * 8)  # spellings an index can be asked for


def since(kind: FeedKind, cursor: str | None, now: datetime, settings: Settings, stamp: bool) -> datetime:
    """Return the moment from which rows are read again; a clock that was set back makes it earlier, never later."""
    if now.tzinfo is None:
        raise ConfigError("A feed is read at a moment with its time zone; the clock gave one without.")
    last = min(ClockCursor.parse(cursor).at, now) if cursor else datetime(1, 1, 2, tzinfo=UTC)
    if kind == "timestamp" and stamp:
        return last - timedelta(seconds=settings.feed_overlap_s) if cursor else last
    day = last - timedelta(hours=settings.feed_day_slack_h) if cursor else last
    return day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def selects(resolved: Resolved, watched: Watched, first: datetime) -> str:
    """Return the statement that reads the keys of rows changed since a moment.

    A change column with an index is asked by it; the others share one reading of the table.
    """
    shape = resolved.shapes[watched.changed[0].alias]
    alone: list[str] = []
    shared: list[str] = []
    for column in watched.changed:
        condition = resolved.condition(Comparison(column, ">=", spelled(resolved, column, first, watched.stamp)))
        (alone if shape.indexed([resolved.column(column).name]) else shared).append(condition)
    undated = " AND ".join(f"({_undated(resolved, column)})" for column in watched.changed)
    (shared or alone).append(undated)
    conditions = [*alone, f"(({') OR ('.join(shared)}))"] if shared else alone
    found = "\nUNION\n".join(narrow(resolved, condition) for condition in conditions)
    # UNION gives each key once, and so must a single reading
    return found if len(conditions) > 1 else f"SELECT DISTINCT * FROM (\n{found}\n) found"


def narrow(resolved: Resolved, condition: str) -> str:
    """Return a query's keys under one more condition, in no order."""
    query = resolved.query
    columns = [resolved.dialect.shown(resolved.shapes[r.alias], resolved.column(r), resolved.at(r)) for r in query.key]
    listed = ", ".join(f"{expression} {resolved.dialect.name(f'c{i}')}" for i, expression in enumerate(columns))
    joins = [
        f"JOIN {resolved.table(s.alias)} ON {' AND '.join(_on(resolved, s.alias)) or '1 = 1'}"
        for s in query.sources[1:]
    ]
    where = [*resolved.of_client(query.root.alias), *(resolved.condition(term) for term in query.where), condition]
    return "\n".join(
        [f"SELECT {listed} FROM {resolved.table(query.root.alias)}", *joins, f"WHERE {' AND '.join(where)}"]
    )


def spelled(resolved: Resolved, column: ColumnRef, moment: datetime, stamp: bool) -> str:
    """Spell a moment as its column does: a date or a stamp of digits, or a real date or time."""
    kind, moment = resolved.column(column).type, moment.astimezone(UTC)
    if pa.types.is_date(kind):
        return moment.date().isoformat()
    if pa.types.is_timestamp(kind):
        return moment.isoformat() if kind.tz else moment.replace(tzinfo=None).isoformat()
    # strftime spells years before 1000 without zeros in front
    day = f"{moment.year:04d}{moment:%m%d}"
    return f"{day}{moment:%H%M%S}" if stamp else day


def _on(resolved: Resolved, alias: str) -> Iterator[str]:
    source = next(source for source in resolved.query.sources if source.alias == alias)
    yield from (resolved.condition(term) for term in source.on)
    yield from resolved.of_client(alias)


def _undated(resolved: Resolved, column: ColumnRef) -> str:
    kind, expression = resolved.column(column).type, resolved.at(column)
    if pa.types.is_string(kind):
        return f"{resolved.condition(Comparison(column, 'in', UNDATED))} OR {expression} IS NULL"
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return f"{expression} = 0 OR {expression} IS NULL"
    return f"{expression} IS NULL"


def gathered(parts: Sequence[Sequence[pa.Array]], types: Sequence[pa.DataType]) -> tuple[pa.Array, ...]:
    """Join the key columns of several answers."""
    return tuple(
        pa.concat_arrays([pa.array([], type_), *(part[place] for part in parts)]) for place, type_ in enumerate(types)
    )
