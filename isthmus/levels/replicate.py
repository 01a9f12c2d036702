"""Replicate: bring objects across, one way, package by package, and remember how far we came.

The initial download is a replication without a watermark.  The feed's cursor is taken before the first package
is read; the delta waits until the object is loaded and starts from that cursor.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Analyzes, KeyRange, Keys, Where
from isthmus.errors import ConflictError, DataError, IsthmusError, SystemUnavailable
from isthmus.gate import Gate, frame_of
from isthmus.ledger import Claimed, Confirmation, FlowState, Ledger, Package, Reason
from isthmus.levels.failpoint import passing
from isthmus.levels.findings import SHOWN_KEYS, remember, unreadable
from isthmus.levels.package import Care, Carried, bring
from isthmus.levels.resolve import Mapped, map_package, raw_key, read_raw
from isthmus.levels.route import Route
from isthmus.mapping.plan import ReadPlan

LEASE = timedelta(minutes=5)
PARKED_FLOOR = 100  # so few parked rows stop nothing, whatever their share
OTHER_WIDTH = 16  # bytes of a value whose length is not declared
MASS_CHANGE = "mass change"
MASS_CHANGE_FLOOR = 1_000  # below this many rows nobody is asked


@dataclass(frozen=True, slots=True)
class Worker:
    """Who loads, and what it may use: everything that is not a pure value is passed in here."""

    name: str
    ledger: Ledger
    gate: Gate
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[Route, Carried], None] = lambda route, carried: None
    parents: Callable[[], object] = lambda: None  # waits until the keys of all parents are in the key map


@dataclass(slots=True)
class Tally:
    """Adds up what became of the packages one worker carried."""

    counts: Counter[str] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    withheld: list[str] = field(default_factory=list)

    def add(self, carried: Carried) -> None:
        """Add one package."""
        self.counts.update(carried.counts)


# --- plan ---------------------------------------------------------------------------------------------------------


def plan_load(route: Route, run: str, worker: Worker, within: KeyRange | None = None) -> list[str]:
    """Cut the object into packages and write the plan down; planning again returns the same packages.

    Takes the feed's cursor first, durably: a change made while the load runs is not lost.  A request for some keys
    (`within`) leaves the flow's state and cursor alone.  Raises ConflictError when the flow is paused.
    """
    ledger = worker.ledger
    refuse_paused(route, ledger)
    if within is None:
        cursor = f"{worker.clock():%Y%m%d}"
        ledger.flows.begin_load(route.name, run, cursor=cursor, fill=is_empty(route, ledger))
    ledger.keys.prepare(route.object, (route.flow.source, route.flow.target))
    if route.image:
        ledger.images.prepare(route.name, [pa.field(policy.name, policy.type) for policy in route.image])
    packages: list[str] = []
    for plan in route.reads:
        ranges = route.source.partitions(plan.query, package_rows(route, plan), within)
        packages += [package.id for package in ledger.packages.plan(run, route.name, ranges, plan.variant)]
    ledger.packages.reopen(run, route.name)  # planning again means that somebody has put the cause right
    return packages


def package_rows(route: Route, plan: ReadPlan) -> int:
    """Return how many rows a package may have: as asked, and no more than the source allows if all were wide."""
    limits = route.source.capabilities()
    tables = {source.alias: route.source.describe(source.table) for source in plan.query.sources}
    columns = [tables[reference.alias].column(reference.column) for reference in plan.query.columns]
    width = sum((column.length or OTHER_WIDTH) if column else OTHER_WIDTH for column in columns)
    return max(1, min(route.package_rows, limits.max_rows, limits.max_bytes // max(1, width)))


def refuse_paused(route: Route, ledger: Ledger) -> FlowState:
    """Return how the flow stands; raises ConflictError when somebody has paused it."""
    state = ledger.flows.state(route.name)
    if state.paused:
        again = f"`isthmus flows resume {route.name} --by NAME` lets it go on"
        raise ConflictError(f"{route.name} is paused by {state.paused_by}: {state.paused_why}; {again}.")
    return state


def is_empty(route: Route, ledger: Ledger) -> bool:
    """Tell whether neither the key map nor the target holds any of this object, so rows may be copied straight in."""
    if ledger.keys.count(route.object, route.flow.target):
        return False
    ranges = route.target.partitions(route.back.query, 1_000_000_000)
    return not ranges or (len(ranges) == 1 and ranges[0].rows == 0)


# --- load ---------------------------------------------------------------------------------------------------------


def load(route: Route, run: str, worker: Worker, only: Sequence[str] | None = None) -> Tally:
    """Carry all open packages of a run (or those in `only`): one is written while, beside it, the one before it
    is confirmed and then the next is read and mapped, so never more than two are under way.

    Raises DataError when the gate withholds a package or one cause parks too many rows, ConflictError when the
    mass-change guard holds the run.  What was carried before stays and is listed in the ledger.
    """
    tally = Tally()
    refuse_paused(route, worker.ledger)
    packages = [p for p in worker.ledger.packages.list(run, route.name) if p.variant in variants(route)]
    planned = sum(package.range.rows or 0 for package in packages)
    only = [package.id for package in packages] if only is None else only
    if route.flow.gate == "run":
        gate_everything(route, packages, worker)
    take_over(route, run, worker)
    set_aside(route, run, worker)
    if too_many_parked(route, run, worker.ledger, planned):  # what stopped an earlier try may have come meanwhile
        release_parked(route, run, worker)
    with ThreadPoolExecutor(1, thread_name_prefix="read") as beside:
        ahead: Future[Ahead | None] = beside.submit(read_ahead, route, run, worker, only, False)
        behind: Future[Carried] | None = None
        while True:
            item = ahead.result()
            if item is None:  # others may hold the rest: what is ours is confirmed before they are waited for
                _settled(route, behind, tally, worker)
                behind = None
                item = read_ahead(route, run, worker, only)
            if item is None:
                break
            ahead = beside.submit(read_ahead, route, run, worker, only, False)
            try:
                state = refuse_paused(route, worker.ledger)
                queue = only_compared(route, state)
                allowance = None
                if not state.fill and not queue:
                    if behind is not None:  # what it changed counts for what this one may change
                        behind.result()
                    allowance = mass_change_allowance(route, run, worker.ledger)
                care = Care(worker.gate, state.fill, queue=queue, allowance=allowance)
                carried, done = _bring(route, item, worker, care)
                _settled(route, behind, tally, worker)
                behind = beside.submit(_confirm, route, item, carried, done, worker, planned)
                _throttle(state.throttle_rows_per_s, carried, worker)
                _stop_if_withheld(route, item, carried, worker)
            except IsthmusError as wrong:
                _give_back(item, ahead, behind, worker, wrong)
                raise
    unreadable(route, run, worker.ledger)
    return tally


def only_compared(route: Route, state: FlowState) -> bool:
    """Tell whether a load only compares: an object kept in step both ways is never overwritten from one side."""
    return route.flow.level == "synchronize" and state.loaded_at is not None


def gate_everything(route: Route, packages: Sequence[Package], worker: Worker) -> None:
    """Let the gate see every package before the first row is written: all or nothing (`gate: run`).

    Rows are read and mapped twice for it; each package is checked again as it is written, so what changes in
    between is caught too.  Raises DataError naming every package that would be withheld.
    """
    if not worker.gate.has_suite(route.object) or any(package.state == "done" for package in packages):
        return
    bad = []
    for package in packages:
        plan = next(plan for plan in route.reads if plan.variant == package.variant)
        raw = read_raw(route.source, plan, package.range)
        verdict = worker.gate.check(route.object, frame_of(plan.apply(raw.root, raw.lists)))
        if verdict.withheld:
            bad.append(f"package {package.number}: {verdict.withheld}")
    if bad:
        raise DataError(f"{route.name}: nothing was written, the gate would withhold {'; '.join(bad)}.")


@dataclass(frozen=True, slots=True)
class Ahead:
    """A package claimed, read and mapped, waiting to be written."""

    claimed: Claimed
    mapped: Mapped


def read_ahead(route: Route, run: str, worker: Worker, only: Sequence[str] | None, wait: bool = True) -> Ahead | None:
    """Claim the next package, read and map it; None when no package of the run is open any more.

    A package that another worker holds is waited for: it is theirs to finish, or ours once the lease has run out.
    Without `wait` it is left; who has a package to confirm must not wait, or two workers would wait for each other.
    """
    ledger = worker.ledger
    while (claimed := ledger.packages.claim(run, route.name, worker.name, LEASE, only, route.mapping_hash)) is None:
        held = [package for package in ledger.packages.open(run, route.name) if only is None or package.id in only]
        others = any(package.state == "claimed" and package.worker != worker.name for package in held)
        if not (others and wait):
            return None
        take_over(route, run, worker)
        worker.sleep(0.5)
    passing("after claim")
    plan = next(plan for plan in route.reads if plan.variant == claimed.variant)
    try:
        return Ahead(claimed, map_package(route, plan, claimed.range, ledger, worker.parents))
    except SystemUnavailable as gone:
        ledger.packages.fail(claimed, "source unavailable", str(gone), retryable=True)
        raise
    except IsthmusError as wrong:
        ledger.packages.fail(claimed, "given back", type(wrong).__name__, retryable=True)
        raise


def take_over(route: Route, run: str, worker: Worker) -> None:
    """Give back the packages of workers of this machine that are no more, without waiting for their leases."""
    for package in worker.ledger.packages.open(run, route.name):
        if package.state == "claimed" and died(package.worker, worker.name):
            with suppress(ConflictError):  # somebody was quicker
                worker.ledger.packages.fail(as_claimed(package), "worker died", package.worker, retryable=True)


def variants(route: Route) -> set[str]:
    """Return the variants whose key ranges are planned; packages of explicit keys have names of their own."""
    return {plan.variant for plan in route.reads}


def set_aside(route: Route, run: str, worker: Worker) -> None:
    """Close packages of explicit keys that were cut off.

    Which keys they had is not lost: the ledger holds a release's keys as released, a delta's watermark has not
    moved, a repair compares anew.
    """
    ledger = worker.ledger
    for package in ledger.packages.open(run, route.name):
        if package.variant not in variants(route):
            claimed = ledger.packages.claim(run, route.name, worker.name, LEASE, [package.id], route.mapping_hash)
            if claimed is not None:
                ledger.confirm(claimed, Confirmation({}))


def died(other: str, own: str) -> bool:
    """Tell whether a worker `host:pid[:task]` ran on our host and its process is gone."""
    host, _, rest = other.partition(":")
    pid = rest.partition(":")[0]
    if other == own or host != own.partition(":")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def as_claimed(package: Package) -> Claimed:
    """Speak for the holder of a package."""
    return Claimed(
        package.run, package.id, package.flow, package.variant, package.number, package.range, package.epoch,
        package.worker, LEASE, package.lease_until or datetime.min, package.mapping_hash,
    )  # fmt: skip


def _carry(route: Route, item: Ahead, worker: Worker, care: Care) -> Carried:
    carried, done = _bring(route, item, worker, care)
    _enter(route, item, carried, done, worker)
    return carried


def _bring(route: Route, item: Ahead, worker: Worker, care: Care) -> tuple[Carried, Confirmation | None]:
    """Write a package; what hinders it is told to the ledger."""
    with _told(route, item, worker, care.allowance is not None):
        return bring(route, item.claimed, item.mapped, worker.ledger, care)


def _confirm(
    route: Route, item: Ahead, carried: Carried, done: Confirmation | None, worker: Worker, planned: int
) -> Carried:
    """Enter a written package into the ledger, while the next one is written; stop where too many rows wait."""
    _enter(route, item, carried, done, worker)
    stop_if_parked(route, item.claimed.run, worker.ledger, planned)
    return carried


def _enter(route: Route, item: Ahead, carried: Carried, done: Confirmation | None, worker: Worker) -> None:
    with _told(route, item, worker, False):
        if done is not None:
            worker.ledger.confirm(item.claimed, done)
            passing("after confirm")
        remember(route, item.claimed, carried, worker.ledger)


def _settled(route: Route, behind: Future[Carried] | None, tally: Tally, worker: Worker) -> None:
    """Wait until the ledger holds the package before; raises what went wrong there."""
    if behind is not None:
        carried = behind.result()
        tally.add(carried)
        worker.report(route, carried)
        pa.default_memory_pool().release_unused()  # what a package took goes back before the next but one is read


@contextmanager
def _told(route: Route, item: Ahead, worker: Worker, guarded: bool) -> Iterator[None]:
    """Give a package back when a system is away or a person must look, saying why."""
    try:
        yield
    except SystemUnavailable as gone:
        worker.ledger.packages.fail(item.claimed, "target unavailable", str(gone), retryable=True)
        raise
    except ConflictError as held:
        if guarded:
            worker.ledger.approvals.ask(item.claimed.run, route.name, MASS_CHANGE, 1.0)
        with suppress(ConflictError):  # fenced off: it is another's package by now
            worker.ledger.packages.fail(item.claimed, "held", str(held), retryable=True)
        raise


def _give_back(
    item: Ahead, ahead: Future[Ahead | None], behind: Future[Carried] | None, worker: Worker, wrong: IsthmusError
) -> None:
    """Let the package before end; hand the one in hand, unless it has ended, and the one read ahead back."""
    if behind is not None:
        behind.exception()
    for waiting in (item, ahead.exception() or ahead.result()):
        if isinstance(waiting, Ahead):
            with suppress(ConflictError):  # it is done, withheld, or another's
                worker.ledger.packages.fail(waiting.claimed, "given back", type(wrong).__name__, retryable=True)


def _stop_if_withheld(route: Route, item: Ahead, carried: Carried, worker: Worker) -> None:
    if not carried.verdict.withheld:
        return
    worker.ledger.packages.withhold(item.claimed, carried.verdict.withheld)
    raise DataError(
        f"{route.name}: the gate withheld package {item.claimed.number}: {carried.verdict.withheld}. "
        f"Packages already carried stay; the rest waits. Correct the source or the suite, then run again."
    )


def stop_if_parked(route: Route, run: str, ledger: Ledger, planned: int) -> None:
    """Stop an object of which more than its declared share waits for one cause: the parent's load is what failed."""
    reason = too_many_parked(route, run, ledger, planned)
    if reason is not None:
        raise DataError(
            f"{route.name}: {reason.rows:,} of {planned:,} rows wait for a {reason.waits_object} that "
            f"{reason.field} names. Load {reason.waits_object} first (`isthmus rejected` says why rows of it are "
            f"missing), then run again; parked rows go by themselves."
        )


