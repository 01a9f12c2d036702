"""Settle a claimed set: what goes back to the queue, what both sides agree on now, what is held, refused or waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Outcome, Status
from isthmus.ledger import ClaimedKeys, Pairs, Settlement
from isthmus.levels.examine import Examined
from isthmus.levels.held import conflicts
from isthmus.levels.meeting import Met
from isthmus.levels.pair import WAYS, Name, Pair
from isthmus.levels.resolve import rejected, rejected_keys
from isthmus.levels.wanted import Wanted

TRIES = 5  # so often a row is met that stands otherwise than it was read, then a person is told
GOES_BACK = (Status.CONFLICT, Status.RETRYABLE, Status.UNKNOWN)


def settled(
    pair: Pair,
    claimed: ClaimedKeys,
    found: Examined,
    written: dict[Name, tuple[Wanted, Outcome]],
    told: dict[str, list[pa.Table]],
    run: str,
) -> Settlement:
    """Sum up what became of a set: what goes back, what is agreed now, what is held, refused or waits."""
    met = found.met
    size = len(met.ids)
    again, failed, changed = np.zeros(size, bool), np.zeros(size, bool), np.zeros(size, bool)
    counts: Counter[str] = Counter()
    for name, (want, outcome) in written.items():
        status = np.asarray(outcome.status)
        again[want.rows[np.isin(status, GOES_BACK)]] = True
        failed[want.rows[status == Status.REJECTED]] = True
        changed[want.rows[np.isin(status, (Status.INSERTED, Status.UPDATED))]] = True
        counts[f"created_{name}"] += int((status == Status.INSERTED).sum())
        counts[f"updated_{name}"] += int((status == Status.UPDATED).sum())
    given_up = again & (np.asarray(claimed.attempts) >= TRIES)
    again &= ~given_up
    exceptions = unreadable_rows(pair, met, told, found, again)
    for name, other in WAYS:
        failed |= np.asarray(
            pc.is_in(met.key(other), exceptions[pair.side(name).route.name]["key"].combine_chunks(), skip_nulls=True)
        )
    agreed = found.usable & ~again & ~given_up & ~failed & (met.source.there | met.target.there)
    agreed &= ~(found.uncreated["source"] | found.uncreated["target"])
    nowhere = found.usable & ~(met.source.there | met.target.there)  # what waited here is not waited for any more
    table = conflicts(pair, found, again | failed)  # what waits for its parent, or is refused, waits for that first
    counts.update(
        {
            "things": int((~met.absorbed).sum()),
            "unchanged": int((agreed & ~changed).sum()),
            "again": int(again.sum()),
            "conflicts": len(table),
            "put_right": int(
                np.logical_or.reduce([np.zeros(size, bool), *(i.put_right for i in found.merged.values())]).sum()
            ),
            "parked": in_state(exceptions, "parked"),
            "rejected": in_state(exceptions, "rejected"),
        }
    )
    for item in found.merged.values():
        counts["fields_to_target"] += int((item.to_target & agreed).sum())
        counts["fields_to_source"] += int((item.to_source & agreed).sum())
    return Settlement(
        again=entries(met, again),
        image=image(found, agreed & on_both(found)),
        conflicts=table,
        unread=met.asked.filter(pa.array(failed | met.source.unread | met.target.unread)),
        exceptions=exceptions,
        resolved_keys={
            pair.side(name).route.name: pc.drop_null(met.key(other).filter(pa.array(agreed | nowhere)))
            for name, other in WAYS
        },
        pairs=pairs(pair, found, written, agreed),
        counts=counts,
        run=run,
    )


def in_state(exceptions: Mapping[str, pa.Table], state: str) -> int:
    """Count the things that are rejected or parked; one may have several faults."""
    return sum(len(pc.unique(rows.filter(pc.equal(rows["state"], state))["key"])) for rows in exceptions.values())


def entries(met: Met, rows: np.ndarray) -> pa.Array:
    """Return every entry of the queue that names one of some things: each may bring a key that the others lack."""
    ids = met.ids.cast(pa.binary())
    return met.asked.filter(pc.is_in(ids, ids.filter(pa.array(rows))))


def on_both(found: Examined) -> np.ndarray:
    """Tell which things stand, or stood, on both sides; what only one ever had is agreed with nobody."""
    met = found.met
    made = found.create["source"] | found.create["target"]
    result: np.ndarray = met.paired | (met.source.there & met.target.there) | made
    return result


def image(found: Examined, agreed: np.ndarray) -> pa.RecordBatch | None:
    """Return the next agreed image of what was agreed; a field that is held without any base stays without one."""
    if not agreed.any():
        return None
    mask = pa.array(agreed)
    columns = {"id": found.met.ids.filter(mask)}
    for name, item in found.merged.items():
        columns[name] = item.value.filter(mask)
        columns[f"known.{name}"] = pa.array(item.known[agreed])
    for side, gone in found.vanished.items():
        columns[f"gone_{side}"] = pa.array(gone[agreed])
    return pa.RecordBatch.from_pydict(columns)


def pairs(
    pair: Pair, found: Examined, written: dict[Name, tuple[Wanted, Outcome]], agreed: np.ndarray
) -> tuple[Pairs, ...]:
    """Say which keys are one thing from now on: found by evidence, or just made."""
    met = found.met
    keys = {name: met.key(name) for name in ("source", "target")}
    for name, (want, _) in written.items():
        at = np.full(len(met.ids), -1)
        at[want.rows] = np.arange(len(want.rows))
        made = want.written.key.take(pa.array(at, mask=at < 0))
        keys[name] = pc.coalesce(keys[name], made)
    fresh = agreed & ~met.paired & on_both(found)  # evidence names a key, also where no row bears it
    fresh &= np.asarray(pc.is_valid(keys["source"])) & np.asarray(pc.is_valid(keys["target"]))
    if not fresh.any():
        return ()
    mask = pa.array(fresh)
    systems = {pair.side(name).system: keys[name].filter(mask) for name in ("source", "target")}
    return (Pairs(pair.object, met.ids.filter(mask), systems),)


def unreadable_rows(
    pair: Pair, met: Met, told: dict[str, list[pa.Table]], found: Examined, again: np.ndarray
) -> dict[str, pa.Table]:
    """Collect exceptions by the way they travel: what a mapping rejected, what does not fit, what may not be made.

    What goes back to the queue is no exception.
    """
    every: dict[str, pa.Table] = {}
    for name, other in WAYS:
        side = pair.side(name)
        asked = pc.is_in(met.seen(other).records.rejects["key"], pc.drop_null(met.key(other)))
        tables = [rejected(met.seen(other).records.rejects.filter(asked)), *told[name]]
        never = found.uncreated[name]
        if never.any():
            keys = met.key(other).filter(pa.array(never))
            said = f"{side.system} has no such {pair.object} and its mapping says create: never; a process makes it"
            tables.append(rejected_keys(keys, "create never", said))
        rows = pa.concat_tables(tables)
        back = pc.is_in(rows["key"], pc.drop_null(met.key(other).filter(pa.array(again))))
        every[side.route.name] = rows.filter(pc.invert(back))
    return every
