"""The queue of changed things: one entry per flow and thing, claimed in sorted sets, which makes it the lock too.

Feeds put keys in; a worker claims a set with a lease and an epoch, works, and settles it. A report during the claim
leaves the thing waiting. An entry never goes without having been settled at the version that was claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import conflicts, exceptions, feeds, images
from isthmus.ledger.database import Database, copy_in, raw
from isthmus.ledger.images import Images
from isthmus.ledger.keys import Keys, run_number
from isthmus.ledger.leaves import walk_indexes
from isthmus.ledger.pairs import add_pairs
from isthmus.ledger.values import ClaimedKeys, QueueDepth, Settlement

_STAGE = "CREATE TEMP TABLE queue_stage (id uuid, key text, gone boolean) ON COMMIT DROP"
# Of several keys of one thing, one that stands counts more than one that is gone.
_PUT = """
INSERT INTO ledger.queue (flow, id, place, version, {key}, {gone}, run, since, seen_at)
SELECT %(flow)s, id, n, n, key, gone, %(run)s, %(now)s, %(now)s FROM (
    SELECT id, key, gone, nextval('ledger.queue_places') AS n FROM (
        SELECT DISTINCT ON (id) id, key, gone FROM pg_temp.queue_stage ORDER BY id, gone, key) once ORDER BY id) s
ON CONFLICT (flow, id) DO UPDATE SET version = excluded.version, run = excluded.run, seen_at = excluded.seen_at,
    {key} = coalesce(excluded.{key}, queue.{key}), {gone} = coalesce(excluded.{gone}, queue.{gone})
"""
_EXPIRE = """
UPDATE ledger.claims SET state = 'expired', ended_at = %(now)s WHERE epoch IN (SELECT epoch FROM ledger.claims
    WHERE flow = %(flow)s AND state = 'held' AND lease_until < %(now)s ORDER BY epoch FOR UPDATE SKIP LOCKED)
RETURNING epoch
"""
_FREE = """
WITH mine AS (SELECT flow, id FROM ledger.queue WHERE epoch = ANY(%(epochs)s) ORDER BY flow, id FOR UPDATE)
UPDATE ledger.queue q SET epoch = NULL, claimed = NULL, attempts = q.attempts + %(tried)s
FROM mine WHERE q.flow = mine.flow AND q.id = mine.id
"""
_CLAIM = """
WITH wanted AS ({wanted}),
taken AS (UPDATE ledger.queue q SET epoch = %(epoch)s, claimed = q.version FROM wanted w
    WHERE q.flow = %(flow)s AND q.id = w.id RETURNING q.*)
SELECT count(*), string_agg(uuid_send(id), ''), string_agg(int8send(version), ''), string_agg(int4send(attempts), ''),
    array_agg(source_key), array_agg(target_key), array_agg(source_gone), array_agg(target_gone)
FROM (SELECT * FROM taken ORDER BY id) t
"""
_LINE = """
SELECT q.id FROM ledger.queue q WHERE q.flow = %(flow)s AND q.epoch IS NULL
    AND (%(upto)s::bigint IS NULL OR q.place <= %(upto)s)
