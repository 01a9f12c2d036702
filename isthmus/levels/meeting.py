"""Who is who: a claimed set of keys becomes a set of things, each with the key it bears on either side.

The key map is believed first.  A thing it knows on one side only may be known by evidence: each system may store
the other's key (EVERH and CRMD_ISUEXTA4 do).  Evidence that contradicts the key map, or itself, is a finding and
pairs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import Ledger
from isthmus.levels.pair import Name, Pair, Seen, Side, aligned, see
from isthmus.levels.three_way import filled, nulls


@dataclass(frozen=True, slots=True)
class Doubts:
    """Things that resemble a record of the other side without surely being it: its key, how alike (0 to 1)."""

    key: pa.Array
    score: pa.Array

    @property
    def any(self) -> np.ndarray:
        """Tell which things are in doubt."""
        return ~nulls(self.key)


@dataclass(frozen=True, slots=True)
class Met:
    """A set of things and what both sides hold of them; all columns are aligned.

    `ids` name the things, `asked` the queue's entries they stand for (another id where a key turned out to belong to
    a known thing).  `paired` tells which the key map knows on both sides, `absorbed` which entries name a thing that
    another entry of the set names already, `wrong` why evidence is not believed (null where all is well).
    """

    ids: pa.Array
    asked: pa.Array
    source_key: pa.Array
    target_key: pa.Array
    source: Seen
    target: Seen
    paired: np.ndarray
    absorbed: np.ndarray
    wrong: pa.Array
    doubts: Doubts

    def key(self, side: str) -> pa.Array:
        """Return the keys of a side."""
        return self.source_key if side == "source" else self.target_key

    def seen(self, side: str) -> Seen:
        """Return what a side holds."""
        return self.source if side == "source" else self.target


def meet(pair: Pair, ids: pa.Array, reported: Mapping[str, pa.Array], ledger: Ledger) -> Met:
    """Read both sides of a set of things and find out which rows are one thing.

    `ids` are the queue's, `reported` the keys that feeds gave for them, by system (null where a side said nothing).
    """
    known = {side.name: ledger.keys.of_ids(pair.object, side.system, ids) for side in (pair.source, pair.target)}
    keys = {
        side.name: pc.coalesce(known[side.name], reported.get(side.system, pa.nulls(len(ids), pa.string())))
        for side in (pair.source, pair.target)
    }
    paired = ~nulls(known["source"]) & ~nulls(known["target"])
    source, target = see_both(pair, keys)
    found = evidence(source, pair.target)
    if filled(pc.is_valid(found))[nulls(keys["target"])].any():
        keys["target"] = pc.coalesce(keys["target"], found)
        target = see(pair.target, keys["target"])
    found = evidence(target, pair.source)
    if filled(pc.is_valid(found))[nulls(keys["source"])].any():
        keys["source"] = pc.coalesce(keys["source"], found)
        source = see(pair.source, keys["source"])
    met = Met(
        ids=ids,
        asked=ids,
        source_key=keys["source"],
        target_key=keys["target"],
        source=source,
        target=target,
        paired=paired,
        absorbed=np.zeros(len(ids), dtype=bool),
        wrong=pa.nulls(len(ids), pa.string()),
        doubts=Doubts(pa.nulls(len(ids), pa.string()), pa.nulls(len(ids), pa.float64())),
    )
    return without_doubles(recognised(pair, met, ledger), pair)


def see_both(pair: Pair, keys: Mapping[Name, pa.Array]) -> tuple[Seen, Seen]:
    """Read both sides at the same time: each waits for a server of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="target") as beside:
        target = beside.submit(see, pair.target, keys["target"])
        return see(pair.source, keys["source"]), target.result()


def evidence(seen: Seen, other: Side) -> pa.Array:
    """Return the keys that the rows of one side say their counterparts have on the other."""
    said = seen.records.known_as.get(other.system)
    return pa.nulls(len(seen.at), pa.string()) if said is None else aligned(said, seen.at)


