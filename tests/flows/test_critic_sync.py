"""What a stranger tried on flows that are kept in step: nobody's data may be lost or mixed with another's."""

from __future__ import annotations

import signal

import pytest

from tests.flows.both_ways import a_day_in_step, sync
from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_synchronize import edit, partners, writes
from tests.flows.test_synchronize_killed import synchronizer

ADDRESS = (
    "SELECT a.addrnumber, c.street, c.city1 FROM but020 a JOIN adrc c ON c.client = a.client "
    "AND c.addrnumber = a.addrnumber AND c.nation = '' WHERE a.partner = %s AND a.xdfadr = 'X'"
)
TABLES = ("but000", "but020", "adrc")


@pytest.fixture
def house(build: Build) -> House:
    """A landscape without defects, three objects kept in step since two days."""
    made = build("schema", defects=False, begin=a_day_in_step)
    made.clock.forward(days=1)
    return made


def enter(house: House, system: str, number: str, last: str, first: str, born: str, address: str = "") -> None:
    """Enter a new person with a GUID of its own, with an address if it is given a number."""
    today = f"{house.clock():%Y%m%d}"
    house.tell(
        system,
        "INSERT INTO but000 (client, partner, type, bu_group, title, name_last, name_first, birthdt, partner_guid, "
        "crusr, crdat) VALUES ('100', %s, '1', 'UTIL', '0001', %s, %s, %s, decode(md5(%s), 'hex'), 'AGENT', %s)",
        number, last, first, born, system + number, today,
    )  # fmt: skip
    if address:
        live_at(house, system, number, address, f"{last}weg")


def live_at(house: House, system: str, number: str, address: str, street: str) -> None:
    """Give a partner a standard address."""
    house.tell(
        system,
        "INSERT INTO but020 (client, partner, addrnumber, xdfadr, address_guid, addr_valid_from, addr_valid_to) "
        "VALUES ('100', %s, %s, 'X', decode(md5(%s), 'hex'), 10101000000, 99991231235959)",
        number, address, address,
    )  # fmt: skip
    house.tell(
        system,
        "INSERT INTO adrc (client, addrnumber, date_from, nation, date_to, street, city1, post_code1, country) "
        "VALUES ('100', %s, '00010101', '', '99991231', %s, 'Wien', '1010', 'AT')",
        address, street,
    )  # fmt: skip


def conflicts(house: House, kind: str) -> int:
    with house.desk() as desk:
        return len(desk.ledger.conflicts.open(kind=kind))


def test_two_people_who_got_one_number_on_one_day_are_not_mixed(house: House) -> None:
    enter(house, "isu", "0005550001", "Huber", "Hans", "19501010", "0088000011")
    enter(house, "crm", "0005550001", "Mayer", "Eva", "19990909", "0088000012")
    before = {system: house.ask(system, ADDRESS, "0005550001") for system in ("isu", "crm")}
    assert writes(sync(house)) == {}
    assert {system: house.ask(system, ADDRESS, "0005550001") for system in ("isu", "crm")} == before
    assert conflicts(house, "duplicate") == 2
    assert writes(sync(house)) == {}


def test_one_person_with_one_number_and_two_guids_is_one(house: House) -> None:
    for system, address in (("isu", "0088000011"), ("crm", "0088000011")):
        enter(house, system, "0005550001", "Huber", "Hans", "19501010", address)
    assert writes(sync(house)) == {}
    assert conflicts(house, "duplicate") == 0
    edit(house, "crm", "0005550001", name_first="Johann")
    assert writes(sync(house)) == {"updated_source": 1}
    assert house.one("isu", "SELECT name_first FROM but000 WHERE partner = '0005550001'") == "Johann"


