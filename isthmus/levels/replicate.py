"""Replicate: bring objects across, one way, package by package, and remember how far we came.

The initial download is a replication without a watermark.  The feed's cursor is taken before the first package
is read; the delta waits until the object is loaded and starts from that cursor.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import KeyRange, Keys, Where
from isthmus.errors import ConflictError, DataError, IsthmusError, SystemUnavailable
from isthmus.gate import Gate
from isthmus.ledger import Claimed, Ledger
from isthmus.levels.package import Care, Carried, Raw, carry, raw_key, read_raw
from isthmus.levels.route import Route
from isthmus.mapping.plan import ReadPlan

LEASE = timedelta(seconds=60)
PARKED_SHARE = 0.01  # more than this for one cause stops the object with one finding
PARKED_FLOOR = 100


@dataclass(frozen=True, slots=True)
class Worker:
    """Who loads, and what it may use: everything that is not a pure value is passed in here."""

    name: str
    ledger: Ledger
    gate: Gate
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[Route, Carried], None] = lambda route, carried: None


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

    Takes the feed's cursor first, durably: a change made while the load runs is not lost.  Raises ConflictError
    when the flow is paused.
    """
    ledger = worker.ledger
    state = ledger.flows.state(route.name)
    if state.paused:
        raise ConflictError(
            f"{route.name} is paused by {state.paused_by}: {state.paused_why}. `isthmus flows resume {route.name}`"
        )
    ledger.flows.begin_load(
        route.name, run, cursor=f"{worker.clock():%Y%m%d}", fill=within is None and is_empty(route, ledger)
    )
    ledger.keys.prepare(route.object, (route.flow.source, route.flow.target))
    packages: list[str] = []
    for plan in route.reads:
        ranges = route.source.partitions(plan.query, route.package_rows, within)
        packages += [package.id for package in ledger.packages.plan(run, route.name, ranges, plan.variant)]
    return packages


def is_empty(route: Route, ledger: Ledger) -> bool:
    """Tell whether neither the key map nor the target holds any of this object, so rows may be copied straight in."""
    if ledger.keys.count(route.object, route.flow.target):
        return False
    ranges = route.target.partitions(route.back.query, 1_000_000_000)
    return not ranges or (len(ranges) == 1 and ranges[0].rows == 0)


# --- load ---------------------------------------------------------------------------------------------------------


def load(route: Route, run: str, worker: Worker, only: Sequence[str] | None = None) -> Tally:
    """Carry all open packages of a run (or those in `only`); reading runs one package ahead of writing.

    Raises DataError when the gate withholds a package or one cause parks too many rows, ConflictError when the
    mass-change guard holds the run.  What was carried before stays and is listed in the ledger.
    """
    tally = Tally()
    state = worker.ledger.flows.state(route.name)
    planned = worker.ledger.packages.rows_planned(run, route.name)
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        ahead: Future[Ahead | None] = reader.submit(read_ahead, route, run, worker, only)
        while (item := ahead.result()) is not None:
            ahead = reader.submit(read_ahead, route, run, worker, only)
            try:
                allowance = mass_change_allowance(route, run, worker.ledger, tally)
                carried = _carry(route, item, worker, Care(worker.gate, state.fill, allowance=allowance))
                tally.add(carried)
                worker.report(route, carried)
                _throttle(state.throttle_rows_per_s, carried, worker)
                _stop_if_withheld(route, item, carried, worker)
                stop_if_parked(route, run, worker.ledger, planned)
            except IsthmusError as wrong:
                _give_back(ahead, worker, wrong)
                raise
    return tally


@dataclass(frozen=True, slots=True)
class Ahead:
    """A package claimed and read, waiting to be written."""

    claimed: Claimed
    plan: ReadPlan
    raw: Raw


def read_ahead(route: Route, run: str, worker: Worker, only: Sequence[str] | None) -> Ahead | None:
    """Claim the next package and read it; None when no package of the run is open any more."""
    ledger = worker.ledger
    while True:
        claimed = ledger.packages.claim(run, route.name, worker.name, LEASE, only, route.mapping_hash)
        if claimed is not None:
            break
        if not ledger.packages.open(run, route.name, only):
            return None
        worker.sleep(1.0)  # somebody else's lease: theirs to finish, or ours once it has run out
    plan = next(plan for plan in route.reads if plan.variant == claimed.variant)
    try:
        return Ahead(claimed, plan, read_raw(route.source, plan, claimed.range))
    except SystemUnavailable as gone:
        ledger.packages.fail(claimed, "source unavailable", str(gone), retryable=True)
        raise


