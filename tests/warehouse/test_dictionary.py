"""The data dictionary: it is current, complete, and its lineage leads to columns of the systems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.mapping.documents import stale_pages, write_pages
from isthmus.project import Project
from warehouse.dictionary import PLACE, documents
from warehouse.lineage import origins, steps, used_by
from warehouse.load_spec import load_warehouse
from warehouse.spec import Warehouse

ROOT = Path(__file__).resolve().parents[2]
SPEAKS = {"isu": "isu", "crm": "crm", "tel": "tel"}


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.load(ROOT)


@pytest.fixture(scope="module")
def warehouse(project: Project) -> Warehouse:
    return load_warehouse(ROOT, project.catalogue)


def test_the_pages_in_docs_are_current(project: Project, warehouse: Warehouse) -> None:
    stale = stale_pages(documents(project, warehouse), ROOT / "docs", PLACE)
    assert not stale, "run `isthmus warehouse docs` and commit what it writes"


def test_every_figure_says_its_unit_its_meaning_and_where_it_comes_from(project: Project, warehouse: Warehouse) -> None:
    for cube in warehouse.cubes.values():
        for figure in cube.figures:
            assert figure.meaning, f"{cube.name}.{figure.name}"
            assert list(steps(cube, figure.name)), f"{cube.name}.{figure.name}"


def test_every_field_comes_from_somewhere(project: Project, warehouse: Warehouse) -> None:
    for store in warehouse.stores.values():
        for field in store.fields:
            assert list(origins(project.catalogue, store, field.name, SPEAKS)), f"{store.name}.{field.name}"


def test_lineage_names_the_tables_columns_and_rules_of_the_source(project: Project, warehouse: Warehouse) -> None:
    store = warehouse.stores["billing_line"]
    (amount,) = origins(project.catalogue, store, "amount", SPEAKS)
    assert (amount.system, amount.said) == ("isu", "DBERCHZ3.NETTOBTR | decimal(13.2)")
    (region,) = origins(project.catalogue, store, "region", SPEAKS)
    assert region.said.startswith("contract.region of contract")
    assert "billing.net" in set(used_by(warehouse, store, "amount"))
    (spread,) = steps(warehouse.cubes["billing"], "consumption_month")
    assert spread.spread and spread.when == 'reversed = "no"'


def test_an_alias_is_told_by_its_table(project: Project, warehouse: Warehouse) -> None:
    said = [
        origin.said
        for store in warehouse.stores.values()
        for field in store.fields
        for origin in origins(project.catalogue, store, field.name, SPEAKS)
        if origin.system == "crm"
    ]
    assert said and not any(text.startswith(("item.", "header.", "util.")) for text in said)


def test_pages_are_written_once_and_those_left_over_removed(
    project: Project, warehouse: Warehouse, tmp_path: Path
) -> None:
    pages = documents(project, warehouse)
    assert len(write_pages(pages, tmp_path, PLACE)) == len(pages)
    assert write_pages(pages, tmp_path, PLACE) == ()
    fewer = documents(project, replace(warehouse, cubes={}))
    gone = {name for name in write_pages(fewer, tmp_path, PLACE) if not (tmp_path / name).exists()}
    assert gone == {f"warehouse/cube_{name}.md" for name in warehouse.cubes}