def too_many_parked(route: Route, run: str, ledger: Ledger, planned: int) -> Reason | None:
    """Return the cause for which more than the declared share of a run waits, if there is one."""
    most = max(PARKED_FLOOR, route.flow.parked * planned)
    reasons = ledger.exceptions.counts(run, route.name)
    return next((reason for reason in reasons if reason.kind == "parked" and reason.rows > most), None)


def mass_change_allowance(route: Route, run: str, ledger: Ledger) -> int | None:
    """Return how many more rows this run may update or delete unasked; None once a person has approved it.

    What the run has changed so far is counted over all workers and all tries.
    """
    if ledger.approvals.is_approved(run, route.name, MASS_CHANGE):
        return None
    held = ledger.keys.count(route.object, route.flow.target)
    changed = sum(flow.rows_updated for flow in ledger.packages.progress(run) if flow.flow == route.name)
    return max(0, max(MASS_CHANGE_FLOOR, int(route.flow.mass_change * held)) - changed)


def _throttle(rows_per_s: float | None, carried: Carried, worker: Worker) -> None:
    if rows_per_s:
        worker.sleep(carried.counts["read"] / rows_per_s)


# --- finish -------------------------------------------------------------------------------------------------------


def finish_load(route: Route, run: str, worker: Worker) -> Tally:
    """Index the key map, let parked rows go whose parents have come, and declare the object loaded.

    Raises DataError while a package of the run is not done: what is not all there is not loaded.
    """
    take_over(route, run, worker)
    set_aside(route, run, worker)
    left = worker.ledger.packages.open(run, route.name)
    if left:
        said = ", ".join(f"{package.number} {package.state} {package.code}".strip() for package in left[:SHOWN_KEYS])
        raise DataError(f"{route.name}: {len(left):,} packages of run {run} are not done ({said}); run it again.")
    worker.ledger.keys.index(route.object)
    if route.image:
        worker.ledger.images.index(route.name)
    if isinstance(route.target, Analyzes) and worker.ledger.flows.state(route.name).fill:
        route.target.analyze(tuple(dict.fromkeys(table.table for table in route.write.tables)))
    tally = release_parked(route, run, worker)
    if worker.ledger.runs.get(run).mode == "request":  # a part came: neither is all there, nor did the feed move
        worker.ledger.flows.touch(route.name, run)
    else:
        worker.ledger.flows.finish_load(route.name, run)
    return tally


