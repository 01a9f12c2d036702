"""Both ways: what changed on one side arrives on the other, field by field; nobody's work is lost, nothing echoes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.errors import ConflictError
from isthmus.levels import synchronize
from isthmus.levels.baseline import baseline, forecast
from isthmus.levels.repair import compare_flow
from isthmus.levels.synchronize import sync_flow
from isthmus.levels.take_over import take_over
from tests.flows.both_ways import a_day_in_step, both_ways, sync
from tests.flows.conftest import Build, Copies
from tests.flows.house import OBJECTS, House

PARTNER = "SELECT name_first, name_last FROM but000 WHERE partner = %s"


@pytest.fixture
def house(build: Build) -> House:
    """A landscape without defects, three objects kept in step since two days."""
    made = build("schema", defects=False, begin=a_day_in_step)
    made.clock.forward(days=1)
    return made


def writes(counts: dict[str, int]) -> dict[str, int]:
    return {what: count for what, count in counts.items() if what.startswith(("updated", "created"))}


def partners(house: House, count: int) -> list[str]:
    asked = "SELECT partner FROM but000 WHERE type = '1' AND partner ~ '^[0-9]{10}$' ORDER BY partner LIMIT %s"
    return [row[0] for row in house.ask("isu", asked, count)]


def edit(house: House, system: str, partner: str, **columns: str) -> None:
    """Change a partner as its system does: with today's date."""
    said = {**columns, "chdat": f"{house.clock():%Y%m%d}"}
    named = ", ".join(f"{name} = %s" for name in said)
    assert house.tell(system, f"UPDATE but000 SET {named} WHERE partner = %s", *said.values(), partner) == 1


def both(house: House, statement: str, *values: Any) -> list[Any]:
    return [house.ask(system, statement, *values) for system in ("isu", "crm")]


def test_a_change_on_either_side_arrives_on_the_other(house: House) -> None:
    one, two = partners(house, 2)
    edit(house, "isu", one, name_last="Isu")
    edit(house, "crm", two, name_first="Crm")
    assert writes(sync(house)) == {"updated_target": 1, "updated_source": 1}
    for partner in (one, two):
        left, right = both(house, PARTNER, partner)
        assert left == right
    assert house.one("crm", "SELECT name_last FROM but000 WHERE partner = %s", one) == "Isu"
    assert house.one("isu", "SELECT name_first FROM but000 WHERE partner = %s", two) == "Crm"


def test_different_fields_changed_on_both_sides_both_arrive(house: House) -> None:
    (one,) = partners(house, 1)
    edit(house, "isu", one, name_last="Isu")
    edit(house, "crm", one, name_first="Crm")
    sync(house)
    assert both(house, PARTNER, one) == [[("Crm", "Isu")], [("Crm", "Isu")]]


def test_an_echo_writes_nothing(house: House) -> None:
    (one,) = partners(house, 1)
    edit(house, "crm", one, name_first="Crm")
    sync(house)
    before = house.touched()
    again = sync(house)
    assert writes(again) == {}
    assert again["unchanged"] == again["things"]
    assert house.touched() == before


def test_the_same_value_on_both_sides_is_agreed(house: House) -> None:
    (one,) = partners(house, 1)
    for system in ("isu", "crm"):
        edit(house, system, one, name_first="Same")
    counts = sync(house)
    assert writes(counts) == {}
    assert "conflicts" not in counts
    edit(house, "isu", one, name_first="Later")
    assert writes(sync(house)) == {"updated_target": 1}


def test_what_an_agent_saves_between_reading_and_writing_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = partners(house, 1)
    edit(house, "isu", one, name_last="Isu")
    saved: list[str] = []

    def agent(name: str) -> None:
        if name == "before write target" and not saved:
            saved.append(name)
            edit(house, "crm", one, name_first="Agent")

    monkeypatch.setattr(synchronize, "passing", agent)
    counts = sync(house, "business_partner")
    assert counts["again"] == 1
    assert both(house, PARTNER, one) == [[("Agent", "Isu")], [("Agent", "Isu")]]


