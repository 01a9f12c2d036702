"""A round: one flow brought in step once, as the command line and the DAG call it.

A flow that is loading, paused or blacked out is passed over with its reason; it is no error.  A run that died is
marked as failed by the next round of the same flow, and how far the flow is behind is written down.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger.values import Run
from isthmus.levels.download import Desk
from isthmus.levels.route import flow_name
from isthmus.levels.synchronize import KIND, LEASE, sync_flow
from isthmus.mapping.spec import Flow

NEWEST = 500  # runs looked at for dead ones: hours of them, and the next round is minutes away


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one flow: its counts, or why it was passed over; then how far it is behind."""

    flow: str
    run: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    waits: str = ""
    queued: int = 0
    lag_seconds: float = 0.0

    @property
    def object(self) -> str:
        """Return the object that was kept in step."""
        return self.flow.partition(".")[0]

    @property
    def changed(self) -> int:
        """Return how many rows were written on either side."""
        written = ("created_source", "created_target", "updated_source", "updated_target")
        return sum(self.counts.get(name, 0) for name in written)

    def as_json(self) -> dict[str, Any]:
        """Lay it out for machines."""
        return {**asdict(self), "counts": dict(self.counts), "changed": self.changed}


def synchronized(desk: Desk, objects: Sequence[str] = ()) -> list[Flow]:
    """Return the scenario's synchronized flows, parents first; raises ConfigError when there are none of these."""
    every = [flow for flow in desk.flows() if flow.level == "synchronize"]
    known = [flow.object for flow in every]
    if not every:
        raise ConfigError(
            f'The scenario "{desk.scenario.name}" keeps nothing in step; say `level: synchronize` in a flow of '
            f"mappings/scenarios/{desk.scenario.name}.yaml."
        )
    for name in objects:
        if name not in known and name not in map(flow_name, every):
            raise ConfigError(
                f'The scenario "{desk.scenario.name}" does not synchronize {name}; it keeps {", ".join(known)} in step.'
            )
    return [flow for flow in every if not objects or flow.object in objects or flow_name(flow) in objects]


def waits_for(desk: Desk, flow: Flow) -> str:
    """Say why a flow does not run now, or ''."""
    name = flow_name(flow)
    state = desk.ledger.flows.state(name)
    if state.paused:
        return f"paused by {state.paused_by}: {state.paused_why}"
    if state.state == "loading":
        return f"being loaded by run {state.load_run}"
    if state.state == "never":
        return f"not loaded yet; `isthmus load {flow.object}` loads it"
    reason = desk.ledger.flows.blackout(name, desk.clock())
    return f"in a blackout window: {reason}" if reason else ""


def keep_in_step(desk: Desk, flow: Flow, run: str = "") -> Round:
    """Run one flow once, unless it has to wait; the same `run` again gives the same answer.

    Raises what the engine raises: ConflictError for a change a person has to approve, SystemUnavailable.
    """
    name, own = flow_name(flow), run_of(run, flow) if run else new_run(desk, flow)
    waits = waits_for(desk, flow)
    if waits:
        return measured(desk, Round(name, waits=waits))
    done = finished(desk, own)
    if done is not None:
        return measured(desk, Round(name, own, with_refused(desk, name, own, numbers(done.summary))))
    bury(desk, name, own)
    try:
        counts = sync_flow(desk, flow, own)
    except ConflictError:
        waits = waits_for(desk, flow)  # somebody paused it while it ran: what is queued goes on later
        if not waits:
            raise
        return measured(desk, Round(name, own, waits=waits))
    return measured(desk, Round(name, own, with_refused(desk, name, own, counts)))


def with_refused(desk: Desk, flow: str, run: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Add how many of a run's conflicts a rule of the business made, or a mapping that only reads a field."""
    if not counts.get("conflicts"):
        return {**counts, "refused": 0}
    seen = desk.ledger.conflicts.open(flow, kind="refused", state=None, limit=counts["conflicts"] + NEWEST)
    return {**counts, "refused": sum(conflict.run == run for conflict in seen)}


def run_of(run: str, flow: Flow) -> str:
    """Name the run of one flow within a run of several."""
    return f"{run}/{flow_name(flow)}"


def new_run(desk: Desk, flow: Flow) -> str:
    """Name a run that belongs to no other."""
    return run_of(f"sync-{desk.clock():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}", flow)


def finished(desk: Desk, run: str) -> Run | None:
    """Return a run that is over already: its answer was lost, its work was not."""
    try:
        known = desk.ledger.runs.get(run)
    except ConfigError:
        return None
    return known if known.state == "done" else None


def numbers(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a run's summary."""
    return {name: value for name, value in summary.items() if isinstance(value, int)}


def bury(desk: Desk, flow: str, but: str) -> list[str]:
    """Mark earlier runs of a flow that stopped without a word as failed; returns their ids.

    A run is taken for dead when it began longer ago than a lease lasts and holds nothing of the queue; should it
    live after all, it puts its own state right at its end.
    """
    if desk.ledger.queue.depth(flow).claimed:
        return []
    now = desk.clock()
    dead = [
        run.id
        for run in desk.ledger.runs.list(NEWEST)
        if (run.kind, run.state, run.parameters.get("flow")) == (KIND, "running", flow)
        and run.id != but
        and run.started_at + LEASE < now
    ]
    for id in dead:
        desk.ledger.runs.finish(id, "failed", {"flow": flow, "because": "it died; a newer run goes on with its work"})
    return dead


def measured(desk: Desk, found: Round) -> Round:
    """Add how much waits and for how long the oldest has; a round that ran also leaves it in the ledger."""
    if found.run and not found.waits:
        for system in found.flow.split(".")[1:]:
            desk.ledger.flows.lag(found.flow, system)
    depth = desk.ledger.queue.depth(found.flow)
    behind = age(depth.oldest, desk.clock())
    return Round(found.flow, found.run, found.counts, found.waits, depth.waiting + depth.claimed, behind)


def age(since: datetime | None, now: datetime) -> float:
    """Return seconds since a time; nothing for none."""
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
