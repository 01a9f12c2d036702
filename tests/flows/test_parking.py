"""Rows whose parent is missing wait by key, go by themselves when it comes, and hold nothing else."""

from __future__ import annotations

import pytest

from isthmus.errors import DataError
from isthmus.levels.delta import delta_flow
from tests.flows.conftest import Build
from tests.flows.house import OBJECTS, House

LOST = "0001000100"


@pytest.fixture
def orphaned(build: Build, journal: str) -> House:
    """A clean landscape that IS-U keeps a partner of hidden from, loaded."""
    return build(journal, defects=False, begin=load_without_one)


def load_without_one(house: House) -> None:
    house.tell("isu", "UPDATE but000 SET client = '999' WHERE partner = %s", LOST)
    house.load()


def waiting(house: House) -> set[tuple[str, str]]:
    rows = house.ask(
        "ledger",
        "SELECT split_part(flow, '.', 1), waits_key FROM ledger.exceptions WHERE kind = 'parked' AND state = 'open'",
    )
    return set(rows)


def everything_came(house: House) -> None:
    for here, there in (("fkkvk", "crmm_buag"), ("ever", "crmd_isuexta4")):
        assert house.one("isu", f"SELECT count(*) FROM {here}") == house.one("crm", f"SELECT count(*) FROM {there}")


def test_a_row_without_its_parent_waits_by_key_and_holds_nothing_else(orphaned: House) -> None:
    accounts = [row[0].lstrip("0") for row in orphaned.ask("isu", "SELECT vkont FROM fkkvkp WHERE gpart = %s", LOST)]
    assert accounts
    assert set(orphaned.exceptions("contract_account", "parked")) == set(accounts)
    assert {key for name, key in waiting(orphaned) if name == "contract_account"} == {LOST.lstrip("0")}
    held = orphaned.one("ledger", "SELECT count(*) FROM ledger.exceptions")
    total = sum(orphaned.one("isu", f"SELECT count(*) FROM {name}") for name in ("fkkvk", "ever"))
    arrived = orphaned.one("crm", "SELECT (SELECT count(*) FROM crmm_buag) + (SELECT count(*) FROM crmd_isuexta4)")
    assert total - arrived == held
    assert orphaned.ask("ledger", "SELECT value FROM ledger.exceptions WHERE value IS NOT NULL") == []


def test_when_the_parent_comes_its_children_go_by_themselves(orphaned: House) -> None:
    orphaned.tell("isu", "UPDATE but000 SET client = '100' WHERE partner = %s", LOST)
    orphaned.load(["business_partner"])
    assert waiting(orphaned) == set()
    assert orphaned.one("ledger", "SELECT count(*) FROM ledger.exceptions WHERE state <> 'resolved'") == 0
    for here, there in (("fkkvk", "crmm_buag"), ("ever", "crmd_isuexta4")):
        assert orphaned.one("isu", f"SELECT count(*) FROM {here}") == orphaned.one(
            "crm", f"SELECT count(*) FROM {there}"
        )


def test_a_delta_brings_the_parent_and_then_the_children(orphaned: House) -> None:
    orphaned.tell("isu", "UPDATE but000 SET client = '100', chdat = '20260102' WHERE partner = %s", LOST)
    with orphaned.desk() as desk:
        for name in OBJECTS:
            delta_flow(desk, desk.flow(name))
    assert waiting(orphaned) == set()
    everything_came(orphaned)


def test_too_many_rows_waiting_for_one_cause_stop_the_object_with_one_finding(build: Build, journal: str) -> None:
    house = build(journal, defects=False)
    with pytest.raises(DataError, match="wait for a business_partner") as caught:
        house.load(["contract_account"], run="early")
    assert len(str(caught.value).splitlines()) == 1
    states = house.packages("early")
    assert states["done"] == 1 and "claimed" not in states
    house.load(["business_partner"])
    house.load(["contract_account"], run="early")
    assert house.one("isu", "SELECT count(*) FROM fkkvk") == house.one("crm", "SELECT count(*) FROM crmm_buag")
