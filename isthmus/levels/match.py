"""Match: before a second record is made of somebody who is there already, look for him.

Exact keys of the model first (a GUID, a number), then likeness of names, address and birth date.  What is surely the
same is paired; what is doubtful, and what is the same as somebody who has a counterpart already, waits for a person
with its score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Comparison, KeyRange, Keys
from isthmus.ledger import Ledger
from isthmus.levels.meeting import Doubts, Met, meet, recognised, without_doubles
from isthmus.levels.pair import OTHER, WAYS, Name, Pair, Seen, Side, aligned, see
from isthmus.levels.resolve import gather
from isthmus.levels.three_way import filled, nulls
from isthmus.mapping.compile import reference
from isthmus.mapping.match import score
from isthmus.mapping.plan import BoundPipe, Records
from isthmus.mapping.spec import Scoring

ASKED = 500  # values in one question
TOGETHER = 200  # new things compared at a time: a postal code may have thousands of neighbours
CREATE, SAME = "create", "same"  # what a person decides of a doubtful match: a record of its own, or the same


def introduce(pair: Pair, ids: pa.Array, reported: Mapping[str, pa.Array], ledger: Ledger) -> Met:
    """Meet a set of things, and look for those that are new on a side among the records that stand there."""
    met = meet(pair, ids, reported, ledger)
    if not (pair.match or pair.scoring):
        return met
    decided = decisions(pair, met, ledger)
    keys = {name: met.key(name) for name, _ in WAYS}
    for name, other in WAYS:
        new = ~met.paired & ~met.absorbed & nulls(met.wrong) & met.seen(other).there & nulls(keys[name])
        met = recognise(pair, met, name, new & ~met.seen(name).there, decided, ledger)
    if all(met.key(name).equals(key) for name, key in keys.items()):
        return met
    return without_doubles(recognised(pair, met, ledger), pair)


def decisions(pair: Pair, met: Met, ledger: Ledger) -> pa.Array:
    """Return what people decided of doubtful matches, aligned with the things."""
    table = ledger.conflicts.decisions(pair.name, met.asked)
    table = table.filter(pc.equal(table["kind"], "duplicate"))
    place = pc.index_in(met.asked.cast(pa.binary()), table["id"].combine_chunks().cast(pa.binary()))
    said = pc.if_else(pc.equal(table["take"], "value"), table["value"], SAME)
    return aligned(pa.chunked_array(said.chunks, pa.string()).combine_chunks(), np.asarray(pc.fill_null(place, -1)))


def recognise(pair: Pair, met: Met, name: Name, lacking: np.ndarray, decided: pa.Array, ledger: Ledger) -> Met:
    """Look on one side for the things it lacks; pairs those that are surely there, and tells of the doubtful."""
    lacking = lacking & ~filled(pc.equal(decided, CREATE))
    rows = np.flatnonzero(lacking)
    if not len(rows):
        return met
    side = pair.side(name)
    found = best(list(found_on(pair, side, met.seen(OTHER[name]), rows)), side, ledger, pair)
    same = {row for row in np.flatnonzero(filled(pc.equal(decided, SAME)))}
    found = [replace(item, sure=item.free and (item.sure or item.row in same)) for item in found]
    sure = {item.row: item.key for item in found if item.sure}
    doubt = [item for item in found if not item.sure]
    doubts = Doubts(
        known_by(met.doubts.key, {item.row: item.key for item in doubt}),
        placed(met.doubts.score, {item.row: item.score for item in doubt}, pa.float64()),
    )
    key = known_by(met.key(name), sure)
    seen = see(side, key) if sure else met.seen(name)
    return replace(met, doubts=doubts, **{f"{name}_key": key, name: seen})


@dataclass(frozen=True, slots=True)
class Found:
    """One thing recognised on the other side."""

    row: int
    key: str
    score: float
    free: bool  # it has no counterpart yet
    sure: bool


def found_on(pair: Pair, side: Side, new: Seen, rows: np.ndarray) -> Iterator[tuple[np.ndarray, pa.Array, np.ndarray]]:
    """Yield (things, keys of the side, scores) from exact keys, then from likeness."""
    for number, fields in enumerate(pair.match):
        usable = all(field in new.records.root.schema.names for field in fields)
        there = look_up(side, fields[0], new.column(fields[0]).take(pa.array(rows))) if usable else None
        if there is not None and there.root.num_rows:
            at, other = joined(wide(new, fields, rows), wide_of(there, fields))
            yield rows[at], there.key.take(pa.array(other)), trust(pair, new, there, (rows[at], other), number)
    if pair.scoring is None:
        return
    for block in pair.scoring.block:
        if block in new.records.root.schema.names:
            for start in range(0, len(rows), TOGETHER):
                yield from alike(pair.scoring, side, new, block, rows[start : start + TOGETHER])


def trust(pair: Pair, new: Seen, there: Records, joined_: tuple[np.ndarray, np.ndarray], number: int) -> np.ndarray:
    """Score records that the model's exact key `number` pairs: 1, unless a key before it tells them apart.

    Two systems may give one number to two people on one day.  Such records are one only if they resemble each other.
    """
    at, other = joined_
    scores, apart = np.ones(len(at)), np.zeros(len(at), dtype=bool)
    names = new.records.root.schema.names
    for fields in pair.match[:number]:
        if set(fields) <= set(names) & set(there.root.schema.names):
            apart |= filled(pc.not_equal(wide(new, fields, at), wide_of(there, fields).take(pa.array(other))))
    if pair.scoring is None or not apart.any():
        return scores
    left = pa.RecordBatch.from_pydict({name: new.column(name).take(pa.array(at)) for name in names})
    likeness = np.asarray(score(pair.scoring, left, there.root.take(pa.array(other))))
    unlike = apart & (likeness < pair.scoring.doubtful)
    return np.where(unlike, likeness, scores)


def alike(
    scoring: Scoring, side: Side, new: Seen, block: str, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, pa.Array, np.ndarray]]:
    """Yield the records that agree on one field with new things, and resemble them enough to be looked at."""
    there = look_up(side, block, new.column(block).take(pa.array(rows)))
    if there is None or not there.root.num_rows:
        return
    at, other = joined(wide(new, (block,), rows), wide_of(there, (block,)))
    names = new.records.root.schema.names
    left = pa.RecordBatch.from_pydict({name: new.column(name).take(pa.array(rows[at])) for name in names})
    likeness = np.asarray(score(scoring, left, there.root.take(pa.array(other))))
    enough = likeness >= scoring.doubtful
    yield rows[at][enough], there.key.take(pa.array(other[enough])), likeness[enough]


def best(found: list[tuple[np.ndarray, pa.Array, np.ndarray]], side: Side, ledger: Ledger, pair: Pair) -> list[Found]:
    """Keep the best candidate of each thing.  One that has a counterpart already is never paired again: it is doubt."""
    if not found:
        return []
    rows = np.concatenate([item[0] for item in found])
    keys = pa.concat_arrays([item[1].cast(pa.string()) for item in found])
    scores = np.concatenate([item[2] for item in found])
    if not len(rows):
        return []
    taken = np.asarray(pc.is_valid(ledger.keys.find(pair.object, side.system, keys)))
    order = np.lexsort((-scores, rows))
    first = order[np.unique(rows[order], return_index=True)[1]]
    same = pair.scoring.same if pair.scoring else 1.0
    claimed: set[str] = set()
    result = []
    for number in first:  # one entry a new thing that resembles somebody: few, whatever the size of the set
        key = keys[int(number)].as_py()
        free = not taken[number] and key not in claimed
        claimed.add(key)
        result.append(Found(int(rows[number]), key, float(scores[number]), free, free and scores[number] >= same))
    return result


def look_up(side: Side, field: str, values: pa.Array) -> Records | None:
    """Read the records of a side whose field has one of some values; None where it cannot be asked for."""
    pipe = next((item.pipe for item in side.plan.fields if item.name == field), None)
    wanted = pc.unique(pc.drop_null(values))
    if pipe is None or not len(wanted) or any(step.write is None for step in pipe.steps):
        return None
    raw, columns = spelled(pipe, wanted), tuple(reference(column) for column in pipe.columns)
    if all(column.alias == side.plan.query.root.alias for column in columns):
        return side.plan.apply(gather(side.connector, replace(side.plan.query, key=columns), Keys(raw)))
    if len(columns) > 1 or not pa.types.is_string(raw[0].type):
        return None
    tables = []
    for start in range(0, len(raw[0]), ASKED):  # a tied table is asked by a list of values, so many at a time
        term = Comparison(columns[0], "in", tuple(raw[0].slice(start, ASKED).to_pylist()))
        query = replace(side.plan.query, where=(*side.plan.query.where, term))
        tables.append(pa.Table.from_batches([gather(side.connector, query, KeyRange())]))
    found = pa.concat_tables(tables).combine_chunks()
    return side.plan.apply(found.to_batches()[0]) if found.num_rows else None


def spelled(pipe: BoundPipe, values: pa.Array) -> tuple[pa.Array, ...]:
    """Spell model values as a system's columns."""
    arrays: tuple[pa.Array, ...] = (values,)
    for step in reversed(pipe.steps):
        assert step.write is not None
        arrays = step.write(arrays).arrays
    return arrays


