"""Conflicts: what two sides disagree on, kept with both values and the base until a person decides.

Values are personal data: they live in this one table, and in no message, event or error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from sqlalchemy import Connection, Row, func, select

from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import events, values
from isthmus.ledger.database import Database, copy_in, raw
from isthmus.ledger.tables import CONFLICTS
from isthmus.ledger.values import CONFLICT_KINDS, ClaimedKeys, Conflict, ConflictCount, Settlement, Take

C = CONFLICTS.c
STANDING = ("open", "decided")
DECISIONS = pa.schema(
    [
        ("id", pa.binary(16)),
        ("field", pa.string()),
        ("take", pa.string()),
        ("value", pa.string()),
        ("source_value", pa.string()),
        ("target_value", pa.string()),
        ("kind", pa.string()),
        ("number", pa.int64()),
        ("source_key", pa.string()),
        ("target_key", pa.string()),
        ("by", pa.string()),
    ]
)

_STAGE = """
CREATE TEMP TABLE conflicts_stage (id uuid, field text, kind text, source_key text, target_key text, base text,
    source_value text, target_value text, source_at text, source_by text, target_at text, target_by text, because text,
    score double precision) ON COMMIT DROP
"""
_STRAYS = """
SELECT count(*) FROM pg_temp.conflicts_stage s WHERE NOT EXISTS
    (SELECT FROM ledger.queue q WHERE q.flow = %(flow)s AND q.id = s.id AND q.epoch = %(epoch)s)
"""
# Rows of the claim that are settled bear its epoch still; those that go back to the queue bear it no more.
_LOCK = """
SELECT count(*) FROM (SELECT FROM ledger.conflicts c JOIN ledger.queue q ON q.flow = c.flow AND q.id = c.id
    WHERE q.epoch = %(epoch)s AND c.state IN ('open', 'decided') ORDER BY c.number FOR UPDATE OF c) held
"""
_SEEN = """
UPDATE ledger.conflicts c SET last_seen = %(now)s, times = c.times + 1, run = %(run)s, because = s.because,
    score = s.score, source_at = s.source_at, source_by = s.source_by, target_at = s.target_at, target_by = s.target_by
FROM pg_temp.conflicts_stage s WHERE {same}
"""
_SUPERSEDE = """
UPDATE ledger.conflicts c SET state = 'superseded', ended_at = %(now)s FROM pg_temp.conflicts_stage s
WHERE c.flow = %(flow)s AND c.id = s.id AND c.field = s.field AND c.kind = s.kind AND c.state IN ('open', 'decided')
    AND NOT ({equal})
"""
# A decision made during the claim was not looked at yet: it has put its thing into the queue again.
_UNSEEN = """
UPDATE ledger.conflicts c SET state = CASE c.state WHEN 'decided' THEN 'applied' ELSE 'closed' END, ended_at = %(now)s
FROM ledger.queue q WHERE q.epoch = %(epoch)s AND c.flow = q.flow AND c.id = q.id AND c.state IN ('open', 'decided')
    AND (c.state = 'open' OR q.version = q.claimed)
    AND NOT c.id = ANY(SELECT encode(b, 'hex')::uuid FROM unnest(%(unread)b::bytea[]) b) {unseen}
"""
_NOT_STAGED = """
AND NOT EXISTS (SELECT FROM pg_temp.conflicts_stage s WHERE s.id = c.id AND s.field = c.field AND s.kind = c.kind)
"""
_OPEN = """
INSERT INTO ledger.conflicts (flow, id, field, kind, source_key, target_key, base, source_value, target_value,
    source_at, source_by, target_at, target_by, because, score, opened_at, last_seen, run)
SELECT DISTINCT ON (id, field, kind) %(flow)s, s.*, %(now)s, %(now)s, %(run)s FROM pg_temp.conflicts_stage s
ORDER BY id, field, kind ON CONFLICT (flow, id, field, kind) WHERE state IN ('open', 'decided') DO NOTHING
"""
_EQUAL = """(c.source_key, c.target_key, c.base, c.source_value, c.target_value) IS NOT DISTINCT FROM
    (s.source_key, s.target_key, s.base, s.source_value, s.target_value)"""
_SAME = f"""c.flow = %(flow)s AND c.id = s.id AND c.field = s.field AND c.kind = s.kind
    AND c.state IN ('open', 'decided') AND {_EQUAL}"""
_REPORT = """
INSERT INTO ledger.queue (flow, id, place, version, source_key, target_key, run, since, seen_at)
SELECT flow, id, n, n, source_key, target_key, '', %(now)s, %(now)s FROM (
    SELECT *, nextval('ledger.queue_places') AS n FROM (SELECT DISTINCT ON (flow, id) flow, id, source_key, target_key
        FROM ledger.conflicts WHERE number = ANY(%(numbers)s) ORDER BY flow, id, number DESC) once) c ORDER BY flow, id
