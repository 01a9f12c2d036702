"""Synchronize: keep an object in step on two systems, both ways, field by field.

Feeds put keys into a coalescing queue; a claimed set is read from both sides, compared with the agreed image, written
back on condition that the sides still stand as they were read, and settled in one ledger transaction.  Killed
anywhere and run again it converges: a key leaves the queue only together with what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Outcome, Receipt
from isthmus.errors import ConflictError, IsthmusError
from isthmus.ledger import EXCEPTIONS, ClaimedKeys, Ledger, Settlement
from isthmus.ledger.images import promised
from isthmus.levels.abandoned import died
from isthmus.levels.changed import Changed
from isthmus.levels.download import Desk
from isthmus.levels.examine import examine
from isthmus.levels.failpoint import passing
from isthmus.levels.feed import poll_side
from isthmus.levels.limits import MASS_CHANGE, MASS_CHANGE_FLOOR, refuse_paused
from isthmus.levels.match import introduce
from isthmus.levels.meeting import Met
from isthmus.levels.package import refused
from isthmus.levels.pair import Name, Pair, opened_pair
from isthmus.levels.promise import promise, resting_on
from isthmus.levels.restored import receipt_name, refuse_restored
from isthmus.levels.settlement import settled
from isthmus.levels.three_way import filled, nulls
from isthmus.levels.wanted import Wanted, wanted
from isthmus.mapping.spec import Flow

KIND = "contract_sync"
LEASE = timedelta(minutes=5)
CLAIM = 20_000  # things in one claim: both sides of them fit in a few blocks
GOES_ROUND = ("again", "renamed", "told_back")  # counts of what is queued anew while a run lasts
ROUNDS = 3  # a row that keeps changing while it is worked on waits for the next run
SIDES: tuple[Name, Name] = ("target", "source")  # the front office first


def sync_flow(desk: Desk, flow: Flow, run: str = "") -> dict[str, int]:
    """Bring both sides of a flow in step and return the counts of the run.

    Raises ConflictError when the flow is not loaded yet, is paused, or would change more than its declared share.
    """
    with synchronizing(desk, flow) as pair:
        ready(desk, pair)
        started = desk.ledger.runs.start(
            desk.scenario.name, KIND, "delta", {"flow": pair.name}, pair.mapping_hash, id=run or None
        )
        try:
            counts = pull(desk, pair, flow, started.id)
            counts.update(drain(desk, pair, started.id))
        except BaseException as wrong:
            desk.ledger.runs.finish(started.id, "failed", {"flow": pair.name, "because": type(wrong).__name__})
            raise
        desk.ledger.runs.finish(started.id, "done", {"flow": pair.name, **counts})
    return dict(counts)


@contextmanager
def synchronizing(desk: Desk, flow: Flow) -> Iterator[Pair]:
    """Open a synchronized flow; its image is there afterwards."""
    with opened_pair(desk.project, desk.scenario, flow, desk.today) as pair:
        for images in (pair.name, promised(pair.name, "source"), promised(pair.name, "target")):
            desk.ledger.images.prepare(images, pair.image_fields)
        yield pair


def ready(desk: Desk, pair: Pair) -> None:
    """Raise ConflictError unless the flow is loaded, not paused, in no blackout window, and no side was set back."""
    state = refuse_paused(pair.target.route, desk.ledger)
    if state.state != "loaded":
        raise ConflictError(
            f"{pair.name} is {state.state}: it is kept in step from its load on. `isthmus load {pair.object}` loads "
            f"it; `isthmus sync {pair.object} --baseline` takes over what stands on both sides already."
        )
    reason = desk.ledger.flows.blackout(pair.name, desk.clock())
    if reason:
        raise ConflictError(f"{pair.name} is in a blackout window: {reason}. It goes on by itself afterwards.")
    refuse_restored(pair, desk.ledger)


# --- pull: from the feeds into the queue --------------------------------------------------------------------------


def pull(desk: Desk, pair: Pair, flow: Flow, run: str) -> Counter[str]:
    """Put what changed on either side into the queue, and what waited and may go on; the cursors move with it."""
    counts: Counter[str] = Counter()
    if desk.ledger.flows.state(pair.name).draining:
        return counts
    for name in SIDES:
        changed = poll_side(desk, flow, name, connector=pair.side(name).connector)
        passing("after poll")
        enqueue(pair, name, changed, desk.ledger, run)
        counts[f"polled_{name}"] += changed.rows
        passing("after enqueue")
    counts["released"] += release(pair, desk.ledger, run)
    return counts


def enqueue(pair: Pair, name: Name, changed: Changed, ledger: Ledger, run: str) -> None:
    """Put the keys that a side reported into the queue together with its feed's cursor."""
    side = pair.side(name)
    keys = pc.unique(pa.concat_arrays([changed.keys, changed.gone]))
    gone = pc.is_in(keys, changed.gone) if len(changed.gone) else None
    if gone is not None:
        guard_emptying(pair, len(changed.gone), ledger, run)
    ids = ids_of(pair, name, keys, ledger)
    ledger.queue.put(pair.name, ids, side.system, keys, gone=gone, cursors={side.system: changed.cursor}, run=run)


