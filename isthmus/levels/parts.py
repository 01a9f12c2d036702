"""Parts: what becomes of an optional part of a thing (an address) that one side lacks.

A row that is not there says nothing of its fields: taking them for emptied would erase what the other side holds.  A
part that is new on one side is made on the other, one that is gone is made again where its owner still has it, and
one that is gone on its owner's side stays where it is, for a person to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.levels.meeting import Met
from isthmus.levels.pair import WAYS, Name, Pair, Side
from isthmus.levels.three_way import Base, FieldMerge, View, fitted, nulls
from isthmus.mapping.compile import reference
from isthmus.mapping.plan import WriteTable


@dataclass(frozen=True, slots=True)
class Part:
    """An optional table of one side, the synchronized fields that stand in it alone, and the field that is its key."""

    table: WriteTable
    fields: tuple[str, ...]
    key: str


def parts_of(pair: Pair, side: Side) -> Iterator[Part]:
    """Yield the optional tables of a side that some synchronized field stands in."""
    every = {policy.name for policy in pair.policies}
    pipes = {field.name: {reference(name).alias for name in field.pipe.columns} for field in side.plan.fields}
    for table in side.route.write.tables:
        own = tuple(name for name, aliases in pipes.items() if aliases == {table.alias} and name in every)
        keys = [c.filling.name for c in table.columns if c.role == "key" and c.filling.name in every]
        if table.optional and not table.list and own:
            yield Part(table, own, keys[-1] if keys else own[0])


def lacks(side: Side, met: Met, table: WriteTable) -> np.ndarray:
    """Tell which things that stand on a side have no row in one of its optional tables."""
    seen = met.seen(side.name)
    wanted = {f"{table.alias}.{name}".casefold() for name in side.connector.describe(table.table).key}
    keys = [name for name in seen.raw.schema.names if name.casefold() in wanted]
    if not keys:
        return np.zeros(len(met.ids), dtype=bool)
    result: np.ndarray = seen.there & np.logical_or.reduce([nulls(seen.raw_column(name)) for name in keys])
    return result


def with_parts(
    pair: Pair, met: Met, views: Mapping[str, View], base: Base, merged: Mapping[str, FieldMerge]
) -> tuple[dict[str, FieldMerge], dict[str, np.ndarray]]:
    """Let no field travel out of a part that is not there; returns the fields, and what is made again on each side."""
    found = dict(merged)
    again: dict[str, np.ndarray] = {name: np.zeros(len(met.ids), dtype=bool) for name, _ in WAYS}
    for name, other in WAYS:
        for part in parts_of(pair, pair.side(name)):
            spoken = np.logical_or.reduce([~nulls(views[other].values[field]) for field in part.fields])
            only = lacks(pair.side(name), met, part.table) & views[other].there & spoken
            if not only.any():
                continue
            had = only & np.logical_or.reduce([base.known[f] & ~nulls(base.values[f]) for f in part.fields])
            stays = had & (merged[part.key].policy.owner == name)
            for field in part.fields:
                found[field] = settled(found[field], views, base, name, only, stays)
            found[part.key] = told(found[part.key], stays, pair.side(name).system)
            again[name] |= had & ~stays
    return found, again


def settled(
    item: FieldMerge, views: Mapping[str, View], base: Base, name: Name, only: np.ndarray, stays: np.ndarray
) -> FieldMerge:
    """Let one field of a part go to the side that lacks it (`only`), or nowhere (`stays`)."""
    field, kind, goes = item.policy.name, item.policy.type, only & ~stays
    coming, was = fitted(views[dict(WAYS)[name]].values[field], kind), fitted(base.values[field], kind)
    value = pc.if_else(pa.array(goes), coming, pc.if_else(pa.array(stays), was, item.value))
    return replace(
        item,
        to_source=np.where(only, goes & (name == "source"), item.to_source),
        to_target=np.where(only, goes & (name == "target"), item.to_target),
        held=item.held & ~only,
        refused=item.refused & ~only,
        put_right=item.put_right & ~only,
        value=value,
        known=np.where(stays, base.known[field], item.known | goes),
    )


def told(item: FieldMerge, stays: np.ndarray, system: str) -> FieldMerge:
    """Tell a person of parts that are gone on the side of their owner."""
    said = f"{system} has this part no more; it stays on the other side until somebody removes it there"
    because = pc.if_else(pa.array(stays), pa.scalar(said), item.because)
    return replace(item, refused=item.refused | stays, because=because)
