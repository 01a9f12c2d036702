"""The initial download as its callers see it: begin a run, plan a flow, load a set, finish, reconcile, sum up.

The CLI, the DAG and the tests call these functions and nothing deeper.  Between calls only references travel.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import KeyRange
from isthmus.errors import Finding, SpecError
from isthmus.gate import OpenGate, open_gate
from isthmus.ledger import Ledger
from isthmus.levels import memory
from isthmus.levels.feed import begin_feeds
from isthmus.levels.limits import refuse_paused
from isthmus.levels.line import Ahead
from isthmus.levels.package import Carried
from isthmus.levels.plan_load import plan_load
from isthmus.levels.reconcile import Reconciliation, reconcile
from isthmus.levels.replicate import (
    carry_keys,
    finish_load,
    give_back,
    load,
    read_ahead,
    release_parked,
)
from isthmus.levels.resolve import canonical_key, raw_key
from isthmus.levels.route import Kept, Route, compile_route, flow_name, flows_in_order, opened
from isthmus.levels.worker import Tally, Worker
from isthmus.mapping.live import check_live
from isthmus.mapping.plan import ReadPlan
from isthmus.mapping.spec import Flow, Scenario
from isthmus.project import Project

Mode = Literal["full", "request", "repair"]


def now() -> datetime:
    """Return the time; the only place of the levels that asks the machine for it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Desk:
    """Where one caller works from: the project, its ledger, the scenario, who works, what is reported."""

    project: Project
    ledger: Ledger
    scenario: Scenario
    name: str
    clock: Callable[[], datetime] = now
    report: Callable[[Route, Carried], None] = lambda route, carried: None
    sleep: Callable[[float], None] = time.sleep
    gate: str = ""
    kept: Kept | None = None  # keeps systems open between the steps of a run

    @property
    def today(self) -> date:
        """Return the day that `at: today` means."""
        return self.clock().date()

    def worker(self, flow: Flow) -> Worker:
        """Make the worker of a flow; the gate is opened only where the flow wants one."""
        kind = self.gate or self.project.gate
        gate = OpenGate() if flow.gate == "off" else open_gate(self.project.folder, kind)
        return Worker(self.name, self.ledger, gate, self.clock, self.sleep, self.report)

    def flows(self, objects: Sequence[str] = ()) -> list[Flow]:
        """Return the flows in load order."""
        return flows_in_order(self.project, self.scenario, tuple(objects))

    def flow(self, object_or_name: str) -> Flow:
        """Find a flow by object or full name; raises SpecError with the nearest one."""
        for flow in self.flows():
            if flow_name(flow) == object_or_name:
                return flow
        return self.flows((object_or_name.partition(".")[0],))[0]

    @contextmanager
    def route(self, flow: Flow) -> Iterator[Route]:
        """Open a flow's systems and compile it."""
        lent = opened if self.kept is None else self.kept.route
        with lent(self.project, self.scenario, flow, self.today) as route:
            yield route

    @contextmanager
    def keeping(self) -> Iterator[Desk]:
        """Give the same desk, but systems stay open and flows compiled until the end of the block."""
        kept = Kept()
        try:
            yield replace(self, kept=kept)
        finally:
            kept.close()


@contextmanager
def open_desk(
    project: Project | None = None,
    scenario: str = "",
    *,
    name: str = "",
    gate: str = "",
    clock: Callable[[], datetime] = now,
    report: Callable[[Route, Carried], None] = lambda route, carried: None,
) -> Iterator[Desk]:
    """Open the project, its ledger and a scenario."""
    from isthmus.store import store_url

    memory.give_back()
    project = project or Project.load()
    ledger = Ledger.open(store_url(), clock=clock)
    try:
        who = name or f"{socket.gethostname()}:{os.getpid()}"
        yield Desk(project, ledger, project.scenario(scenario), who, clock, report, gate=gate)
    finally:
        ledger.close()


def begin(desk: Desk, mode: Mode = "full", parameters: Mapping[str, Any] | None = None, run: str = "") -> str:
    """Begin a run (or find the one of that id again) and return its id.

    Every mapping is compared with the live systems first, so that a wrong file stops the run before it reads a
    row; raises SpecError with all findings of all flows.
    """
    said = dict(parameters or {})
    check_columns(desk, desk.flows(said.get("objects") or ()))
    findings: list[Finding] = []
    hashes: list[str] = []
    for flow in desk.flows(said.get("objects") or ()):
        try:
            with desk.route(flow) as route:
                hashes.append(route.mapping_hash)
                _identify(desk, flow)
        except SpecError as wrong:
            findings += wrong.findings
    if findings:
        raise SpecError(sorted(set(findings)))
    whole = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
    return desk.ledger.runs.start(desk.scenario.name, "initial_download", mode, said, whole, id=run or None).id


