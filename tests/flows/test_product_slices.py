"""A product is a slice of time in IS-U: another one from CRM splits today's slice and flattens none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.both_ways import a_day_in_step, sync
from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_synchronize import writes

SLICES = (
    "SELECT ab, bis, num, anlage, prodid, crm_product, product_guid, contracthead, contractpos FROM everh"
    " WHERE vertrag = %s ORDER BY bis"
)


@pytest.fixture
def house(build: Build) -> House:
    """A landscape without defects, three objects kept in step since three days."""
    made = build("schema", defects=False, begin=a_day_in_step)
    made.clock.forward(days=2)
    return made


def running(house: House) -> str:
    """Return a contract without bills that reach today, whose slice of today began long ago."""
    asked = (
        "SELECT v.vertrag FROM ever v JOIN everh h USING (mandt, vertrag) WHERE v.auszdat = '99991231' AND v.loevm = ''"
        " AND h.ab < '20250101' AND h.bis = '99991231' AND v.einzdat < '20250101'"
        " AND NOT EXISTS (SELECT FROM erch b WHERE b.vertrag = v.vertrag AND b.endabrpe >= '20260101')"
        " ORDER BY v.vertrag LIMIT 1"
    )
    return str(house.one("isu", asked))


def sell(house: House, contract: str, unlike: bytes) -> tuple[str, bytes]:
    """Give the contract another product in CRM, as an agent does."""
    asked = "SELECT product_id, product_guid FROM comm_product WHERE product_type = '02' AND product_guid <> %s LIMIT 1"
    ((name, guid),) = house.ask("crm", asked, unlike)
    said = (
        "UPDATE crmd_orderadm_i i SET product = %s, ordered_prod = %s, changed_at = %s, changed_by = 'AGENT'"
        " FROM crmd_isuexta4 u WHERE u.guid = i.guid AND u.a4isucontr = %s"
    )
    assert house.tell("crm", said, guid, name, int(f"{house.clock():%Y%m%d%H%M%S}"), contract) == 1
    return str(name), bytes(guid)


def slices(house: House, contract: str) -> list[tuple[Any, ...]]:
    return house.ask("isu", SLICES, contract)


def without_names(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave out the document and the item of CRM, which whatever is written fills in."""
    return [row[:7] for row in rows]


def test_another_product_ends_todays_slice_and_begins_the_next(house: House) -> None:
    contract = running(house)
    before = slices(house, contract)
    old = before[-1]
    name, guid = sell(house, contract, old[6])
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    closed, opened = (old[0], "20260104", *old[2:7]), ("20260105", old[1], *old[2:5], name, guid)
    assert without_names(slices(house, contract)) == [*without_names(before[:-1]), closed, opened]
    assert writes(sync(house, "contract")) == {}


def test_a_second_product_on_one_day_changes_the_slice_that_began_today(house: House) -> None:
    contract = running(house)
    _, first = sell(house, contract, slices(house, contract)[-1][6])
    sync(house, "contract")
    between = slices(house, contract)
    house.clock.forward(hours=1)
    name, second = sell(house, contract, first)
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    last = between[-1]
    assert slices(house, contract) == [*between[:-1], (*last[:5], name, second, *last[7:])]


def test_a_planned_change_of_product_stays_planned(house: House) -> None:
    contract = running(house)
    house.tell("isu", "UPDATE everh SET bis = '20260630' WHERE vertrag = %s AND bis = '99991231'", contract)
    now = slices(house, contract)[-1]
    later = ("100", contract, "99991231", "0099", "20260701", *now[3:4], *now[7:9], *now[5:6], *now[4:5], *now[6:7])
    house.tell(
        "isu",
        "INSERT INTO everh (mandt, vertrag, bis, num, ab, anlage, contracthead, contractpos, crm_product, prodid,"
        " product_guid) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        *later,
    )
    planned = slices(house, contract)[-1]
    name, _ = sell(house, contract, now[6])
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    found = slices(house, contract)
    assert [(row[0], row[1]) for row in found[-3:]] == [
        (now[0], "20260104"),
        ("20260105", "20260630"),
        ("20260701", "99991231"),
    ]
    assert found[-1][:7] == planned[:7]
    assert [row[5] for row in found[-3:]] == [now[5], name, planned[5]]


def test_another_change_of_the_contract_leaves_its_slices_alone(house: House) -> None:
    contract = running(house)
    before = slices(house, contract)
    said = (
        "UPDATE crmd_orderadm_h h SET description = 'told by an agent', changed_at = %s FROM crmd_isuexta4 u"
        " JOIN crmd_orderadm_i i ON i.guid = u.guid WHERE h.guid = i.header AND u.a4isucontr = %s"
    )
    house.tell("crm", said, int(f"{house.clock():%Y%m%d%H%M%S}"), contract)
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    assert house.one("isu", "SELECT vbez FROM ever WHERE vertrag = %s", contract) == "told by an agent"
    assert without_names(slices(house, contract)) == without_names(before)


def test_a_product_of_a_day_that_is_billed_is_refused_with_the_period(house: House) -> None:
    contract = running(house)
    before = slices(house, contract)
    bill = (
        "INSERT INTO erch (mandt, belnr, vertrag, begabrpe, endabrpe) VALUES ('100', '9', %s, '20260101', '20261231')"
    )
    house.tell("isu", bill, contract)
    sell(house, contract, before[-1][6])
    assert writes(sync(house, "contract")) == {}
    assert slices(house, contract) == before
    (said,) = house.ask("ledger", "SELECT DISTINCT because FROM ledger.conflicts WHERE field = 'product'")
    assert "to 2026-12-31 is billed, so the product of these days cannot be changed" in said[0]
