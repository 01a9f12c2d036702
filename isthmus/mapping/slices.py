"""Look at time slices: do they overlap, do they leave gaps?  Half-open periods, null until = open end."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def slice_faults(parent: pa.Array, rows: pa.RecordBatch, apart: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return the parents (int32, with repeats) whose slices overlap, and those whose slices leave a gap.

    `rows` has columns `from` and `until`; `apart` names columns that tell parallel histories of one parent
    apart (a register number).  Neighbours are compared after sorting, so the order of `rows` does not matter.
    """
    if rows.num_rows < 2:
        none = parent.slice(0, 0)
        return none, none
    table = pa.table({"parent": parent, **{name: rows.column(name) for name in (*apart, "from", "until")}})
    table = table.sort_by([(name, "ascending") for name in ("parent", *apart, "from")]).combine_chunks()
    before, after = table.slice(0, len(table) - 1), table.slice(1)
    same = _same(before, after, ("parent", *apart))
    open_end = pc.is_null(before["until"])
    overlap = pc.and_(same, pc.or_(open_end, pc.fill_null(pc.greater(before["until"], after["from"]), False)))
    gap = pc.and_(same, pc.fill_null(pc.less(before["until"], after["from"]), False))
    owner = after["parent"].combine_chunks()
    return owner.filter(overlap.combine_chunks()), owner.filter(gap.combine_chunks())


def _same(before: pa.Table, after: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    result = pc.equal(before[names[0]], after[names[0]])
    for name in names[1:]:
        result = pc.and_(result, pc.fill_null(pc.equal(before[name], after[name]), False))
    return result