def ids_of(pair: Pair, name: Name, keys: pa.Array, ledger: Ledger) -> pa.Array:
    """Return the ids of things by a side's keys: those the key map knows, else those they are born with."""
    side = pair.side(name)
    known = ledger.keys.find(pair.object, side.system, keys)
    return pc.coalesce(known, ledger.keys.ids(pair.object, side.system, side.client, keys))


def guard_emptying(pair: Pair, gone: int, ledger: Ledger, run: str) -> None:
    """An empty or broken extract never empties the other side: too many rows gone at once wait for a person."""
    held = ledger.keys.count(pair.object, pair.source.system)
    if gone > max(MASS_CHANGE_FLOOR, pair.flow.mass_change * held) and not approved(pair, ledger):
        ask_approval(pair, gone / max(1, held), ledger, run)
        raise ConflictError(
            f"{pair.name}: {gone:,} of {held:,} rows are gone at once, more than the declared share of "
            f"{pair.flow.mass_change:.0%}. Look at the source; `isthmus approve {run} {pair.name}` lets it happen."
        )


def approved(pair: Pair, ledger: Ledger) -> bool:
    """Tell whether a person has approved the mass change of this flow that was asked for last, in whatever run."""
    return ledger.approvals.stands(pair.name, MASS_CHANGE)


def ask_approval(pair: Pair, share: float, ledger: Ledger, run: str) -> None:
    """Ask a person to approve a mass change."""
    ledger.approvals.ask(run, pair.name, MASS_CHANGE, share)


def release(pair: Pair, ledger: Ledger, run: str) -> int:
    """Put parked things whose parents have come back into the queue; they are parked under the way they travel."""
    freed = 0
    for here, there in ((pair.source, pair.target), (pair.target, pair.source)):
        flow = there.route.name  # the way from here to there
        keys = ledger.exceptions.release(flow, here.system)
        if len(keys):
            ledger.queue.put(pair.name, ids_of(pair, here.name, keys, ledger), here.system, keys, run=run)
            freed += len(keys)
    return freed


# --- drain: from the queue to both sides --------------------------------------------------------------------------


def drain(desk: Desk, pair: Pair, run: str) -> Counter[str]:
    """Carry what is queued, and what is queued anew meanwhile because a side changed or has to hear of a key."""
    counts: Counter[str] = Counter()
    dead = [epoch for epoch, who in desk.ledger.queue.holders(pair.name).items() if died(who, desk.name)]
    if dead:  # nobody waits for the lease of a process that is no more
        desk.ledger.queue.expire(pair.name, dead)
    for _ in range(ROUNDS):
        before = sum(counts[name] for name in GOES_ROUND)
        upto = desk.ledger.queue.depth(pair.name).last_place
        while (claimed := desk.ledger.queue.claim(pair.name, desk.name, LEASE, CLAIM, upto=upto)) is not None:
            passing("after claim")
            counts += carry(desk, pair, claimed, run, counts)
        if sum(counts[name] for name in GOES_ROUND) == before:
            break
    if desk.ledger.queue.depth(pair.name).waiting == 0 and approved(pair, desk.ledger):
        desk.ledger.approvals.spend(pair.name, MASS_CHANGE)
    return counts


def carry(desk: Desk, pair: Pair, claimed: ClaimedKeys, run: str, so_far: Counter[str]) -> Counter[str]:
    """Work on one claimed set and settle it; it goes back as it was when that cannot be done."""
    try:
        refuse_paused(pair.target.route, desk.ledger)
        settlement = carry_claim(pair, claimed, desk, run, so_far)
        desk.ledger.queue.settle(claimed, settlement)
    except IsthmusError:
        with suppress(ConflictError):  # another's by now
            desk.ledger.queue.give_back(claimed)
        raise
    passing("after settle")
    return Counter(settlement.counts) + Counter(told_back=tell_back(pair, settlement, desk.ledger, run))


