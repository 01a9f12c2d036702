"""Undo: last in, first out while a request can be deleted; a request against it afterwards."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from isthmus.errors import ConflictError
from tests.warehouse.engine import Stage, batch, line, partner, visit
from warehouse import compress, inbound, pointers, undo, verify
from warehouse.requests import Request
from warehouse.undo import Deleted


def delete(stage: Stage, made: Request) -> Deleted:
    return undo.delete_request(stage.connection, stage.warehouse, stage.store(made.store), made.id, stage.now)


def reverse(stage: Stage, made: Request, **more: Any) -> Request:
    """Reverse a request and bring the reversal all the way."""
    store = stage.store(made.store)
    again = undo.reverse_request(stage.connection, store, made.id, now=stage.now, as_of=stage.today, **more)
    if again.state == "LOADED":
        stage.check(again)
        stage.activate(again)
        stage.roll_up(again)
        stage.publish()
    return again


def everything(stage: Stage) -> list[list[tuple[Any, ...]]]:
    """Return what holds, its history and its cells."""
    cells = "SELECT partner, kind, sum(net) AS net, sum(records) AS records FROM (SELECT partner, kind, net, records"
    cells += " FROM warehouse.facts_lines UNION ALL SELECT partner, kind, net, records FROM warehouse.totals_lines) c"
    asked = (
        "SELECT * FROM warehouse.active_line ORDER BY source, document, line",
        "SELECT * FROM warehouse.active_partner ORDER BY source, number",
        "SELECT * FROM warehouse.history_partner ORDER BY source, number, valid_from",
        f"{cells} GROUP BY 1, 2 HAVING sum(records) <> 0 ORDER BY 1, 2",
    )
    return [stage.ask(text) for text in asked]


def values(stage: Stage) -> list[tuple[Any, ...]]:
    """Return the live lines with what they had posted, whoever brought them."""
    asked = "SELECT source, document, kind, amount, region, segment FROM warehouse.active_line WHERE NOT deleted"
    return stage.ask(f"{asked} ORDER BY source, document")


def holds(stage: Stage) -> bool:
    cubes = stage.warehouse.cubes.values()
    return all(verify.verify(stage.connection, stage.warehouse, cube, stage.now).holds for cube in cubes)


# --- deleting -----------------------------------------------------------------------------------------------------


def test_a_deleted_request_never_was(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(region="N")])
    bare.bring("line", "isu", [line("D1", seq="1"), line("D2", seq="1"), line("D3", seq="1")])
    bare.bring("line", "isu", [line("D3", seq="2", mode="D")])
    bare.bring("partner", "crm", [partner(region="S")])
    was = everything(bare)
    rows = [line("D1", seq="3", kind="flat"), line("D2", seq="3", mode="D"), line("D3", seq="3"), line("D4", seq="3")]
    made = bare.bring("line", "isu", [*rows, line("D5", seq="3", mode="D")])
    assert everything(bare) != was
    assert delete(bare, made).images == 5
    assert everything(bare) == was
    assert holds(bare)
    assert delete(bare, made).images == 0


def test_only_the_sequence_having_moved_is_undone_too(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="1")])
    was = everything(bare)
    delete(bare, bare.bring("line", "isu", [line("D1", seq="9")]))
    assert everything(bare) == was


def test_a_request_with_later_ones_on_its_keys_cannot_be_deleted_before_them(bare: Stage) -> None:
    first = bare.bring("line", "isu", [line("D1"), line("D2")])
    second = bare.bring("line", "isu", [line("D2", kind="flat")])
    beside = bare.bring("line", "isu", [line("D3")])
    with pytest.raises(ConflictError, match=f"is not the last: request {second.id} spoke of 1 of its keys"):
        delete(bare, first)
    delete(bare, second)
    delete(bare, first)
    assert [row[1] for row in values(bare)] == ["D3"]
    assert bare.state(beside) == "PUBLISHED"


@pytest.mark.parametrize("later", [line("D1", seq="2"), line("D1", seq="1", kind="flat")], ids=["same", "late"])
def test_a_later_record_that_changed_nothing_stands_in_the_way_too(bare: Stage, later: dict[str, Any]) -> None:
    bare.bring("line", "isu", [line("D1", seq="1", kind="flat")])
    first = bare.bring("line", "isu", [line("D1", seq="2")])
    bare.bring("line", "isu", [later])
    with pytest.raises(ConflictError, match="spoke of 1 of its keys"):
        delete(bare, first)


def test_a_full_load_that_compared_everything_stands_in_the_way(bare: Stage) -> None:
    first = bare.bring("visit", "crm", [visit(1), visit(2)], "FULL")
    second = bare.load("visit", "crm", [visit(1), visit(2)], "FULL")
    inbound.differences_only(bare.connection, bare.store("visit"), second)
    with pytest.raises(ConflictError, match=f"request {second.id} compared everything"):
        delete(bare, first)


def test_a_compressed_request_cannot_be_deleted(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1")])
    compress.compress(bare.connection, bare.warehouse, bare.now, days=0)
    with pytest.raises(ConflictError, match=r"compressed in billing, lines .*`isthmus warehouse reverse"):
        delete(bare, made)


def test_the_delta_of_a_deleted_request_is_delivered_again(bare: Stage) -> None:
    store = bare.store("line")
    begun = bare.open("line", "isu", "INIT_NODATA")
    inbound.loaded(bare.connection, store, begun, now=bare.now, cursor_to="c1")
    made = bare.open("line", "isu", "DELTA", cursor_from="c1", load_key="delta from c1")
    inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D1")]))
    inbound.loaded(bare.connection, store, made, now=bare.now, cursor_to="c2")
    bare.check(begun)
    bare.activate(begun)
    bare.check(made)
    bare.activate(made)
    assert delete(bare, made) == Deleted(made.id, 1, True)
    found = pointers.pointer(bare.connection, "line", "isu")
    assert found and found.confirmed == "c1"
    assert not bare.open("line", "isu", "DELTA", cursor_from="c1", load_key="delta from c1").already


def test_a_request_that_is_not_active_yet_just_goes(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1")])
    assert delete(bare, made) == Deleted(made.id, 0, False)
    assert bare.state(made) == "DELETED"


# --- reversing ----------------------------------------------------------------------------------------------------


def test_a_reversal_puts_every_key_back_to_what_it_was_and_what_it_had_posted(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(region="N")])
    bare.bring("line", "isu", [line("D1"), line("D2")])
    was = values(bare)
    made = bare.bring("line", "isu", [line("D1", kind="flat"), line("D2", mode="D"), line("D3")])
    bare.bring("partner", "crm", [partner(region="S")])
    compress.compress(bare.connection, bare.warehouse, bare.now, days=0)
    again = reverse(bare, made)
    assert (again.mode, again.parent, again.records) == ("REVERSAL", made.id, 3)
    assert values(bare) == was
    assert {row[4] for row in was} == {"N"}
    assert holds(bare)


def test_the_same_reversal_again_is_the_one_there_is(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1")])
    assert reverse(bare, made).id == reverse(bare, made).id


def test_a_reversal_can_be_reversed(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1", seq="4"), line("D2", seq="4")])
    was = values(bare)
    again = reverse(bare, made)
    assert values(bare) == []
    reverse(bare, again)
    assert values(bare) == was


def test_keys_that_changed_since_are_named_or_left_out(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1"), line("D2")])
    bare.bring("line", "isu", [line("D2", kind="flat")])
    with pytest.raises(ConflictError, match=r"1 of its keys changed since: D2/1\. .*--partial"):
        reverse(bare, made)
    assert reverse(bare, made, partial=True).records == 1
    assert [row[1:3] for row in values(bare)] == [("D2", "flat")]


def test_a_reversal_without_a_key_that_could_be_put_back_is_refused(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1")])
    bare.bring("line", "isu", [line("D1", kind="flat")])
    with pytest.raises(ConflictError, match="no key left that could be put back"):
        reverse(bare, made, partial=True)


def test_a_reversal_waits_for_requests_that_may_change_its_keys(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1")])
    waiting = bare.load("line", "isu", [line("D1", kind="flat")])
    with pytest.raises(ConflictError, match=f"while request {waiting.id} is LOADED"):
        reverse(bare, made)
    with pytest.raises(ConflictError, match="it changed nothing"):
        reverse(bare, waiting)


def test_a_reversal_changes_the_history_from_its_own_day_on(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(segment="A")])
    bare.later(days=10)
    made = bare.bring("partner", "crm", [partner(segment="B")])
    bare.later(days=10)
    reverse(bare, made)
    found = bare.ask("SELECT segment, valid_from FROM warehouse.history_partner ORDER BY valid_from")
    assert found == [("A", date(1, 1, 1)), ("B", date(2024, 3, 11)), ("A", date(2024, 3, 21))]


def test_money_comes_back_to_the_last_digit(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", amount=Decimal("9999999999999.99"))])
    made = bare.bring("line", "isu", [line("D1", amount=Decimal("-0.01"))])
    reverse(bare, made)
    assert [row[3] for row in values(bare)] == [Decimal("9999999999999.99")]
    assert holds(bare)