def _carry(route: Route, item: Ahead, worker: Worker, care: Care) -> Carried:
    try:
        return carry(route, item.claimed, item.plan, item.raw, worker.ledger, care)
    except SystemUnavailable as gone:
        worker.ledger.packages.fail(item.claimed, "target unavailable", str(gone), retryable=True)
        raise
    except ConflictError as held:
        worker.ledger.packages.fail(item.claimed, "held", str(held), retryable=True)
        raise


def _give_back(ahead: Future[Ahead | None], worker: Worker, wrong: IsthmusError) -> None:
    """Hand the package that was read ahead back to the queue."""
    waiting = ahead.exception() or ahead.result()
    if isinstance(waiting, Ahead):
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
    """Stop an object of which more than one percent waits for the same cause: the parent's load is what failed."""
    for (name, message), number in ledger.exceptions.causes(run, route.name, "parked").items():
        if number > max(PARKED_FLOOR, PARKED_SHARE * planned):
            raise DataError(
                f"{route.name}: {number:,} of {planned:,} rows are parked because {name} {message}. "
                f"Load that object first (or see why it was rejected), then run again; parked rows go by themselves."
            )


def mass_change_allowance(route: Route, run: str, ledger: Ledger, tally: Tally) -> int | None:
    """Return how many more rows this run may update or delete unasked; None once a person has approved it."""
    if ledger.approvals.is_approved(run, route.name):
        return None
    held = ledger.keys.count(route.object, route.flow.target)
    allowed = max(1_000, int(route.flow.mass_change * held))
    return max(0, allowed - tally.counts["updated"])


def _throttle(rows_per_s: float | None, carried: Carried, worker: Worker) -> None:
    if rows_per_s:
        worker.sleep(carried.counts["read"] / rows_per_s)


# --- finish -------------------------------------------------------------------------------------------------------


def finish_load(route: Route, run: str, worker: Worker) -> Tally:
    """Index the key map, let parked rows go whose parents have come, and declare the object loaded."""
    worker.ledger.keys.index(route.object)
    tally = release_parked(route, run, worker)
    worker.ledger.flows.finish_load(route.name, run)
    return tally


def release_parked(route: Route, run: str, worker: Worker) -> Tally:
    """Re-read the parked rows whose parents are in the key map now, and carry them like any package."""
    keys = worker.ledger.exceptions.release(route.name, route.flow.source)
    return carry_keys(route, run, worker, keys, "released") if len(keys) else Tally()


def carry_keys(route: Route, run: str, worker: Worker, keys: pa.Array, label: str) -> Tally:
    """Carry an explicit set of objects by canonical key: a release, a request, a delta, a repair."""
    tally = Tally()
    for plan in route.reads:
        for chunk in chunks(keys, route.package_rows):
            claimed = worker.ledger.packages.claim_keys(
                run, route.name, f"{label} {plan.variant}".strip(), chunk, worker.name, LEASE, route.mapping_hash
            )
            raw = read_raw(route.source, plan, Keys(raw_key(plan, chunk)))
            allowance = mass_change_allowance(route, run, worker.ledger, tally)
            carried = _carry(route, Ahead(claimed, plan, raw), worker, Care(worker.gate, allowance=allowance))
            tally.add(carried)
            worker.report(route, carried)
            _stop_if_withheld(route, Ahead(claimed, plan, raw), carried, worker)
    return tally


def chunks(keys: pa.Array, rows: int) -> Iterator[pa.Array]:
    """Cut keys into sorted, distinct portions."""
    unique = pc.unique(keys)
    ordered = unique.take(pc.sort_indices(unique))
    for start in range(0, len(ordered), rows):
        yield ordered.slice(start, rows)


__all__ = ["Tally", "Where", "Worker", "carry_keys", "finish_load", "load", "plan_load", "release_parked"]
