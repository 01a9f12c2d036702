"""What becomes of each field of a synchronized flow: the model says it, a scenario may say otherwise."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.mapping.compile import compile_read, setting
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import Stamp
from isthmus.mapping.policy import FieldPolicy, policies
from isthmus.mapping.reading import last_change
from isthmus.mapping.spec import Flow

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT)
SCENARIO = CATALOGUE.scenarios["single_with_devices"]


def told(flow: Flow) -> dict[str, FieldPolicy]:
    given = setting(SCENARIO.switches)
    a, b = (compile_read(CATALOGUE, system, flow.object, "", given) for system in (flow.source, flow.target))
    return {item.name: item for item in policies(CATALOGUE, SCENARIO, flow, a, b)}


def test_a_field_is_synchronized_where_both_sides_read_it_and_one_can_write_it() -> None:
    found = told(Flow("contract", "isu", "crm", "synchronize"))
    assert found["customer"].ref == "business_partner"
    assert (found["customer"].writes_source, found["customer"].writes_target) == (False, True)
    assert "billing_block" not in found, "CRM does not read it"
    assert list(found)[-1] == "deleted"


def test_an_owner_is_a_role_that_the_scenario_binds_to_a_side() -> None:
    one_way = told(Flow("contract", "isu", "crm", "synchronize"))
    other_way = told(Flow("contract", "crm", "isu", "synchronize"))
    assert one_way["number"].owner == "source"
    assert other_way["number"].owner == "target"


def test_a_scenario_may_give_a_field_to_somebody_else() -> None:
    flow = Flow("contract", "isu", "crm", "synchronize")
    there = replace(flow, owners={"starts_on": "front_office"}, on_conflict={"starts_on": "hold"})
    assert (told(flow)["starts_on"].owner, told(there)["starts_on"].owner) == ("source", "target")
    assert told(there)["starts_on"].on_conflict == "hold"


def test_what_is_personal_stays_marked() -> None:
    assert told(Flow("business_partner", "isu", "crm", "synchronize"))["last_name"].personal


def test_a_plain_read_asks_for_no_change_columns() -> None:
    plan = compile_read(CATALOGUE, "isu", "contract")
    columns = {str(column) for column in plan.query.columns}
    more = {str(column) for column in plan.stamped().query.columns} - columns
    assert more == {"EVER.AEDAT", "EVER.ERDAT", "EVER.AENAM", "EVER.ERNAM"}
    assert last_change(plan.stamps, pa.RecordBatch.from_pydict({"EVER.VERTRAG": ["1"]})) == (None, None)


STAMPS = (Stamp(("P.CHDAT", "P.CRDAT"), ("P.CHUSR", "P.CRUSR")), Stamp(("A.CHANGED_AT",), ("A.CHANGED_BY",), True))


@pytest.mark.parametrize(
    ("row", "at", "by"),
    [
        (("20240105", "20240101", "MILLER", "SETUP", "0", ""), "20240105", "MILLER"),
        (("00000000", "20240101", "", "SETUP", "0", ""), "20240101", "SETUP"),
        (("20240105", "20240101", "MILLER", "SETUP", "20240105093000", "OKAFOR"), "20240105093000", "OKAFOR"),
        (("20240105", "20240101", "MILLER", "SETUP", "20240104235959", "OKAFOR"), "20240105", "MILLER"),
        (("00000000", "", " ", "", "0", "OKAFOR"), None, None),
    ],
)
def test_the_latest_change_of_all_tables_counts_with_the_one_who_made_it(
    row: tuple[str, ...], at: str | None, by: str | None
) -> None:
    names = ("P.CHDAT", "P.CRDAT", "P.CHUSR", "P.CRUSR", "A.CHANGED_AT", "A.CHANGED_BY")
    columns = {name: pa.array([value]) for name, value in zip(names, row, strict=True)}
    columns["A.CHANGED_AT"] = pa.array([Decimal(row[4])], pa.decimal128(15))
    found = last_change(STAMPS, pa.RecordBatch.from_pydict(columns))
    assert [column.to_pylist() for column in found if column is not None] == [[at], [by]]
