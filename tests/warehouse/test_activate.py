"""Activation: what becomes of a record, and which images tell of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from isthmus.errors import ConflictError, DataError
from tests.warehouse.engine import Stage, batch, line, partner, visit
from warehouse import held, inbound, requests
from warehouse.activate import Activated
from warehouse.statement import statements


def images(stage: Stage, request: Any = None) -> list[tuple[Any, ...]]:
    """Return the images of a request (or all): image, sign, was, document, amount."""
    wanted = "" if request is None else f"WHERE request_id = {request.id}"
    return stage.ask(f"SELECT image, sign, was, document, amount FROM warehouse.changes_line {wanted} ORDER BY 4, 2, 1")


def active(stage: Stage) -> list[tuple[Any, ...]]:
    """Return what holds: document, amount, sequence, deleted."""
    return stage.ask("SELECT document, amount, sequence, deleted FROM warehouse.active_line ORDER BY source, 1")


def amount(text: str) -> dict[str, Any]:
    return {"amount": Decimal(text)}


# --- images -------------------------------------------------------------------------------------------------------


def test_new_changed_and_deleted_records_leave_their_images(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    made = bare.bring("line", "isu", [line("D1", **amount("5.00")), line("D2", mode="D"), line("D3", mode="N")])
    old, new = Decimal("33.33"), Decimal("5.00")
    assert images(bare, made) == [
        ("X", -1, "", "D1", old),
        ("", 1, "", "D1", new),
        ("R", -1, "", "D2", old),
        ("N", 1, "", "D3", old),
    ]
    assert active(bare) == [("D1", new, None, False), ("D2", None, None, True), ("D3", old, None, False)]


def test_a_full_reverse_image_deletes_as_well(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1")])
    made = bare.bring("line", "isu", [line("D1", mode="R", **amount("-33.33"))])
    assert images(bare, made) == [("R", -1, "", "D1", Decimal("33.33"))]


def test_records_that_say_the_same_change_nothing(bare: Stage) -> None:
    first = bare.bring("line", "isu", [line("D1", unit=None)])
    made = bare.load("line", "isu", [line("D1", unit=None)])
    bare.check(made)
    assert bare.activate(made) == Activated(same=1)
    assert images(bare, made) == []
    assert bare.ask("SELECT request_id FROM warehouse.active_line") == [(first.id,)]


def test_a_record_that_returns_says_that_it_found_a_tombstone(bare: Stage) -> None:
    for mode in ("", "D", ""):
        made = bare.bring("line", "isu", [line("D1", mode=mode)])
    assert images(bare, made) == [("N", 1, "tombstone", "D1", Decimal("33.33"))]


def test_a_delete_of_what_never_was_changes_nothing(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1")])
    made = bare.bring("line", "isu", [line("D9", mode="D")])
    assert (images(bare, made), made.changed, len(active(bare))) == ([], 0, 1)


def test_nothing_differs_from_something_and_nothing_from_an_empty_text(bare: Stage) -> None:
    for unit in ("KWH", None, ""):
        made = bare.bring("line", "isu", [line("D1", unit=unit)])
        assert made.changed == 1
    assert bare.ask("SELECT unit FROM warehouse.active_line") == [("",)]


def test_every_image_tells_who_changed_the_record_before(bare: Stage) -> None:
    first = bare.bring("line", "isu", [line("D1", seq="1")])
    second = bare.bring("line", "isu", [line("D1", seq="2", **amount("1.00"))])
    asked = "SELECT DISTINCT former_request_id, former_sequence FROM warehouse.changes_line WHERE request_id = %s"
    assert bare.ask(asked, second.id) == [(first.id, "1")]


def test_the_same_key_of_two_sources_is_two_records(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1")])
    bare.bring("line", "tel", [line("D1", **amount("1.00"))])
    bare.bring("line", "tel", [line("D1", mode="D")])
    assert active(bare) == [("D1", Decimal("33.33"), None, False), ("D1", None, None, True)]


# --- which record counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filled", [False, True], ids=["first-load", "delta"])
def test_the_newest_of_several_records_of_a_key_counts(bare: Stage, filled: bool) -> None:
    if filled:
        bare.bring("line", "isu", [line("D0")])
    rows = [line("D1", seq="9", **amount("9")), line("D1", seq="10", **amount("10")), line("D2", **amount("1"))]
    bare.bring("line", "isu", [*rows, line("D2", **amount("2"))])
    assert [row[:2] for row in active(bare) if row[0] != "D0"] == [("D1", Decimal(9)), ("D2", Decimal(2))]


def test_a_delete_after_its_record_in_one_first_load_wins(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="1"), line("D1", seq="2", mode="D"), line("D2", seq="3")])
    assert active(bare) == [("D1", None, "2", True), ("D2", Decimal("33.33"), "3", False)]
    assert images(bare) == [("", 0, "", "D1", None), ("N", 1, "", "D2", Decimal("33.33"))]


def test_a_record_older_than_what_holds_is_late_and_kept_for_audit(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="2")])
    made = bare.bring("line", "isu", [line("D1", seq="1", **amount("1.00"))])
    assert images(bare, made) == []
    assert bare.ask("SELECT request_id, key, sequence, newer FROM warehouse.late") == [(made.id, "D1/1", "1", "2")]


def test_a_tombstone_keeps_a_late_record_from_coming_back(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="1"), line("D2", seq="1")])
    bare.bring("line", "isu", [line("D1", seq="3", mode="D"), line("D9", seq="3", mode="D")])
    bare.bring("line", "isu", [line("D1", seq="2"), line("D9", seq="2")])
    assert [row[0] for row in active(bare) if not row[3]] == ["D2"]
    assert bare.ask("SELECT count(*) FROM warehouse.late") == [(2,)]


def test_a_record_that_says_the_same_later_makes_others_late(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="1")])
    touched = bare.bring("line", "isu", [line("D1", seq="5")])
    bare.bring("line", "isu", [line("D1", seq="3", **amount("3.00"))])
    assert images(bare, touched) == [("", 0, "row", "D1", None)]
    assert active(bare) == [("D1", Decimal("33.33"), "5", False)]


def test_without_a_sequence_the_later_request_counts_and_the_sequence_stays(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1", seq="5")])
    bare.bring("line", "isu", [line("D1", **amount("1.00"))])
    assert active(bare) == [("D1", Decimal("1.00"), "5", False)]


# --- posted attributes --------------------------------------------------------------------------------------------


def posted(stage: Stage) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in stage.ask("SELECT document, region, segment FROM warehouse.active_line")}


def test_attributes_are_posted_as_they_are_and_those_with_a_day_as_they_were(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(segment="A", region="N")])
    bare.later(days=10)
    bare.bring("partner", "crm", [partner(segment="B", region="S")])
    early, late = date(2024, 3, 10), date(2024, 3, 11)
    bare.bring("line", "isu", [line("D1", posted_on=early), line("D2", posted_on=late), line("D3", posted_on=None)])
    assert posted(bare) == {"D1": ("S", "A"), "D2": ("S", "B"), "D3": ("S", "B")}


def test_what_was_posted_stays_until_the_record_itself_changes(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(region="N")])
    bare.bring("line", "isu", [line("D1"), line("D2")])
    bare.bring("partner", "crm", [partner(region="S")])
    made = bare.bring("line", "isu", [line("D1"), line("D2", **amount("1.00"))])
    assert {name: said[0] for name, said in posted(bare).items()} == {"D1": "N", "D2": "S"}
    before = "SELECT image, region FROM warehouse.changes_line WHERE request_id = %s ORDER BY sign"
    assert bare.ask(before, made.id) == [("X", "N"), ("", "S")]


def test_a_member_that_is_unknown_or_gone_posts_nothing(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner("P1"), partner("P2")])
    bare.bring("partner", "crm", [partner("P2", mode="D")])
    bare.bring("line", "isu", [line("D1", partner="P9"), line("D2", partner="P2"), line("D3", partner=None)])
    assert {said[0] for said in posted(bare).values()} == {None}


def test_of_two_sources_of_a_member_the_first_one_named_counts(bare: Stage) -> None:
    bare.bring("partner", "erp", [partner(region="erp")])
    bare.bring("line", "isu", [line("D1")])
    bare.bring("partner", "crm", [partner(region="crm")])
    bare.bring("line", "isu", [line("D2")])
    assert {name: said[0] for name, said in posted(bare).items()} == {"D1": "erp", "D2": "crm"}


# --- one at a time, once, in order --------------------------------------------------------------------------------


def test_an_activation_happens_once(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1"), line("D2")])
    bare.check(made)
    assert [bare.activate(made) for _ in range(3)] == [Activated(entered=2)] * 3
    assert len(images(bare)) == 2


def test_a_request_activates_when_it_is_checked_and_after_earlier_ones(bare: Stage) -> None:
    first, second = (bare.load("line", "isu", [line(name)]) for name in ("D1", "D2"))
    with pytest.raises(ConflictError, match="is LOADED; it has to be CHECKED"):
        bare.activate(first)
    with pytest.raises(ConflictError, match=f"cannot be checked before earlier ones: {first.id} \\(LOADED\\)"):
        bare.check(second)
    bare.check(first)
    bare.check(second)
    with pytest.raises(ConflictError, match=f"cannot be activated before earlier ones: {first.id} \\(CHECKED\\)"):
        bare.activate(second)
    requests.set_state(bare.connection, first.id, "FAILED", bare.now)
    assert bare.activate(second) == Activated(entered=1)


def test_other_stores_do_not_wait(bare: Stage) -> None:
    bare.open("line", "isu")
    assert bare.bring("visit", "crm", [visit(9)]).state == "PUBLISHED"


def test_large_requests_plan_with_what_is_known_of_them(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.statement.SMALL", 0)
    bare.bring("partner", "crm", [partner()])
    bare.bring("line", "isu", [line(f"D{number}") for number in range(30)])
    made = bare.bring("line", "isu", [line(f"D{number}", kind="flat") for number in range(0, 60, 2)])
    assert made.changed == 30
    assert "ANALYZE" not in "".join(statements("activate").texts.values())


# --- full loads ---------------------------------------------------------------------------------------------------


def test_a_full_load_changes_what_differs_and_deletes_what_is_absent(bare: Stage) -> None:
    bare.bring("visit", "crm", [visit(1), visit(2), visit(3)], "FULL")
    made = bare.load("visit", "crm", [visit(1), visit(2, minutes=99), visit(4)], "FULL")
    cut = inbound.differences_only(bare.connection, bare.store("visit"), made)
    counts = {name: cut.control[name] for name in ("arrived", "differing", "gone")}
    assert (counts, cut.records) == ({"arrived": 3, "differing": 2, "gone": 1}, 3)
    assert inbound.differences_only(bare.connection, bare.store("visit"), made) == cut
    bare.check(made)
    assert bare.activate(made) == Activated(entered=1, changed=1, left=1)
    (frame, gone) = inbound.request_frame(bare.connection, bare.store("visit"), cut)
    assert (frame.num_rows, gone.column("record_mode").to_pylist()) == (2, ["D"])


def test_a_full_load_compares_with_its_own_source_alone(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    bare.bring("line", "tel", [line("D8"), line("D9")])
    bare.bring("line", "tel", [line("D8")], "REPAIR_FULL")
    assert [row[0] for row in active(bare) if row[3]] == ["D9"]


def test_a_full_load_of_a_window_deletes_nothing_outside(bare: Stage) -> None:
    january, february = date(2024, 1, 15), date(2024, 2, 15)
    days = {"D1": january, "D2": january, "D3": february}
    bare.bring("line", "isu", [line(name, posted_on=day) for name, day in days.items()])
    made = bare.load("line", "isu", [line("D1", posted_on=january)], "REPAIR_FULL")
    window = {"posted_on": (date(2024, 1, 1), date(2024, 1, 31))}
    cut = inbound.differences_only(bare.connection, bare.store("line"), made, window)
    assert cut.control["gone"] == 1
    bare.check(cut)
    bare.activate(cut)
    assert [row[0] for row in active(bare) if not row[3]] == ["D1", "D3"]


def test_an_empty_full_load_never_empties_a_store(bare: Stage) -> None:
    bare.bring("visit", "crm", [visit(1)], "FULL")
    made = bare.load("visit", "crm", [], "FULL")
    with pytest.raises(DataError, match="brought nothing, but the store is filled"):
        inbound.differences_only(bare.connection, bare.store("visit"), made)
    empty = bare.load("line", "isu", [], "FULL")
    assert inbound.differences_only(bare.connection, bare.store("line"), empty).records == 0


def test_a_full_load_waits_until_earlier_requests_are_active(bare: Stage) -> None:
    first = bare.load("visit", "crm", [visit(1)])
    made = bare.load("visit", "crm", [visit(2)], "FULL")
    with pytest.raises(ConflictError, match=f"cannot be compared with active data before earlier ones: {first.id}"):
        inbound.differences_only(bare.connection, bare.store("visit"), made)


def test_a_full_load_that_nobody_compared_is_compared_when_it_activates(bare: Stage) -> None:
    bare.bring("visit", "crm", [visit(1), visit(2)])
    made = bare.load("visit", "crm", [visit(2)], "FULL")
    bare.check(made)
    assert bare.activate(made) == Activated(left=1)


def test_what_a_full_load_could_not_read_is_not_gone(bare: Stage) -> None:
    bare.bring("visit", "crm", [visit(1), visit(2)], "FULL")
    made = bare.open("visit", "crm", "FULL")
    store = bare.store("visit")
    inbound.write_package(bare.connection, store, made, 1, batch(store, [visit(1)]))
    rejects = pa.table({"key": ["2024-03-01T02:00:00Z/P1"], "field": ["price"], "code": ["number"], "message": ["no"]})
    held.hold_unread(bare.connection, store, made, 1, rejects, bare.now)
    inbound.loaded(bare.connection, store, made, now=bare.now, control={"records": 2})
    assert inbound.differences_only(bare.connection, store, made).control["gone"] == 0


def test_only_a_full_load_is_compared(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    made = bare.load("line", "isu", [line("D1", kind="flat")])
    with pytest.raises(ConflictError, match="is a REPEAT; only a full load tells what is gone"):
        inbound.differences_only(bare.connection, bare.store("line"), made)
