"""Three-way: two sides and what they last agreed on, field by field, for a whole set of things at once.

A field changed on one side travels to the other; equal is agreed; changed on both it follows its owner, the newer
one, or waits for a person.  Without an agreed value (data found on both sides) a difference counts as changed on
both.  Nothing here reads or writes: arrays in, masks and arrays out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.policy import FieldPolicy

NONE, SOURCE, TARGET, HELD, VALUE = range(5)  # whose value a field takes


@dataclass(frozen=True, slots=True)
class View:
    """One side of a set of things: per field (and `deleted`) its values in the common key space, null where nothing.

    `there` (bool) tells which things have a row; `changed_at` is the row's stamp as text, null where not known.
    """

    values: Mapping[str, pa.Array]
    there: np.ndarray
    changed_at: pa.Array | None = None
    changed_by: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """What both sides agreed on last; `known` (bool) tells per field which things have such a value at all."""

    values: Mapping[str, pa.Array]
    known: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided for a field: `take` is SOURCE, TARGET, VALUE or NONE for each thing, `value` the third."""

    take: np.ndarray
    value: pa.Array


@dataclass(frozen=True, slots=True)
class FieldMerge:
    """What becomes of one field: where it travels, what waits, and what is agreed afterwards.

    Masks are boolean, one entry a thing.  `held` waits for a person; `refused` cannot be done, `because` says why;
    `put_right` undoes a change on the side that may not make it.  `value` and `known` are the next agreed image.
    """

    policy: FieldPolicy
    to_source: np.ndarray
    to_target: np.ndarray
    held: np.ndarray
    refused: np.ndarray
    put_right: np.ndarray
    value: pa.Array
    known: np.ndarray
    because: pa.Array


def merge(
    policies: Sequence[FieldPolicy], source: View, target: View, base: Base, decided: Mapping[str, Decided]
) -> dict[str, FieldMerge]:
    """Merge all fields of a set of things, field by field."""
    newer = newest(source, target)
    return {
        policy.name: merge_field(policy, source, target, base, newer, decided.get(policy.name)) for policy in policies
    }


def merge_field(
    policy: FieldPolicy, source: View, target: View, base: Base, newer: np.ndarray, decided: Decided | None
) -> FieldMerge:
    """Merge one field."""
    left, right, was = (
        fitted(values[policy.name], policy.type) for values in (source.values, target.values, base.values)
    )
    known = base.known[policy.name]
    differs = ~same(left, right)
    moved = known & ~same(left, was), known & ~same(right, was)
    winner = choose(policy, differs, moved, newer)
    if decided is not None:
        open_ = differs & (decided.take != NONE)
        winner = np.where(open_, decided.take, winner)
    winner, refused, put_right = possible(policy, winner, differs, moved)
    value = pc.if_else(pa.array(winner == TARGET), right, left)
    if decided is not None:
        value = pc.if_else(pa.array(winner == VALUE), fitted(decided.value, policy.type), value)
    unsettled = (winner == HELD) | refused
    return FieldMerge(
        policy=policy,
        to_source=((winner == TARGET) | ((winner == VALUE) & ~same(left, value))) & source.there,
        to_target=((winner == SOURCE) | ((winner == VALUE) & ~same(right, value))) & target.there,
        held=winner == HELD,
        refused=refused,
        put_right=put_right,
        value=pc.if_else(pa.array(unsettled), was, value),
        known=known | ~unsettled,
        because=pc.if_else(pa.array(refused), unwritable(policy), pa.scalar(None, pa.string())),
    )


def choose(
    policy: FieldPolicy, differs: np.ndarray, moved: tuple[np.ndarray, np.ndarray], newer: np.ndarray
) -> np.ndarray:
    """Say whose value each thing takes: where one side changed it is that one's, else as the policy says."""
    owner = SOURCE if policy.owner == "source" else TARGET
    if policy.edits == "owner":
        return np.where(differs, owner, NONE)
    winner = np.full(len(differs), NONE)
    winner[differs & moved[0] & ~moved[1]] = SOURCE
    winner[differs & moved[1] & ~moved[0]] = TARGET
    both = differs & (winner == NONE)
    winner[both] = {"owner": owner, "hold": HELD, "newest": NONE}[policy.on_conflict]
    return np.where(both, newer, winner) if policy.on_conflict == "newest" else winner