ON CONFLICT (flow, id) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at,
    source_key = coalesce(queue.source_key, excluded.source_key),
    target_key = coalesce(queue.target_key, excluded.target_key)
"""
_UNSETTLED = """
WITH k AS (SELECT encode(b, 'hex')::uuid AS id FROM unnest(%(ids)b::bytea[]) b)
SELECT encode(uuid_send(c.id), 'hex'), c.field FROM ledger.conflicts c JOIN k USING (id)
    WHERE c.flow = %(flow)s AND c.state IN ('open', 'decided')
UNION SELECT encode(uuid_send(q.id), 'hex'), '' FROM ledger.queue q JOIN k USING (id) WHERE q.flow = %(flow)s
"""
_DECISIONS = """
SELECT string_agg(uuid_send(c.id), ''), array_agg(field), array_agg(take), array_agg(value), array_agg(source_value),
    array_agg(target_value), array_agg(kind), array_agg(number), array_agg(source_key), array_agg(target_key),
    array_agg(decided_by)
FROM (SELECT c.* FROM ledger.conflicts c JOIN (SELECT encode(b, 'hex')::uuid AS id FROM unnest(%(ids)b::bytea[]) b) k
    ON k.id = c.id WHERE c.flow = %(flow)s AND c.state = 'decided' ORDER BY c.id, c.field, c.kind) c
