"""The tables that stand in the database: their columns, types and keys, and what was applied last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from warehouse.control import Connection
from warehouse.tables import SCHEMA

COLUMNS = f"""
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(col_description(c.oid, a.attnum), ''),
    coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = to_regnamespace('{SCHEMA}') AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum"""
KEYS = f"""
SELECT c.relname, i.relname, array_agg(a.attname ORDER BY k.place)
FROM pg_constraint AS p
JOIN pg_class AS c ON c.oid = p.conrelid
JOIN pg_class AS i ON i.oid = p.conindid
CROSS JOIN unnest(p.conkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE p.contype = 'p' AND c.relnamespace = to_regnamespace('{SCHEMA}')
GROUP BY c.relname, i.relname"""
NO_LONGER = "No longer named"  # how comments begin on what files do not name any more: it is kept, and stays as it was
NAMES = {"timestamp with time zone": "timestamptz"}


@dataclass(frozen=True, slots=True)
class StandingTable:
    """A table as it stands: SQL types by column, the columns of its primary key and that key's name.

    `stale` are columns that files did not name when the warehouse was applied last; "" among them is the table itself.
    """

    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    key_name: str = ""
    stale: frozenset[str] = frozenset()


def standing(connection: Connection) -> dict[str, StandingTable]:
    """Return the tables of schema `warehouse` by qualified name; empty before the first apply."""
    columns: dict[str, dict[str, str]] = {}
    stale: dict[str, set[str]] = {}
    for table, column, type_, meaning, about in connection.execute(COLUMNS):
        columns.setdefault(table, {})[column] = NAMES.get(type_, type_)
        gone = {name for name, text in ((column, meaning), ("", about)) if text.startswith(NO_LONGER)}
        stale.setdefault(table, set()).update(gone)
    keys = {table: (tuple(names), key_name) for table, key_name, names in connection.execute(KEYS)}
    return {
        f"{SCHEMA}.{table}": StandingTable(found, *keys.get(table, ((), "")), frozenset(stale[table]))
        for table, found in columns.items()
    }


def applied(connection: Connection) -> dict[tuple[str, str], str]:
    """Return the digests of what was applied last by (kind, name)."""
    if connection.execute(f"SELECT to_regclass('{SCHEMA}.shapes')").fetchone() == (None,):
        return {}
    return {
        (kind, name): hash_ for kind, name, hash_ in connection.execute("SELECT kind, name, hash FROM warehouse.shapes")
    }


def has_rows(connection: Connection, table: str) -> bool:
    """Tell whether a standing table has any row."""
    row = connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()
    return row is not None and bool(row[0])