def recognised(pair: Pair, met: Met, ledger: Ledger) -> Met:
    """Give things found by evidence the id they have in the key map; mark where the key map or a row says otherwise."""
    asked = ~met.paired
    if not asked.any():
        return replace(met, wrong=disagreeing(pair, met, pa.array(met.paired)))
    rows = np.flatnonzero(asked)
    owners = {}
    for side in (pair.source, pair.target):
        keys = met.key(side.name).take(pa.array(rows))
        owners[side.name] = ledger.keys.find(pair.object, side.system, keys)
    left, right = owners["source"], owners["target"]
    clash = filled(
        pc.and_(
            pc.and_(pc.is_valid(left), pc.is_valid(right)),
            pc.not_equal(left.cast(pa.binary()), right.cast(pa.binary())),
        )
    )
    own = pc.coalesce(pc.coalesce(left, right), birth(pair, met, rows, ledger))
    second = another(pair, met, rows, own, ledger)
    own = pc.if_else(pc.is_valid(second), met.ids.take(pa.array(rows)), own)  # told of under an id of its own
    spread = np.full(len(met.ids), -1)
    spread[rows] = np.arange(len(rows))
    ids = pc.if_else(pa.array(asked), aligned(own, spread), met.ids)
    taken = np.zeros(len(met.ids), dtype=bool)
    taken[rows] = clash
    said = f"the key map knows both keys as two different things of {pair.object}"
    wrong = pc.if_else(pa.array(taken), pa.scalar(said), disagreeing(pair, met, pa.array(~taken)))
    return replace(met, ids=ids, wrong=pc.coalesce(wrong, aligned(second, spread)))


def another(pair: Pair, met: Met, rows: np.ndarray, own: pa.Array, ledger: Ledger) -> pa.Array:
    """Say which rows name a counterpart that has another one by the key map: a second row of one thing."""
    wrong = pa.nulls(len(rows), pa.string())
    for side in (pair.source, pair.target):
        known, key = ledger.keys.of_ids(pair.object, side.system, own), met.key(side.name).take(pa.array(rows))
        text = f"another {pair.object} of {side.system} is the counterpart already; this one names it a second time"
        wrong = pc.if_else(pc.fill_null(pc.not_equal(known, key), False), pa.scalar(text), wrong)
    return wrong


def birth(pair: Pair, met: Met, rows: np.ndarray, ledger: Ledger) -> pa.Array:
    """Return the ids of things that nobody knows yet: from the source's key, else from the target's."""
    found = None
    for side in (pair.source, pair.target):
        keys = met.key(side.name).take(pa.array(rows))
        ids = ledger.keys.ids(pair.object, side.system, side.client, pc.fill_null(keys, ""))
        ids = pc.if_else(pc.is_valid(keys), ids, pa.scalar(None, ids.type))
        found = ids if found is None else pc.coalesce(found, ids)
    return found


def disagreeing(pair: Pair, met: Met, asked: pa.Array) -> pa.Array:
    """Say where a row names another counterpart than the one it is paired with (domain: a finding, never a guess)."""
    wrong = pa.nulls(len(met.ids), pa.string())
    for here, other in ((pair.source, pair.target), (pair.target, pair.source)):
        said, expected = evidence(met.seen(here.name), other), met.key(other.name)
        odd = pc.and_(pc.fill_null(pc.not_equal(said, expected), False), asked)
        text = f"{here.system} names another {pair.object} of {other.system} as its counterpart"
        wrong = pc.if_else(odd, pa.scalar(text), wrong)
    return wrong


def without_doubles(met: Met, pair: Pair) -> Met:
    """Mark entries that name a thing another entry names: the one that knows most of it counts.

    Known things come before new ones, and entries that found both keys before those that found one: taken for new
    on the other side, such a thing would be made there a second time.
    """
    half = nulls(met.source_key) | nulls(met.target_key)
    order = np.lexsort((half, ~met.paired))
    absorbed = np.zeros(len(met.ids), dtype=bool)
    ids = np.asarray(pc.dictionary_encode(met.ids.cast(pa.binary())).indices)[order]
    _, first = np.unique(ids, return_index=True)
    mask = np.ones(len(ids), dtype=bool)
    mask[first] = False
    absorbed[order] = mask
    return replace(met, absorbed=absorbed, asked=own_entries(met, absorbed))


def own_entries(met: Met, absorbed: np.ndarray) -> pa.Array:
    """Let a thing that several entries name stand for the one with its own id, so that the next run finds its trace."""
    ids, asked = met.ids.cast(pa.binary()), met.asked.cast(pa.binary())
    place = np.asarray(pc.fill_null(pc.index_in(ids, asked), -1))
    rows = np.flatnonzero(~absorbed & (place >= 0))
    rows = rows[absorbed[place[rows]] & filled(pc.equal(ids.take(pa.array(place[rows])), ids.take(pa.array(rows))))]
    taken = np.arange(len(absorbed))
    taken[rows], taken[place[rows]] = place[rows], rows
    return met.asked.take(pa.array(taken))
