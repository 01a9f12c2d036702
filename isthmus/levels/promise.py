"""Promises: what is about to be written to a side, kept until both sides agree on it.

A worker may die when a side is written and nobody knows it yet.  What stands there is then no edit of that side: it
is what the other said, and a newer edit of the other side goes on from it.  Without a promise both would count as
changed, and an edit could lose against its own predecessor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import Ledger
from isthmus.ledger.images import promised
from isthmus.levels.pair import Pair
from isthmus.levels.three_way import Base, FieldMerge, View, filled, same


def promise(ids: pa.Array, merged: Mapping[str, FieldMerge], side: str, rows: np.ndarray) -> pa.RecordBatch:
    """Say what a side holds of some things once it is written, field by field, as images are kept.

    `rows` are the things that are written there.  What is held is promised to nobody, and what travels from this
    side is an edit of its own until the other side has it.
    """
    picked = pa.array(rows)
    columns = {"id": ids.take(picked)}
    for name, item in merged.items():
        leaves = item.to_target if side == "source" else item.to_source
        columns[name] = item.value.take(picked)
        columns[f"known.{name}"] = pa.array(~(item.held | item.refused | leaves)[rows])
    return pa.RecordBatch.from_pydict(columns)


def kept(pair: Pair, ids: pa.Array, views: Mapping[str, View], base: Base, ledger: Ledger) -> tuple[Base, np.ndarray]:
    """Go on from what was promised where a side holds it: it was written, and is what both sides agreed on last.

    Returns the base, and which things have it from a promise.
    """
    values, known = dict(base.values), dict(base.known)
    resting = np.zeros(len(ids), dtype=bool)
    for side, view in views.items():
        told = ledger.images.read(promised(pair.name, side), ids)
        for policy in pair.policies:
            name = policy.name
            if name not in told.schema.names:
                continue
            hit = filled(told[f"known.{name}"]) & view.there & same(view.values[name], told[name])
            resting |= hit
            if hit.any():
                values[name] = pc.if_else(pa.array(hit), told[name], values[name])
                known[name] = known[name] | hit
    return Base(values, known), resting


def resting_on(ids: pa.Array, base: Base, rows: np.ndarray) -> pa.RecordBatch | None:
    """Return as images what things rest on that another promise is made of now: it takes the place of the former."""
    if not len(rows):
        return None
    picked = pa.array(rows)
    columns = {"id": ids.take(picked)}
    for name, values in base.values.items():
        columns[name] = values.take(picked)
        columns[f"known.{name}"] = pa.array(base.known[name][rows])
    return pa.RecordBatch.from_pydict(columns)
