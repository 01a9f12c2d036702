"""Feeds: the position up to which each system's changes are durable here, and the fingerprints of snapshot feeds.

A cursor is opaque text.  It moves after the outcomes of what it covers are durable; `move` does it inside of a
transaction that keeps those outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from psycopg import sql
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from isthmus.ledger.database import Clock, Database, copy_in, raw
from isthmus.ledger.tables import FEEDS

SEEN = pa.schema([("key", pa.string()), ("print", pa.binary(16))])

_COMPARE = """
INSERT INTO ledger.fingerprint_changes (flow, system, cursor, key, print)
SELECT %(flow)s, %(system)s, %(cursor)s, coalesce(s.key, f.key), s.print
FROM (SELECT key, min(encode(print, 'hex'))::uuid AS print FROM pg_temp.seen GROUP BY key) s
FULL JOIN (SELECT key, print FROM ledger.fingerprints WHERE flow = %(flow)s AND system = %(system)s) f ON f.key = s.key
WHERE s.print IS DISTINCT FROM f.print
RETURNING key, print IS NULL
"""
_ANEW = """
DELETE FROM ledger.fingerprint_changes WHERE flow = %(flow)s AND system = %(system)s AND cursor = %(cursor)s
"""
_TAKE = """
WITH found AS (
    DELETE FROM ledger.fingerprint_changes WHERE flow = %(flow)s AND system = %(system)s RETURNING *
), mine AS (
    SELECT DISTINCT ON (key) key, print FROM found WHERE cursor = %(cursor)s ORDER BY key
), vanished AS (
    DELETE FROM ledger.fingerprints f USING mine
    WHERE f.flow = %(flow)s AND f.system = %(system)s AND f.key = mine.key AND mine.print IS NULL
)
INSERT INTO ledger.fingerprints (flow, system, key, print)
SELECT %(flow)s, %(system)s, key, print FROM mine WHERE print IS NOT NULL ORDER BY key
ON CONFLICT (flow, system, key) DO UPDATE SET print = excluded.print
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a snapshot found: canonical keys of rows that are new or changed, and of rows that have vanished."""

    changed: pa.Array
    gone: pa.Array


class Feeds:
    """Reads and moves the cursors of feeds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cursor(self, flow: str, system: str) -> str | None:
        """Return the position of a system's feed for a flow; None where none was ever taken."""
        with self._database.transaction() as connection:
            wanted = select(FEEDS.c.cursor).where(FEEDS.c.flow == flow, FEEDS.c.system == system)
            found: str | None = connection.scalar(wanted)
        return found

    def of_system(self, system: str) -> dict[str, str]:
        """Return the cursors of every flow that reads a system's feed, by flow."""
        with self._database.transaction() as connection:
            wanted = select(FEEDS.c.flow, FEEDS.c.cursor).where(FEEDS.c.system == system).order_by(FEEDS.c.flow)
            return {row.flow: row.cursor for row in connection.execute(wanted)}

    def advance(self, flow: str, system: str, cursor: str, run: str = "") -> None:
        """Move a feed's cursor, after the outcomes of everything before it are durable."""
        with self._database.transaction() as connection:
            move(connection, self._database.now, flow, {system: cursor}, run)

    def compare(self, flow: str, system: str, seen: pa.Table, cursor: str) -> Compared:
        """Compare a snapshot (`SEEN`) with the fingerprints known; they stay as they are until `cursor` is moved to."""
        with self._database.transaction() as connection:
            session = raw(connection)
            session.execute('CREATE TEMP TABLE seen (key text COLLATE "C", print bytea) ON COMMIT DROP')
            for batch in seen.to_batches():
                copy_in(connection, sql.SQL("pg_temp.seen"), _plain(batch))
            session.execute("ANALYZE pg_temp.seen")
            named = {"flow": flow, "system": system, "cursor": cursor}
            session.execute(_ANEW, named)
            found = f"WITH found AS ({_COMPARE}) SELECT array_agg(key) FILTER (WHERE NOT gone), "
            found += "array_agg(key) FILTER (WHERE gone) FROM found AS f (key, gone)"
            changed, gone = session.execute(found, named, binary=True).fetchone() or (None, None)
        return Compared(pa.array(changed or [], pa.string()), pa.array(gone or [], pa.string()))

    def count(self, flow: str, system: str) -> int:
        """Count the things whose fingerprints are known."""
        with self._database.transaction() as connection:
            counted = "SELECT count(*) FROM ledger.fingerprints WHERE flow = %s AND system = %s"
            row = raw(connection).execute(counted, [flow, system]).fetchone()
        return int(row[0]) if row else 0

    def forget(self, flow: str, system: str) -> None:
        """Forget a feed's cursor and fingerprints: its next reading compares everything."""
        named = [flow, system]
        with self._database.transaction() as connection:
            for table in ("feeds", "fingerprints", "fingerprint_changes"):
                statement = sql.SQL("DELETE FROM ledger.{} WHERE flow = %s AND system = %s")
                raw(connection).execute(statement.format(sql.Identifier(table)), named)


def move(connection: Connection, now: Clock, flow: str, cursors: Mapping[str, str], run: str = "") -> None:
    """Move the cursors of a flow's feeds (by system) inside of a transaction, with what snapshots found up to them."""
    for system, cursor in sorted(cursors.items()):
        values = {"cursor": cursor, "run": run, "moved_at": now()}
        statement = insert(FEEDS).values(flow=flow, system=system, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["flow", "system"], set_=values))
        raw(connection).execute(_TAKE, {"flow": flow, "system": system, "cursor": cursor})


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([batch.column("key"), batch.column("print").cast(pa.binary())], ["key", "print"])
