"""The path of a package once it is mapped: gate, spell, write, confirm.

Three short transactions: the ledger claims (before this module), the target takes rows and receipt, the ledger
confirms.  Killed between any two of them and run again, the same rows compare as unchanged and are confirmed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Change, Outcome, Receipt, RowsVanished, Status, TableRows
from isthmus.gate import Gate, Verdict, frame_of
from isthmus.ledger import EXCEPTIONS, Claimed, Confirmation, Ledger, Pairs
from isthmus.levels.failpoint import passing
from isthmus.levels.first_image import first_image, queue_differences
from isthmus.levels.identity import by_evidence, contradicted, identify, unknown_there, with_numbers, with_standing
from isthmus.levels.resolve import Mapped, Resolved, constant, rejected, rejected_keys
from isthmus.levels.route import Route
from isthmus.mapping.plan import Records
from isthmus.mapping.reading import select
from isthmus.mapping.writing import Identity, Written, spell

PASSED = Verdict()


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of one package."""

    counts: Mapping[str, int]
    outcome: Outcome | None = None
    verdict: Verdict = PASSED
    warnings: pa.Table | None = None
    exceptions: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Care:
    """How carefully a package is written: whether at all, and how many rows may change."""

    dry_run: bool = False
    queue: bool = False  # write nothing, queue what differs: the object is kept in step both ways
    allowance: int | None = None


@dataclass(frozen=True, slots=True)
class Spelled:
    """What is written of a package: the records that are left, who they are in the target, its rows."""

    resolved: Resolved
    identity: Identity
    written: Written


@dataclass(frozen=True, slots=True)
class Ready:
    """A package that only has to be written, or what the gate has against it.  `fresh`: the target holds none of it."""

    mapped: Mapped
    verdict: Verdict
    fresh: bool
    spelled: Spelled | None = None

    @property
    def sure(self) -> bool:
        """Tell whether it stays as it is while another package is written.

        A record that is paired by evidence alone must see what the package before it left in the target.
        """
        return self.fresh or self.spelled is None or not pc.any(by_evidence(self.spelled.identity)).as_py()


def carry(route: Route, claimed: Claimed, mapped: Mapped, ledger: Ledger, gate: Gate, care: Care) -> Carried:
    """Carry one mapped package to the target and the ledger; the gate may withhold it."""
    ready = make_ready(route, mapped, ledger, gate, fresh=False)
    carried, done = bring(route, claimed, ready, ledger, care)
    if done is not None:
        ledger.confirm(claimed, done)
        passing("after confirm")
    return carried


def make_ready(route: Route, mapped: Mapped, ledger: Ledger, gate: Gate, fresh: bool) -> Ready:
    """Ask the gate and spell the records for the target.  `fresh`: it holds none of them."""
    verdict = gate.check(route.object, frame_of(mapped.records)) if gate.has_suite(route.object) else PASSED
    if verdict.withheld:
        return Ready(mapped, verdict, fresh)
    return Ready(mapped, verdict, fresh, spelled(route, mapped.resolved, ledger, fresh))


def bring(
    route: Route, claimed: Claimed, ready: Ready, ledger: Ledger, care: Care
) -> tuple[Carried, Confirmation | None]:
    """Write one package that is ready and say what the ledger has still to confirm, if anything."""
    records, verdict = ready.mapped.records, ready.verdict
    if ready.spelled is None:
        return Carried({"read": records.seen}, verdict=verdict), None
    if not care.dry_run:
        ledger.packages.heartbeat(claimed)  # who lost the package meanwhile must not write what was read then
    what = ready.spelled
    try:
        receipt, outcome = deliver(route, claimed, what, care, ready.fresh)
    except RowsVanished:
        what = spelled(route, ready.mapped.resolved, ledger, ready.fresh, trusting=False)
        receipt, outcome = deliver(route, claimed, what, care, ready.fresh)
    left = what.resolved.records
    exceptions = pa.concat_tables([what.resolved.exceptions, refused(outcome, left)])
    counts = count(records, what.resolved, outcome, exceptions, care.queue)
    carried = Carried(counts, outcome, verdict, records.warnings, exceptions)
    if care.dry_run:
        return carried, None
    done = confirmation(route, left, what.identity, what.written, outcome, exceptions, counts, receipt)
    done = synchronized(route, records, left, what.identity, outcome, done, claimed, ledger, care.queue)
    passing("after write")
    return carried, done


