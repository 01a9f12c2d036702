"""How one thing stands today on both sides of a flow, field by field: the last chapter of its story."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from isthmus.levels.download import Desk
from isthmus.levels.reconcile import compared, flat, mask, source_side, target_side
from isthmus.mapping.spec import Flow


def today(desk: Desk, flow: Flow, key: str) -> list[dict[str, str]]:
    """Read one object on both sides now; one entry per field: field, source, target (personal values masked).

    Foreign keys are shown as the target's, so that equal means equal.  An empty side is shown as `(no row)`.
    """
    with desk.route(flow) as route:
        names = compared(route)
        asked = pa.array([key], pa.string())
        ours = [flat(route, records, keys, names) for records, keys, _ in source_side(route, desk.ledger, asked)]
        there = desk.ledger.keys.translate(route.object, flow.source, flow.target, asked)
        theirs = [flat(route, records, records.key, names) for records in target_side(route, there.drop_null())]
        personal = {item.name for plan in route.reads for item in plan.fields if item.personal}
    sides = _values(ours), _values(theirs)
    fields = dict.fromkeys([*sides[0], *sides[1]])
    rows = [{"field": name, "source": sides[0].get(name, ""), "target": sides[1].get(name, "")} for name in fields]
    return _masked(rows, personal)


def _values(tables: list[pa.Table]) -> dict[str, str]:
    return {row["field"]: row["value"] for table in tables for row in table.to_pylist()}


def _masked(rows: list[dict[str, str]], personal: set[str]) -> list[dict[str, str]]:
    count = len(rows)
    columns = {name: [row[name] for row in rows] for name in ("field", "source", "target")}
    none = pa.nulls(count, pa.string())
    table = pa.table({"key": none, "target_key": none, **{k: pa.array(v, pa.string()) for k, v in columns.items()}})
    return list(_shown(mask(table, personal)))


def _shown(table: pa.Table) -> Iterator[dict[str, str]]:
    for row in table.select(["field", "source", "target"]).to_pylist():
        if not (row["source"] == row["target"] == "(nothing)") and row["field"] != "(row)":
            yield row
