"""What a change would alter, as texts: for plans, guard and reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.client import Settings
from connectors.sql.merge import Plan, load_todo, matched
from connectors.sql.stage import fetch, quoted, target
from connectors.sql.wanted import KEEP_BITS, Positions
from isthmus.connector import DIFFERENCES

SHOWN = 1_000
ROW = "(row)"  # stands for a whole row that is missing, or not wanted any more


def differences(session: Any, plans: Sequence[Plan], settings: Settings) -> pa.Table:
    """Return `DIFFERENCES` rows for at most 1,000 rows per table; a whole row is shown as `*`."""
    parts = []
    for plan in plans:
        name = plan.stage.wanted.name
        parts.append(whole_rows(np.unique(plan.positions[plan.fresh])[:SHOWN], name, None, ROW))
        parts.append(whole_rows(plan.owners[:SHOWN], name, ROW, None))
        if not plan.fresh.all():
            load_todo(session, plan)
            parts.append(_fields(session, plan, settings))
    return pa.concat_tables(parts).sort_by("position").combine_chunks() if parts else DIFFERENCES.empty_table()


def whole_rows(positions: Positions, table: str, current: str | None, wanted: str | None) -> pa.Table:
    """Return one difference for each position whose whole row is missing or unwanted."""
    said = [pa.repeat(pa.scalar(text, pa.string()), len(positions)) for text in (table, "*", current, wanted)]
    return pa.Table.from_arrays([pa.array(positions, pa.int32()), *said], schema=DIFFERENCES)


def _fields(session: Any, plan: Plan, settings: Settings) -> pa.Table:
    stage, wanted = plan.stage, plan.stage.wanted
    kernels = [name for name in wanted.compared if name in wanted.canonical]
    types: dict[str, pa.DataType] = {"position": pa.int32()}
    listed = ["s.position"]
    for i, name in enumerate(wanted.compared):
        differs = f"t.{quoted(name)} IS DISTINCT FROM {stage.at(name)}"
        if name in kernels:
            word, bit = divmod(kernels.index(name), KEEP_BITS)
            differs = f"({differs} AND d.keep{word} & {1 << bit} = 0)"
        binary = pa.types.is_binary(wanted.shape.column(name).type)
        for value in (f"t.{quoted(name)}", stage.at(name)):
            text = f"upper(encode({value}, 'hex'))" if binary else f"{value}::text"
            listed.append(f"CASE WHEN {differs} THEN {text} END")
        listed.append(differs)
        types |= {f"current{i}": pa.string(), f"wanted{i}": pa.string(), f"differs{i}": pa.bool_()}
    rows = fetch(
        session,
        f"SELECT {', '.join(listed)} FROM {stage.rows} s JOIN {stage.todo} d ON d.n = s.n "
        f"JOIN {target(wanted.shape)} t ON {matched(stage, settings, wanted.key)} "
        f"WHERE NOT d.fresh ORDER BY s.position LIMIT {SHOWN}",
        types,
    )
    parts = [DIFFERENCES.empty_table()]
    for i, name in enumerate(wanted.compared):
        found = rows.filter(pc.fill_null(rows[f"differs{i}"], False))
        said = [pa.repeat(pa.scalar(text, pa.string()), found.num_rows) for text in (wanted.name, wanted.asked[name])]
        columns = [found["position"], *said, found[f"current{i}"], found[f"wanted{i}"]]
        parts.append(pa.Table.from_arrays(columns, schema=DIFFERENCES))
    return pa.concat_tables(parts)