ORDER BY q.place LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
# Each asked thing is looked up by itself: the planner, knowing little of a young queue, would walk it for every one.
_ASKED = """
SELECT q.id FROM (SELECT encode(b, 'hex')::uuid AS id FROM unnest(%(ids)b::bytea[]) b) k CROSS JOIN LATERAL (
    SELECT q.id FROM ledger.queue q WHERE q.flow = %(flow)s AND q.id = k.id AND q.epoch IS NULL
        AND (%(upto)s::bigint IS NULL OR q.place <= %(upto)s) FOR UPDATE SKIP LOCKED) q LIMIT %(limit)s
"""
_HOLD = """
INSERT INTO ledger.claims (epoch, flow, worker, keys, claimed_at, lease_until)
VALUES (%(epoch)s, %(flow)s, %(worker)s, %(keys)s, %(now)s, %(until)s)
"""
_AGAIN = """
UPDATE ledger.queue SET epoch = NULL, claimed = NULL, attempts = attempts + 1, place = nextval('ledger.queue_places')
WHERE epoch = %(epoch)s AND id IN (SELECT encode(b, 'hex')::uuid FROM unnest(%(ids)b::bytea[]) b)
"""
_NEWER = """
UPDATE ledger.queue SET epoch = NULL, claimed = NULL, attempts = 0, since = seen_at
WHERE epoch = %(epoch)s AND version <> claimed
"""
_WRITTEN = """
SELECT run, epoch FROM ledger.claims WHERE flow = %(flow)s AND state = 'settled'
    AND coalesce((counts ->> %(created)s)::bigint, 0) + coalesce((counts ->> %(updated)s)::bigint, 0) > 0
    AND ended_at > coalesce((SELECT max(at) FROM ledger.events WHERE flow = %(flow)s AND what = 'restored'
        AND details ->> 'system' = %(system)s), '-infinity') ORDER BY epoch DESC LIMIT 1
"""
_DEPTH = """
SELECT count(*) FILTER (WHERE epoch IS NULL), count(epoch), min(since), coalesce(max(place), 0)
FROM ledger.queue WHERE flow = %s
"""
_COUNTS = """
SELECT c.key, sum(c.value::bigint)::bigint FROM ledger.claims, jsonb_each_text(counts) c
WHERE state = 'settled' AND run = %(run)s AND (%(flow)s::text IS NULL OR flow = %(flow)s) GROUP BY 1 ORDER BY 1
"""


