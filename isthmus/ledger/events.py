"""The trail: who did what, when, and to which run, flow or thing. One partition per month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, text

from isthmus.ledger.database import Database
from isthmus.ledger.tables import EVENTS
from isthmus.ledger.values import Event

E = EVENTS.c


class Events:
    """Writes and reads the trail; nothing in it is ever changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        who: str,
        what: str,
        *,
        run: str | None = None,
        flow: str | None = None,
        object: str | None = None,
        key: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a line; `details` holds no personal value and no secret."""
        now = self._database.now()
        ensure_month(self._database, now)
        with self._database.transaction() as connection:
            put(connection, now, who, what, run=run, flow=flow, object=object, key=key, details=details or {})

    def list(self, *, run: str | None = None, flow: str | None = None, limit: int = 100) -> Sequence[Event]:
        """Return the newest lines, newest first."""
        wanted = select(EVENTS).order_by(E.at.desc(), E.id.desc()).limit(limit)
        for column, value in ((E.run, run), (E.flow, flow)):
            wanted = wanted if value is None else wanted.where(column == value)
        return self._read(wanted)

    def of(self, object: str, keys: Sequence[str]) -> Sequence[Event]:
        """Return what happened to the thing of these keys, oldest first."""
        mine = or_(E.object == object, E.object.is_(None))
        return self._read(select(EVENTS).where(E.key.in_(list(keys)), mine).order_by(E.at, E.id))

    def prune(self, before: datetime) -> int:
        """Drop the months that lie wholly before a time; returns how many."""
        with self._database.transaction() as connection:
            dropped = text("SELECT ledger.drop_months(:before)")
            return int(connection.scalar(dropped, {"before": _month(before)}) or 0)

    def _read(self, wanted: Any) -> Sequence[Event]:
        with self._database.transaction() as connection:
            return [_event(row) for row in connection.execute(wanted)]


def put(connection: Connection, at: datetime, who: str, what: str, **of: Any) -> None:
    """Add a line within a transaction; its month must be there."""
    connection.execute(insert(EVENTS).values(at=at, who=who, what=what, **of))


def ensure_month(database: Database, at: datetime) -> None:
    """Make the partition of a month unless it is there, in a transaction of its own."""
    month = _month(at)
    with database.transaction() as connection:
        known = text("SELECT to_regclass('ledger.events_' || to_char(:month, 'YYYYMM'))")
        if connection.scalar(known, {"month": month}) is None:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext('ledger.events'))")
            )  # two may find it missing
            connection.execute(text("SELECT ledger.add_month(:month)"), {"month": month})


def _month(at: datetime) -> date:
    return at.astimezone(UTC).date().replace(day=1)


def _event(row: Row[Any]) -> Event:
    return Event(**{column.name: getattr(row, column.name) for column in fields(Event)})
