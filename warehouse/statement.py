"""Statements of the warehouse: the text of `warehouse/sql/*.sql`, several a file, each under a line `-- name: NAME`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from isthmus.levels.failpoint import passing

FOLDER = Path(__file__).parent / "sql"
SMALL = 1_000  # rows
HEADING = re.compile(r"^-- name: (.+)$\n", re.MULTILINE)

Connection = psycopg.Connection[Any]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one file; `{parts}` in them are columns and tables, `%(values)s` are bound."""

    file: str
    texts: Mapping[str, str]

    def run(self, connection: Connection, name: str, parts: Mapping[str, str], **values: object) -> psycopg.Cursor[Row]:
        """Run one statement; tests may let the process die behind each (`ISTHMUS_FAILPOINT="activate/images"`)."""
        cursor = execute(connection, self.texts[name].format_map(parts), values)
        passing(f"{self.file}/{name}")
        return cursor

    def rows(self, connection: Connection, name: str, parts: Mapping[str, str], **values: object) -> list[Row]:
        """Run one statement and return its rows."""
        return self.run(connection, name, parts, **values).fetchall()

    def count(self, connection: Connection, name: str, parts: Mapping[str, str], **values: object) -> int:
        """Run one statement and return how many rows it wrote."""
        return max(self.run(connection, name, parts, **values).rowcount, 0)


@cache
def statements(file: str) -> Statements:
    """Read `warehouse/sql/<file>.sql`."""
    pieces = HEADING.split((FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    return Statements(file, dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True)))


def analyze(connection: Connection, table: str, rows: int, columns: str = "") -> None:
    """Let the planner know a TEMP table; what it takes for granted of a small one is near enough."""
    if rows > SMALL:
        execute(connection, f"ANALYZE pg_temp.{table}{f' ({columns})' if columns else ''}")


def execute(connection: Connection, text: str, values: Mapping[str, object] | None = None) -> psycopg.Cursor[Row]:
    """Run composed SQL; never as a prepared statement: the plan must see the sizes it is run with."""
    return connection.execute(text.encode(), values or None, prepare=False)


def group_by_hash(connection: Connection) -> None:
    """Let the statements of this transaction add cells up by hashing: records come in no order that a sort could use.

    A cube has a dozen texts in its key, and the planner, who takes each for independent, would sort millions of rows by
    all of them.
    """
    execute(connection, "SET LOCAL enable_sort = off")
    execute(connection, "SET LOCAL work_mem = '128MB'")
    execute(connection, "SET LOCAL jit = off")  # compiling a cube's sums takes longer than most requests
