"""Records that came before their customer's pair was known move to their true cell once it is."""

from __future__ import annotations

import pyarrow as pa

from tests.flows.house import House
from tests.warehouse.feeding.conftest import live, rows
from warehouse import orchestrate
from warehouse.depot import Depot
from warehouse.paired import BECAUSE


def bring(depot: Depot) -> list[tuple[str, str]]:
    """Load quotation items and say by which modes and why."""
    store = depot.store("item")
    loads = orchestrate.extract(depot, store)
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    return [(found.mode, found.because) for found in loads if found.request]


def forget(depot: Depot, number: str, stranger: str = "") -> None:
    """Let an item hold as it would have before the pair of its customer was known."""
    customer = dict(live(depot, "item", "number, customer"))[number]
    there = depot.ledger.keys.translate("business_partner", "isu", "crm", pa.array([customer]))[0].as_py()
    told = "UPDATE warehouse.active_item SET customer = %s WHERE number = %s"
    depot.connection.execute(told, [f"crm:{stranger or there}", number])


def test_a_record_is_read_again_once_its_pair_is_known(stocked: House, depot: Depot) -> None:
    assert bring(depot) == [("INIT", "")]
    before = live(depot, "item", "number, customer")
    forget(depot, before[0][0])
    assert live(depot, "item", "number, customer") != before
    assert bring(depot) == [("CORRECTION", BECAUSE)]
    assert live(depot, "item", "number, customer") == before
    assert rows(depot, "SELECT records, changed FROM warehouse.requests WHERE mode = 'CORRECTION'") == [(1, 1)]
    assert bring(depot) == []


def test_a_record_whose_pair_nobody_knows_is_left_alone(stocked: House, depot: Depot) -> None:
    bring(depot)
    number = live(depot, "item", "number")[0][0]
    forget(depot, number, "00500000000000000000000000000000")
    assert bring(depot) == []