def joined(left: pa.Array, right: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of equal entries, every pair of them."""
    one = pa.table({"k": left, "l": pa.array(np.arange(len(left)))})
    two = pa.table({"k": right, "r": pa.array(np.arange(len(right)))})
    both = one.join(two, "k", join_type="inner")
    return both["l"].to_numpy(), both["r"].to_numpy()


def wide(seen: Seen, fields: tuple[str, ...], rows: np.ndarray) -> pa.Array:
    """Join fields of some things into one text to compare; null where one is null."""
    columns = [pc.cast(seen.column(name).take(pa.array(rows)), pa.string()) for name in fields]
    return pc.binary_join_element_wise(*columns, "\x1f")


def wide_of(records: Records, fields: tuple[str, ...]) -> pa.Array:
    """Join fields of records into one text to compare."""
    columns = [pc.cast(records.root.column(name), pa.string()) for name in fields]
    return pc.binary_join_element_wise(*columns, "\x1f")


def known_by(keys: pa.Array, found: Mapping[int, str]) -> pa.Array:
    """Put keys at some places of an array."""
    return placed(keys, found, pa.string())


def placed(array: pa.Array, found: Mapping[int, Any], kind: pa.DataType) -> pa.Array:
    """Put values at some places of an array."""
    if not found:
        return array
    at = np.full(len(array), -1)
    at[list(found)] = np.arange(len(found))
    return pc.coalesce(aligned(pa.array(list(found.values()), kind), at), array)


__all__ = ["CREATE", "SAME", "introduce"]
