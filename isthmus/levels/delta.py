"""Delta: carry what changed in the source since the feed's cursor: changed rows, and the markers of rows that are gone.

The delta waits for the object's load and starts from the cursor taken before it.  The feed gives keys; rows are read
by key and take the path of every package.  The cursor moves when the outcomes are durable, so a run that is cut off
is done again and finds the same.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import KeyRange, Keys
from isthmus.errors import ConflictError
from isthmus.gate import OpenGate
from isthmus.ledger import EXCEPTIONS
from isthmus.levels.abandoned import LEASE
from isthmus.levels.changed import Changed
from isthmus.levels.download import Desk
from isthmus.levels.failpoint import passing
from isthmus.levels.feed import poll_side
from isthmus.levels.findings import remember
from isthmus.levels.limits import MASS_CHANGE, held_there, mass_change_allowance, refuse_paused
from isthmus.levels.package import Care, carry
from isthmus.levels.replicate import carry_keys, chunks, release_parked
from isthmus.levels.resolve import Mapped, Resolved, raw_key, read_raw, rejected_keys
from isthmus.levels.route import Route
from isthmus.levels.worker import Tally, Worker
from isthmus.mapping.plan import Records
from isthmus.mapping.reading import select
from isthmus.mapping.spec import Flow

GONE = "gone from the source"
RECENT = 500  # runs among which the flow's last delta is looked for


def delta_flow(desk: Desk, flow: Flow) -> Tally:
    """Carry the objects of a flow that changed since its cursor; the cursor moves after their outcomes are durable.

    Raises ConflictError while the object is not loaded, paused, or synchronized (which has a delta of its own).
    """
    with desk.route(flow) as route:
        refuse_unready(desk, flow, route)
        run = desk.ledger.runs.start(desk.scenario.name, "delta", "delta", {"flow": route.name}, route.mapping_hash).id
        day = f"{desk.clock():%Y%m%d}"
        try:
            inherit_approval(desk, route.name, run)
            changed = poll_side(desk, flow, "source", connector=route.source)
            passing("after poll")
            tally = carry_changed(route, run, desk.worker(flow), changed)
            passing("before cursor")
            desk.ledger.feeds.advance(route.name, flow.source, changed.cursor, run)
            desk.ledger.flows.advance(route.name, day, run)  # for people; the feed's cursor is opaque
        except BaseException as wrong:
            desk.ledger.runs.finish(run, "failed", {"because": type(wrong).__name__})
            raise
        desk.ledger.runs.finish(run, "done", {**tally.counts, "polled": changed.rows, "because": changed.because})
        return tally


def refuse_unready(desk: Desk, flow: Flow, route: Route) -> None:
    """Raise ConflictError for a flow whose delta has to wait, or is none."""
    if flow.level == "synchronize":
        raise ConflictError(
            f"{route.name} is synchronized: `isthmus sync {route.object}` carries what changed on either side."
        )
    state = refuse_paused(route, desk.ledger)
    if state.state != "loaded":
        raise ConflictError(
            f"{route.name} is {state.state}: its delta waits for the load. `isthmus load {route.object}` loads it."
        )


def inherit_approval(desk: Desk, flow: str, run: str) -> None:
    """Let the delta after one that was held do what a person has approved since."""
    deltas = (item for item in desk.ledger.runs.list(RECENT) if item.kind == "delta" and item.id != run)
    held = next((item for item in deltas if item.parameters.get("flow") == flow), None)
    if held is None or held.state != "failed" or not desk.ledger.approvals.is_approved(held.id, flow, MASS_CHANGE):
        return
    approval = desk.ledger.approvals.ask(held.id, flow, MASS_CHANGE, 0.0)  # what was asked for stays as it is
    desk.ledger.approvals.ask(run, flow, MASS_CHANGE, approval.share)
    desk.ledger.approvals.approve(run, flow, MASS_CHANGE, approval.approved_by or desk.name)


def carry_changed(route: Route, run: str, worker: Worker, changed: Changed) -> Tally:
    """Carry changed keys, mark those that are gone, and let parked rows go whose parents came."""
    tally = carry_keys(route, run, worker, changed.keys, "delta") if len(changed.keys) else Tally()
    if len(changed.gone):
        tally.counts.update(mark_gone(route, changed.gone, run, worker).counts)
    tally.counts.update(release_parked(route, run, worker).counts)
    return tally


def mark_gone(route: Route, keys: pa.Array, run: str, worker: Worker) -> Tally:
    """Set the target's delete marker for things that the source has no more, by the source's canonical key.

    A target without a marker keeps its row: the key stays as a finding (`isthmus rejected`).  What the target never
    had is passed over.  The mass-change guard counts these rows like any others.
    """
    tally = Tally()
    if not route.write.can_delete:
        keep_as_finding(route, keys, run, worker, f"{route.flow.target} has no marker for it")
        tally.counts["gone"] = len(keys)
        return tally
    packages, there = worker.ledger.packages, held_there(route, worker.ledger)
    for chunk in chunks(keys, route.package_rows):
        records = standing_records(route, chunk, run, worker)
        name = f"gone {len(packages.list(run, route.name)) + 1}"
        (planned,) = packages.plan(run, route.name, [KeyRange(rows=len(chunk))], name)
        claimed = packages.claim(run, route.name, worker.name, LEASE, [planned.id], route.mapping_hash)
        assert claimed is not None
        allowance = mass_change_allowance(route, run, worker.ledger, there)
        resolved = Resolved(records, pa.Table.from_batches([], EXCEPTIONS))
        try:
            carried = carry(
                route, claimed, Mapped(records, resolved), worker.ledger, OpenGate(), Care(allowance=allowance)
            )
        except ConflictError as held:
            worker.ledger.approvals.ask(run, route.name, MASS_CHANGE, 1.0)
            packages.fail(claimed, "held", str(held), retryable=True)
            raise
        tally.add(carried)
        tally.counts["gone"] += len(chunk)
        remember(route, claimed, carried, worker.ledger)
        worker.report(route, carried)
        worker.ledger.exceptions.resolve(route.name, records.key)  # nothing is left that could arrive later
    return tally


def standing_records(route: Route, keys: pa.Array, run: str, worker: Worker) -> Records:
    """Read what the target holds of things by the source's key, as records of the source that are marked deleted.

    A row that the target's own mapping rejects cannot be marked: its key stays as a finding.
    """
    flow, ledger = route.flow, worker.ledger
    there = pc.drop_null(ledger.keys.translate(route.object, flow.source, flow.target, keys))
    raw = read_raw(route.target, route.back, Keys(raw_key(route.back, there)))
    records = route.back.apply(raw.root, raw.lists)
    unread = pc.unique(pc.drop_null(records.rejects["key"].combine_chunks()))
    if len(unread):
        named = pc.drop_null(ledger.keys.translate(route.object, flow.target, flow.source, unread))
        keep_as_finding(route, named, run, worker, f"its row in {flow.target} cannot be read to mark it")
    ours = ledger.keys.translate(route.object, flow.target, flow.source, records.key)
    known = pc.and_(pc.is_valid(ours), pc.is_in(ours, keys))
    rows = pc.cast(pc.indices_nonzero(known), pa.int32())
    records = select(records, rows)
    marked = pa.repeat(pa.scalar(True), len(rows))
    return replace(records, key=ours.take(rows), deleted=marked, known_as={}, seen=len(rows))


def keep_as_finding(route: Route, keys: pa.Array, run: str, worker: Worker, why: str) -> None:
    """Keep the keys of rows that vanished from the source where the target cannot be told."""
    said = f"{route.flow.source} has no such {route.object} any more, {why}"
    worker.ledger.exceptions.put(route.name, rejected_keys(keys, GONE, said), run)


__all__ = ["carry_changed", "delta_flow", "mark_gone"]