class Queue:
    """Takes reports of changed things, hands them out in sets, and lets go of what is settled."""

    def __init__(self, database: Database, keys: Keys, images: Images) -> None:
        self._database = database
        self._keys = keys
        self._images = images

    def put(
        self,
        flow: str,
        ids: pa.Array,
        system: str,
        keys: pa.Array,
        *,
        gone: pa.Array | None = None,
        cursors: Mapping[str, str] | None = None,
        run: str = "",
    ) -> int:
        """Report things as changed in a system and return how many different ones; repeats coalesce.

        `ids` is fixed_size_binary(16), `keys` the text keys by which the system knows them, `gone` says which its
        feed knows to be deleted. `cursors` of feeds, by system, move in the same transaction. Raises DataError when
        a thing has no id, ConfigError when the system is not one of the flow's two.
        """
        side = sides(flow).get(system)
        if side is None:
            raise ConfigError(f"flow {flow}: {system!r} is neither of its systems {', '.join(sides(flow))}")
        rows = _staged(flow, ids, keys, gone)
        with self._database.transaction() as connection:
            put = _put(connection, flow, side, rows, self._database, run) if rows.num_rows else 0
            feeds.move(connection, self._database.now, flow, dict(sorted((cursors or {}).items())), run)
        return put

    def claim(
        self,
        flow: str,
        worker: str,
        lease: timedelta,
        limit: int,
        *,
        ids: pa.Array | None = None,
        upto: int | None = None,
    ) -> ClaimedKeys | None:
        """Take at most `limit` things that wait, those first in line, sorted by id; None when none waits.

        What an expired lease held waits again, where it stood. `ids` narrows it to these things, in no order; `upto` to
        places in line up to that one (`QueueDepth.last_place`), so that a run does not meet what it has put back.
        """
        now = self._database.now()
        asked = {"flow": flow, "limit": limit, "upto": upto}
        if ids is not None:
            asked["ids"] = pc.unique(ids).to_pylist()
        statement = sql.SQL(_CLAIM).format(wanted=sql.SQL(_LINE if ids is None else _ASKED))
        with self._database.transaction() as connection:
            driver = raw(connection)
            lost = [epoch for (epoch,) in driver.execute(_EXPIRE, {"flow": flow, "now": now})]
            if lost:
                driver.execute(_FREE, {"epochs": lost, "tried": 1})
            walk_indexes(connection)
            (epoch,) = driver.execute("SELECT nextval('ledger.queue_epochs')").fetchone() or (0,)
            count, *columns = driver.execute(statement, asked | {"epoch": epoch}, binary=True).fetchone() or (0,)
            if not count:
                return None
            held = {"epoch": epoch, "flow": flow, "worker": worker, "keys": count, "now": now, "until": now + lease}
            driver.execute(_HOLD, held)
        return _claimed(flow, epoch, worker, columns, lease, held["now"])

    def holders(self, flow: str) -> dict[int, str]:
        """Return the claims of a flow that are held, as the worker of each epoch."""
        held = "SELECT epoch, worker FROM ledger.claims WHERE flow = %s AND state = 'held' ORDER BY epoch"
        with self._database.transaction() as connection:
            return dict(raw(connection).execute(held, [flow]).fetchall())

    def expire(self, flow: str, epochs: Sequence[int]) -> None:
        """End leases whose workers are known to be dead: what they held waits again from the next claim on."""
        ended = "UPDATE ledger.claims SET lease_until = %s WHERE flow = %s AND epoch = ANY(%s) AND state = 'held'"
        with self._database.transaction() as connection:
            past = self._database.now() - timedelta(seconds=1)
            raw(connection).execute(ended, [past, flow, sorted(epochs)])

    def heartbeat(self, claimed: ClaimedKeys) -> None:
        """Extend the lease from now on; raises ConflictError when the claim is void."""
        until = self._database.now() + claimed.lease
        with self._database.transaction() as connection:
            _hold(connection, claimed)
            raw(connection).execute(
                "UPDATE ledger.claims SET lease_until = %s WHERE epoch = %s", [until, claimed.epoch]
            )

    def promise(
        self, claimed: ClaimedKeys, side: str, batch: pa.RecordBatch, rest: pa.RecordBatch | None = None
    ) -> None:
        """Keep what is about to be written to a side (as `Images.put` takes it) until its things are agreed.

        Whoever comes after a worker that died in between knows by it which values are no edit of that side. `rest`
        are images that former promises, now replaced, have proved. Extends the lease; raises ConflictError when the
        claim is void.
        """
        until = self._database.now() + claimed.lease
        name = images.promised(claimed.flow, side)
        self._images.ensure_for(name, batch)
        self._images.ensure_for(claimed.flow, rest)
        with self._database.transaction() as connection:
            _hold(connection, claimed)
            held = "UPDATE ledger.claims SET lease_until = %s WHERE epoch = %s"
            raw(connection).execute(held, [until, claimed.epoch])
            self._images.write(connection, name, batch)
            if rest is not None:
                self._images.write(connection, claimed.flow, rest)

    def give_back(self, claimed: ClaimedKeys) -> None:
        """Let a claimed set wait again, where it stood in line; raises ConflictError when the claim is void."""
        with self._database.transaction() as connection:
            _hold(connection, claimed)
            raw(connection).execute(_FREE, {"epochs": [claimed.epoch], "tried": 0})
            ended = "UPDATE ledger.claims SET state = 'returned', ended_at = %s WHERE epoch = %s"
            raw(connection).execute(ended, [self._database.now(), claimed.epoch])

    def settle(self, claimed: ClaimedKeys, agreed: Settlement) -> None:
        """Store what became of a claimed set, all or nothing: image, conflicts, exceptions, keys, and let go of it.

        Things reported during the claim, and those of `agreed.again`, wait again. The very same settlement once more
        is no error: the answer to the first may have been lost. Raises ConflictError when the claim is void.
        """
        for pairs in agreed.pairs:
            self._keys.ensure(pairs)
        self._images.ensure_for(claimed.flow, agreed.image)
        with self._database.transaction() as connection:
            if _is_settled(connection, claimed, agreed):
                return
            _hold(connection, claimed)
            again = _go_back(connection, claimed, agreed)
            self._outcome(connection, claimed, agreed)
            _let_go(connection, claimed)
            _close(connection, self._database, claimed, agreed, again)

    def last_written(self, flow: str, side: str, system: str) -> tuple[str, int] | None:
        """Return run and epoch of the last settled claim that wrote a side, since it was brought up to date last."""
        asked = {"flow": flow, "created": f"created_{side}", "updated": f"updated_{side}", "system": system}
        with self._database.transaction() as connection:
            row = raw(connection).execute(_WRITTEN, asked).fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    def depth(self, flow: str) -> QueueDepth:
        """Count what waits and what is claimed, and say since when the oldest is not agreed."""
        with self._database.transaction() as connection:
            return QueueDepth(*(raw(connection).execute(_DEPTH, [flow]).fetchone() or (0, 0)))

    def counts(self, run: str, flow: str | None = None) -> dict[str, int]:
        """Sum up the counts of a run's settlements, of one flow or of all."""
        with self._database.transaction() as connection:
            return dict(raw(connection).execute(_COUNTS, {"run": run, "flow": flow}).fetchall())

    def drop(self, flow: str) -> int:
        """Empty a flow's queue, because it is loaded anew; claims become void. Returns how many entries went."""
        void = "UPDATE ledger.claims SET state = 'expired', ended_at = %s WHERE flow = %s AND state = 'held'"
        with self._database.transaction() as connection:
            raw(connection).execute(void, [self._database.now(), flow])
            return raw(connection).execute("DELETE FROM ledger.queue WHERE flow = %s", [flow]).rowcount

    def prune(self, before: datetime) -> int:
        """Delete claims that ended before a time; returns how many."""
        with self._database.transaction() as connection:
            return raw(connection).execute("DELETE FROM ledger.claims WHERE ended_at < %s", [before]).rowcount

    def _outcome(self, connection: Connection, claimed: ClaimedKeys, agreed: Settlement) -> None:
        now = self._database.now()
        if agreed.image is not None:
            self._images.write(connection, claimed.flow, agreed.image)
            self._images.fulfil(connection, claimed.flow, agreed.image["id"])
        conflicts.settle(connection, claimed, agreed, now)
        for flow, rows in sorted(by_way(claimed.flow, agreed.exceptions).items()):
            exceptions.put(connection, flow, rows, agreed.run, agreed.package, now)
        for flow, keys in sorted(by_way(claimed.flow, agreed.resolved_keys).items()):
            exceptions.resolve(connection, flow, keys, now)
        if agreed.pairs:
            number, clients = run_number(connection, agreed.run), self._keys.clients(connection)
            for pairs in sorted(agreed.pairs, key=lambda pairs: pairs.object):
                add_pairs(connection, pairs, clients, number)


