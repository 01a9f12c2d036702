"""Delta: carry what changed in the source since the cursor, by change date.

IS-U stamps most rows with a date only, so the day of the cursor is read again until it is over; rows with an
empty change date are never skipped (their creation date counts).  The delta waits for the object's load and
starts from the cursor taken before it.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Comparison, KeyRange
from isthmus.errors import ConflictError
from isthmus.levels.download import Desk
from isthmus.levels.replicate import Tally, carry_keys, release_parked
from isthmus.levels.resolve import canonical_key
from isthmus.levels.route import Route
from isthmus.mapping.spec import Flow


def delta_flow(desk: Desk, flow: Flow) -> Tally:
    """Carry the objects of a flow that changed since its cursor; the cursor moves after their outcomes are durable."""
    with desk.route(flow) as route:
        state = desk.ledger.flows.state(route.name)
        if state.state != "loaded" or not state.cursor:
            raise ConflictError(
                f"{route.name} is {state.state}: its delta waits for the load. `isthmus load {route.object}` loads it."
            )
        until = f"{desk.clock():%Y%m%d}"
        keys = changed_keys(route, state.watermark or state.cursor)
        run = desk.ledger.runs.start(desk.scenario.name, "delta", "delta", {"flow": route.name}, route.mapping_hash).id
        worker = desk.worker(flow)
        tally = carry_keys(route, run, worker, keys, "delta") if len(keys) else Tally()
        tally.counts.update(release_parked(route, run, worker).counts)
        desk.ledger.flows.advance(route.name, until, run)
        desk.ledger.runs.finish(run, "done", dict(tally.counts))
        return tally


def changed_keys(route: Route, since: str) -> pa.Array:
    """Return the canonical keys of objects with a change date on or after `since` (YYYYMMDD)."""
    found = [pa.array([], pa.string())]
    for plan in route.reads:
        for change in plan.changes:
            first = f"{since}000000" if change.stamp else since
            query = replace(change.query, where=(*change.query.where, Comparison(change.column, ">=", first)))
            for batch in route.source.read(query, KeyRange()):
                columns = [batch.column(name) for name in change.key]
                found.append(canonical_key(plan, pa.RecordBatch.from_arrays(columns, names=list(plan.key.columns))))
    return pc.unique(pc.drop_null(pa.concat_arrays(found)))
