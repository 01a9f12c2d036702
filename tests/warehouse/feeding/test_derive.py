"""Derived stores: only differences are loaded, and the query runs only when what it reads has changed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.errors import DataError, SpecError
from tests.flows.house import House
from tests.warehouse.feeding.conftest import apply, depot_of, live, rows
from warehouse import orchestrate, requests, undo
from warehouse.depot import Depot
from warehouse.derive import load_query
from warehouse.feed import Load
from warehouse.inbound import loaded, write_package
from warehouse.records import fitted
from warehouse.requests import Request


def bring(depot: Depot, contracts: dict[str, str | None]) -> Request:
    """Let contracts arrive (number: account, None for gone) and hold."""
    store = depot.store("contract")
    key = f"load {len(requests.list_requests(depot.connection, 'contract'))}"
    made = requests.open_request(
        depot.connection, store, "isu", "CORRECTION", key, as_of=depot.today, now=depot.clock()
    )
    columns = {"record_mode": pa.array(["D" if account is None else "" for account in contracts.values()])}
    said = {"number": pa.array(list(contracts)), "account": pa.array(list(contracts.values()), pa.string())}
    nothing = pa.nulls(len(contracts), pa.string())
    for item in store.fields:
        columns[item.name] = fitted(said.get(item.name, nothing), item.type)[0]
    write_package(depot.connection, store, made, 1, pa.RecordBatch.from_pydict(columns))
    loaded(depot.connection, store, made, now=depot.clock())
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    return made


def derive(depot: Depot, *, anew: bool = False) -> Load:
    """Derive the sizes of accounts and make them hold."""
    store = depot.store("account_size")
    found = load_query(depot, store, store.feeds[0], anew=anew)
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    return found


def sizes(depot: Depot) -> dict[str, int]:
    return dict(live(depot, "account_size", "account, size"))


def test_a_derived_store_holds_what_its_query_gives(empty: Depot) -> None:
    bring(empty, {"1": "a", "2": "a", "3": "b"})
    derive(empty)
    assert sizes(empty) == {"a": 2, "b": 1}


def test_only_differences_are_loaded_deletes_included(empty: Depot) -> None:
    bring(empty, {"1": "a", "2": "a", "3": "b", "4": "c"})
    derive(empty)
    bring(empty, {"2": None, "3": None, "5": "d"})
    found = derive(empty)
    assert found.request is not None
    modes = "SELECT record_mode, account FROM warehouse.inbound_account_size WHERE request_id = %s ORDER BY 2"
    assert rows(empty, modes, found.request.id) == [("", "a"), ("D", "b"), ("", "d")]
    assert sizes(empty) == {"a": 1, "c": 1, "d": 1}


def test_nothing_is_asked_while_nothing_it_reads_has_changed(empty: Depot) -> None:
    bring(empty, {"1": "a"})
    derive(empty)
    empty.connection.execute("UPDATE warehouse.active_contract SET account = 'z'")  # beside the warehouse
    assert derive(empty).request is None
    assert sizes(empty) == {"a": 1}
    assert derive(empty, anew=True).request is not None
    assert sizes(empty) == {"z": 1}


def test_what_is_taken_back_is_derived_anew(empty: Depot) -> None:
    bring(empty, {"1": "a"})
    derive(empty)
    second = bring(empty, {"2": "a"})
    derive(empty)
    assert sizes(empty) == {"a": 2}
    undo.delete_request(empty.connection, empty.warehouse, empty.store("contract"), second.id, empty.clock())
    derive(empty)
    assert sizes(empty) == {"a": 1}


def test_a_query_that_gives_nothing_empties_no_store(empty: Depot) -> None:
    bring(empty, {"1": "a"})
    derive(empty)
    bring(empty, {"1": None})
    with pytest.raises(DataError, match="an empty load never empties a store"):
        derive(empty)
    assert sizes(empty) == {"a": 1}


def rewrite(house: House, query: str) -> None:
    """Give the derived store another query."""
    Path(house.folder / "warehouse/stores/account_size.sql").write_text(query, encoding="utf-8")


def test_two_records_of_one_key_are_a_mistake_of_the_query(lone: House, empty: Depot) -> None:
    bring(empty, {"1": "a", "2": "a", "3": "b"})
    rewrite(lone, "SELECT account, 1 AS size FROM warehouse.active_contract")
    with pytest.raises(DataError, match=r"gives 1 records more than keys \(account\)"):
        derive(empty)


def test_records_without_a_key_are_a_mistake_of_the_query(lone: House, empty: Depot) -> None:
    bring(empty, {"1": "a"})
    rewrite(lone, "SELECT NULL AS account, count(*) AS size FROM warehouse.active_contract")
    with pytest.raises(DataError, match="gives 1 records without a key"):
        derive(empty)


def test_what_the_database_refuses_names_the_file_of_the_query(lone: House, empty: Depot) -> None:
    rewrite(lone, "SELECT akkount, 1 AS size FROM warehouse.active_contract")
    with pytest.raises(SpecError, match=r'account_size.sql:1:1: the database refuses .*"akkount" does not exist'):
        derive(empty)
    apply(lone)
    with depot_of(lone) as again:
        assert requests.list_requests(again.connection, "account_size") == []
