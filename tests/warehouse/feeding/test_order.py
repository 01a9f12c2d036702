"""Order and outline: what depends on what, and what a DAG is laid out from."""

from __future__ import annotations

from pathlib import Path

from isthmus.project import Project
from warehouse.load_spec import load_warehouse
from warehouse.order import in_order
from warehouse.outline import outline

ROOT = Path(__file__).resolve().parents[3]


def test_stores_come_after_those_they_look_up_and_those_their_query_reads() -> None:
    warehouse = load_warehouse(ROOT, Project.load(ROOT).catalogue)
    names = [store.name for store in in_order(warehouse, ROOT)]
    assert sorted(names) == sorted(warehouse.stores)
    assert names.index("customer") < names.index("contract") < names.index("billing_line")
    assert names.index("billing_line") < names.index("consumption")
    assert [store.name for store in in_order(warehouse, ROOT, ["billing_line", "customer"])] == [
        "customer", "billing_line",
    ]  # fmt: skip


def test_the_outline_says_what_each_system_feeds() -> None:
    found = outline(ROOT)
    warehouse = load_warehouse(ROOT, Project.load(ROOT).catalogue)
    assert found.stores == sorted(warehouse.stores)
    assert "billing_line" in found.systems["isu"]
    assert found.picked_up == {"tel": ["call_interval"]}
    assert "consumption" in found.derived
    assert found.pools["crm"] == "crm"
    assert found.cubes == sorted(warehouse.cubes)


def test_a_project_without_a_warehouse_has_an_empty_outline(tmp_path: Path) -> None:
    (tmp_path / "isthmus.yaml").write_text("systems: {isu: {connector: sql}}\n", encoding="utf-8")
    assert outline(tmp_path).stores == []