def synchronized(
    route: Route,
    mapped: Records,
    ready: Records,
    identity: Identity,
    outcome: Outcome,
    done: Confirmation,
    claimed: Claimed,
    ledger: Ledger,
    queue: bool,
) -> Confirmation:
    """Add to a confirmation what synchronization needs: the first image, or the queue of what differs."""
    if not route.image:
        return done
    if queue:
        queue_differences(route, claimed, ready.key, outcome, ledger)
        return replace(done, pairs=(), resolved_keys=None)
    arrived = pa.array(np.asarray(outcome.status) <= Status.UPDATED)
    image = first_image(route, mapped, ready.key.filter(arrived), identity.ids.filter(arrived))
    return replace(done, image=image, image_flow=route.name)


def deliver(route: Route, claimed: Claimed, what: Spelled, care: Care, fresh: bool) -> tuple[Receipt, Outcome]:
    """Write a package with its receipt."""
    tables = what.written.tables
    receipt = Receipt(claimed.run, claimed.id, claimed.epoch, digest(tables))
    dry = care.dry_run or care.queue
    change = Change(route.object, len(what.resolved.records.key), tables, receipt, fresh, dry, care.allowance)
    passing("before write")
    return receipt, route.target.write(change)


def spelled(route: Route, resolved: Resolved, ledger: Ledger, fresh: bool, trusting: bool = True) -> Spelled:
    """Spell the records for the target; those that do not fit, or may not be created, become exceptions.

    `trusting` believes the key map that paired rows still stand in a target that tells when they do not.
    """
    trusting = trusting and route.target.capabilities().promises
    resolved = without_deleted(route, resolved)
    identity = identify(route, resolved.records, ledger, fresh)
    wrong = contradicted(route, resolved.records, identity, ledger, fresh)
    if wrong is not None:
        said = f"names a {route.object} of {route.flow.target} that is another one's there"
        resolved, identity = without(resolved, identity, wrong, "key map disagrees", said)
    if route.write.create == "never":
        absent = unknown_there(route, resolved.records, identity)
        said = f"{route.flow.target} has no such {route.object} and its mapping says create: never"
        resolved, identity = without(resolved, identity, absent, "create never", said)
    identity = with_standing(route, resolved.records, identity, fresh)
    trusted = identity.paired if trusting and not fresh else None
    identity = with_numbers(route, resolved.records, identity, ledger, trusted, fresh)
    written = spell(route.write, resolved.records, identity)
    moved = pc.and_(identity.paired, pc.fill_null(pc.not_equal(written.key, identity.known), False))
    if pc.any(moved).as_py():
        said = (
            f"its key in {route.flow.target} is another one than the key map knows. If the systems were exchanged "
            "or made anew, `isthmus ledger forget` begins with an empty ledger"
        )
        resolved, identity = without(resolved, identity, moved, "key map disagrees", said)
        written = spell(route.write, resolved.records, identity)
    bad = written.rejects.any()
    if bad is not None:
        refused_rows = rejected(written.rejects.table(resolved.records.key))
        resolved, identity = keep(resolved, identity, pc.invert(bad), refused_rows)
        written = spell(route.write, resolved.records, identity)
    return Spelled(resolved, identity, promised(route, identity, written) if trusted is not None else written)


def promised(route: Route, identity: Identity, written: Written) -> Written:
    """Tell the target which rows with a number are known to stand there: to insert them would be wrong."""
    numbered = {
        table.table for table in route.write.tables if any(column.filling.kind == "number" for column in table.columns)
    }
    there = pc.cast(pc.indices_nonzero(identity.paired), pa.int32())
    tables = tuple(replace(t, promised=there) if t.table in numbered else t for t in written.tables)
    return replace(written, tables=tables)


def without(
    resolved: Resolved, identity: Identity, mask: pa.Array, code: str, message: str
) -> tuple[Resolved, Identity]:
    """Reject the records under a mask for one reason."""
    if not pc.any(mask).as_py():
        return resolved, identity
    return keep(resolved, identity, pc.invert(mask), rejected_keys(resolved.records.key.filter(mask), code, message))


