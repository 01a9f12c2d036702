"""Feeding stores from systems: everything once, then what changed; what is gone, unreadable, or repaired."""

from __future__ import annotations

import pytest

from isthmus.errors import ConfigError, ConflictError, DataError
from tests.flows.house import House
from tests.warehouse.feeding.conftest import live, rows
from warehouse import orchestrate, pointers, requests
from warehouse.depot import Depot
from warehouse.feed import Load, load_feed, month_of
from warehouse.spec import StoreFeed
from warehouse.tables import Mode

ISU = StoreFeed("isu")


def load(depot: Depot, store: str, mode: Mode | None = None, system: str = "isu") -> Load:
    """Load a store and make what arrived hold."""
    found = load_feed(depot, depot.store(store), StoreFeed(system), mode)
    orchestrate.check(depot, depot.store(store))
    orchestrate.activate(depot, depot.store(store))
    return found


def numbers(house: House) -> list[str]:
    """Return the contracts of IS-U as the model spells them."""
    return [row[0].lstrip("0") for row in house.ask("isu", "SELECT vertrag FROM ever ORDER BY 1")]


def test_the_first_load_brings_everything_and_the_next_nothing(stocked: House, depot: Depot) -> None:
    first = load(depot, "contract")
    assert first.request is not None
    assert (first.mode, first.request.state) == ("INIT", "LOADED")
    assert sorted(row[0] for row in live(depot, "contract", "number")) == sorted(numbers(stocked))
    again = load(depot, "contract")
    assert (again.mode, again.request) == ("DELTA", None)
    assert len(requests.list_requests(depot.connection, "contract")) == 1


