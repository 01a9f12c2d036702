"""Set-based edits of IS-U tables by key, for defects and for later changes.

Keys and values come as parallel lists of text, known in the SQL as v.a, v.b, ... and the table as t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from landscape.schema import tables

Connection = psycopg.Connection[Any]


def _values(lists: Sequence[Sequence[str]]) -> str:
    names = ", ".join(chr(ord("a") + place) for place in range(len(lists)))
    return f"unnest({', '.join('%s::text[]' for _ in lists)}) AS v({names})"


def update(isu: Connection, table: str, change: str, where: str, *lists: Sequence[str]) -> int:
    """Update the rows that match the lists; return how many."""
    statement = f"UPDATE {table} t SET {change} FROM {_values(lists)} WHERE {where}"
    return isu.execute(statement, tuple(list(one) for one in lists)).rowcount


def copy_rows(isu: Connection, table: str, changes: Mapping[str, str], where: str, *lists: Sequence[str]) -> int:
    """Insert copies of the rows that match the lists, some columns changed to SQL expressions; return how many."""
    names = [name.lower() for name in tables("isu")[table.upper()].names]
    selected = ", ".join(changes.get(name, f"t.{name}") for name in names)
    source = f"{table} t JOIN {_values(lists)} ON {where}"
    statement = f"INSERT INTO {table} ({', '.join(names)}) SELECT {selected} FROM {source}"
    return isu.execute(statement, tuple(list(one) for one in lists)).rowcount


def keyed(client: str, column: str, client_column: str = "mandt") -> str:
    """Return the condition that a row of the client has its key in the first list."""
    return f"t.{client_column} = '{client}' AND t.{column} = v.a"