def release_parked(route: Route, run: str, worker: Worker) -> Tally:
    """Re-read the parked rows whose parents are in the key map now, and carry them like any package."""
    keys = worker.ledger.exceptions.release(route.name, route.flow.source)
    return carry_keys(route, run, worker, keys, "released") if len(keys) else Tally()


def carry_keys(route: Route, run: str, worker: Worker, keys: pa.Array, label: str) -> Tally:
    """Carry an explicit set of objects by canonical key: a release, a request, a delta, a repair."""
    state = refuse_paused(route, worker.ledger)
    tally = Tally()
    packages = worker.ledger.packages
    for plan in route.reads:
        for chunk in chunks(keys, route.package_rows):
            name = f"{label} {plan.variant} {len(packages.list(run, route.name)) + 1}".replace("  ", " ")
            (planned,) = packages.plan(run, route.name, [KeyRange(rows=len(chunk))], name)
            claimed = packages.claim(run, route.name, worker.name, LEASE, [planned.id], route.mapping_hash)
            assert claimed is not None
            passing("after claim")
            item = Ahead(claimed, map_package(route, plan, Keys(raw_key(plan, chunk)), worker.ledger))
            queue = only_compared(route, state)
            allowance = None if queue else mass_change_allowance(route, run, worker.ledger)
            carried = _carry(route, item, worker, Care(worker.gate, queue=queue, allowance=allowance))
            tally.add(carried)
            worker.report(route, carried)
            _stop_if_withheld(route, item, carried, worker)
    return tally


def chunks(keys: pa.Array, rows: int) -> Iterator[pa.Array]:
    """Cut keys into sorted, distinct portions."""
    unique = pc.unique(keys)
    ordered = unique.take(pc.sort_indices(unique))
    for start in range(0, len(ordered), rows):
        yield ordered.slice(start, rows)


__all__ = ["Tally", "Where", "Worker", "carry_keys", "finish_load", "load", "plan_load", "release_parked"]
