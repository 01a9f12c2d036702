"""Slices that are split when they are written: the rows that come out, without any system."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.connector import Column, Table, TableRows
from isthmus.mapping.compile import compile_read, setting
from isthmus.mapping.compile_write import compile_write
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import REMARKS, Records, WritePlan
from isthmus.mapping.writing import Identity, Written, spell
from landscape.schema import tables

CATALOGUE = load_catalogue(Path(__file__).parents[2])
GIVEN = setting({"devices": True}, today=date(2025, 6, 1))
OLD, NEW = "AA" * 16, "BB" * 16


def describe(name: str) -> Table:
    """Describe a table of the demo system as its connector would."""
    found = tables("isu")[name]
    types = {"RAW": pa.binary(), "DEC": pa.decimal128(15), "CURR": pa.decimal128(13, 2)}
    columns = tuple(Column(c.name, types.get(c.kind, pa.string())) for c in found.columns if c.name != found.client)
    return Table(name, columns, tuple(found.key[1:]))


@pytest.fixture(scope="module")
def plan() -> WritePlan:
    return compile_write(CATALOGUE, "isu", "contract", describe, (compile_read(CATALOGUE, "crm", "contract"),), GIVEN)


def standing(*slices: tuple[str, str] | None, product: str = OLD) -> pa.RecordBatch:
    """Return today's slice of each contract: its first and last day, or none."""
    columns = {}
    for column in describe("EVERH").columns:
        fixed = {"NUM": "0003", "PRODID": "TEMPLATE", "CRM_PRODUCT": "OLD", "VERTRAG": "0000004711"}
        value = bytes.fromhex(product) if column.name == "PRODUCT_GUID" else fixed.get(column.name, "")
        if pa.types.is_binary(column.type) and column.name != "PRODUCT_GUID":
            value = bytes(16)
        bounds = {"AB": 0, "BIS": 1}
        values = [
            None if slice_ is None else slice_[bounds[column.name]] if column.name in bounds else value
            for slice_ in slices
        ]
        columns[column.name] = pa.array(values, column.type)
    return pa.RecordBatch.from_pydict(columns)


def written(
    plan: WritePlan,
    products: list[str | None],
    there: pa.RecordBatch | None,
    item: str | None = None,
    older: pa.RecordBatch | None = None,
) -> Written:
    size = len(products)
    names = pa.array([None if product is None else product[:2] for product in products], pa.string())
    root = {"product": pa.array(products, pa.string()), "product_id": names, "number": pa.array(["4711"] * size)}
    root["counterpart"] = pa.array([item] * size, pa.string())
    records = Records(
        key=root["number"],
        root=pa.RecordBatch.from_pydict(root),
        lists={},
        deleted=None,
        known_as={},
        rejects=REMARKS.empty_table(),
        warnings=REMARKS.empty_table(),
        positions=pa.array(range(size), pa.int32()),
        seen=size,
    )
    identity = Identity(pa.array([bytes(16)] * size, pa.binary(16)), root["number"], pa.array([True] * size))
    slices = {} if there is None else {"EVERH": there}
    histories = {} if older is None else {"EVERH": older}
    return spell(plan, records, replace(identity, slices=slices, histories=histories))


def everh(found: Written) -> TableRows:
    return next(table for table in found.tables if table.table == "EVERH")


def rows(found: Written) -> list[tuple[int, str, str, str, str]]:
    listed = everh(found).rows.to_pylist()
    return [(r["position"], r["AB"], r["BIS"], r["PRODUCT_GUID"].hex().upper()[:2], r["CRM_PRODUCT"]) for r in listed]


def test_a_slice_is_ended_yesterday_and_followed_by_one_from_today(plan: WritePlan) -> None:
    found = written(plan, [NEW], standing(("20240101", "99991231")))
    assert rows(found) == [(0, "20240101", "20250531", "AA", "OLD"), (0, "20250601", "99991231", "BB", "BB")]
    assert {row["PRODID"] for row in everh(found).rows.to_pylist()} == {"TEMPLATE"}
    assert everh(found).key == ("VERTRAG", "BIS", "NUM")


def test_a_slice_that_began_today_is_changed_in_place(plan: WritePlan) -> None:
    found = written(plan, [NEW], standing(("20250601", "99991231")))
    assert rows(found) == [(0, "20250601", "99991231", "BB", "BB")]


