"""The key map's partitions: one table per object and system, made when first needed, indexed after a load.

Their shape is changed by functions of the ledger that run as its owner, so the engine needs no such right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from psycopg import sql
from sqlalchemy import Connection, text

from isthmus.errors import ConfigError
from isthmus.ledger.database import Database, raw

NAME = re.compile(r"[a-z](_?[a-z0-9])*")
LONGEST = {"object": 30, "system": 20}
# Statements walk the indexes anyway; a sample ten times as large takes as long as building one of them.
_FEW_STATISTICS = "SELECT set_config('default_statistics_target', '10', true)"


class Leaves:
    """Makes partitions and answers whether they are there and indexed; remembers those it has seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: set[str] = set()

    def prepare(self, object: str, systems: Sequence[str]) -> None:
        """Make what is missing for an initial load, without indexes; index what a broken-off load has filled."""
        for system in sorted(systems):
            self._make(object, system, indexed=False)
        with self._database.transaction() as connection:
            filled = [name for name in self._names(object, systems) if not is_empty(connection, name)]
        self._index(filled)

    def ensure(self, object: str, systems: Sequence[str]) -> None:
        """Make the partitions that are missing, with their indexes."""
        for system in sorted(systems):
            if leaf_name(object, system) not in self._seen:
                self._make(object, system, indexed=True)

    def index(self, object: str) -> None:
        """Build the missing indexes of every partition of an object, dropping pairs that came twice."""
        like = leaf_name(object, "x").removesuffix("x")
        with self._database.transaction() as connection:
            found = text(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('ledger')"
                " AND relkind = 'r' AND starts_with(relname, :like) ORDER BY 1"
            )
            names = list(connection.scalars(found, {"like": like}))
        self._index(names)

    def exists(self, connection: Connection, name: str) -> bool:
        """Say whether a partition is there."""
        if name not in self._seen and has(connection, name):
            self._seen.add(name)
        return name in self._seen

    def _make(self, object: str, system: str, *, indexed: bool) -> None:
        name = leaf_name(object, system)
        with self._database.transaction() as connection:
            if not has(connection, name):
                made = text("SELECT ledger.add_keys(:object, :system, :indexed)")
                connection.execute(made, {"object": object, "system": system, "indexed": indexed})
        self._seen.add(name)

    def _index(self, names: Sequence[str]) -> None:
        for name in names:
            with self._database.transaction() as connection:
                connection.execute(text(_FEW_STATISTICS))
                connection.execute(text("SELECT ledger.index_keys(:name)"), {"name": name})

    def _names(self, object: str, systems: Sequence[str]) -> list[str]:
        return [leaf_name(object, system) for system in sorted(systems)]


def leaf_name(object: str, system: str) -> str:
    """Return the partition's table name; raises ConfigError for names that do not make one."""
    for kind, name in (("object", object), ("system", system)):
        if not NAME.fullmatch(name) or len(name) > LONGEST[kind]:
            raise ConfigError(
                f"{kind} {name!r} cannot be a name in the key map; expected lower-case letters, digits and single _, "
                f"at most {LONGEST[kind]} characters"
            )
    return f"keys_{object}__{system}"


def leaf(name: str) -> sql.Identifier:
    """Quote a partition's name."""
    return sql.Identifier("ledger", name)


def has(connection: Connection, name: str) -> bool:
    """Say whether a table or index is in the ledger; nobody drops one, so a session that has met it asks no more."""
    there: set[str] = connection.info.setdefault("leaves", set())
    asked = text("SELECT to_regclass('ledger.' || :name)")
    if name not in there and connection.scalar(asked, {"name": name}) is not None:
        there.add(name)
    return name in there


def is_indexed(connection: Connection, name: str) -> bool:
    """Say whether a partition has its indexes; hold it open for writing first, or the answer may go stale."""
    return has(connection, f"{name}_k")


def walk_indexes(connection: Connection) -> None:
    """Join by index for the rest of the transaction: the planner would rather hash a whole partition for 50,000 keys.

    Measured on 1M things: 380 to 560 ms of server CPU a chunk by hash join, 120 to 210 ms by index.
    """
    raw(connection).execute("SELECT set_config(s, 'off', true) FROM unnest(%s::text[]) s", [_SLOW])


_SLOW = ["enable_hashjoin", "enable_mergejoin", "enable_seqscan"]


def is_empty(connection: Connection, name: str) -> bool:
    """Say whether a partition holds no row."""
    row = raw(connection).execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(leaf(name))).fetchone()
    return bool(row and row[0])