def check_columns(desk: Desk, flows: Sequence[Flow]) -> None:
    """Compare the mappings of these flows with the tables of the systems that answer; raises SpecError."""
    systems = desk.project.systems
    used = {(systems[name].speaks, flow.object) for flow in flows for name in (flow.source, flow.target)}
    catalogue = desk.project.catalogue
    known = {said: specs for said, specs in catalogue.mappings.items() if said in used}
    findings, _, _ = check_live(replace(catalogue, mappings=known), desk.project)
    if findings:
        raise SpecError(findings)


def _identify(desk: Desk, flow: Flow) -> None:
    """Write down which systems this ledger serves: a test CRM is never fed from production's ledger."""
    for name in (flow.source, flow.target):
        system = desk.project.system(name)
        desk.ledger.systems.identify(name, f"{system.connector}:{system.speaks}", system.client)


def plan_flow(desk: Desk, flow: Flow, run: str, keys: Sequence[str] = ()) -> list[str]:
    """Cut a flow into packages; `keys` = (first, last) narrows it to a range of the object's keys.

    The feeds' cursors are taken before the first row is read, durably; a request for some keys leaves them alone.
    """
    with desk.route(flow) as route:
        refuse_paused(route, desk.ledger)
        if not keys:
            begin_feeds(desk, flow, route, run)
        return plan_load(route, run, desk.worker(flow), key_range(route, keys) if keys else None)


def key_range(route: Route, keys: Sequence[str]) -> KeyRange:
    """Turn first and last key as people write them into a range of raw keys; leading zeros need not be typed."""
    low, high = (raw_spelling(route.reads[0], key) if key else None for key in keys)
    return KeyRange(low, (*high[:-1], f"{high[-1]}\x01") if high else None)


def raw_spelling(plan: ReadPlan, key: str) -> tuple[str, ...]:
    """Spell a key as people write it the way the system's key columns hold it."""
    typed = pa.array([key], pa.string())
    if len(plan.key.columns) == 1 and not any(step.raw for step in plan.key.steps):
        typed = pc.coalesce(canonical_key(plan, pa.RecordBatch.from_arrays([typed], list(plan.key.columns))), typed)
    return tuple(str(array[0].as_py()) for array in raw_key(plan, typed))


def load_flow(
    desk: Desk,
    flow: Flow,
    run: str,
    only: Sequence[str] | None = None,
    parents: Callable[[], object] = lambda: None,
) -> Tally:
    """Carry a flow's open packages; `parents` waits until the keys of all parents are in the key map."""
    with desk.route(flow) as route:
        return load(route, run, replace(desk.worker(flow), parents=parents), only)


def finish_flow(desk: Desk, flow: Flow, run: str) -> Tally:
    """Declare a flow loaded and let go what waited for it, also of flows that were loaded before."""
    with desk.route(flow) as route:
        tally = finish_load(route, run, desk.worker(flow))
    release_children(desk, flow, run)
    return tally


def release_children(desk: Desk, parent: Flow, run: str) -> None:
    """Let rows of other loaded flows go that waited for this object, then those that waited for them, and so on.

    A flow that is still loading sees to its own.
    """
    came, waited_for = {parent.object}, desk.ledger.exceptions.waited_for()
    for flow in desk.flows():
        waits = came & waited_for.get(flow_name(flow), set())
        if waits and flow != parent and desk.ledger.flows.state(flow_name(flow)).state == "loaded":
            release_flow(desk, flow, run)
            came.add(flow.object)


def release_flow(desk: Desk, flow: Flow, run: str) -> Tally:
    """Let parked rows go whose parents have come meanwhile."""
    with desk.route(flow) as route:
        return release_parked(route, run, desk.worker(flow))


def carry_flow(desk: Desk, flow: Flow, run: str, keys: pa.Array, label: str) -> Tally:
    """Carry an explicit set of keys of a flow."""
    with desk.route(flow) as route:
        return carry_keys(route, run, desk.worker(flow), keys, label)


def reconcile_flow(desk: Desk, flow: Flow, run: str = "") -> Reconciliation:
    """Compare both sides of a flow and keep the verdict."""
    with desk.route(flow) as route:
        found = reconcile(route, desk.ledger)
    said = {
        "source_rows": found.source_rows,
        "target_rows": found.target_rows,
        "held": found.held,
        "only_there": found.only_there,
        "differences": len(found.keys),
    }
    desk.ledger.reconciliations.put(found.flow, "agrees" if found.agrees else "differs", said, run or None)
    return found