def test_a_last_day_of_today_leaves_one_day_for_the_new_product(plan: WritePlan) -> None:
    found = written(plan, [NEW], standing(("20240101", "20250601")))
    assert [row[1:3] for row in rows(found)] == [("20240101", "20250531"), ("20250601", "20250601")]


def test_slices_that_say_the_same_are_not_written(plan: WritePlan) -> None:
    there = standing(("20240101", "99991231"), ("20240101", "99991231"))
    names = there.schema.names
    there = there.set_column(names.index("CRM_PRODUCT"), "CRM_PRODUCT", pa.array(["AA", "AA  "]))
    assert rows(written(plan, [OLD, OLD], there)) == []


def test_without_a_slice_of_today_a_product_is_rejected_and_nothing_is_not(plan: WritePlan) -> None:
    found = written(plan, [NEW, None], standing(None, None))
    assert rows(found) == []
    told = found.rejects.table(pa.array(["4711", "4712"])).to_pylist()
    assert {(row["position"], row["code"]) for row in told} == {(0, "no slice")}
    assert told[0]["message"] == "no row of EVERH is valid today, so there is no slice to change"


def selling_the_same(*slices: tuple[str, str]) -> pa.RecordBatch:
    """Return today's slices of contracts whose product stays."""
    there = standing(*slices)
    names = there.schema.names
    return there.set_column(names.index("CRM_PRODUCT"), "CRM_PRODUCT", pa.array([OLD[:2]] * len(slices)))


def named(found: Written) -> list[tuple[str, str, str]]:
    return [(r["AB"], r["BIS"], r["CONTRACTPOS"].hex().upper()[:2]) for r in everh(found).rows.to_pylist()]


def history(*slices: tuple[str, str], item: bytes) -> pa.RecordBatch:
    """Return further slices of the first contract, which name an item."""
    rows = standing(*slices)
    names, size = rows.schema.names, rows.num_rows
    rows = rows.set_column(names.index("CONTRACTPOS"), "CONTRACTPOS", pa.array([item] * size, pa.binary()))
    return rows.append_column("position", pa.array([0] * size, pa.int32()))


def test_the_counterpart_is_filled_into_every_slice_that_names_none(plan: WritePlan) -> None:
    older = history(("20230101", "20231231"), item=bytes(16))
    found = written(plan, [OLD], selling_the_same(("20240101", "99991231")), item="CC" * 16, older=older)
    assert [row[2] for row in named(found)] == ["CC", "CC"]
    assert {row[:2] for row in named(found)} == {("20240101", "99991231"), ("20230101", "20231231")}


def test_a_slice_that_names_another_item_is_not_written(plan: WritePlan) -> None:
    older = history(("20230101", "20231231"), item=bytes.fromhex("DD" * 16))
    found = written(plan, [OLD], selling_the_same(("20240101", "99991231")), item="CC" * 16, older=older)
    assert named(found) == [("20240101", "99991231", "CC")]


def test_a_split_names_the_counterpart_on_both_sides_of_the_cut(plan: WritePlan) -> None:
    found = written(plan, [NEW], standing(("20240101", "99991231")), item="CC" * 16)
    assert named(found) == [("20240101", "20250531", "CC"), ("20250601", "99991231", "CC")]


def test_a_contract_that_has_ended_is_filled_in_without_a_slice_of_today(plan: WritePlan) -> None:
    older = history(("20230101", "20231231"), item=bytes(16))
    found = written(plan, [None], standing(None), item="CC" * 16, older=older)
    assert named(found) == [("20230101", "20231231", "CC")]
    assert found.rejects.table(pa.array(["4711"])).num_rows == 0


def test_nothing_to_name_fills_in_nothing(plan: WritePlan) -> None:
    assert named(written(plan, [OLD], selling_the_same(("20240101", "99991231")))) == []


def test_what_is_carried_over_is_what_the_table_holds(plan: WritePlan) -> None:
    (table,) = [table for table in plan.tables if table.alias == "EVERH"]
    assert {c.column.column for c in table.columns if c.role == "written"} == {"PRODUCT_GUID", "CRM_PRODUCT"}
    assert {c.column.column for c in table.columns} == {c.name for c in describe("EVERH").columns}
