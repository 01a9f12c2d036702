"""Requests: one a delivery, in order, from pointers that move with them; packages that arrive once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from isthmus.errors import ConflictError, DataError
from tests.warehouse.engine import Stage, batch, line, visit
from warehouse import inbound, pointers, requests
from warehouse.requests import Request


def delta(stage: Stage, cursor_from: str, cursor_to: str, *documents: str) -> Request:
    """Load a delta of lines from one cursor to another."""
    key = requests.load_key("line", "isu", "DELTA", cursor_from)
    store, made = stage.store("line"), stage.open("line", "isu", "DELTA", load_key=key, cursor_from=cursor_from)
    inbound.write_package(stage.connection, store, made, 1, batch(store, map(line, documents)))
    return inbound.loaded(stage.connection, store, made, now=stage.now, cursor_to=cursor_to)


def init(stage: Stage, cursor: str = "c1") -> Request:
    """Begin the feed of lines without data."""
    made = stage.open("line", "isu", "INIT_NODATA")
    return inbound.loaded(stage.connection, stage.store("line"), made, now=stage.now, cursor_to=cursor)


def standing_at(stage: Stage) -> tuple[str, str | None] | None:
    found = pointers.pointer(stage.connection, "line", "isu")
    return None if found is None else (found.confirmed, found.before)


# --- deliveries ---------------------------------------------------------------------------------------------------


def test_the_same_delivery_has_the_same_load_key_and_any_other_another() -> None:
    said = [("line", "isu", "DELTA", "c1", ""), ("line", "isu", "DELTA", None, ""), ("line", "isu", "DELTA", "", "")]
    said += [("line", "crm", "DELTA", "c1", ""), ("line", "isu", "FULL", "c1", ""), ("line", "isu", "DELTA", "c1", "x")]
    keys = [requests.load_key(*one) for one in said]  # type: ignore[arg-type]
    assert keys == [requests.load_key(*one) for one in said]  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)


def test_a_second_delivery_of_a_delta_is_the_first_one_and_writes_nothing(bare: Stage) -> None:
    init(bare)
    first = delta(bare, "c1", "c2", "D1", "D2")
    again = delta(bare, "c1", "c2", "D1", "D2")
    assert (again.id, first.state, again.records) == (first.id, "LOADED", 2)
    assert bare.open("line", "isu", load_key=first.load_key).already
    assert bare.ask("SELECT count(*) FROM warehouse.inbound_line") == [(2,)]


def test_a_delta_whose_cursor_did_not_move_is_followed_by_another_from_there(bare: Stage) -> None:
    init(bare, "20240301")
    loads = [delta(bare, "20240301", "20240301", f"D{number}") for number in range(3)]
    assert len({load.id for load in loads}) == 3
    assert standing_at(bare) == ("20240301", "20240301")


def test_a_deleted_delivery_may_come_again(bare: Stage) -> None:
    init(bare)
    first = delta(bare, "c1", "c2", "D1")
    requests.set_state(bare.connection, first.id, "DELETED", bare.now)
    assert standing_at(bare) == ("c1", None)
    assert delta(bare, "c1", "c3", "D1", "D2").id != first.id
    assert standing_at(bare) == ("c3", "c1")


def test_requests_of_a_store_are_numbered_as_they_are_opened_and_their_days_never_go_back(bare: Stage) -> None:
    later = bare.open("line", "isu", as_of=bare.today + timedelta(days=3))
    earlier = bare.open("line", "isu", as_of=bare.today)
    elsewhere = bare.open("visit", "crm", as_of=bare.today)
    assert earlier.id > later.id
    assert (earlier.as_of, elsewhere.as_of) == (later.as_of, bare.today)


def test_requests_are_listed_by_store_and_state_the_newest_first(bare: Stage) -> None:
    ids = [bare.load("line", "isu", [line("D1")]).id, bare.open("line", "isu").id, bare.open("visit", "crm").id]
    assert [found.id for found in requests.list_requests(bare.connection)] == ids[::-1]
    assert [found.id for found in requests.list_requests(bare.connection, "line", ["LOADED"])] == ids[:1]


def test_an_unknown_request_is_told_of(bare: Stage) -> None:
    with pytest.raises(DataError, match="there is no request 4711"):
        requests.request(bare.connection, 4711)


# --- pointers -----------------------------------------------------------------------------------------------------


def test_a_delta_begins_where_the_one_before_ended(bare: Stage) -> None:
    with pytest.raises(ConflictError, match="no delta from isu before an init"):
        delta(bare, "c1", "c2")
    init(bare)
    delta(bare, "c1", "c2")
    with pytest.raises(ConflictError, match="begins at 'c9', but the feed is read up to 'c2'"):
        delta(bare, "c9", "c10")


def test_of_two_deltas_from_one_cursor_the_second_to_end_is_refused(bare: Stage) -> None:
    init(bare)
    store = bare.store("line")
    both = [bare.open("line", "isu", "DELTA", load_key=key, cursor_from="c1") for key in "ab"]
    inbound.loaded(bare.connection, store, both[1], now=bare.now, cursor_to="c2")
    with pytest.raises(ConflictError, match="read up to 'c2'"):
        inbound.loaded(bare.connection, store, both[0], now=bare.now, cursor_to="c2")
    assert bare.state(both[0]) == "OPEN"


def test_a_repeated_delta_keeps_where_it_began(bare: Stage) -> None:
    init(bare)
    delta(bare, "c1", "c2")
    made = bare.open("line", "isu", "REPEAT", cursor_from="c1")
    inbound.loaded(bare.connection, bare.store("line"), made, now=bare.now, cursor_to="c3")
    assert standing_at(bare) == ("c3", "c1")


@pytest.mark.parametrize("mode", ["FULL", "REPAIR_FULL", "CORRECTION"])
def test_full_loads_and_corrections_leave_the_pointer_alone(bare: Stage, mode: str) -> None:
    init(bare)
    made = bare.open("line", "isu", mode)  # type: ignore[arg-type]
    inbound.loaded(bare.connection, bare.store("line"), made, now=bare.now, cursor_to="c7")
    assert standing_at(bare) == ("c1", None)


def test_loads_that_fail_or_go_give_the_pointer_back_one_after_the_other(bare: Stage) -> None:
    init(bare)
    first, second = delta(bare, "c1", "c2"), delta(bare, "c2", "c3")
    requests.set_state(bare.connection, second.id, "FAILED", bare.now, because="the source went away")
    assert standing_at(bare) == ("c2", "c1")
    requests.set_state(bare.connection, first.id, "DELETED", bare.now)
    assert standing_at(bare) == ("c1", None)
    requests.set_state(bare.connection, requests.list_requests(bare.connection)[-1].id, "FAILED", bare.now)
    assert standing_at(bare) is None


def test_a_load_that_was_not_the_last_leaves_the_pointer_where_it_is(bare: Stage) -> None:
    init(bare)
    first, _ = delta(bare, "c1", "c2"), delta(bare, "c2", "c3")
    requests.set_state(bare.connection, first.id, "FAILED", bare.now)
    assert standing_at(bare) == ("c3", "c2")


# --- states -------------------------------------------------------------------------------------------------------


def test_states_only_advance_and_the_same_state_again_is_no_mistake(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1")])
    assert requests.set_state(bare.connection, made.id, "LOADED", bare.now).state == "LOADED"
    with pytest.raises(ConflictError, match=r"is LOADED; CHECKED, FAILED, DELETED may follow, ACTIVE may not"):
        requests.set_state(bare.connection, made.id, "ACTIVE", bare.now)


# --- packages -----------------------------------------------------------------------------------------------------


def test_a_package_that_comes_again_writes_nothing_and_one_read_anew_replaces_it(bare: Stage) -> None:
    store, made = bare.store("line"), bare.open("line", "isu")
    first = batch(store, [line("D1"), line("D2")])
    for _ in range(2):
        assert inbound.write_package(bare.connection, store, made, 1, first) == 2
    inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D3")]))
    assert bare.ask("SELECT document FROM warehouse.inbound_line") == [("D3",)]
    assert inbound.packages(bare.connection, made.id) == {1: 1}


def test_a_request_that_is_loaded_takes_no_package_but_the_ones_it_has(bare: Stage) -> None:
    store, made = bare.store("line"), bare.load("line", "isu", [line("D1")])
    assert inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D1")])) == 1
    with pytest.raises(ConflictError, match="is LOADED; packages are written while it is OPEN"):
        inbound.write_package(bare.connection, store, made, 2, batch(store, [line("D2")]))


def test_an_open_request_may_be_read_anew(bare: Stage) -> None:
    store, made = bare.store("line"), bare.open("line", "isu")
    inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D1")]))
    inbound.start_over(bare.connection, store, made)
    assert inbound.packages(bare.connection, made.id) == {}
    assert bare.ask("SELECT count(*) FROM warehouse.inbound_line") == [(0,)]


def test_everything_wrong_with_a_package_is_told_at_once(bare: Stage) -> None:
    store, made = bare.store("line"), bare.open("line", "isu")
    wrong = batch(store, [line("D1", mode="X"), line("D2") | {"document": None}]).drop_columns(["kind"])
    wrong = wrong.set_column(wrong.schema.names.index("amount"), "amount", pa.array(["1.005", None]))
    wrong = wrong.append_column("curency", pa.array(["EUR", "EUR"]))
    with pytest.raises(DataError) as told:
        inbound.write_package(bare.connection, store, made, 1, wrong)
    assert str(told.value).partition(": ")[2] == (
        "record mode 'X' is refused: a before image is made by the activation, its source sends after images; expected "
        "'' (after), N (new), D (delete) or R (reverse); "
        "there is no field 'curency'. Did you mean \"currency\"?; "
        "1 records have no document, which is part of the key; "
        "kind is missing; "
        "amount of type string has values that amount(currency) cannot hold. Nothing was written"
    )


@pytest.mark.parametrize("mode", ["A", "Y", "Q"])
def test_record_modes_that_a_store_cannot_keep_are_refused(bare: Stage, mode: str) -> None:
    store, made = bare.store("line"), bare.open("line", "isu")
    with pytest.raises(DataError, match=f"record mode '{mode}' is refused"):
        inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D1", mode=mode)]))


def test_values_arrive_to_the_last_digit(bare: Stage) -> None:
    extremes = [
        line("D1", quantity=Decimal("99999999999999.999"), amount=Decimal("-9999999999999.99")),
        line("D2", quantity=Decimal("-0.001"), amount=Decimal("0.01"), posted_on=None, reversed=None, kind=""),
    ]
    made = bare.load("line", "isu", extremes)
    found = bare.ask("SELECT quantity, amount, kind FROM warehouse.inbound_line ORDER BY document")
    assert found == [(row["quantity"], row["amount"], row["kind"]) for row in extremes]
    (frame,) = inbound.request_frame(bare.connection, bare.store("line"), made)
    assert frame.column("amount").to_pylist() == [row["amount"] for row in extremes]
    assert frame.column("posted_on").to_pylist() == [row["posted_on"] for row in extremes]
    assert frame.column("kind").to_pylist() == ["energy", ""]


def test_a_frame_for_the_gate_comes_in_batches_and_with_numbers(bare: Stage) -> None:
    made = bare.load("visit", "crm", [visit(hour, settled=None) for hour in range(5)], packages=2)
    frames = list(inbound.request_frame(bare.connection, bare.store("visit"), made, limit=2))
    assert [frame.num_rows for frame in frames] == [2, 1, 2]
    assert frames[1].select(["package_no", "record_no"]).to_pylist() == [{"package_no": 1, "record_no": 2}]
    hours = sorted(at.hour for frame in frames for at in frame.column("visited_at").to_pylist())
    assert hours == [0, 1, 2, 3, 4]


# --- control totals -----------------------------------------------------------------------------------------------


def test_control_totals_are_compared_with_what_the_source_counted(bare: Stage) -> None:
    store, made = bare.store("line"), bare.open("line", "isu")
    inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D1"), line("D2")]))
    said: dict[str, int | Decimal] = {"records": 3, "amount": Decimal("66.66"), "quantity": Decimal("200.003")}
    with pytest.raises(DataError, match=r"records: the source has 3, loaded were 2; quantity: .* 200\.003.* 200\.002"):
        inbound.loaded(bare.connection, store, made, now=bare.now, control=said)
    assert bare.state(made) == "OPEN"
    said |= {"records": 2, "quantity": Decimal("200.002")}
    assert inbound.loaded(bare.connection, store, made, now=bare.now, control=said).control["loaded"] == {
        "records": "2",
        "quantity": "200.002",
        "amount": "66.66",
    }
