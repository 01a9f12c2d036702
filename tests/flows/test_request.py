"""A request for some keys, a preview that leaves no trace, and what a changed mapping reaches."""

from __future__ import annotations

import pytest

from isthmus.errors import ConflictError
from isthmus.levels.delta import delta_flow
from isthmus.levels.preview import preview
from tests.flows.conftest import Build
from tests.flows.house import OBJECTS, House, edit

JOURNALS = ("schema",)  # receipts play no part in what is tested here

PARENTS = OBJECTS[:-1]


def test_a_request_typed_without_zeros_reads_that_range_only(build: Build, journal: str) -> None:
    house = build(journal, False, PARENTS)
    run = house.load(["contract"], keys=("100010", "100019"))
    assert house.totals(run)["read"] == house.totals(run)["inserted"] == 10
    arrived = house.ask("crm", "SELECT a4isucontr FROM crmd_isuexta4 ORDER BY 1")
    assert arrived == [(f"00001000{n}",) for n in range(10, 20)]
    with house.desk() as desk:
        assert desk.ledger.flows.state("contract.isu.crm").state == "never"
        with pytest.raises(ConflictError, match="waits for the load"):
            delta_flow(desk, desk.flow("contract"))
    totals = house.totals(house.load(["contract"]))
    assert totals["unchanged"] == 10
    assert house.one("crm", "SELECT count(*) FROM crmd_isuexta4") == house.one("isu", "SELECT count(*) FROM ever")


def test_a_request_does_not_move_the_feed(loaded: House) -> None:
    loaded.tell("isu", "UPDATE ever SET vbez = 'Early', aedat = '20260103' WHERE vertrag = '0000100040'")
    loaded.clock.forward(days=10)
    with loaded.desk() as desk:
        before = desk.ledger.flows.state("contract.isu.crm")
    loaded.load(["contract"], keys=("100010", "100011"))
    with loaded.desk() as desk:
        after = desk.ledger.flows.state("contract.isu.crm")
        assert (after.state, after.cursor, after.watermark) == (before.state, before.cursor, before.watermark)
        delta_flow(desk, desk.flow("contract"))
    assert loaded.one("crm", "SELECT count(*) FROM crmd_orderadm_h WHERE description = 'Early'") == 1


def test_a_preview_says_the_counts_of_the_run_and_leaves_no_trace(build: Build, journal: str) -> None:
    house = build(journal, True, PARENTS)
    content, touched, ledger = house.content(), house.touched(), house.ledger_rows()
    with house.desk() as desk:
        found = preview(desk, desk.flow("contract"))
    assert house.content() == content
    assert house.ledger_rows() == ledger
    assert house.touched() == touched
    run = house.load(["contract"])
    assert dict(found.counts) == house.counts(run)["contract"]
    assert found.counts["inserted"] > 1_000


def test_a_preview_shows_what_would_change_and_hides_what_is_personal(loaded: House) -> None:
    loaded.tell("isu", "UPDATE but000 SET name_last = 'Newname', bu_group = '0007' WHERE partner = '0001000005'")
    with loaded.desk() as desk:
        found = preview(desk, desk.flow("business_partner"))
    assert found.counts["updated"] == 1 and found.counts["inserted"] == 0
    shown = {row["column"].upper(): (row["current"], row["wanted"]) for row in found.differences}
    assert shown["NAME_LAST"] == ("•••", "•••")
    assert shown["BU_GROUP"][1] == "0007"


def test_a_field_added_to_a_mapping_changes_that_column_only(loaded: House) -> None:
    loaded.tell("isu", "UPDATE fkkvkp SET zahlkond = '0014'")
    assert loaded.totals(loaded.load(["contract_account"]))["updated"] == 0
    before = loaded.content({"crmm_buag": ("buag_text",)})
    edit(loaded, "crm/contract_account.yaml", OLD, NEW + OLD)
    run = loaded.load(["contract_account"])
    counts = loaded.totals(run)
    assert counts["updated"] == counts["read"] - counts["rejected"] - counts["parked"] > 900
    assert loaded.content({"crmm_buag": ("buag_text",)}) == before
    assert loaded.ask("crm", "SELECT DISTINCT buag_text FROM crmm_buag") == [("0014",)]
    hashes = "SELECT count(DISTINCT mapping_hash) FROM ledger.packages WHERE flow = 'contract_account.isu.crm'"
    assert loaded.one("ledger", hashes) == 2


OLD, NEW = "  legacy_number:", "  payment_terms: CRMM_BUAG.BUAG_TEXT | trim\n"
