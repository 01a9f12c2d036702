"""Quotations, opportunities and contacts of CRM: their facts, told by SQL, and what the mappings read of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime

import pytest

from isthmus.connector import KeyRange, connect
from isthmus.mapping.compile import compile_read
from isthmus.store.place import Place
from landscape import create
from tests.landscape.conftest import CONTRACTS, Standing, standing
from tests.landscape.documents import CATALOGUE, OF_BUSINESS, PLAIN, digest, read, same


@pytest.fixture(scope="module")
def business(store: Place) -> Iterator[Standing]:
    yield from standing(store, defects=False, business=True)


@pytest.fixture(scope="module")
def business_dual(store: Place) -> Iterator[Standing]:
    yield from standing(store, defects=False, business=True, model="dual", contracts=300)


@pytest.mark.parametrize("object_", PLAIN)
def test_the_mapping_reads_what_stands_in_the_tables(business: Standing, object_: str) -> None:
    same(business, object_)


@pytest.mark.parametrize("object_", PLAIN)
def test_the_mapping_reads_both_items_of_a_dual_quotation(business_dual: Standing, object_: str) -> None:
    same(business_dual, object_)


@pytest.mark.parametrize(
    ("object_", "name", "unlucky"), [("quotation", "status", "rejected"), ("opportunity", "outcome", "lost")]
)
def test_reasons_are_said_of_what_was_lost_and_of_nothing_else(
    business: Standing, object_: str, name: str, unlucky: str
) -> None:
    told = read(business.crm, object_).root.to_pylist()
    assert {(one[name] == unlucky, one["reason"] is not None) for one in told} == {(True, True), (False, False)}
    assert len({one["reason"] for one in told}) > 5


def test_regions_are_those_of_the_places_of_delivery(business: Standing) -> None:
    told = read(business.crm, "quotation").root
    found = dict(zip(told.column("contract").to_pylist(), told.column("region").to_pylist(), strict=True))
    found.pop(None, None)
    places = business.ask(
        "SELECT ltrim(v.vertrag, '0'), a.region FROM ever v JOIN eanl n ON n.anlage = v.anlage "
        "JOIN evbs b ON b.vstelle = n.vstelle JOIN iflot f ON f.tplnr = b.haus JOIN iloa o ON o.iloan = f.iloan "
        "JOIN adrc a ON a.addrnumber = o.adrnr WHERE ltrim(v.vertrag, '0') = ANY(%s)",
        list(found),
    )
    names = CATALOGUE.codes["region"].systems["isu"]
    assert len(places) == len(found) > 200
    assert all(region in names[str(found[contract])] for contract, region in places)


def test_quotations_are_as_frequent_and_as_often_accepted_as_planned(business: Standing) -> None:
    counts = Counter(read(business.crm, "quotation").root.column("status").to_pylist())
    assert counts.total() == 0.6 * CONTRACTS
    assert 0.38 < counts["accepted"] / counts.total() < 0.52
    assert min(counts["rejected"], counts["expired"]) > 50
    assert counts["open"] > 2


def test_a_quotation_is_decided_while_it_is_valid_and_expires_on_the_day_after(business: Standing) -> None:
    root = read(business.crm, "quotation").root.to_pylist()
    today = date.fromisoformat(business.manifest.today)
    for one in root:
        assert one["created_on"] < today
        assert one["created_on"].weekday() < 5
        if one["status"] == "open":
            assert one["decided_on"] is None
            assert (today - one["valid_until"]).days <= 1
        elif one["status"] == "expired":
            assert (one["decided_on"] - one["valid_until"]).days == 1
        else:
            assert one["created_on"] < one["decided_on"] <= one["valid_until"]
        assert (one["contract"] is not None) == (one["status"] == "accepted")


def test_what_was_accepted_is_a_contract_of_the_customer_in_the_back_office(business: Standing) -> None:
    accepted = business.ask_crm(
        "SELECT x.a4isucontr, x.a4bpno, x.a4division FROM crmd_isuexta4 x WHERE x.a4isucontr <> ''"
    )
    contracts = set(business.ask("SELECT v.vertrag, k.gpart, v.sparte FROM ever v JOIN fkkvkp k ON k.vkont = v.vkonto"))
    assert len(accepted) > 200
    assert set(accepted) <= contracts
    assert len({contract for contract, _, _ in accepted}) == len(accepted)


def test_a_new_customer_decided_before_moving_in(business: Standing) -> None:
    decided = dict(
        business.ask_crm(
            "SELECT x.a4isucontr, d.udate FROM crmd_isuexta4 x "
            "JOIN crm_jcds d ON d.objnr = x.guid AND d.stat = 'I1005' "
            "JOIN crmd_orderadm_i i ON i.guid = x.guid JOIN crmd_customer_h c ON c.guid = i.header "
            "WHERE x.a4isucontr <> '' AND c.zzisucontr = ''"
        )
    )
    starts = dict(business.ask("SELECT vertrag, einzdat FROM ever WHERE vertrag = ANY(%s)", list(decided)))
    assert len(decided) > 50
    assert all(decided[contract] < starts[contract] for contract in decided)


def test_every_margin_is_left_of_the_one_before(business: Standing) -> None:
    odd = business.ask_crm(
        "SELECT count(*) FROM crmd_pricing_i WHERE zzgrid_cost <= 0 OR zzprocure_cost <= 0 OR zzprocess_cost <= 0 "
        "OR zzsales_cost <= 0 OR quantity <= 0 OR net_value - zzgrid_cost - zzprocure_cost <= 0"
    )
    assert odd == [(0,)]


def test_in_the_dual_model_the_grid_is_an_item_of_its_own(business_dual: Standing) -> None:
    found = business_dual.ask_crm(
        "SELECT count(*), count(DISTINCT i.header), sum(p.net_value - p.zzgrid_cost) FILTER (WHERE x.a4type = '2'), "
        "sum(p.zzgrid_cost) FILTER (WHERE x.a4type = '1') FROM crmd_isuexta4 x "
        "JOIN crmd_orderadm_i i ON i.guid = x.guid JOIN crmd_pricing_i p ON p.guid = x.guid"
    )
    assert found == [(360, 180, 0, 0)]


def test_quotations_are_never_taken_for_contracts(business: Standing) -> None:
    plan = compile_read(CATALOGUE, "crm", "contract")
    connector = connect("sql", {"url": business.crm, "client": "100"})
    assert sum(batch.num_rows for batch in connector.read(plan.query, KeyRange())) == 0
    assert [part.rows for part in connector.partitions(plan.query, 1000)] == [0]
    connector.close()


def test_one_status_of_every_document_is_active(business: Standing) -> None:
    odd = business.ask_crm(
        "SELECT objnr FROM crm_jest GROUP BY objnr HAVING count(*) FILTER (WHERE inact = '') <> 1 LIMIT 1"
    )
    assert odd == []


def test_some_contacts_come_back_for_the_same_reason_within_a_week(business: Standing) -> None:
    table = read(business.crm, "contact").root.to_pylist()
    matters: dict[tuple[str, str], list[datetime]] = {}
    for one in table:
        if one["customer"] and one["direction"] == "inbound":
            matters.setdefault((one["customer"], one["reason"]), []).append(one["created_at"])
    gaps = [
        (later - earlier).total_seconds() / 86_400
        for moments in matters.values()
        for earlier, later in zip(sorted(moments), sorted(moments)[1:], strict=False)
    ]
    again = sum(gap <= 7 for gap in gaps) / len(table)
    assert 0.1 < again < 0.3
    assert 2.7 < len(table) / CONTRACTS < 3.4
    assert sum(one["customer"] is None for one in table) > 0


def test_the_same_seed_gives_the_same_documents_whatever_the_chunk(
    business: Standing, two_databases: tuple[str, str]
) -> None:
    create(*two_databases, contracts=CONTRACTS, seed=7, defects=False, business=True, chunk=200)
    again = digest(two_databases[1])
    assert all(again.values())
    assert again == digest(business.crm)


def test_without_business_there_are_no_documents(clean: Standing) -> None:
    assert [clean.ask_crm(f"SELECT count(*) FROM {name}") for name in OF_BUSINESS] == [[(0,)]] * len(OF_BUSINESS)
