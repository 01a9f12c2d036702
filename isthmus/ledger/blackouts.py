"""Blackouts: windows in which a flow does not run, weekly by the clock on the wall or once from and until."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Row, insert, select

from isthmus.errors import ConfigError
from isthmus.ledger.tables import BLACKOUTS
from isthmus.ledger.values import Blackout

B = BLACKOUTS.c
EVERY = "*"


def covers(window: Blackout, now: datetime) -> bool:
    """Say whether a window is on; its times of day are those of its zone, also on days that change the clock."""
    if (window.starts_at and now < window.starts_at) or (window.ends_at and now >= window.ends_at):
        return False
    if window.from_time is None or window.until_time is None:
        return True
    local = now.astimezone(ZoneInfo(window.zone))
    clock = local.time().replace(tzinfo=None)
    if window.from_time < window.until_time:
        return window.from_time <= clock < window.until_time and _begins(window, local)
    # Over midnight: the evening of a day that counts, or the morning after one.
    evening = clock >= window.from_time and _begins(window, local)
    return evening or (clock < window.until_time and _begins(window, local - timedelta(days=1)))


def add(connection: Connection, window: Blackout, now: datetime) -> int:
    """Store a window and return its number; raises ConfigError when it makes none."""
    _check(window)
    row = {field.name: getattr(window, field.name) for field in fields(Blackout) if field.name != "number"}
    row |= {"weekdays": list(window.weekdays) or None, "made_at": now}
    return int(connection.execute(insert(BLACKOUTS).values(row).returning(B.number)).scalar_one())


def lift(connection: Connection, number: int, by: str, now: datetime) -> Blackout:
    """End a window; raises ConfigError when none of that number stands."""
    values = {"lifted_by": by, "lifted_at": now}
    standing = BLACKOUTS.update().where(B.number == number, B.lifted_at.is_(None)).values(values)
    row = connection.execute(standing.returning(BLACKOUTS)).one_or_none()
    if row is None:
        raise ConfigError(f"there is no blackout {number} that stands; `isthmus flows blackouts` lists them")
    return _window(row)


def standing(connection: Connection, now: datetime, flow: str | None = None) -> Sequence[Blackout]:
    """Return the windows that are not lifted nor over, of one flow with those for all, or of every flow."""
    wanted = select(BLACKOUTS).where(B.lifted_at.is_(None), B.ends_at.is_(None) | (B.ends_at > now)).order_by(B.number)
    if flow is not None:
        wanted = wanted.where(B.flow.in_([flow, EVERY]))
    return [_window(row) for row in connection.execute(wanted)]


def _begins(window: Blackout, day: datetime) -> bool:
    return not window.weekdays or day.isoweekday() in window.weekdays


def _check(window: Blackout) -> None:
    times = (window.from_time, window.until_time)
    ends = (window.starts_at, window.ends_at)
    if (times[0] is None) != (times[1] is None) or not any(part is not None for part in (*times, *ends)):
        raise ConfigError(
            f"blackout of {window.flow}: expected times of day (from and until), or a begin or an end, found neither"
        )
    if any(end is not None and end.tzinfo is None for end in ends) or (all(ends) and ends[0] >= ends[1]):  # type: ignore[operator]
        raise ConfigError(f"blackout of {window.flow}: its begin lies before its end and both name their time zone")
    if window.weekdays and (times[0] is None or not {*window.weekdays} <= {*range(1, 8)}):
        raise ConfigError(f"blackout of {window.flow}: weekdays are 1 Monday to 7 Sunday and go with times of day")
    if not window.reason.strip():
        raise ConfigError(f"blackout of {window.flow}: say why, for those who wait")
    try:
        ZoneInfo(window.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"blackout of {window.flow}: {window.zone!r} is no time zone; expected one like Europe/Berlin"
        ) from error


def _window(row: Row[Any]) -> Blackout:
    found = {field.name: getattr(row, field.name) for field in fields(Blackout)}
    return Blackout(**found | {"weekdays": tuple(row.weekdays or ())})