def test_a_partner_born_in_crm_gets_its_number_in_isu(house: House) -> None:
    house.tell(
        "crm",
        "INSERT INTO but000 (client, partner, partner_guid, type, bu_group, name_last, name_first, crdat, chdat)"
        " VALUES ('100', '0009000001', decode('0050568A1F2E4D3C8B7A6958473625AA', 'hex'), '1', '0001', 'Born', 'Here',"
        " %s, '')",
        f"{house.clock():%Y%m%d}",
    )
    assert writes(sync(house)) == {"created_source": 1}
    assert house.ask("isu", PARTNER, "0009000001") == [("Here", "Born")]
    pairs = (
        "SELECT system, key FROM ledger.keys WHERE object = 'business_partner'"
        " AND id IN (SELECT id FROM ledger.keys WHERE key = '9000001')"
    )
    assert sorted(house.ask("ledger", pairs)) == [("crm", "0050568A1F2E4D3C8B7A6958473625AA"), ("isu", "9000001")]
    assert writes(sync(house)) == {}


def test_a_contract_born_in_isu_waits_for_its_account_and_goes_by_itself(house: House) -> None:
    (contract,) = house.ask("isu", "SELECT vertrag, vkonto FROM ever ORDER BY vertrag LIMIT 1")
    house.tell("isu", "UPDATE ever SET aedat = %s WHERE vertrag = %s", f"{house.clock():%Y%m%d}", contract[0])
    copy = "INSERT INTO {0} SELECT (jsonb_populate_record(t, jsonb_build_object({1}))).* FROM {0} t WHERE {2} = '{3}'"
    today = f"{house.clock():%Y%m%d}"
    new = f"'vertrag', '0000999001', 'vkonto', '000029990001', 'erdat', '{today}', 'aedat', '00000000'"
    house.tell("isu", copy.format("ever", new, "vertrag", contract[0]))
    account = f"'vkont', '000029990001', 'erdat', '{today}'"
    house.tell("isu", copy.format("fkkvk", account, "vkont", contract[1]))
    guid = "'guid', '\\x0050568A1F2E4D3C8B7A6958473625BB'"
    house.tell("isu", copy.format("fkkvkp", f"{account}, {guid}", "vkont", contract[1]))
    assert sync(house, "contract")["parked"] == 1
    assert house.exceptions("contract") == {"999001": "missing parent"}
    assert writes(sync(house)) == {"created_target": 2}
    assert house.one("crm", "SELECT count(*) FROM crmd_isuexta4 WHERE a4isucontr = '0000999001'") == 1


def test_a_delete_flag_travels_and_so_does_its_clearing(house: House) -> None:
    account = house.one("isu", "SELECT min(vkont) FROM fkkvk WHERE loevm = ''")
    flag = "SELECT deletion_flag FROM crmm_buag WHERE buag_id = %s"
    for marker in ("X", ""):
        today = f"{house.clock():%Y%m%d}"
        house.tell("isu", "UPDATE fkkvk SET loevm = %s, aedat = %s WHERE vkont = %s", marker, today, account)
        sync(house)
        assert house.one("crm", flag, account) == marker
        house.clock.forward(days=1)


def test_a_row_that_vanished_where_it_is_not_owned_is_made_again(house: House) -> None:
    (one,) = partners(house, 1)
    before = house.ask("crm", PARTNER, one)
    house.tell("crm", "DELETE FROM but000 WHERE partner = %s", one)
    edit(house, "isu", one, name_last="Isu")
    assert writes(sync(house)) == {"created_target": 1}
    assert house.ask("crm", PARTNER, one) == [(before[0][0], "Isu")]


def test_loading_again_overwrites_nothing_and_brings_both_sides_in_step(house: House) -> None:
    (one,) = partners(house, 1)
    edit(house, "crm", one, name_first="Crm")
    house.load(("business_partner",), run="again")
    assert house.ask("crm", PARTNER, one)[0][0] == "Crm"
    assert house.counts("again")["business_partner"]["queued"] == 1
    sync(house)
    assert house.ask("isu", PARTNER, one)[0][0] == "Crm"


