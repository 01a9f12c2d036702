"""Examine a met set of things: what travels where, what is created, what waits for a person.  Reads, never writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import Ledger
from isthmus.levels.meeting import Met
from isthmus.levels.pair import OTHER, WAYS, Name, Pair, Seen, aligned
from isthmus.levels.parts import with_parts
from isthmus.levels.promise import kept
from isthmus.levels.restored import everything_to
from isthmus.levels.three_way import (
    HELD,
    SOURCE,
    TARGET,
    VALUE,
    Base,
    Decided,
    FieldMerge,
    View,
    alone,
    filled,
    merge,
    nulls,
    refuse,
    same,
)
from isthmus.levels.wanted import UNKNOWN_THERE, deletion
from isthmus.mapping.policy import DELETED
from isthmus.mapping.refuse import refused

TAKES = {"source": SOURCE, "target": TARGET, "value": VALUE, "hold": HELD}


@dataclass(frozen=True, slots=True)
class Examined:
    """What becomes of a set of things; masks are aligned with it.

    `create` tells per side which things get a row there, `vanished` which rows are gone that were there.  `uncreated`
    are things that may not be created on the side that lacks them, `made_again` things of which a part is made anew
    there.  `usable` leaves out what nobody may touch.
    """

    met: Met
    views: Mapping[str, View]
    base: Base
    merged: Mapping[str, FieldMerge]
    create: Mapping[str, np.ndarray]
    vanished: Mapping[str, np.ndarray]
    uncreated: Mapping[str, np.ndarray]
    usable: np.ndarray
    imaged: np.ndarray  # things that both sides once agreed on
    resting: np.ndarray  # on a promise: what is known of them was written by a worker that could not settle it
    made_again: Mapping[str, np.ndarray]


def examine(pair: Pair, met: Met, ledger: Ledger) -> Examined:
    """Compare both sides of a met set with the agreed image, and decide field by field."""
    image = ledger.images.read(pair.name, met.ids)
    usable = ~met.absorbed & nulls(met.wrong) & ~met.source.unread & ~met.target.unread
    base = base_of(pair, image)
    views = {name: view(pair, met, name, ledger) for name in ("source", "target")}
    base, resting = kept(pair, met.ids, views, base, ledger)
    create, vanished, uncreated = presence(pair, met, usable)
    views, base = reconciled(pair, views, base, create, vanished)
    merged = merge(pair.policies, views["source"], views["target"], base, decided(pair, met, views, ledger))
    merged, again = with_parts(pair, met, views, base, merged)
    merged = {name: confined(item, usable) for name, item in merged.items()}
    merged = alone(lawful(pair, met, views, base, merged), base)
    there = np.asarray(pc.fill_null(image.column("there"), False))
    return Examined(met, views, base, merged, create, vanished, uncreated, usable, there, resting, again)


def base_of(pair: Pair, image: pa.RecordBatch) -> Base:
    """Lay out what was agreed last."""
    values = {policy.name: image.column(policy.name) for policy in pair.policies}
    known = {policy.name: filled(image.column(f"known.{policy.name}")) for policy in pair.policies}
    return Base(values, known)


def view(pair: Pair, met: Met, name: Name, ledger: Ledger) -> View:
    """Lay out one side in the common key space; a foreign key nobody knows is marked with `?`."""
    seen, side = met.seen(name), pair.side(name)
    values: dict[str, pa.Array] = {}
    for policy in pair.policies:
        if policy.name == DELETED:
            values[DELETED] = pa.array(deletion(seen))
        elif policy.ref and name == "target":
            column = seen.column(policy.name)
            found = ledger.keys.translate(policy.ref, side.system, pair.source.system, column)
            strange = pc.binary_join_element_wise(UNKNOWN_THERE, column, "")
            values[policy.name] = pc.coalesce(found, strange)
        else:
            values[policy.name] = seen.column(policy.name)
    return View(values, seen.there, stamp(seen, "changed_at"), stamp(seen, "changed_by"))


def stamp(seen: Seen, name: str) -> pa.Array | None:
    """Return when, or by whom, the rows were changed."""
    column: pa.Array | None = getattr(seen.records, name, None)
    return None if column is None else aligned(column, seen.at)


def presence(
    pair: Pair, met: Met, usable: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Tell which things are new on a side, which rows vanished, and which may not be made.

    Whoever owns the delete marker owns whether a thing exists: a row that vanished on the other side is made again,
    one that vanished on the owner's is marked as deleted on the other.
    """
    deleted = next((policy for policy in pair.policies if policy.name == DELETED), None)
    owner = OTHER[pair.restored] if pair.restored else deleted.owner if deleted else "source"
    create: dict[str, np.ndarray] = {}
    vanished: dict[str, np.ndarray] = {}
    uncreated: dict[str, np.ndarray] = {}
    for name, other in WAYS:
        lacks = usable & ~met.seen(name).there & met.seen(other).there
        gone = lacks & met.paired
        wanted = (lacks & ~met.paired) | (gone if owner == other else np.zeros_like(gone))
        wanted &= ~deletion(met.seen(other)) & ~met.doubts.any
        never = pair.side(name).route.write.create == "never"
        create[name] = wanted & (not never)
        uncreated[name] = wanted & never
        vanished[name] = gone & ~wanted
    return create, vanished, uncreated


