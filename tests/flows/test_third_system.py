"""A third system joins by a folder of its own; no file that was there before is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest

from isthmus.ledger import Ledger
from isthmus.levels.download import Desk, download
from isthmus.levels.repair import compare_flow
from tests.flows.conftest import Build
from tests.flows.house import ROOT, House, edit
from tests.flows.house import SCENARIO as OWN

TABLES = """
CREATE TABLE customers (customer_no varchar(12) PRIMARY KEY, kind varchar(1), guid varchar(32),
    surname varchar(60), company varchar(60), born varchar(8));
CREATE TABLE places (customer_no varchar(12) PRIMARY KEY, road varchar(80), town varchar(50));
"""
SYSTEM = """system: portal
about: A customer portal.
codes:
  partner_kind: {person: P, organisation: C, group: G}
"""
MAPPING = """object: business_partner
system: portal
about: A customer and the place they live at.

tables:
  CUSTOMERS: {changed: none}
  PLACES:    {tie: CUSTOMER_NO = CUSTOMERS.CUSTOMER_NO, changed: none}

key:     CUSTOMERS.CUSTOMER_NO | padded(12)
deleted: never

fields:
  number:       CUSTOMERS.CUSTOMER_NO | padded(12)
  guid:         CUSTOMERS.GUID | trim
  kind:         CUSTOMERS.KIND | code(partner_kind)
  last_name:    CUSTOMERS.SURNAME | trim
  organisation: CUSTOMERS.COMPANY | trim
  born_on:      CUSTOMERS.BORN | date
  street:       PLACES.ROAD | trim
  city:         PLACES.TOWN | trim

examples:
  - given: {CUSTOMERS.CUSTOMER_NO: "000000004711", CUSTOMERS.KIND: P, CUSTOMERS.SURNAME: Okafor, PLACES.TOWN: Geelong}
    gives: {number: "4711", kind: person, last_name: Okafor, city: Geelong}
"""
SCENARIO = """scenario: portal
about: Customers for the portal.
switches: {devices: yes, dual: no}
roles:    {back_office: isu, front_office: portal}
flows:
  - {object: business_partner, from: isu, to: portal, level: replicate, guard: repair}
"""


def fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.yaml"))
    }


def test_a_system_added_in_a_folder_receives_partners(
    build: Build, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build("schema", False, ("business_partner",))
    with psycopg.connect(fresh_database) as portal:
        portal.execute(TABLES)
    add(house)
    monkeypatch.setenv("ISTHMUS_CONNECTION_PORTAL", fresh_database)
    with Ledger.open(house.urls["ledger"], house.clock) as ledger:
        project = house.project
        desk = Desk(project, ledger, project.scenario("portal"), "host:0", house.clock, gate="off")
        first = house.totals(download(desk))
        again = house.totals(download(desk))
        found = compare_flow(desk, desk.flow("business_partner"), repair=False, dry_run=True, cap=1, guard=False)
    assert first["inserted"] == first["read"] == again["unchanged"] > 800
    assert found["agrees"]
    with psycopg.connect(fresh_database) as portal:
        joined = "SELECT c.customer_no, surname, town FROM customers c JOIN places p USING (customer_no)"
        got = set(portal.execute(joined).fetchall())
    due = house.ask(
        "isu",
        "SELECT lpad(p.partner, 12, '0'), p.name_last, a.city1 FROM but000 p"
        " JOIN but020 b ON b.partner = p.partner AND b.xdfadr = 'X' JOIN adrc a ON a.addrnumber = b.addrnumber",
    )
    assert got == set(due)
    sides = house.ask(
        "ledger",
        "SELECT id, count(DISTINCT system) FROM ledger.keys WHERE object = 'business_partner' GROUP BY id",
    )
    assert {systems for _, systems in sides} == {3}  # one thing everywhere


def add(house: House) -> None:
    edit(house, "crm/_system.yaml", "system: crm", "system: crm")  # mappings of the house's own
    mappings = house.folder / "mappings"
    (mappings / "portal").mkdir()
    (mappings / "portal/_system.yaml").write_text(SYSTEM, encoding="utf-8")
    (mappings / "portal/business_partner.yaml").write_text(MAPPING, encoding="utf-8")
    (mappings / "scenarios/portal.yaml").write_text(SCENARIO, encoding="utf-8")
    here, there = fingerprints(ROOT / "mappings"), fingerprints(mappings)
    for known in (here, there):
        known.pop(f"scenarios/{OWN}.yaml")  # a house has its own
    assert here.items() <= there.items()
    own = {"portal/_system.yaml", "portal/business_partner.yaml", "scenarios/portal.yaml"}
    assert set(there) - set(here) == own
    said = house.folder / "isthmus.yaml"
    system = "systems:\n  portal: {connector: sql, speaks: portal, connection: portal, journal: none}"
    said.write_text(said.read_text(encoding="utf-8").replace("systems:", system), encoding="utf-8")