def test_a_forecast_says_who_would_win_and_writes_nothing(house: House) -> None:
    one, two = partners(house, 2)
    edit(house, "isu", one, name_last="Isu")
    edit(house, "crm", two, name_first="Crm")
    before, ledger = house.touched(), house.ledger_rows()
    with house.desk() as desk:
        said = {item.field: item.counts for item in forecast(desk, desk.flow("business_partner")).fields}
    assert said["last_name"]["to_target"] == 1
    assert said["first_name"]["to_source"] == 1
    assert (house.touched(), house.ledger_rows()) == (before, ledger)


def test_what_stands_on_both_sides_is_taken_over(build: Build) -> None:
    house = build("schema", defects=False)
    house.load()  # one way: no image is left
    house.clock.forward(days=1)
    both_ways(house)
    (one,) = partners(house, 1)
    edit(house, "crm", one, bu_sort1="CRM")
    with house.desk() as desk:
        counts = baseline(desk, desk.flow("business_partner"))
    assert counts["unchanged"] + counts.get("updated_source", 0) + counts.get("updated_target", 0) == counts["things"]
    assert house.one("ledger", "SELECT count(*) FROM ledger.agreed_business_partner__isu__crm") == counts["things"]
    house.clock.forward(days=1)
    edit(house, "crm", one, bu_sort1="AFTER")
    assert writes(sync(house, "business_partner")) == {"updated_source": 1}


def test_a_flow_that_is_not_loaded_says_what_to_do(build: Build) -> None:
    house = both_ways(build("schema", defects=False))
    with house.desk() as desk, pytest.raises(ConflictError, match="isthmus load business_partner"):
        sync_flow(desk, desk.flow("business_partner"))


def test_a_landscape_with_all_its_defects_settles_at_once(build: Build) -> None:
    house = both_ways(build("schema", defects=True))
    house.load(OBJECTS)
    sync(house)
    house.clock.forward(days=2)
    before = house.touched()
    assert writes(sync(house)) == {}
    assert house.touched() == before


def enter_again(house: House, partner: str, number: str, **columns: str) -> None:
    """Enter an existing partner of CRM there a second time, under another number, with its address."""
    today = f"{house.clock():%Y%m%d}"
    new = {"partner": number, "partner_guid": f"\\x{int(number):032x}", "crdat": today, "chdat": "00000000", **columns}
    copied = "INSERT INTO {0} SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM {0} t WHERE partner = %s"
    address = {"partner": number, "addrnumber": number, "address_guid": f"\\x{int(number) + 1:032x}"}
    (old,) = house.ask("crm", "SELECT addrnumber FROM but020 WHERE partner = %s", partner)
    house.tell("crm", copied.format("but000"), json.dumps(new), partner)
    house.tell("crm", copied.format("but020"), json.dumps(address), partner)
    moved = "INSERT INTO adrc SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM adrc t WHERE addrnumber = %s"
    house.tell("crm", moved, json.dumps({"addrnumber": number}), old[0])


def test_somebody_entered_again_is_held_with_the_score_until_a_person_decides(house: House) -> None:
    (one,) = partners(house, 1)
    enter_again(house, one, "0009000001")
    counts = sync(house, "business_partner")
    assert writes(counts) == {}
    assert counts["conflicts"] == 1
    number, kind, score, key = house.ask("ledger", "SELECT number, kind, score, source_value FROM ledger.conflicts")[0]
    assert (kind, key) == ("duplicate", one.lstrip("0"))
    assert score > 0.9
    with house.desk() as desk:
        desk.ledger.conflicts.decide([number], "value", "create", by="operations", why="twins")
    assert writes(sync(house, "business_partner")) == {"created_source": 1}
    assert house.ask("isu", PARTNER, "0009000001") == house.ask("crm", PARTNER, "0009000001")


def test_a_stranger_is_made_at_once(house: House) -> None:
    (one,) = partners(house, 1)
    enter_again(house, one, "0009000001", name_last="Zzyzx", name_first="Qu", birthdt="19010101")
    assert writes(sync(house, "business_partner")) == {"created_source": 1}