def test_a_second_item_of_one_contract_is_found_and_not_taken_for_it(house: House) -> None:
    (guid,) = house.ask("crm", "SELECT guid FROM crmd_isuexta4 WHERE a4quotation = '' AND a4isucontr <> '' LIMIT 1")[0]
    for table in ("crmd_isuexta4", "crmd_orderadm_i"):
        house.tell(
            "crm",
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('guid', %s::text))).* "
            f"FROM {table} t WHERE guid = %s",
            "\\x" + "dd" * 16,
            guid,
        )
    stamp = f"{house.clock():%Y%m%d%H%M%S}"
    for guids in ([bytes.fromhex("dd" * 16)], [bytes.fromhex("dd" * 16), guid]):  # alone, then both at once
        house.tell("crm", "UPDATE crmd_orderadm_i SET changed_at = %s WHERE guid = ANY(%s)", stamp, guids)
        counts = sync(house)
        assert writes(counts) == {}
        assert conflicts(house, "disagrees") == 1
    assert "renamed" not in counts


def address(house: House, partner: str) -> list[list[tuple[str, ...]]]:
    return [house.ask(system, ADDRESS, partner) for system in ("isu", "crm")]


def test_another_standard_address_takes_the_place_of_the_former_one(house: House) -> None:
    (one,) = partners(house, 1)
    house.tell("isu", "UPDATE but020 SET xdfadr = '' WHERE partner = %s", one)
    live_at(house, "isu", one, "0088000099", "Neuer Weg")
    edit(house, "isu", one)
    assert writes(sync(house)) == {"updated_target": 1}
    assert address(house, one) == [[("0088000099", "Neuer Weg", "Wien")]] * 2
    assert writes(sync(house)) == {}


def test_an_address_that_crm_lost_comes_back_and_empties_nothing(house: House) -> None:
    (one,) = partners(house, 1)
    stood = house.ask("isu", ADDRESS, one)
    house.tell("crm", "DELETE FROM but020 WHERE partner = %s", one)
    edit(house, "crm", one)
    assert writes(sync(house)) == {"updated_target": 1}
    assert address(house, one) == [stood, stood]
    assert writes(sync(house)) == {}


def test_an_address_that_isu_removed_is_told_of_and_stays_in_crm(house: House) -> None:
    (one,) = partners(house, 1)
    stood = house.ask("crm", ADDRESS, one)
    house.tell("isu", "DELETE FROM but020 WHERE partner = %s", one)
    edit(house, "isu", one)
    for _ in range(2):
        assert writes(sync(house)) == {}
        assert address(house, one) == [[], stood]
        assert conflicts(house, "refused") == 1


@pytest.mark.parametrize("system", ["isu", "crm"])
def test_a_first_address_arrives_on_the_other_side(house: House, system: str) -> None:
    enter(house, system, "0007550001", "Huber", "Hans", "19501010")
    sync(house)
    live_at(house, system, "0007550001", "0087000011", "Erste Gasse")
    edit(house, system, "0007550001")
    assert sum(writes(sync(house)).values()) == 1
    assert address(house, "0007550001") == [[("0087000011", "Erste Gasse", "Wien")]] * 2
    assert writes(sync(house)) == {}


def test_a_number_edited_where_it_is_the_rows_key_makes_no_second_row(house: House) -> None:
    (one,) = partners(house, 1)
    for table in ("but000", "but020"):
        house.tell("crm", f"UPDATE {table} SET partner = '0009999999' WHERE partner = %s", one)
    edit(house, "crm", "0009999999")
    before = house.one("crm", "SELECT count(*) FROM but000")
    assert writes(sync(house)) == {}
    assert house.one("crm", "SELECT count(*) FROM but000") == before
    assert conflicts(house, "refused") == 1


def test_what_a_killed_worker_held_is_taken_over_at_once(house: House) -> None:
    (one,) = partners(house, 1)
    edit(house, "crm", one, name_first="Crm")
    assert synchronizer(house, "after claim") == -signal.SIGKILL
    assert synchronizer(house) == 0
    assert house.one("isu", "SELECT name_first FROM but000 WHERE partner = %s", one) == "Crm"
