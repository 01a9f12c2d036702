"""The control tables of the warehouse: what creates them, and what still has to be loaded or rebuilt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Literal

import psycopg

CREATED = re.compile(r"CREATE (?:TABLE|SEQUENCE) IF NOT EXISTS (warehouse\.\w+)")
FILES = ("control.sql", "control_comments.sql")

Connection = psycopg.Connection[Any]
Waiting = Literal["store", "cube"]


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a change of the files left to do: a store to be loaded by REPAIR_FULL, or a cube to be rebuilt."""

    kind: Waiting
    name: str
    because: str
    since: datetime


def statements() -> tuple[str, ...]:
    """Return the texts that create the control tables and comment them; running them again changes nothing."""
    folder = files("warehouse") / "sql"
    return tuple((folder / name).read_text(encoding="utf-8") for name in FILES)


def missing(connection: Connection) -> list[str]:
    """Return the control tables that do not stand yet."""
    names = CREATED.findall(statements()[0])
    found = connection.execute("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [names])
    return [str(name) for (name,) in found]


def mark(connection: Connection, kind: Waiting, name: str, because: str, now: datetime) -> None:
    """Remember that a store is to be loaded wholly, or a cube rebuilt; a second reason joins the first."""
    connection.execute(
        "INSERT INTO warehouse.backfills (kind, name, because, since) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (kind, name) WHERE done_at IS NULL"
        " DO UPDATE SET because = backfills.because || '; ' || excluded.because",
        [kind, name, because, now],
    )


def waiting(connection: Connection, kind: Waiting | None = None) -> list[Backfill]:
    """Return what is still to be loaded or rebuilt, the oldest first."""
    found = connection.execute(
        "SELECT kind, name, because, since FROM warehouse.backfills"
        " WHERE done_at IS NULL AND (%s::text IS NULL OR kind = %s) ORDER BY since, kind, name",
        [kind, kind],
    )
    return [Backfill(*row) for row in found]


def done(connection: Connection, kind: Waiting, name: str, now: datetime) -> None:
    """Note that a store was loaded wholly, or a cube rebuilt: nothing waits for it any more."""
    connection.execute(
        "UPDATE warehouse.backfills SET done_at = %s WHERE kind = %s AND name = %s AND done_at IS NULL",
        [now, kind, name],
    )
