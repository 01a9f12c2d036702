"""Odd spellings are neither churned nor reported; delete markers arrive as flags; nothing empties the target."""

from __future__ import annotations

from isthmus.levels.repair import compare_flow
from tests.flows.house import House

JOURNALS = ("schema",)  # receipts play no part in what is tested here


def quiet(house: House, *objects: str) -> None:
    """Check that a load has nothing to write, nor a comparison of objects anything to say."""
    content = house.content()
    totals = house.totals(house.load())
    assert (totals["inserted"], totals["updated"]) == (0, 0)
    assert house.content() == content
    with house.desk() as desk:
        for name in objects:
            found = compare_flow(desk, desk.flow(name), repair=False, dry_run=True, cap=1, guard=False)
            assert found["agrees"], found


def test_an_odd_spelling_in_crm_is_neither_churned_nor_reported(loaded: House) -> None:
    loaded.tell("crm", "UPDATE crmd_isuexta4 SET a4contend = '00000000' WHERE a4contend = '99991231'")
    loaded.tell("crm", "UPDATE crmd_isuexta4 SET a4bpno = ltrim(a4bpno, '0')")
    loaded.tell("crm", "UPDATE crmm_buag SET buag_id = ltrim(buag_id, '0')")
    loaded.tell("crm", "UPDATE but000 SET name_last = name_last || '  ' WHERE length(name_last) < 30")
    quiet(loaded, "business_partner", "contract_account", "contract")


def test_an_odd_spelling_in_isu_is_neither_churned_nor_reported(loaded: House) -> None:
    odd = [f"{int(key):010d}" for key in loaded.exceptions("contract")]  # what holds them may hang on the date
    loaded.tell("isu", "UPDATE ever SET auszdat = '00000000' WHERE auszdat = '99991231' AND vertrag <> ALL(%s)", odd)
    loaded.tell("isu", "UPDATE fkkvkp SET gpart = ltrim(gpart, '0') WHERE vkont LIKE '%%4'")
    loaded.tell("isu", "UPDATE but000 SET name_last = name_last || '  ' WHERE length(name_last) < 30")
    loaded.tell("isu", "UPDATE evbs SET haus = lower(haus)")
    quiet(loaded, "contract_account", "premise", "contract")


def test_a_delete_marker_arrives_as_a_flag(loaded: House) -> None:
    padded = "SELECT vertrag FROM ever WHERE loevm = '' AND vertrag LIKE '0000%%' ORDER BY vertrag LIMIT 5"
    some = [row[0] for row in loaded.ask("isu", padded)]
    loaded.tell("isu", "UPDATE ever SET loevm = 'X' WHERE vertrag = ANY(%s)", some)
    totals = loaded.totals(loaded.load(["contract"]))
    assert totals["updated"] == 5 and totals["inserted"] == 0
    flagged = "SELECT count(*) FROM crmd_isuexta4 WHERE a4cancelled = 'X' AND a4isucontr = ANY(%s)"
    assert loaded.one("crm", flagged, some) == 5
    loaded.tell("isu", "UPDATE ever SET loevm = '' WHERE vertrag = ANY(%s)", some)
    loaded.load(["contract"])
    assert loaded.one("crm", flagged, some) == 0


def test_what_is_deleted_before_it_ever_came_is_not_brought_where_no_marker_is(loaded: House) -> None:
    before = loaded.one("crm", "SELECT count(*) FROM zpremise")
    loaded.tell(
        "isu",
        "INSERT INTO evbs (mandt, vstelle, haus, loevm) SELECT mandt, '0099999999', haus, 'X' FROM evbs LIMIT 1",
    )
    totals = loaded.totals(loaded.load(["premise"]))
    assert totals["filtered"] == loaded.one("isu", "SELECT count(*) FROM evbs WHERE loevm = 'X'")
    assert loaded.one("crm", "SELECT count(*) FROM zpremise") == before


def test_an_empty_extract_never_empties_the_target(loaded: House) -> None:
    content = loaded.content()
    for table in ("ever", "etdz", "egerh", "fkkvk", "fkkvkp", "evbs", "euitrans"):
        loaded.tell("isu", f"DELETE FROM {table}")
    loaded.load(["contract_account", "premise", "contract"])
    assert loaded.content() == content


def test_a_row_that_came_and_is_rejected_now_keeps_its_last_good_state_and_is_no_difference(loaded: House) -> None:
    content = loaded.content()
    loaded.tell("isu", "UPDATE ever SET auszdat = '19000101' WHERE vertrag = '0000100003'")
    totals = loaded.totals(loaded.load(["contract"]))
    assert totals["updated"] == 0
    assert loaded.exceptions("contract", "rejected")["100003"] == "reject rule"
    assert loaded.content() == content
    with loaded.desk() as desk:
        found = compare_flow(desk, desk.flow("contract"), repair=False, dry_run=True, cap=1, guard=False)
    assert found["agrees"], found