def by_way(flow: str, told: Any) -> Mapping[str, Any]:
    """Return what is told per way of travel; what is told of the flow as a whole is told of its own way."""
    if told is None:
        return {}
    return told if isinstance(told, Mapping) else {flow: told}


def sides(flow: str) -> dict[str, str]:
    """Return which of a flow's systems is its source and which its target; raises ConfigError for another name."""
    parts = flow.split(".")
    if len(parts) != 3 or not all(parts) or parts[1] == parts[2]:
        raise ConfigError(f"{flow!r} is no flow between two systems; expected object.source.target")
    return {parts[1]: "source", parts[2]: "target"}


def _staged(flow: str, ids: pa.Array, keys: pa.Array, gone: pa.Array | None) -> pa.RecordBatch:
    if ids.null_count:
        raise DataError(f"{flow}: {ids.null_count} of {len(ids)} reported keys have no Isthmus id; expected one each")
    said = pa.repeat(pa.scalar(False), len(ids)) if gone is None else gone
    columns = [
        pa.chunked_array([column]).combine_chunks() if isinstance(column, pa.Array) else column.combine_chunks()
        for column in (ids, keys.cast(pa.string()), said.fill_null(False))
    ]
    return pa.record_batch(columns, ["id", "key", "gone"])


def _put(connection: Connection, flow: str, side: str, rows: pa.RecordBatch, database: Database, run: str) -> int:
    driver = raw(connection)
    driver.execute(_STAGE)
    copy_in(connection, sql.Identifier("pg_temp", "queue_stage"), rows)
    names = {"key": sql.Identifier(f"{side}_key"), "gone": sql.Identifier(f"{side}_gone")}
    asked = {"flow": flow, "run": run, "now": database.now()}
    count = driver.execute(sql.SQL(_PUT).format(**names), asked).rowcount
    driver.execute("DROP TABLE pg_temp.queue_stage")
    return count