def keep(resolved: Resolved, identity: Identity, mask: pa.Array, exceptions: pa.Table) -> tuple[Resolved, Identity]:
    """Go on with the records under a mask; the others are told of in `exceptions`."""
    rows = pc.cast(pc.indices_nonzero(mask), pa.int32())
    every = pa.concat_tables([resolved.exceptions, exceptions])
    return Resolved(select(resolved.records, rows), every, resolved.filtered), identity.take(rows)


def without_deleted(route: Route, resolved: Resolved) -> Resolved:
    """Leave out deleted records the target has no marker for; what it never had, it need not lose."""
    marker = resolved.records.deleted
    if marker is None or route.write.can_delete or not pc.any(marker).as_py():
        return resolved
    keep = pc.cast(pc.indices_nonzero(pc.invert(pc.fill_null(marker, False))), pa.int32())
    gone = len(marker) - len(keep)
    return Resolved(select(resolved.records, keep), resolved.exceptions, resolved.filtered + gone)


def refused(outcome: Outcome, records: Records) -> pa.Table:
    """Turn the target's refusals into exceptions."""
    problems = outcome.problems
    count = len(problems)
    nothing = pa.nulls(count, pa.string())
    where = pc.binary_join_element_wise(problems["table"], pc.coalesce(problems["column"], pa.scalar("")), ".")
    keys = records.key.take(problems["position"].combine_chunks()) if count else pa.array([], pa.string())
    columns = [
        keys,
        constant("rejected", count),
        where,
        problems["code"],
        problems["message"],
        nothing,
        nothing,
        nothing,
    ]
    return pa.Table.from_arrays(columns, schema=EXCEPTIONS)


def count(
    records: Records, resolved: Resolved, outcome: Outcome, exceptions: pa.Table, queue: bool = False
) -> dict[str, int]:
    """Count a package so that read = inserted + updated + unchanged + rejected + parked + filtered (+ queued)."""
    tally = np.bincount(np.asarray(outcome.status), minlength=len(Status))
    parked_keys = exceptions.filter(pc.equal(exceptions["state"], "parked"))["key"]
    parked_rows = int(pc.count_distinct(parked_keys).as_py())
    done = {
        "inserted": int(tally[Status.INSERTED]),
        "updated": int(tally[Status.UPDATED]),
        "unchanged": int(tally[Status.UNCHANGED]),
    }
    if queue:
        done = {**done, "inserted": 0, "updated": 0, "queued": done["inserted"] + done["updated"]}
    rest = records.seen - sum(done.values()) - parked_rows - resolved.filtered
    warned = int(pc.count_distinct(records.warnings["key"]).as_py())
    return {
        "read": records.seen,
        **done,
        "rejected": rest,
        "parked": parked_rows,
        "filtered": resolved.filtered,
        "warned": warned,
    }


def confirmation(
    route: Route,
    records: Records,
    identity: Identity,
    written: Written,
    outcome: Outcome,
    exceptions: pa.Table,
    counts: Mapping[str, int],
    receipt: Receipt,
) -> Confirmation:
    """Say what the ledger shall remember of a package: new pairs of keys, exceptions, counts."""
    status = np.asarray(outcome.status)
    arrived = status <= Status.UPDATED
    new = np.flatnonzero(arrived & ~np.asarray(identity.paired))
    pairs: tuple[Pairs, ...] = ()
    if len(new):
        systems = {route.flow.source: records.key.take(new), route.flow.target: written.key.take(new)}
        systems.update({other: column.take(new) for other, column in records.known_as.items() if other not in systems})
        pairs = (Pairs(route.object, identity.ids.take(new), systems),)
    return Confirmation(
        counts=counts,
        pairs=pairs,
        exceptions=exceptions,
        resolved_keys=records.key.filter(pa.array(arrived)),
        digest=receipt.digest,
    )


def digest(tables: tuple[TableRows, ...]) -> str:
    """Return a checksum of everything a package would write."""
    total = 0
    for table in tables:
        for column in table.rows.columns:
            for buffer in column.buffers():
                if buffer is not None:
                    total = zlib.crc32(buffer, total)
    return f"{total:08x}"