@dataclass(frozen=True, slots=True)
class Opening:
    """A flow that is about to be loaded: planned, its systems lent, its first package read and mapped."""

    route: Route
    worker: Worker
    first: Ahead | None
    lent: ExitStack


class Relay:
    """Hands over from flow to flow so that nobody waits: while the last package of one is written, the next is
    planned and its first package read; while that one is carried, the one before it is finished beside.

    A package under way waits with its foreign keys until the flow before is in the key map, whole and indexed.
    """

    def __init__(self, desk: Desk, run: str, keys: Sequence[str], done: Callable[[Flow, Tally], None]) -> None:
        self._desk, self._run, self._keys, self._done = desk, run, keys, done
        self._beside = ThreadPoolExecutor(2, thread_name_prefix="relay")
        self._opening: Future[Opening] | None = None
        self._known: Future[None] = Future()  # done when the keys of all flows so far are in the key map
        self._known.set_result(None)
        self._finished: Future[None] | None = None

    def carry(self, flow: Flow, after: Flow | None) -> None:
        """Carry one flow; `after` is who comes next."""
        before, known = self._known, Future[None]()
        opening = self._opening or self._beside.submit(self._open, flow, before)
        self._opening = None

        def idle() -> None:
            if self._opening is None and after is not None and after.object != flow.object:
                self._opening = self._beside.submit(self._open, after, known)

        opened = opening.result()
        try:
            with opened.lent:
                tally = load(opened.route, self._run, replace(opened.worker, idle=idle), first=opened.first)
            tally.counts.update(release_flow(self._desk, flow, self._run).counts)
            self._wait()
        except BaseException as wrong:
            known.set_exception(wrong)
            _give_up(opened, wrong)
            raise
        self._known, self._finished = known, self._beside.submit(self._finish, flow, tally, known)
        if after is None or after.object == flow.object:
            self._wait()

    def close(self) -> None:
        """Wait for what goes on beside; a package that was read too early is given back."""
        if self._opening is not None and (wrong := self._opening.exception()) is None:
            opened = self._opening.result()
            _give_up(opened, wrong)
            opened.lent.close()
        self._beside.shutdown()

    def _open(self, flow: Flow, known: Future[None]) -> Opening:
        """Plan a flow, lend its systems and read its first package."""
        plan_flow(self._desk, flow, self._run, self._keys)
        worker = replace(self._desk.worker(flow), parents=known.result)
        with ExitStack() as stack:
            route = stack.enter_context(self._desk.route(flow))
            first = read_ahead(route, self._run, worker, None, wait=False)
            return Opening(route, worker, first, stack.pop_all())

    def _finish(self, flow: Flow, tally: Tally, known: Future[None]) -> None:
        """Index the keys of a flow, which the next one waits for, then declare it loaded."""
        try:
            self._desk.ledger.keys.index(flow.object)
        except BaseException as wrong:
            known.set_exception(wrong)
            raise
        known.set_result(None)
        tally.counts.update(finish_flow(self._desk, flow, self._run).counts)
        self._done(flow, tally)

    def _wait(self) -> None:
        if self._finished is not None:
            self._finished.result()


def _give_up(opened: Opening, wrong: BaseException | None) -> None:
    if opened.first is not None:
        give_back(opened.first.claimed, opened.worker, type(wrong).__name__)


def carry_flows(
    desk: Desk,
    flows: Sequence[Flow],
    run: str,
    keys: Sequence[str] = (),
    done: Callable[[Flow, Tally], None] = lambda flow, tally: None,
) -> None:
    """Plan, load and finish flows in order, each handing over to the next; `done` hears of each."""
    relay = Relay(desk, run, keys, done)
    try:
        for flow, after in zip(flows, [*flows[1:], None], strict=True):
            relay.carry(flow, after)
    finally:
        relay.close()


def download(
    desk: Desk, objects: Sequence[str] = (), mode: Mode = "full", keys: Sequence[str] = (), run: str = ""
) -> str:
    """Run the whole initial download (with `keys`: a request for a range) in this process; return the run's id."""
    mode = "request" if keys else mode
    with desk.keeping() as desk:
        run = begin(desk, mode, {"objects": list(objects), "keys": list(keys)}, run)
        try:
            carry_flows(desk, desk.flows(objects), run, keys)
        except BaseException as wrong:
            desk.ledger.runs.finish(run, "failed", {"because": type(wrong).__name__})
            raise
        desk.ledger.runs.finish(run, "done", {})
        return run


__all__ = [
    "Desk",
    "Mode",
    "begin",
    "carry_flow",
    "carry_flows",
    "compile_route",
    "download",
    "finish_flow",
    "load_flow",
    "open_desk",
    "plan_flow",
    "reconcile_flow",
    "release_flow",
]