def tell_back(pair: Pair, settlement: Settlement, ledger: Ledger, run: str) -> int:
    """Queue what was paired just now where one side keeps the other's key: it learns of it in the same run."""
    if not any(policy.along for policy in pair.policies):
        return 0
    for things in settlement.pairs:
        for side in (pair.source, pair.target):
            ledger.queue.put(pair.name, things.ids, side.system, things.systems[side.system], run=run)
    return sum(len(things.ids) for things in settlement.pairs)


def carry_claim(pair: Pair, claimed: ClaimedKeys, desk: Desk, run: str, so_far: Counter[str]) -> Settlement:
    """Read, compare and write one claimed set; returns what the ledger has to settle."""
    ledger = desk.ledger
    met, renamed = under_own_ids(pair, introduce(pair, claimed.ids, claimed.keys, ledger), ledger, run)
    passing("after read")
    found = examine(pair, met, ledger)
    ledger.queue.heartbeat(claimed)
    written: dict[Name, tuple[Wanted, Outcome]] = {}
    told: dict[str, list[pa.Table]] = {"source": [EXCEPTIONS.empty_table()], "target": [EXCEPTIONS.empty_table()]}
    allowance = None if approved(pair, ledger) else allowed(pair, ledger, so_far, len(met.ids))
    for name in SIDES:
        create, parts = found.create[name], found.made_again[name]
        want, waiting = wanted(pair, pair.side(name), met, found.merged, create, ledger, parts)
        told[name].append(waiting)
        if want is not None:
            rest = resting_on(met.ids, found.base, want.rows[found.resting[want.rows]])
            ledger.queue.promise(claimed, name, promise(met.ids, found.merged, name, want.rows), rest)
            passing(f"before write {name}")
            outcome = write(pair, want, claimed, ledger, run, allowance)
            written[name] = want, outcome
            told[name].append(refused(outcome, want.records))
            passing(f"after write {name}")
    settlement = settled(pair, claimed, found, written, told, run)
    return replace(settlement, counts={**settlement.counts, "renamed": renamed})


def under_own_ids(pair: Pair, met: Met, ledger: Ledger, run: str) -> tuple[Met, int]:
    """Queue anew what was reported under another id than its own, and leave it out here; returns how many.

    A thing born on the target is reported by that key until its row in the source is recognised.  What is held of
    it must be told under one id, or a later run would not find it again.
    """
    strange = pc.not_equal(met.asked.cast(pa.binary()), met.ids.cast(pa.binary()))
    rows = filled(strange) & ~met.absorbed & nulls(met.wrong) & met.source.there & met.target.there
    if not rows.any():
        return met, 0
    mask = pa.array(rows)
    for side in (pair.source, pair.target):
        ledger.queue.put(pair.name, met.ids.filter(mask), side.system, met.key(side.name).filter(mask), run=run)
    return replace(met, absorbed=met.absorbed | rows), int(rows.sum())


def write(pair: Pair, want: Wanted, claimed: ClaimedKeys, ledger: Ledger, run: str, allowance: int | None) -> Outcome:
    """Write one side; a mass change nobody approved is held and asked for."""
    receipt = Receipt(run, receipt_name(pair, want.side, claimed.epoch), claimed.epoch, want.digest)
    try:
        return want.side.connector.write(want.change(receipt, dry_run=False, allowance=allowance))
    except ConflictError:
        if allowance is not None:
            ask_approval(pair, 1.0, ledger, run)
        raise


def allowed(pair: Pair, ledger: Ledger, so_far: Counter[str], size: int) -> int:
    """Return how many more rows this run may change unasked, or that it may change all `size` of a set.

    No more keys are counted than it takes to tell: a guard of 10,000 changes does not count millions of things.
    """
    changed = so_far["updated_source"] + so_far["updated_target"]
    share = pair.flow.mass_change
    enough = int((changed + size) / share) + 1 if share else 1
    held = ledger.keys.count(pair.object, pair.target.system, enough)
    return max(0, max(MASS_CHANGE_FLOOR, int(share * held)) - changed)