def reconciled(
    pair: Pair,
    views: Mapping[str, View],
    base: Base,
    create: Mapping[str, np.ndarray],
    vanished: Mapping[str, np.ndarray],
) -> tuple[dict[str, View], Base]:
    """Let a side that has no row say what the other says, except that a row that vanished says: deleted."""
    found = dict(views)
    for name, other in WAYS:
        silent = pa.array(~views[name].there)
        values = {
            field: pc.if_else(silent, views[other].values[field].cast(values_.type), values_)
            for field, values_ in views[name].values.items()
        }
        if DELETED in values:
            values[DELETED] = pc.if_else(pa.array(vanished[name]), pa.scalar(True), values[DELETED])
        found[name] = replace(views[name], values=values)
    if DELETED in base.known:
        gone = vanished["source"] | vanished["target"]
        # what is gone stays gone: clearing the marker where the row still stands does not bring it back
        values = {**base.values, DELETED: pc.if_else(pa.array(gone), pa.scalar(False), base.values[DELETED])}
        base = Base(values, {**base.known, DELETED: base.known[DELETED] | gone})
    return found, base


def decided(pair: Pair, met: Met, views: dict[str, View], ledger: Ledger) -> dict[str, Decided]:
    """Return whose value counts where that is decided already: by people, or because a side was restored."""
    return everything_to(pair, views, pair.restored) if pair.restored else decisions(pair, met, views, ledger)


def decisions(pair: Pair, met: Met, views: Mapping[str, View], ledger: Ledger) -> dict[str, Decided]:
    """Return what people decided, field by field; a decision on other values than stand there now is void."""
    table = ledger.conflicts.decisions(pair.name, met.asked)
    found: dict[str, Decided] = {}
    for policy in pair.policies:
        rows = table.filter(pc.equal(table["field"], policy.name))
        if not len(rows):
            continue
        place = pc.index_in(met.asked.cast(pa.binary()), rows["id"].combine_chunks().cast(pa.binary()))
        at = np.asarray(pc.fill_null(place, -1))
        decided = {
            name: aligned(rows[name].combine_chunks(), at) for name in ("take", "value", "source_value", "target_value")
        }
        stands = np.ones(len(at), dtype=bool)
        third = filled(pc.equal(decided["take"], "value"))  # one side may hold it already: whoever wrote it died
        for name, view_ in views.items():
            now = shown(view_.values[policy.name])
            stands &= same(now, decided[f"{name}_value"]) | (third & same(now, decided["value"]))
        take = np.zeros(len(at), dtype=int)
        for word, number in TAKES.items():
            take[filled(pc.equal(decided["take"], word)) & stands] = number
        found[policy.name] = Decided(take, read_back(decided["value"], policy.type))
    return found


def lawful(
    pair: Pair, met: Met, views: Mapping[str, View], base: Base, merged: Mapping[str, FieldMerge]
) -> dict[str, FieldMerge]:
    """Take back what a rule of the business forbids the back office to take over."""
    side = pair.back_office
    travels = {name: item.to_source if side == "source" else item.to_target for name, item in merged.items()}
    rows = np.flatnonzero(np.logical_or.reduce(list(travels.values())))
    found = dict(merged)
    if not len(rows) or not pair.refusals:
        return found
    picked, seen = pa.array(rows), met.seen(side)
    standing = {name: seen.column(name).take(picked) for name in seen.records.root.schema.names}
    standing.update({name: values.take(picked) for name, values in views[side].values.items()})
    coming = {
        name: pc.if_else(pa.array(travels[name][rows]), item.value.take(picked), standing[name].cast(item.value.type))
        for name, item in merged.items()
    }
    said = refused(pair.refusals, pa.RecordBatch.from_pydict(coming), pa.RecordBatch.from_pydict(standing))
    spread = np.full(len(met.ids), -1)
    spread[rows] = np.arange(len(rows))
    for names, mask, messages in said:
        hit = filled(aligned(mask, spread))
        for name in names:
            if name in found:
                found[name] = refuse(found[name], base, side, hit, aligned(messages, spread))
    return found


def confined(item: FieldMerge, usable: np.ndarray) -> FieldMerge:
    """Touch only what may be touched."""
    return replace(
        item,
        to_source=item.to_source & usable,
        to_target=item.to_target & usable,
        held=item.held & usable,
        refused=item.refused & usable,
        put_right=item.put_right & usable,
    )


def shown(values: pa.Array) -> pa.Array:
    """Spell values as text, as conflicts keep them."""
    return pc.cast(values, pa.string())


def read_back(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Read values that a person typed; what cannot be read was refused when it was typed."""
    return values if pa.types.is_string(kind) else pc.cast(values, kind)
