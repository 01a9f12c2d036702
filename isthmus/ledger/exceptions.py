"""Rows that did not arrive: rejected or parked, kept by key and reason until they pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from sqlalchemy import Connection, Row, func, select

from isthmus.errors import DataError
from isthmus.ledger import values
from isthmus.ledger.database import Database, copy_in, raw
from isthmus.ledger.leaves import Leaves, leaf, leaf_name
from isthmus.ledger.tables import EXCEPTIONS
from isthmus.ledger.values import Reason, RowException

X = EXCEPTIONS.c
FEW = 5_000  # so many open rows of a flow are read sooner than the keys of a whole package are sent

_STAGE = """
CREATE TEMP TABLE exceptions_stage (n integer, key text COLLATE "C", state text, field text, code text, message text,
    value text, waits_object text, waits_key text) ON COMMIT DROP
"""
# Several faults of one row become one: the first gives the reason, all of them the message.
_PUT = """
INSERT INTO ledger.exceptions (flow, key, kind, field, code, message, faults, value, waits_object, waits_key,
    run, package, first_seen, last_seen)
SELECT %(flow)s, key, min(state) FILTER (WHERE f = 1), min(field) FILTER (WHERE f = 1), min(code) FILTER (WHERE f = 1),
    string_agg(DISTINCT message, '; '), count(*), min(value) FILTER (WHERE f = 1),
    min(waits_object) FILTER (WHERE f = 1), min(waits_key) FILTER (WHERE f = 1),
    %(run)s, %(package)s, %(now)s, %(now)s
FROM (SELECT *, row_number() OVER (PARTITION BY key ORDER BY state = 'parked', n) AS f FROM pg_temp.exceptions_stage) s
GROUP BY key ORDER BY key
ON CONFLICT (flow, key) DO UPDATE SET kind = excluded.kind, state = 'open', field = excluded.field,
    code = excluded.code, message = excluded.message, faults = excluded.faults, value = excluded.value,
    waits_object = excluded.waits_object, waits_key = excluded.waits_key, run = excluded.run,
    package = excluded.package, last_seen = excluded.last_seen, released_at = NULL, resolved_at = NULL,
    first_seen = CASE WHEN exceptions.state = 'resolved' THEN excluded.first_seen ELSE exceptions.first_seen END,
    times = CASE WHEN exceptions.state = 'resolved' THEN 1 ELSE exceptions.times + 1 END
"""
_RESOLVE = """
WITH passed AS (SELECT flow, key FROM ledger.exceptions WHERE flow = %(flow)s AND state <> 'resolved'
    AND key = ANY(%(keys)b::text[]) ORDER BY flow, key FOR UPDATE)
UPDATE ledger.exceptions x SET state = 'resolved', resolved_at = %(now)s
FROM passed WHERE x.flow = passed.flow AND x.key = passed.key
"""
_RELEASE = """
WITH ready AS (SELECT x.flow, x.key FROM ledger.exceptions x WHERE x.flow = %(flow)s AND x.state = 'open'
    AND x.kind = 'parked' AND x.waits_object = %(object)s AND EXISTS (SELECT FROM {parent} p WHERE p.key = x.waits_key
    AND p.state = 'c' AND p.client = coalesce((SELECT client FROM ledger.systems WHERE system = %(system)s), ''))
    ORDER BY x.flow, x.key FOR UPDATE OF x)
