"""Replicate: bring objects across, one way, package by package, and remember how far we came.

The initial download is a replication without a watermark.  The feed's cursor is taken before the first package
is read; the delta waits until the object is loaded and starts from that cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Analyzes, KeyRange, Keys, Where
from isthmus.errors import ConflictError, DataError, IsthmusError, SystemUnavailable
from isthmus.gate import frame_of
from isthmus.ledger import Claimed, Confirmation, FlowState, Package
from isthmus.levels.abandoned import LEASE, reclaim, set_aside, variants
from isthmus.levels.failpoint import passing
from isthmus.levels.findings import SHOWN_KEYS, remember, unreadable
from isthmus.levels.limits import (
    MASS_CHANGE,
    held_there,
    mass_change_allowance,
    refuse_paused,
    stop_if_parked,
    too_many_parked,
)
from isthmus.levels.line import Ahead, Item, Line
from isthmus.levels.package import Care, Carried, Ready, bring, make_ready, spelled
from isthmus.levels.resolve import mapped, raw_key, read_raw, read_records
from isthmus.levels.route import Route
from isthmus.levels.worker import Tally, Worker
from isthmus.mapping.plan import ReadPlan

KEYS_AT_ONCE = 2_500  # of a delta: while so many are written the next are read


# --- load ---------------------------------------------------------------------------------------------------------


def load(
    route: Route, run: str, worker: Worker, only: Sequence[str] | None = None, first: Ahead | None = None
) -> Tally:
    """Carry all open packages of a run, or those in `only`; `first` was read before.

    Raises DataError when the gate withholds a package or one cause parks too many rows, ConflictError when the
    mass-change guard holds the run.  What was carried before stays and is listed in the ledger.
    """
    refuse_paused(route, worker.ledger)
    packages = [p for p in worker.ledger.packages.list(run, route.name) if p.variant in variants(route)]
    planned = sum(package.range.rows or 0 for package in packages)
    only = [package.id for package in packages] if only is None else only
    if route.flow.gate == "run":
        gate_everything(route, packages, worker)
    reclaim(route, run, worker)
    set_aside(route, run, worker)
    if too_many_parked(route, run, worker.ledger, planned):  # what stopped an earlier try may have come meanwhile
        release_parked(route, run, worker)
    begun = iter((first,) if first else ())

    def take(wait: bool) -> Ahead | None:
        found = next(begun, None) or read_ahead(route, run, worker, only, wait)
        if found is None:
            worker.idle()
        return found

    tally = _carry_all(route, run, worker, take, planned)
    unreadable(route, run, worker.ledger)
    return tally


def _carry_all(
    route: Route,
    run: str,
    worker: Worker,
    take: Callable[[bool], Ahead | None],
    planned: int | None = None,
) -> Tally:
    """Carry what `take` gives until it gives nothing: its argument says whether to wait for what others hold.

    `planned` rows of a whole object may be copied straight in, and a part of them parked; None for keys.
    """
    tally, held = Tally(), held_there(route, worker.ledger)
    fill = planned is not None and worker.ledger.flows.state(route.name).fill
    behind: Future[Carried] | None = None
    with Line(take, lambda ahead: _make_ready(route, ahead, worker, fill)) as line:
        try:
            while True:
                item = line.next()
                if item is None:  # others may hold the rest: what is ours is confirmed before they are waited for
                    _settled(route, behind, tally, worker)
                    behind = None
                    item = line.wait()
                if item is None:
                    return tally
                state = refuse_paused(route, worker.ledger)
                queue, allowance = only_compared(route, state), None
                if not fill and not queue:
                    if behind is not None:  # what it changed counts for what this one may change
                        behind.result()
                    allowance = mass_change_allowance(route, run, worker.ledger, held)
                care = Care(queue=queue, allowance=allowance)
                carried, done = _bring(route, item, worker, care)
                _settled(route, behind, tally, worker)
                behind = line.confirm(partial(_confirm, route, item, carried, done, worker, planned))
                _throttle(state.throttle_rows_per_s, carried, worker)
                _stop_if_withheld(route, item, carried, worker)
        except IsthmusError as wrong:
            if behind is not None:
                behind.exception()
            for claimed in line.abandoned():  # the one in hand may have ended
                give_back(claimed, worker, type(wrong).__name__)
            raise


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
        reclaim(route, run, worker)
        worker.sleep(0.5)
    plan = next(plan for plan in route.reads if plan.variant == claimed.variant)
    return _read(route, plan, claimed, claimed.range, worker)


def _read(route: Route, plan: ReadPlan, claimed: Claimed, where: Where, worker: Worker) -> Ahead:
    """Read and map a package that was claimed; give it back when that fails."""
    ledger = worker.ledger
    passing("after claim")
    try:
        return Ahead(claimed, read_records(route, plan, where))
    except SystemUnavailable as gone:
        ledger.packages.fail(claimed, "source unavailable", str(gone), retryable=True)
        raise
    except IsthmusError as wrong:
        ledger.packages.fail(claimed, "given back", type(wrong).__name__, retryable=True)
        raise


def _make_ready(route: Route, ahead: Ahead, worker: Worker, fill: bool) -> Ready:
    """Translate foreign keys once those of all parents are known, ask the gate, spell for the target."""
    worker.parents()
    with _told(route, ahead.claimed, worker, False):
        package = mapped(route, ahead.records, worker.ledger)
        return make_ready(route, package, worker.ledger, worker.gate, fill and ahead.claimed.epoch == 1)


def _bring(route: Route, item: Item, worker: Worker, care: Care) -> tuple[Carried, Confirmation | None]:
    """Write a package; what hinders it is told to the ledger."""
    with _told(route, item.claimed, worker, care.allowance is not None):
        ready = item.ready
        if not ready.sure:
            ready = replace(ready, spelled=spelled(route, ready.mapped.resolved, worker.ledger, ready.fresh))
        return bring(route, item.claimed, ready, worker.ledger, care)


def _confirm(
    route: Route, item: Item, carried: Carried, done: Confirmation | None, worker: Worker, planned: int | None
) -> Carried:
    """Enter a written package into the ledger, while the next one is written; stop where too many rows wait."""
    with _told(route, item.claimed, worker, False):
        if done is not None:
            worker.ledger.confirm(item.claimed, done)
            passing("after confirm")
        remember(route, item.claimed, carried, worker.ledger)
    if planned is not None:
        stop_if_parked(route, item.claimed.run, worker.ledger, planned)
    return carried


def _settled(route: Route, behind: Future[Carried] | None, tally: Tally, worker: Worker) -> None:
    """Wait until the ledger holds the package before; raises what went wrong there."""
    if behind is not None:
        carried = behind.result()
        tally.add(carried)
        worker.report(route, carried)
        pa.default_memory_pool().release_unused()  # what a package took goes back before the next but one is read


@contextmanager
def _told(route: Route, claimed: Claimed, worker: Worker, guarded: bool) -> Iterator[None]:
    """Give a package back when a system is away or a person must look, saying why."""
    try:
        yield
    except SystemUnavailable as gone:
        worker.ledger.packages.fail(claimed, "target unavailable", str(gone), retryable=True)
        raise
    except ConflictError as held:
        if guarded:
            worker.ledger.approvals.ask(claimed.run, route.name, MASS_CHANGE, 1.0)
        with suppress(ConflictError):  # fenced off: it is another's package by now
            worker.ledger.packages.fail(claimed, "held", str(held), retryable=True)
        raise


def give_back(claimed: Claimed, worker: Worker, why: str) -> None:
    """Let a package be claimed again by anyone, unless it is done, withheld, or another's by now."""
    with suppress(ConflictError):
        worker.ledger.packages.fail(claimed, "given back", why, retryable=True)