def _claimed(flow: str, epoch: int, worker: str, columns: list[Any], lease: timedelta, now: Any) -> ClaimedKeys:
    ids, versions, attempts, source_keys, target_keys, source_gone, target_gone = columns
    of = {side: system for system, side in sides(flow).items()}
    keys = {of["source"]: source_keys, of["target"]: target_keys}
    gone = {of["source"]: source_gone, of["target"]: target_gone}
    return ClaimedKeys(
        flow=flow,
        epoch=epoch,
        worker=worker,
        ids=pa.Array.from_buffers(pa.binary(16), len(ids) // 16, [None, pa.py_buffer(ids)]),
        versions=pa.array(np.frombuffer(versions, ">i8").astype(np.int64)),
        keys={system: pa.array(values, pa.string()) for system, values in keys.items()},
        gone={system: pa.array(values, pa.bool_()).fill_null(False) for system, values in gone.items()},
        attempts=pa.array(np.frombuffer(attempts, ">i4").astype(np.int32)),
        lease=lease,
        claimed_at=now,
    )


def _hold(connection: Connection, claimed: ClaimedKeys) -> None:
    """Keep the claim for the rest of the transaction, and its entries in their order; raises ConflictError."""
    driver = raw(connection)
    held = "SELECT state FROM ledger.claims WHERE epoch = %s FOR UPDATE"
    (state,) = driver.execute(held, [claimed.epoch]).fetchone() or ("gone",)
    if state != "held":
        raise ConflictError(
            f"{claimed.flow}: claim {claimed.epoch} of {claimed.worker} on {len(claimed.ids)} keys is void ({state}), "
            "expected it to be held; its lease ran out. Nothing was stored, whoever claims the keys next reads anew"
        )
    driver.execute(
        "SELECT count(*) FROM (SELECT FROM ledger.queue WHERE epoch = %s ORDER BY flow, id FOR UPDATE) q",
        [claimed.epoch],
    )


def _is_settled(connection: Connection, claimed: ClaimedKeys, agreed: Settlement) -> bool:
    found = "SELECT state, run, package, counts FROM ledger.claims WHERE epoch = %s"
    row = raw(connection).execute(found, [claimed.epoch]).fetchone()
    return row == ("settled", agreed.run, agreed.package, dict(agreed.counts))


def _go_back(connection: Connection, claimed: ClaimedKeys, agreed: Settlement) -> int:
    if agreed.again is None or not len(agreed.again):
        return 0
    wanted = pc.unique(agreed.again).to_pylist()
    found = raw(connection).execute(_AGAIN, {"epoch": claimed.epoch, "ids": wanted}).rowcount
    if found != len(wanted):
        raise DataError(
            f"{claimed.flow}: {len(wanted) - found} keys are to go back to the queue that claim {claimed.epoch} "
            "does not hold; expected only ids of the claim"
        )
    return found


def _let_go(connection: Connection, claimed: ClaimedKeys) -> None:
    raw(connection).execute(_NEWER, {"epoch": claimed.epoch})
    raw(connection).execute("DELETE FROM ledger.queue WHERE epoch = %s", [claimed.epoch])


def _close(connection: Connection, database: Database, claimed: ClaimedKeys, agreed: Settlement, again: int) -> None:
    counts = Jsonb({name: int(count) for name, count in agreed.counts.items()})
    raw(connection).execute(
        "UPDATE ledger.claims SET state = 'settled', ended_at = %s, again = %s, run = %s, package = %s, counts = %s"
        " WHERE epoch = %s",
        [database.now(), again, agreed.run, agreed.package, counts, claimed.epoch],
    )
