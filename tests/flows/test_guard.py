"""Edits in CRM to view-only data, rows that vanish there, rows that are strange there: found, put right, or told."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.errors import ConflictError
from isthmus.levels.repair import compare_flow
from landscape.changes import agent_edits_view_only
from tests.flows.house import OBJECTS, House

JOURNALS = ("schema",)  # receipts play no part in what is tested here


def compare(house: House, object_: str, **said: Any) -> dict[str, Any]:
    options = {"repair": True, "dry_run": False, "cap": 0.05, "guard": False, **said}
    with house.desk() as desk:
        return compare_flow(desk, desk.flow(object_), **options)


def test_both_sides_agree_after_a_load(loaded: House) -> None:
    for name in OBJECTS:
        found = compare(loaded, name, repair=False)
        assert found["agrees"], found
        assert found["source_rows"] > 0


def test_an_edit_in_crm_is_found_by_field_and_put_right(loaded: House) -> None:
    before = loaded.content(BY_HAND)
    keys = agent_edits_view_only(loaded.urls["crm"], 7)
    found = compare(loaded, "connection_object", guard=True)
    assert found["rows_differing"] == len(keys) and found["repaired"]
    assert {row["field"] for row in found["differences"]} == {"text", "text (copy)"}
    assert {row["key"] for row in found["differences"]} == {key.strip() for key in keys}, (found, keys)
    assert {row["target"] for row in found["differences"]} == {"Edited in CRM"}
    assert loaded.content(BY_HAND) == before
    # Who changed it and when is no line of the mapping, so it stays as the agent left it.
    assert loaded.one("crm", "SELECT count(*) FROM comm_product WHERE changed_by = 'AGENT08'") == len(keys)
    assert compare(loaded, "connection_object", guard=True)["agrees"]


def test_an_edit_of_a_column_that_repeats_a_field_is_found_and_put_right(loaded: House) -> None:
    edit = "UPDATE comm_product p SET text40 = 'Repeated' FROM zconnobj c WHERE p.product_guid = c.product_guid"
    loaded.tell("crm", f"{edit} AND c.haus IN (SELECT haus FROM zconnobj WHERE pltxt <> '' ORDER BY haus LIMIT 3)")
    found = compare(loaded, "connection_object", guard=True)
    assert found["rows_differing"] == 3 and found["repaired"]
    assert {(row["field"], row["target"]) for row in found["differences"]} == {("text (copy)", "Repeated")}
    assert loaded.one("crm", "SELECT count(*) FROM comm_product WHERE text40 = 'Repeated'") == 0
    assert compare(loaded, "connection_object", guard=True)["agrees"]


def test_personal_values_are_masked_in_what_the_guard_tells(loaded: House) -> None:
    loaded.tell("crm", "UPDATE but000 SET name_last = 'Secret' WHERE partner IN ('0001000007', '0001000008')")
    loaded.tell(
        "crm", "UPDATE adrc SET street = 'Hidden Lane' WHERE addrnumber = (SELECT addrnumber FROM but020 LIMIT 1)"
    )
    found = compare(loaded, "business_partner", guard=True)
    shown = {(row["field"], row["source"], row["target"]) for row in found["differences"]}
    assert {field for field, _, _ in shown} == {"last_name", "street"}
    assert {value for row in shown for value in row[1:]} == {"•••"}
    assert found["repaired"]
    assert loaded.one("crm", "SELECT count(*) FROM but000 WHERE name_last = 'Secret'") == 0


def test_an_edit_of_a_column_that_no_mapping_names_is_left_alone(loaded: House) -> None:
    loaded.tell("crm", "UPDATE adrc SET str_suppl2 = 'Ring twice'")
    loaded.tell("crm", "UPDATE crmm_buag SET changed_by = 'AGENT01', home_system = 'OTHER'")
    content = loaded.content()
    for name in ("business_partner", "contract_account", "connection_object"):
        assert compare(loaded, name, guard=True)["agrees"]
    totals = loaded.totals(loaded.load(["business_partner", "contract_account", "connection_object"]))
    assert totals["updated"] == totals["inserted"] == 0
    assert loaded.content() == content


def test_rows_deleted_in_crm_come_back_by_repair(loaded: House) -> None:
    before = loaded.content({"crmd_orderadm_h": ("object_id",)})
    some = loaded.ask("crm", "SELECT a4isucontr FROM crmd_isuexta4 WHERE a4isucontr < '09' ORDER BY 1 LIMIT 3")
    keys = [row[0] for row in some]
    gone = "(SELECT guid FROM crmd_isuexta4 WHERE a4isucontr = ANY(%s))"
    loaded.tell("crm", f"DELETE FROM crm_jest WHERE objnr IN {gone}", keys)
    loaded.tell(
        "crm",
        f"DELETE FROM crmd_orderadm_h WHERE guid IN (SELECT header FROM crmd_orderadm_i WHERE guid IN {gone})",
        keys,
    )
    loaded.tell("crm", f"DELETE FROM crmd_orderadm_i WHERE guid IN {gone}", keys)
    loaded.tell("crm", "DELETE FROM crmd_isuexta4 WHERE a4isucontr = ANY(%s)", keys)
    assert compare(loaded, "contract", guard=True)["agrees"]  # nobody edited; something is missing
    found = compare(loaded, "contract")
    assert found["rows_differing"] == 3 and found["repaired"]
    assert loaded.content({"crmd_orderadm_h": ("object_id",)}) == before
    numbers = [row[0] for row in loaded.ask("crm", "SELECT object_id FROM crmd_orderadm_h")]
    assert len(numbers) == len(set(numbers)) and "" not in {number.strip("0") for number in numbers}


def test_a_strange_row_in_crm_is_told_of_and_not_deleted(loaded: House) -> None:
    loaded.tell(
        "crm",
        "INSERT INTO crmm_buag (client, buag_guid, buag_id)"
        " VALUES ('100', decode(repeat('ab', 16), 'hex'), '000099000001')",
    )
    found = compare(loaded, "contract_account")
    assert found["agrees"] and found["only_there"] == 1
    assert [row["target_key"] for row in found["differences"]] == ["AB" * 16]
    assert loaded.one("crm", "SELECT count(*) FROM crmm_buag WHERE buag_id = '000099000001'") == 1


def test_one_changed_field_among_all_rows_is_found(clean: House) -> None:
    clean.tell("crm", "UPDATE zregister SET digits_before = '09' WHERE ctid = (SELECT ctid FROM zregister LIMIT 1)")
    differing = {name: compare(clean, name, repair=False) for name in OBJECTS}
    assert {name for name, found in differing.items() if not found["agrees"]} == {"device"}
    assert differing["device"]["rows_differing"] == 1
    assert {row["field"] for row in differing["device"]["differences"]} == {"registers"}


def test_a_dry_run_changes_nothing_and_the_cap_refuses(clean: House) -> None:
    clean.tell("crm", "UPDATE zpremise SET floor = '99'")
    content = clean.content()
    with pytest.raises(ConflictError, match="more than the cap of 5%"):
        compare(clean, "premise")
    assert clean.content() == content
    ledger = clean.ledger_rows()
    found = compare(clean, "premise", dry_run=True, cap=1.0)
    assert found["rows_differing"] == clean.one("isu", "SELECT count(*) FROM evbs") and not found["repaired"]
    assert clean.content() == content
    assert {n for n, rows in clean.ledger_rows().items() if rows != ledger[n]} == {"reconciliations"}
    assert compare(clean, "premise", cap=1.0)["repaired"]
    assert compare(clean, "premise", repair=False)["agrees"]


# What an agent's edit stamps besides the text itself.
BY_HAND = {"comm_product": ("changed_at", "changed_by")}