def test_a_partner_that_stands_on_both_sides_unknown_to_the_key_map_is_paired_by_its_guid(house: House) -> None:
    (one,) = partners(house, 1)
    enter_again(house, one, "0009000001", name_last="Zzyzx", birthdt="19010101")
    (guid,) = house.ask("crm", "SELECT partner_guid FROM but000 WHERE partner = '0009000001'")
    today = f"{house.clock():%Y%m%d}"
    new = {"partner": "0009000001", "name_last": "Zzyzx", "birthdt": "19010101", "crdat": today, "chdat": "00000000"}
    said = json.dumps({**new, "partner_guid": f"\\x{bytes(guid[0]).hex()}"})
    copied = "INSERT INTO but000 SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM but000 t WHERE partner = %s"
    house.tell("isu", copied, said, one)
    counts = sync(house, "business_partner")
    assert "created_source" not in counts
    assert "created_target" not in counts
    assert counts["things"] == 1
    assert (
        house.one("ledger", "SELECT count(*) FROM ledger.keys WHERE object = 'business_partner' AND key = '9000001'")
        == 1
    )


def test_what_is_queued_or_held_is_no_difference_and_repair_brings_the_rest_in_step(house: House) -> None:
    one, two = partners(house, 2)
    for system, name in (("isu", "Left"), ("crm", "Right")):
        edit(house, system, one, name_last=name)
    sync(house, "business_partner")
    house.tell("crm", "UPDATE but000 SET bu_sort1 = 'UNSEEN' WHERE partner = %s", two)
    with house.desk() as desk:
        flow = desk.flow("business_partner")
        found = compare_flow(desk, flow, repair=True, dry_run=False, cap=0.2, guard=False)
        assert [item["field"] for item in found["differences"]] == ["search_1"]
        assert found["repaired"]
        assert compare_flow(desk, flow, repair=False, dry_run=False, cap=0.2, guard=False)["agrees"]
    assert house.one("isu", "SELECT bu_sort1 FROM but000 WHERE partner = %s", two) == "UNSEEN"


def test_a_baseline_that_was_broken_off_is_taken_over(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = both_ways(build("schema", defects=False))

    def dies(name: str) -> None:
        raise KeyboardInterrupt

    with house.desk() as desk:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(synchronize, "passing", dies)
            baseline(desk, desk.flow("business_partner"))
        house.clock.forward(hours=1)  # its lease runs out
        counts = baseline(desk, desk.flow("business_partner"))
    assert counts["created_target"] == house.one("isu", "SELECT count(*) FROM but000")
    assert writes(sync(house, "business_partner")) == {}


def test_a_crm_restored_from_an_older_copy_overwrites_nothing_and_is_brought_up_to_date(
    house: House, copies: Copies
) -> None:
    one, two = partners(house, 2)
    old = copies({"crm": house.urls["crm"]})["crm"]
    edit(house, "isu", one, bu_sort1="ISU")
    edit(house, "crm", two, bu_sort1="CRM")
    sync(house)
    house.move("crm", old)
    edit(house, "crm", one, bu_sort2="OLD")  # so its feed sees the old row
    with pytest.raises(ConflictError, match="--restored crm --by NAME"):
        sync(house, "business_partner")
    before = house.ask("isu", "SELECT * FROM but000 ORDER BY partner")
    with house.desk() as desk:
        take_over(desk, desk.flow("business_partner"), "operations", "crm")
    assert house.ask("isu", "SELECT * FROM but000 ORDER BY partner") == before
    for partner in (one, two):
        left, right = both(house, "SELECT bu_sort1, bu_sort2 FROM but000 WHERE partner = %s", partner)
        assert left == right
    assert writes(sync(house, "business_partner")) == {}


def test_what_is_held_of_a_row_stays_while_that_row_cannot_be_read(house: House) -> None:
    (one,) = partners(house, 1)
    for system, name in (("isu", "Left"), ("crm", "Right")):
        edit(house, system, one, name_last=name)
    sync(house, "business_partner")
    good = house.one("crm", "SELECT birthdt FROM but000 WHERE partner = %s", one)
    standing = "SELECT count(*) FROM ledger.conflicts WHERE state = 'open'"
    for birth in ("19991399", good):
        edit(house, "crm", one, birthdt=birth)
        sync(house, "business_partner")
        assert house.one("ledger", standing) == 1