def _stop_if_withheld(route: Route, item: Item, carried: Carried, worker: Worker) -> None:
    if not carried.verdict.withheld:
        return
    worker.ledger.packages.withhold(item.claimed, carried.verdict.withheld)
    raise DataError(
        f"{route.name}: the gate withheld package {item.claimed.number}: {carried.verdict.withheld}. "
        f"Packages already carried stay; the rest waits. Correct the source or the suite, then run again."
    )


def _throttle(rows_per_s: float | None, carried: Carried, worker: Worker) -> None:
    if rows_per_s:
        worker.sleep(carried.counts["read"] / rows_per_s)


# --- finish -------------------------------------------------------------------------------------------------------


def finish_load(route: Route, run: str, worker: Worker) -> Tally:
    """Index the key map, let parked rows go whose parents have come, and declare the object loaded.

    Raises DataError while a package of the run is not done: what is not all there is not loaded.
    """
    reclaim(route, run, worker)
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
    refuse_paused(route, worker.ledger)
    packages, portions = worker.ledger.packages, []
    for plan in route.reads:
        for chunk in chunks(keys, min(route.package_rows, KEYS_AT_ONCE)):
            name = f"{label} {plan.variant} {len(packages.list(run, route.name)) + 1}".replace("  ", " ")
            (planned,) = packages.plan(run, route.name, [KeyRange(rows=len(chunk))], name)
            portions.append((plan, chunk, planned.id))
    left = iter(portions)

    def take(wait: bool) -> Ahead | None:
        for plan, chunk, package in left:
            claimed = packages.claim(run, route.name, worker.name, LEASE, [package], route.mapping_hash)
            assert claimed is not None
            return _read(route, plan, claimed, Keys(raw_key(plan, chunk)), worker)
        return None

    return _carry_all(route, run, worker, take)


def chunks(keys: pa.Array, rows: int) -> Iterator[pa.Array]:
    """Cut keys into sorted, distinct portions."""
    unique = pc.unique(keys)
    ordered = unique.take(pc.sort_indices(unique))
    for start in range(0, len(ordered), rows):
        yield ordered.slice(start, rows)
