"""Repair: send exactly the rows that differ again, in the owner's direction, under a cap."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConflictError
from isthmus.levels.download import Desk, begin, carry_flow, reconcile_flow
from isthmus.levels.reconcile import Reconciliation
from isthmus.levels.synchronize import drain, synchronizing
from isthmus.mapping.spec import Flow

SHOWN = 20


def compare_flow(
    desk: Desk, flow: Flow, *, repair: bool, dry_run: bool, cap: float, guard: bool, run: str = ""
) -> dict[str, Any]:
    """Compare a flow and, if asked, send what differs again; raises ConflictError when more than `cap` would change.

    With `guard` only rows that stand on both sides count (edits in the target), and only flows that say
    `guard: repair` are put right.
    """
    found = reconcile_flow(desk, flow, run)
    keys = edited_keys(found) if guard else found.keys
    wanted = repair and (not guard or flow.guard == "repair")
    result = told(found, keys, guard)
    if wanted and len(keys):
        share = len(keys) / max(1, found.source_rows)
        if share > cap and len(keys) > 100:
            enough = math.ceil(share * 100) / 100
            raise ConflictError(
                f"{found.flow}: {len(keys):,} of {found.source_rows:,} rows ({share:.1%}) differ, more than the cap "
                f"of {cap:.0%}. Look at the differences first; --cap {enough:.2f} lets them all be sent."
            )
        if not dry_run:
            own = run or begin(desk, "repair", {"objects": [flow.object]})
            counts = put_right(desk, flow, own, keys, "guard" if guard else "repair")
            done = sum(counts.get(name, 0) for name in ("updated", "inserted"))
            if not run:
                desk.ledger.runs.finish(own, "done", {"repaired": done})
            result["counts"] = counts
            result["repaired"] = done >= len(keys)
    return result


def put_right(desk: Desk, flow: Flow, run: str, keys: pa.Array, label: str) -> dict[str, int]:
    """Send keys again in the owner's direction; of an object kept in step that is another one field by field."""
    counts = dict(carry_flow(desk, flow, run, keys, label).counts)
    if flow.level == "synchronize" and counts.get("queued"):
        with synchronizing(desk, flow) as pair:
            settled = drain(desk, pair, run)
        for what, names in (
            ("updated", ("updated_source", "updated_target")),
            ("inserted", ("created_source", "created_target")),
        ):
            counts[what] = counts.get(what, 0) + sum(settled.get(name, 0) for name in names)
    return counts


def edited_keys(found: Reconciliation) -> pa.Array:
    """Return the keys of rows that stand on both sides and differ."""
    table = found.differences
    missing = table.filter(pc.equal(table["field"], "(row)"))["key"]
    both = table.filter(pc.invert(pc.is_in(table["key"], missing.combine_chunks())))
    return pc.unique(pc.drop_null(both["key"].combine_chunks()))


def told(found: Reconciliation, keys: pa.Array, guard: bool) -> dict[str, Any]:
    """Lay out a comparison for people and machines; personal values are masked already."""
    fields = found.differences.filter(pc.is_in(found.differences["key"], keys)) if guard else found.differences
    return {
        "flow": found.flow,
        "agrees": not len(keys) and (guard or found.agrees),
        "repaired": False,
        "source_rows": found.source_rows,
        "target_rows": found.target_rows,
        "held": found.held,
        "only_there": found.only_there,
        "rows_differing": len(keys),
        "differences": fields.slice(0, SHOWN).to_pylist(),
        "counts": {},
    }