def possible(
    policy: FieldPolicy, winner: np.ndarray, differs: np.ndarray, moved: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take back what cannot be written: the owner puts its value right, or the change is refused and told of.

    Returns the winners, what is refused, and what is put right: changed on one side alone, and lost there.
    """
    owner = SOURCE if policy.owner == "source" else TARGET
    can = {SOURCE: policy.writes_target, TARGET: policy.writes_source}
    stuck = ((winner == SOURCE) & (not can[SOURCE])) | ((winner == TARGET) & (not can[TARGET]))
    righted = stuck & (winner != owner) & can[owner]
    winner = np.where(righted, owner, winner)
    refused = stuck & ~righted
    winner = np.where(refused, NONE, winner)
    lost = np.where(winner == SOURCE, moved[1] & ~moved[0], (winner == TARGET) & moved[0] & ~moved[1])
    return winner, refused, lost & differs


def newest(source: View, target: View) -> np.ndarray:
    """Say which side's row was changed last; HELD where a stamp is missing or both are equal."""
    size = len(source.there)
    if source.changed_at is None or target.changed_at is None:
        return np.full(size, HELD)
    ahead = filled(pc.greater(source.changed_at, target.changed_at))
    behind = filled(pc.less(source.changed_at, target.changed_at))
    return np.where(ahead, SOURCE, np.where(behind, TARGET, HELD))


def refuse(merged: FieldMerge, base: Base, side: str, rows: np.ndarray, because: pa.Array) -> FieldMerge:
    """Keep a field from travelling to a side for some things, because a rule of the business forbids it."""
    travels = merged.to_source if side == "source" else merged.to_target
    hit = rows & travels
    was = fitted(base.values[merged.policy.name], merged.policy.type)
    return replace(
        merged,
        to_source=merged.to_source & ~hit,
        to_target=merged.to_target & ~hit,
        refused=merged.refused | hit,
        value=pc.if_else(pa.array(hit), was, merged.value),
        known=np.where(hit, base.known[merged.policy.name], merged.known),
        because=pc.if_else(pa.array(hit), because, merged.because),
    )


def alone(merged: Mapping[str, FieldMerge], base: Base) -> dict[str, FieldMerge]:
    """Keep fields that travel along from travelling alone: where nothing was agreed and nothing else of a thing does.

    What was never agreed stays so, until another field of the thing travels.
    """
    found = dict(merged)
    moving = [item.to_source | item.to_target for item in merged.values() if not item.policy.along]
    for name, item in merged.items():
        if not item.policy.along:
            continue
        rests = (item.to_source | item.to_target) & ~np.logical_or.reduce([base.known[name], *moving])
        was = fitted(base.values[name], item.policy.type)
        found[name] = replace(
            item,
            to_source=item.to_source & ~rests,
            to_target=item.to_target & ~rests,
            put_right=item.put_right & ~rests,
            value=pc.if_else(pa.array(rests), was, item.value),
            known=item.known & ~rests,
        )
    return found


def unwritable(policy: FieldPolicy) -> str:
    """Say why a change of a field cannot travel."""
    side = "back" if not policy.writes_source else "on"
    return f"the change cannot travel {side}: the mapping of the other system only reads {policy.name}"


def same(left: pa.Array, right: pa.Array) -> np.ndarray:
    """Compare two arrays entry by entry; null equals null."""
    result: np.ndarray = filled(pc.equal(left, right)) | (nulls(left) & nulls(right))
    return result


def filled(mask: pa.Array) -> np.ndarray:
    """Turn an Arrow mask into numpy's, null counting as no."""
    result: np.ndarray = np.asarray(pc.fill_null(mask, False))
    return result


def nulls(array: pa.Array) -> np.ndarray:
    """Tell which entries are null."""
    result: np.ndarray = np.asarray(pc.is_null(array))
    return result


def fitted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give an array the type its field has."""
    return array if array.type.equals(kind) else pc.cast(array, kind)
