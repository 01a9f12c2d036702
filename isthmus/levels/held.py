"""What waits for a person: fields changed on both sides, changes refused, rows that vanished, keys that disagree."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import CONFLICTS
from isthmus.levels.examine import Examined, shown
from isthmus.levels.meeting import evidence
from isthmus.levels.pair import Pair
from isthmus.levels.resolve import constant
from isthmus.levels.three_way import FieldMerge, nulls
from isthmus.mapping.policy import DELETED


def conflicts(pair: Pair, found: Examined, left_out: np.ndarray) -> pa.Table:
    """Lay out everything that is held in a set of things (`CONFLICTS`); `left_out` goes back to the queue anyway."""
    tables = [CONFLICTS.empty_table(), disagreements(pair, found), doubtful(pair, found)]
    for item in found.merged.values():
        mask = (item.held | item.refused) & ~left_out
        if mask.any():
            tables.append(held_field(found, item, np.flatnonzero(mask)))
    return pa.concat_tables(tables)


def held_field(found: Examined, item: FieldMerge, rows: np.ndarray) -> pa.Table:
    """Lay out one field that is held for some things."""
    picked, name = pa.array(rows), item.policy.name
    gone = (found.vanished["source"] | found.vanished["target"])[rows] & (name == DELETED)
    kind = np.where(gone, "vanished", np.where(item.refused[rows], "refused", "both changed"))
    known = pa.array(found.base.known[name][rows])
    base = pc.if_else(known, shown(found.base.values[name].take(picked)), pa.scalar(None, pa.string()))
    said = {
        "id": found.met.asked.take(picked),
        "field": constant(name, len(rows)),
        "kind": pa.array(kind.tolist(), pa.string()),
        "source_key": found.met.source_key.take(picked),
        "target_key": found.met.target_key.take(picked),
        "base": base,
        "because": pc.coalesce(item.because.take(picked), constant("changed on both sides", len(rows))),
        "score": pa.nulls(len(rows), pa.float64()),
    }
    for side, view in found.views.items():
        said[f"{side}_value"] = shown(view.values[name].take(picked))
        said[f"{side}_at"] = stamped(view.changed_at, picked)
        said[f"{side}_by"] = stamped(view.changed_by, picked)
    return pa.Table.from_arrays([said[column.name] for column in CONFLICTS], schema=CONFLICTS)


def disagreements(pair: Pair, found: Examined) -> pa.Table:
    """Lay out things whose two sides name other counterparts than each other; a side's value is whom it names."""
    rows = np.flatnonzero(~nulls(found.met.wrong) & ~found.met.absorbed)
    picked, size = pa.array(rows), len(rows)
    said = {
        "id": found.met.asked.take(picked),
        "field": constant("key", size),
        "kind": constant("disagrees", size),
        "source_key": found.met.source_key.take(picked),
        "target_key": found.met.target_key.take(picked),
        "source_value": evidence(found.met.source, pair.target).take(picked),
        "target_value": evidence(found.met.target, pair.source).take(picked),
        "because": found.met.wrong.take(picked),
        "score": pa.nulls(size, pa.float64()),
    }
    nothing = pa.nulls(size, pa.string())
    return pa.Table.from_arrays([said.get(column.name, nothing) for column in CONFLICTS], schema=CONFLICTS)


def doubtful(pair: Pair, found: Examined) -> pa.Table:
    """Lay out things that may be a second record of somebody who is there: with his key, and how alike they are."""
    met = found.met
    rows = np.flatnonzero(met.doubts.any & found.usable)
    picked, size = pa.array(rows), len(rows)
    here, there = met.source_key.take(picked), met.target_key.take(picked)
    other = met.doubts.key.take(picked)
    born_there = pc.is_null(here)
    said = {
        "id": met.asked.take(picked),
        "field": constant("", size),
        "kind": constant("duplicate", size),
        "source_key": here,
        "target_key": there,
        "source_value": pc.coalesce(here, other),  # of one record each the key, side by side
        "target_value": pc.coalesce(there, other),
        "because": pc.if_else(
            born_there,
            f"resembles a {pair.object} that {pair.source.system} holds; is it the same?",
            f"resembles a {pair.object} that {pair.target.system} holds; is it the same?",
        ),
        "score": met.doubts.score.take(picked),
    }
    nothing = pa.nulls(size, pa.string())
    return pa.Table.from_arrays([said.get(column.name, nothing) for column in CONFLICTS], schema=CONFLICTS)


def stamped(stamps: pa.Array | None, rows: pa.Array) -> pa.Array:
    """Return stamps of some things, null where the side has none."""
    return pa.nulls(len(rows), pa.string()) if stamps is None else pc.cast(stamps.take(rows), pa.string())