UPDATE ledger.exceptions x SET state = 'released', released_at = %(now)s
FROM ready WHERE x.flow = ready.flow AND x.key = ready.key RETURNING x.key
"""


class Exceptions:
    """Keeps what was rejected or parked, and finds what may go on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leaves = Leaves(database)

    def put(self, flow: str, rows: pa.Table, run: str, package: str = "") -> None:
        """Store rejected and parked rows (columns of `values.EXCEPTIONS`); the same key again replaces its reason."""
        with self._database.transaction() as connection:
            put(connection, flow, rows, run, package, self._database.now())

    def resolve(self, flow: str, keys: pa.Array) -> int:
        """Mark rows as passed; returns how many were open before."""
        with self._database.transaction() as connection:
            return resolve(connection, flow, keys, self._database.now())

    def release(self, flow: str, source_system: str) -> pa.Array:
        """Set free the parked rows whose parent is in the key map by now, and return their keys (text, sorted).

        They stay `released` until they pass or are met with a fault again; keys released before and not read yet
        are returned too, so a crash in between loses none.
        """
        waiting = select(X.waits_object).where(X.flow == flow, X.state == "open", X.kind == "parked").distinct()
        with self._database.transaction() as connection:
            for parent in sorted(connection.scalars(waiting)):
                self._release(connection, flow, source_system, parent)
            freed = select(X.key).where(X.flow == flow, X.state == "released").order_by(X.key)
            return pa.array(list(connection.scalars(freed)), pa.string())

    def list(
        self,
        flow: str | None = None,
        state: str | None = None,
        limit: int = 100,
        kind: str | None = None,
        open_only: bool = False,
    ) -> Sequence[RowException]:
        """Return exceptions by flow and key; `state` is open, released or resolved, `kind` rejected or parked.

        `open_only` leaves out what was resolved.
        """
        wanted = select(EXCEPTIONS).order_by(X.flow, X.key).limit(limit)
        for column, value in ((X.flow, flow), (X.state, state), (X.kind, kind)):
            wanted = wanted if value is None else wanted.where(column == value)
        wanted = wanted.where(X.state != "resolved") if open_only else wanted
        with self._database.transaction() as connection:
            return [_exception(row) for row in connection.execute(wanted)]

    def of(self, keys: Sequence[str]) -> Sequence[RowException]:
        """Return the exceptions of these keys in any flow."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(EXCEPTIONS).where(X.key.in_(keys)).order_by(X.flow, X.key))
            return [_exception(row) for row in rows]

    def counts(self, run: str | None = None, flow: str | None = None) -> Sequence[Reason]:
        """Count the rows that are held by reason, the most frequent first; of a run, of a flow, or all."""
        by = (X.flow, X.kind, X.code, X.field, X.waits_object)
        summed = select(*by, func.count().label("rows")).where(X.state != "resolved").group_by(*by)
        for column, value in ((X.run, run), (X.flow, flow)):
            summed = summed if value is None else summed.where(column == value)
        with self._database.transaction() as connection:
            rows = connection.execute(summed.order_by(func.count().desc(), *by))
            return [Reason(**row._mapping) for row in rows]

    def waited_for(self) -> Mapping[str, set[str]]:
        """Return by flow the objects that parked rows wait for."""
        held = select(X.flow, X.waits_object).where(X.state != "resolved", X.kind == "parked").distinct()
        found: dict[str, set[str]] = {}
        with self._database.transaction() as connection:
            for flow, parent in connection.execute(held):
                found.setdefault(flow, set()).add(parent)
        return found

    def parked_before(self, flow: str, before: datetime) -> int:
        """Count a flow's rows that are parked since before a time."""
        held = select(func.count()).where(X.flow == flow, X.kind == "parked", X.state == "open", X.first_seen < before)
        with self._database.transaction() as connection:
            return int(connection.scalar(held) or 0)

    def prune(self, before: datetime) -> int:
        """Delete what was resolved before a time; open ones stay however old. Returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(EXCEPTIONS.delete().where(X.state == "resolved", X.resolved_at < before)).rowcount

    def _release(self, connection: Connection, flow: str, system: str, parent: str) -> None:
        name = leaf_name(parent, system)
        if not self._leaves.exists(connection, name):
            return
        arguments = {"flow": flow, "object": parent, "system": system, "now": self._database.now()}
        raw(connection).execute(sql.SQL(_RELEASE).format(parent=leaf(name)), arguments)


def put(connection: Connection, flow: str, rows: pa.Table, run: str, package: str, now: datetime) -> None:
    """Upsert exceptional rows within a transaction; raises DataError when a row has no key or no known state."""
    if not rows.num_rows:
        return
    staged = _staged(rows)
    odd = staged.filter(pc.or_(pc.is_null(staged["key"]), pc.invert(pc.is_in(staged["state"], _STATES)))).num_rows
    if odd:
        raise DataError(f"{flow}: {odd} exceptional rows have no key, or a state other than rejected or parked")
    driver = raw(connection)
    driver.execute(_STAGE)
    for batch in staged.to_batches():
        copy_in(connection, sql.Identifier("pg_temp", "exceptions_stage"), batch)
    driver.execute(_PUT, {"flow": flow, "run": run, "package": package, "now": now})
    driver.execute("DROP TABLE pg_temp.exceptions_stage")


_STATES = pa.array(["rejected", "parked"])


def resolve(connection: Connection, flow: str, keys: pa.Array, now: datetime) -> int:
    """Mark rows as passed within a transaction; where a flow holds few rows open, only their keys are sent."""
    if not len(keys):
        return 0
    held = select(X.key).where(X.flow == flow, X.state != "resolved").limit(FEW + 1)
    open_ = pa.array(list(connection.scalars(held)), pa.string())
    passed = pc.unique(keys).drop_null()
    passed = passed if len(open_) > FEW else passed.filter(pc.is_in(passed, open_))
    if not len(passed):
        return 0
    return raw(connection).execute(_RESOLVE, {"flow": flow, "keys": passed.to_pylist(), "now": now}).rowcount


def _staged(rows: pa.Table) -> pa.Table:
    columns = {"n": pa.array(range(rows.num_rows), pa.int32())}
    for column in values.EXCEPTIONS:
        given = (
            rows[column.name].cast(pa.string())
            if column.name in rows.schema.names
            else pa.nulls(rows.num_rows, pa.string())
        )
        columns[column.name] = given.fill_null("") if column.name in ("field", "code", "message") else given
    return pa.table(columns)


def _exception(row: Row[Any]) -> RowException:
    return RowException(**{column.name: getattr(row, column.name) for column in fields(RowException)})