"""


class Conflicts:
    """Shows conflicts, takes people's decisions, and hands them to whoever applies them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        flow: str | None = None,
        *,
        kind: str | None = None,
        field: str | None = None,
        state: str | None = "open",
        after: int = 0,
        limit: int = 100,
    ) -> Sequence[Conflict]:
        """Return conflicts by number, the oldest first; those that wait unless another `state` is asked, None is all.

        `after` is the last number of the page before.
        """
        wanted = select(CONFLICTS).where(C.number > after).order_by(C.number).limit(limit)
        for column, value in ((C.flow, flow), (C.kind, kind), (C.field, field), (C.state, state)):
            wanted = wanted if value is None else wanted.where(column == value)
        with self._database.transaction() as connection:
            return [_conflict(row) for row in connection.execute(wanted)]

    def show(self, number: int) -> Conflict:
        """Return one conflict; raises ConfigError when there is none of that number."""
        with self._database.transaction() as connection:
            row = connection.execute(select(CONFLICTS).where(C.number == number)).one_or_none()
        if row is None:
            raise ConfigError(f"there is no conflict {number}; `isthmus conflicts list` shows those that wait")
        return _conflict(row)

    def of(self, flow: str, ids: Sequence[Any]) -> Sequence[Conflict]:
        """Return every conflict things ever had in a flow, whatever became of it, by number."""
        with self._database.transaction() as connection:
            wanted = select(CONFLICTS).where(C.flow == flow, C.id.in_(list(ids))).order_by(C.number)
            return [_conflict(row) for row in connection.execute(wanted)]

    def decide(self, numbers: Sequence[int], take: Take, value: str | None = None, *, by: str, why: str = "") -> int:
        """Record a person's decision on conflicts and report their things to the queue, so that it is applied.

        `take` is source, target, or value with the `value`. A decision that is not applied yet may be changed.
        Returns how many were decided. Raises ConfigError for an unknown number or decision, ConflictError when one
        of them does not wait any more; then none is decided.
        """
        wanted = sorted(set(numbers))
        if take not in get_args(Take) or (take == "value") != (value is not None):
            raise ConfigError("a decision takes source, target, or value together with the value; nothing was decided")
        if not wanted:
            return 0
        now = self._database.now()
        events.ensure_month(self._database, now)
        with self._database.transaction() as connection:
            # Entries of the queue are locked before conflicts, as a settlement does.
            raw(connection).execute(_REPORT, {"numbers": wanted, "now": now})
            held = select(C.number, C.flow, C.field, C.state).where(C.number.in_(wanted)).order_by(C.number)
            found = connection.execute(held.with_for_update()).all()
            _refuse(wanted, {row.number: row.state for row in found})
            said = {"take": take, "value": value, "decided_by": by, "decided_at": now, "why": why, "state": "decided"}
            connection.execute(CONFLICTS.update().where(C.number.in_(wanted)).values(said))
            for flow in sorted({row.flow for row in found}):
                mine = [row.number for row in found if row.flow == flow]
                told = {"conflicts": mine, "take": take, "why": why}
                events.put(connection, now, by, "decided conflicts", flow=flow, details=told)
        return len(wanted)

    def decisions(self, flow: str, ids: pa.Array) -> pa.Table:
        """Return what people decided for these things and is not applied yet (columns of `DECISIONS`)."""
        with self._database.transaction() as connection:
            asked = {"flow": flow, "ids": ids.to_pylist()}
            found, *columns = raw(connection).execute(_DECISIONS, asked, binary=True).fetchone() or (None,)
        if not found:
            return DECISIONS.empty_table()
        things = pa.Array.from_buffers(pa.binary(16), len(found) // 16, [None, pa.py_buffer(found)])
        types = DECISIONS.types[1:]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        return pa.table([things, *arrays], schema=DECISIONS)

    def unsettled(self, flow: str, ids: pa.Array) -> pa.Table:
        """Return what is not agreed of these things (`id`, `field`): conflicts that stand, '' for what is queued."""
        with self._database.transaction() as connection:
            asked = {"flow": flow, "ids": ids.to_pylist()}
            rows = raw(connection).execute(_UNSETTLED, asked, binary=True).fetchall()
        things = [bytes.fromhex(thing) for thing, _ in rows]
        return pa.table(
            [pa.array(things, pa.binary(16)), pa.array([field for _, field in rows], pa.string())], ["id", "field"]
        )

    def counts(self, flow: str | None = None) -> Sequence[ConflictCount]:
        """Count the conflicts that stand by flow, kind, field and state, the most frequent first."""
        by = (C.flow, C.kind, C.field, C.state)
        many = func.count()
        summed = select(*by, many.label("conflicts"), func.min(C.opened_at).label("oldest")).where(
            C.state.in_(STANDING)
        )
        summed = summed if flow is None else summed.where(C.flow == flow)
        with self._database.transaction() as connection:
            rows = connection.execute(summed.group_by(*by).order_by(many.desc(), *by))
            return [ConflictCount(**row._mapping) for row in rows]

    def prune(self, before: datetime) -> int:
        """Delete conflicts that ended before a time, with their values; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(CONFLICTS.delete().where(C.ended_at < before)).rowcount


def settle(connection: Connection, claimed: ClaimedKeys, agreed: Settlement, now: datetime) -> None:
    """Bring the conflicts of the settled things up to date within a transaction.

    What is seen again is marked so; what changed its values is superseded and opened anew; what is seen no more is
    closed, or applied where a person had decided. Conflicts of things that go back to the queue stay as they are.
    Raises DataError for a conflict of a thing that the claim does not hold.
    """
    asked = {"flow": claimed.flow, "epoch": claimed.epoch, "run": agreed.run, "now": now}
    asked["unread"] = [] if agreed.unread is None else agreed.unread.to_pylist()
    driver = raw(connection)
    driver.execute(_LOCK, asked)
    rows = agreed.conflicts
    if rows is not None and agreed.again is not None and len(agreed.again):
        rows = rows.filter(pc.invert(pc.is_in(rows["id"], pc.unique(agreed.again))))
    if rows is None or not rows.num_rows:
        driver.execute(_UNSEEN.replace("{unseen}", ""), asked)
        return
    driver.execute(_STAGE)
    for batch in _staged(claimed.flow, rows).to_batches():
        copy_in(connection, sql.Identifier("pg_temp", "conflicts_stage"), batch)
    driver.execute("CREATE INDEX conflicts_staged ON pg_temp.conflicts_stage (id, field, kind)")
    driver.execute("ANALYZE pg_temp.conflicts_stage")
    (strays,) = driver.execute(_STRAYS, asked).fetchone() or (0,)
    if strays:
        raise DataError(
            f"{claimed.flow}: {strays} conflicts belong to things that claim {claimed.epoch} does not settle"
        )
    driver.execute(_SEEN.replace("{same}", _SAME), asked)
    driver.execute(_SUPERSEDE.replace("{equal}", _EQUAL), asked)
    driver.execute(_UNSEEN.replace("{unseen}", _NOT_STAGED), asked)
    driver.execute(_OPEN, asked)
    driver.execute("DROP TABLE pg_temp.conflicts_stage")


def _staged(flow: str, rows: pa.Table) -> pa.Table:
    columns = {}
    for column in values.CONFLICTS:
        given = rows[column.name] if column.name in rows.schema.names else pa.nulls(rows.num_rows, column.type)
        columns[column.name] = given.cast(column.type)
    columns["field"] = pc.fill_null(columns["field"], "")
    known = pc.is_in(columns["kind"], pa.array(CONFLICT_KINDS))
    odd = rows.num_rows - (pc.sum(pc.and_(known, pc.is_valid(columns["id"]))).as_py() or 0)
    if odd:
        raise DataError(f"{flow}: {odd} conflicts have no id, or a kind other than {', '.join(CONFLICT_KINDS)}")
    return pa.table(columns)


def _refuse(wanted: Sequence[int], states: dict[int, str]) -> None:
    unknown = [str(number) for number in wanted if number not in states]
    if unknown:
        raise ConfigError(
            f"there is no conflict {', '.join(unknown)}; nothing was decided. `isthmus conflicts list` shows which wait"
        )
    over = [f"{number} ({state})" for number, state in states.items() if state not in STANDING]
    if over:
        raise ConflictError(
            f"conflict {', '.join(over)} does not wait for a decision any more; nothing was decided. Look at what "
            "stands now with `isthmus conflicts list`"
        )


def _conflict(row: Row[Any]) -> Conflict:
    return Conflict(**{column.name: getattr(row, column.name) for column in fields(Conflict)})
