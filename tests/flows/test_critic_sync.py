"""What a stranger tried on flows that are kept in step: nobody's data may be lost or mixed with another's."""

from __future__ import annotations

import pytest

from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_synchronize import edit, in_step, sync, writes

ADDRESS = (
    "SELECT a.addrnumber, c.street, c.city1 FROM but020 a JOIN adrc c ON c.client = a.client "
    "AND c.addrnumber = a.addrnumber AND c.nation = '' WHERE a.partner = %s AND a.xdfadr = 'X'"
)
TABLES = ("but000", "but020", "adrc")


@pytest.fixture
def house(build: Build) -> House:
    """A landscape without defects, loaded, three objects kept in step, a day later."""
    made = in_step(build("schema", defects=False))
    made.load()
    made.clock.forward(days=1)
    sync(made)
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