def test_what_changed_and_what_vanished_arrive_with_the_next_delta(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    low, high = numbers(stocked)[:2]
    stocked.tell("isu", "UPDATE ever SET auszdat = '20301231' WHERE ltrim(vertrag, '0') = %s", low)
    stocked.tell("isu", "DELETE FROM ever WHERE ltrim(vertrag, '0') = %s", high)
    found = load(depot, "contract")
    assert found.request is not None
    assert (found.mode, found.request.records) == ("DELTA", 2)
    held = dict(live(depot, "contract", "number, ends_on::text"))
    assert held[low] == "2030-12-31"
    assert high not in held
    modes = rows(depot, "SELECT record_mode FROM warehouse.inbound_contract WHERE request_id = %s", found.request.id)
    assert sorted(modes) == [("",), ("D",)]


def test_a_delta_delivered_twice_is_the_same_request(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    before = pointers.pointer(depot.connection, "contract", "isu")
    assert before is not None
    stocked.tell("isu", "UPDATE ever SET auszdat = '20301231' WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    first = load(depot, "contract")
    assert first.request is not None
    back = "UPDATE warehouse.pointers SET confirmed = %s WHERE store = 'contract'"
    depot.connection.execute(back, [before.confirmed])
    again = load(depot, "contract")
    assert again.request is not None
    assert (again.request.id, again.because) == (first.request.id, "delivered before")


def test_a_delta_can_be_repeated_and_changes_nothing(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    with pytest.raises(ConflictError, match="no delta from isu yet"):
        load(depot, "contract", "REPEAT")
    stocked.tell("isu", "UPDATE ever SET auszdat = '20301231' WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    load(depot, "contract")
    again = load(depot, "contract", "REPEAT")
    assert again.request is not None
    assert (again.request.records, requests.request(depot.connection, again.request.id).changed) == (1, 0)


def test_a_feed_can_begin_without_data(stocked: House, depot: Depot) -> None:
    load(depot, "contract", "INIT_NODATA")
    assert live(depot, "contract") == []
    stocked.tell("isu", "UPDATE ever SET auszdat = '20301231' WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    load(depot, "contract")
    assert len(live(depot, "contract")) == 1


def test_another_full_load_brings_the_differences_alone_and_moves_no_pointer(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    before = pointers.pointer(depot.connection, "contract", "isu")
    assert load(depot, "contract", "REPAIR_FULL").request is None
    stocked.tell("isu", "DELETE FROM ever WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    stocked.clock.forward(minutes=1)
    found = load(depot, "contract", "REPAIR_FULL")
    assert found.request is not None
    assert found.request.records == 1
    assert pointers.pointer(depot.connection, "contract", "isu") == before
    assert len(live(depot, "contract")) == len(numbers(stocked))


def test_a_system_that_holds_nothing_empties_no_store(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    stocked.tell("isu", "DELETE FROM ever")
    with pytest.raises(DataError, match="an empty load never empties a store"):
        load(depot, "contract", "REPAIR_FULL")
    assert len(live(depot, "contract")) > 0
    newest = requests.list_requests(depot.connection, "contract")[0]
    assert newest.state == "FAILED"


def test_entries_that_vanish_from_a_list_are_deleted_with_their_parent_read_again(stocked: House, depot: Depot) -> None:
    load(depot, "register")
    before = len(live(depot, "register"))
    assert before == stocked.one("isu", "SELECT count(*) FROM etdz")
    device = stocked.one("isu", "SELECT equnr FROM etdz GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1")
    mine = stocked.one("isu", "SELECT count(*) FROM etdz WHERE equnr = %s", device)
    first = stocked.one("isu", "SELECT min(zwnummer) FROM etdz WHERE equnr = %s", device)
    gone = stocked.tell("isu", "DELETE FROM etdz WHERE equnr = %s AND zwnummer <> %s", device, first)
    found = load(depot, "register")
    assert found.request is not None
    assert found.request.records == mine
    assert len(live(depot, "register")) == before - gone


def test_keys_of_crm_are_conformed_through_the_key_map(stocked: House, depot: Depot) -> None:
    load(depot, "item", system="crm")
    known = {row[0].lstrip("0") for row in stocked.ask("isu", "SELECT partner FROM but000")}
    customers = {row[0] for row in live(depot, "item", "customer")}
    assert customers
    assert customers <= known
    objects = rows(depot, "SELECT count(*), count(DISTINCT key) FROM warehouse.objects WHERE store = 'item'")
    assert objects == [(len(live(depot, "item")),) * 2]


def test_a_record_is_found_by_its_guid_when_it_vanishes(own_crm: House, depot: Depot) -> None:
    load(depot, "item", system="crm")
    number = live(depot, "item", "number")[0][0]
    guid = rows(depot, "SELECT object_key FROM warehouse.objects WHERE store = 'item' AND key = %s", number)[0][0]
    deleted = own_crm.tell("crm", "DELETE FROM crmd_orderadm_i WHERE upper(encode(guid, 'hex')) = upper(%s)", guid)
    assert deleted == 1
    load(depot, "item", system="crm")
    assert number not in {row[0] for row in live(depot, "item", "number")}


def test_what_cannot_be_read_is_held_by_key_and_let_go_when_it_can(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    number = numbers(stocked)[0]
    site = stocked.one("isu", "SELECT anlage FROM ever WHERE ltrim(vertrag, '0') = %s", number)
    told = "UPDATE ever SET anlage = %s, auszdat = %s WHERE ltrim(vertrag, '0') = %s"
    stocked.tell("isu", told, "", "20301231", number)
    load(depot, "contract")
    asked = "SELECT key, kind, message, state FROM warehouse.held WHERE field = 'installation'"
    assert rows(depot, asked) == [(number, "unread", "the contract has no installation", "open")]
    assert number in {row[0] for row in live(depot, "contract", "number")}
    stocked.tell("isu", told, site, "20311231", number)
    load(depot, "contract")
    assert [row[3] for row in rows(depot, asked)] == ["superseded"]
    assert dict(live(depot, "contract", "number, ends_on::text"))[number] == "2031-12-31"


def test_a_month_is_repaired_and_nothing_beside_it(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    day = stocked.one("isu", "SELECT min(einzdat) FROM ever WHERE einzdat > '19000101'")
    within = stocked.ask("isu", "SELECT vertrag FROM ever WHERE einzdat = %s ORDER BY 1 LIMIT 1", day)[0][0]
    beside = stocked.ask("isu", "SELECT vertrag FROM ever WHERE left(einzdat, 6) <> left(%s, 6) LIMIT 1", day)[0][0]
    spoil = "UPDATE warehouse.active_contract SET division = 'spoilt' WHERE number IN (%s, %s)"
    depot.connection.execute(spoil, [within.lstrip("0"), beside.lstrip("0")])
    month = month_of(depot.store("contract"), f"{day[:4]}-{day[4:6]}", depot.warehouse)
    assert month.field == "starts_on"
    found = load_feed(depot, depot.store("contract"), ISU, month=month)
    assert found.request is not None
    assert (found.mode, found.request.records) == ("REPAIR_FULL", 1)
    orchestrate.check(depot, depot.store("contract"))
    orchestrate.activate(depot, depot.store("contract"))
    spoilt = [row[0] for row in live(depot, "contract", "number") if ("spoilt",) in rows(
        depot, "SELECT division FROM warehouse.active_contract WHERE number = %s", row[0])]  # fmt: skip
    assert spoilt == [beside.lstrip("0")]


def test_a_month_is_named_like_one(depot: Depot) -> None:
    with pytest.raises(ConfigError, match="write it like 2025-12"):
        month_of(depot.store("contract"), "December", depot.warehouse)
    with pytest.raises(ConfigError, match="it has starts_on, ends_on"):
        month_of(depot.store("contract"), "2025-12", depot.warehouse, "posted_on")


def test_a_load_that_was_broken_off_is_begun_anew(stocked: House, depot: Depot) -> None:
    made = requests.open_request(
        depot.connection, depot.store("contract"), "isu", "INIT", "left open", as_of=depot.today, now=depot.clock()
    )
    found = load(depot, "contract")
    assert found.request is not None
    assert requests.request(depot.connection, made.id).state == "FAILED"
    assert len(live(depot, "contract")) == len(numbers(stocked))


def test_a_cursor_that_is_lost_leads_to_one_comparison_of_everything(stocked: House, depot: Depot) -> None:
    load(depot, "contract")
    depot.connection.execute("UPDATE warehouse.pointers SET confirmed = 'nonsense' WHERE store = 'contract'")
    stocked.tell("isu", "DELETE FROM ever WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    found = load(depot, "contract")
    assert found.request is not None
    assert (found.mode, found.request.records) == ("INIT", 1)
    assert "nonsense" in found.because or "none of" in found.because
    assert load(depot, "contract").request is None
