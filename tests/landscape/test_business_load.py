"""Contracts are loaded and lived with beside quotations, which nobody takes for contracts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.ledger import migrate
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from landscape import create
from landscape.live import live
from landscape.live_commerce import play_commerce
from tests.flows.house import House, household

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
DOCUMENTS = """
SELECT md5(string_agg(rows, '' ORDER BY rows)) FROM (
    SELECT h::text || i::text || x::text || j::text AS rows
    FROM crmd_orderadm_h h JOIN crmd_orderadm_i i ON i.header = h.guid
    JOIN crmd_isuexta4 x ON x.guid = i.guid JOIN crm_jest j ON j.objnr = i.guid WHERE h.object_type = 'BUS2000115'
    UNION ALL
    SELECT h::text || j::text FROM crmd_orderadm_h h JOIN crm_jest j ON j.objnr = h.guid
    WHERE h.object_type IN ('BUS2000111', 'BUS2000126')
) found
"""


@pytest.fixture(scope="module")
def loaded(store: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str, str]]:
    """A house with business whose objects were all loaded; the documents before, and the run."""
    names = {part: f"business_{uuid.uuid4().hex[:10]}_{part}" for part in ("isu", "crm", "ledger")}
    urls = {part: ensure_database(name, place=store) for part, name in names.items()}
    migrate(urls["ledger"])
    manifest = create(urls["isu"], urls["crm"], contracts=500, seed=11, defects=False, business=True)
    folder: Path = tmp_path_factory.mktemp("business")
    with pytest.MonkeyPatch.context() as patch, household(folder, urls, "none", manifest, patch) as house:
        before = house.one("crm", DOCUMENTS)
        yield house, before, house.load()
    for name in names.values():
        drop_database(name, place=store)


def test_a_load_of_contracts_leaves_quotations_as_they_are(loaded: tuple[House, str, str]) -> None:
    house, before, run = loaded
    assert house.one("crm", DOCUMENTS) == before
    there = {row[0] for row in house.ask("isu", "SELECT vertrag FROM ever")}
    here = [row[0] for row in house.ask("crm", "SELECT a4isucontr FROM crmd_isuexta4 WHERE a4quotation = ''")]
    assert sorted(here) == sorted(there)
    assert house.counts(run)["contract"]["inserted"] == len(there) == 500


def test_every_customer_of_a_document_is_a_partner_that_was_loaded(loaded: tuple[House, str, str]) -> None:
    house, _, _ = loaded
    unknown = house.one(
        "crm",
        "SELECT count(*) FROM (SELECT encode(a4bpguid, 'hex') AS guid FROM crmd_isuexta4 UNION ALL "
        "SELECT lower(partner_no) FROM crmd_partner WHERE no_type = 'BP') said "
        "LEFT JOIN but000 b ON b.partner_guid = decode(said.guid, 'hex') WHERE b.partner IS NULL",
    )
    assert unknown == 0


def test_a_second_load_finds_nothing_to_do(loaded: tuple[House, str, str]) -> None:
    house, before, _ = loaded
    house.clock.forward(hours=2)
    totals = house.totals(house.load(["contract"]))
    assert totals.get("inserted", 0) + totals.get("updated", 0) == 0
    assert house.one("crm", DOCUMENTS) == before


def test_a_day_of_contracts_touches_no_quotation(loaded: tuple[House, str, str]) -> None:
    house, before, _ = loaded
    played = live(house.urls["isu"], house.urls["crm"], 80, 4, NOW)
    assert played.kind("cancelled_in_crm").count > 0
    assert played.kind("product_sold_in_crm").count > 0
    assert house.one("crm", DOCUMENTS) == before


def test_what_is_accepted_names_the_contract_it_was_about(loaded: tuple[House, str, str]) -> None:
    house, _, _ = loaded
    day = play_commerce(house.urls["crm"], changes=40, seed=2, now=NOW)
    found = house.ask(
        "crm",
        "SELECT c.zzisucontr, x.a4isucontr, s.a4bpguid = x.a4bpguid FROM crmd_orderadm_h h "
        "JOIN crmd_customer_h c ON c.guid = h.guid JOIN crmd_orderadm_i i ON i.header = h.guid "
        "JOIN crmd_isuexta4 x ON x.guid = i.guid LEFT JOIN crmd_isuexta4 s ON s.a4isucontr = x.a4isucontr "
        "AND s.a4quotation = '' WHERE h.object_id = ANY(%s)",
        list(day.of("accepted")),
    )
    assert found
    assert all(asked == named and same for asked, named, same in found if asked)
    assert any(asked for asked, _, _ in found)
