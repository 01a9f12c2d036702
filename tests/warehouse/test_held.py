"""Held records: the bad one and what follows it wait, the rest goes on, until somebody puts them right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from isthmus.errors import ConflictError, DataError
from tests.warehouse.engine import Stage, batch, line, visit
from warehouse import held, inbound, requests, undo
from warehouse.held import Held
from warehouse.requests import Request


def refuse(stage: Stage, made: Request, *numbers: int, package: int = 1) -> int:
    """Refuse records of a request by their number in a package."""
    findings = pa.table(
        {
            "package_no": [package] * len(numbers),
            "record_no": list(numbers),
            "field": ["amount"] * len(numbers),
            "code": ["range"] * len(numbers),
            "message": ["is above what a line can cost"] * len(numbers),
        }
    )
    return held.hold(stage.connection, stage.store(made.store), made, findings, stage.now)


def unread(stage: Stage, made: Request, *keys: str) -> None:
    """Note keys that a mapping could not read."""
    size = len(keys)
    said = {"key": list(keys), "field": ["price"] * size, "code": ["number"] * size, "message": ["is no number"] * size}
    held.hold_unread(stage.connection, stage.store(made.store), made, 1, pa.table(said), stage.now)


def go_on(stage: Stage, made: Request) -> Request:
    """Take a loaded request the rest of the way."""
    stage.check(made)
    stage.activate(made)
    stage.roll_up(made)
    return requests.request(stage.connection, made.id)


def correct(stage: Stage, key: str = "D1/1", **fields: str | None) -> Request:
    said = {"by": "a person", "why": "the meter was misread", "now": stage.now, "as_of": stage.today}
    return held.correct(stage.connection, stage.store("line"), key, fields, **said)  # type: ignore[arg-type]


def amounts(stage: Stage) -> dict[str, Decimal]:
    return dict(stage.ask("SELECT document, amount FROM warehouse.active_line WHERE NOT deleted"))


def entries(stage: Stage) -> list[tuple[Any, ...]]:
    return stage.ask("SELECT request_id, key, kind, state FROM warehouse.held ORDER BY request_id, key, kind")


def with_one_held(stage: Stage) -> Request:
    """Bring two lines of which the first is refused."""
    made = stage.load("line", "isu", [line("D1", amount=Decimal("999.00")), line("D2")])
    refuse(stage, made, 0)
    return go_on(stage, made)


# --- holding ------------------------------------------------------------------------------------------------------


def test_a_refused_record_stays_out_and_the_others_go_on(bare: Stage) -> None:
    made = with_one_held(bare)
    assert (made.excluded, list(amounts(bare))) == (1, ["D2"])
    (found,) = held.open_entries(bare.connection, bare.store("line"))
    assert found == Held("isu", "D1/1", bare.now, ("refused",), (made.id,), ("amount: is above what a line can cost",))


def test_refusing_again_changes_nothing_and_one_record_counts_once(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1"), line("D2")])
    assert [refuse(bare, made, 0), refuse(bare, made, 0), refuse(bare, made, 1)] == [1, 1, 2]


def test_records_are_held_before_the_request_is_checked(bare: Stage) -> None:
    made = bare.check(bare.load("line", "isu", [line("D1")]))
    with pytest.raises(ConflictError, match="is CHECKED; records are held while it is LOADED"):
        refuse(bare, made, 0)


def test_later_records_of_a_held_key_wait_with_it(bare: Stage) -> None:
    first = with_one_held(bare)
    second = go_on(bare, bare.load("line", "isu", [line("D1"), line("D2", kind="flat")]))
    other = go_on(bare, bare.load("line", "tel", [line("D1")]))
    assert [(made.excluded) for made in (first, second, other)] == [1, 1, 0]
    assert entries(bare) == [(first.id, "D1/1", "refused", "open"), (second.id, "D1/1", "follows", "open")]


def test_within_a_request_only_what_is_newer_than_the_refused_record_waits(bare: Stage) -> None:
    rows = [line("D1", seq="1"), line("D1", seq="3"), line("D1", seq="2", amount=Decimal("999.00"))]
    made = bare.load("line", "isu", rows)
    refuse(bare, made, 2)
    assert go_on(bare, made).excluded == 2
    assert bare.ask("SELECT sequence FROM warehouse.active_line") == [("1",)]


def test_a_key_that_could_not_be_read_holds_what_comes_later(bare: Stage) -> None:
    made = bare.open("visit", "crm")
    unread(bare, made, "2024-03-01T09:00:00Z/P1")
    unread(bare, made, "2024-03-01T09:00:00Z/P1")
    loaded = inbound.loaded(bare.connection, bare.store("visit"), made, now=bare.now)
    assert go_on(bare, loaded).excluded == 1
    assert go_on(bare, bare.load("visit", "crm", [visit(9), visit(10)])).excluded == 1
    with pytest.raises(ConflictError, match="is noted while it is OPEN"):
        unread(bare, made, "2024-03-01T10:00:00Z/P1")


# --- correcting ---------------------------------------------------------------------------------------------------


def test_a_correction_replaces_fields_of_the_newest_record_and_ends_what_is_held(bare: Stage) -> None:
    with_one_held(bare)
    go_on(bare, bare.load("line", "isu", [line("D1", amount=Decimal("888.00"), kind="flat")]))
    made = correct(bare, amount="88.80", unit=None)
    assert (made.mode, made.state, made.records) == ("CORRECTION", "LOADED", 1)
    go_on(bare, made)
    assert bare.ask("SELECT amount, kind, unit FROM warehouse.active_line WHERE document = 'D1'") == [
        (Decimal("88.80"), "flat", None)
    ]
    assert bare.ask("SELECT DISTINCT state, by, why FROM warehouse.held") == [
        ("corrected", "a person", "the meter was misread")
    ]
    go_on(bare, bare.load("line", "isu", [line("D1", amount=Decimal("1.00"))]))
    assert amounts(bare)["D1"] == Decimal("1.00")


def test_a_record_that_waits_to_be_checked_is_the_newest(bare: Stage) -> None:
    with_one_held(bare)
    waiting = bare.load("line", "isu", [line("D1", kind="flat")])
    made = correct(bare, amount="1.00")
    for request in (waiting, made):
        go_on(bare, request)
    found = bare.ask("SELECT amount, kind FROM warehouse.active_line WHERE document = 'D1'")
    assert found == [(Decimal("1.00"), "flat")]


def test_a_correction_waits_while_its_feed_is_being_loaded(bare: Stage) -> None:
    with_one_held(bare)
    bare.open("line", "isu")
    with pytest.raises(ConflictError, match="is just being loaded from isu and may bring newer records"):
        correct(bare, amount="1.00")


def test_what_was_never_read_cannot_be_corrected_but_read_again(bare: Stage) -> None:
    made = bare.open("line", "isu")
    unread(bare, made, "D1/1")
    go_on(bare, inbound.loaded(bare.connection, bare.store("line"), made, now=bare.now))
    with pytest.raises(DataError, match=r"it could not be read at all; mend it in isu .*`isthmus warehouse resubmit"):
        correct(bare, amount="1.00")
    again = bare.load("line", "isu", [line("D1")], "CORRECTION")
    said = {"by": "a person", "why": "mended", "now": bare.now}
    assert held.supersede(bare.connection, bare.store("line"), again, ["D1/1"], **said) == 1  # type: ignore[arg-type]
    go_on(bare, again)
    assert list(amounts(bare)) == ["D1"]
    assert entries(bare) == [(made.id, "D1/1", "unread", "superseded")]


def test_a_key_for_which_nothing_will_come_is_dismissed_and_only_if_nothing_waits_with_it(bare: Stage) -> None:
    first = bare.open("line", "isu")
    unread(bare, first, "D1/1")
    go_on(bare, inbound.loaded(bare.connection, bare.store("line"), first, now=bare.now))
    said = {"by": "a person", "why": "the key was wrong", "now": bare.now}
    assert held.dismiss(bare.connection, bare.store("line"), "D1/1", **said) == 1  # type: ignore[arg-type]
    assert entries(bare) == [(first.id, "D1/1", "unread", "superseded")]
    assert go_on(bare, bare.load("line", "isu", [line("D1")])).excluded == 0
    second = bare.load("line", "isu", [line("D2")])
    refuse(bare, second, 0)
    go_on(bare, second)
    go_on(bare, bare.load("line", "isu", [line("D2")]))
    with pytest.raises(ConflictError, match="later records of 'D2/1' wait in store line and would be lost"):
        held.dismiss(bare.connection, bare.store("line"), "D2/1", **said)  # type: ignore[arg-type]


def test_a_correction_that_is_deleted_leaves_the_key_held_as_before(bare: Stage) -> None:
    first = with_one_held(bare)
    made = correct(bare, amount="1.00")
    go_on(bare, made)
    undo.delete_request(bare.connection, bare.warehouse, bare.store("line"), made.id, bare.now)
    assert entries(bare) == [(first.id, "D1/1", "refused", "open")]
    assert correct(bare, amount="1.00").id != made.id


def test_a_deleted_request_holds_nothing_any_more(bare: Stage) -> None:
    made = with_one_held(bare)
    undo.delete_request(bare.connection, bare.warehouse, bare.store("line"), made.id, bare.now)
    assert held.open_entries(bare.connection, bare.store("line")) == []
    assert go_on(bare, bare.load("line", "isu", [line("D1")])).excluded == 0


def test_everything_wrong_with_a_correction_is_told_at_once(bare: Stage) -> None:
    with_one_held(bare)
    with pytest.raises(DataError) as told:
        correct(bare, amount="1.005", document="D7", ammount="1", posted_on="2024-02-30")
    assert str(told.value) == (
        "store line cannot be corrected so: what amount shall be does not fit into amount(currency); "
        "document is part of the key and cannot be corrected; "
        "there is no field 'ammount'. Did you mean \"amount\"?; "
        "what posted_on shall be does not fit into date"
    )
    with pytest.raises(DataError, match="no field is said"):
        correct(bare)


def test_only_what_is_held_can_be_corrected_and_of_one_source(bare: Stage) -> None:
    with pytest.raises(DataError, match="nothing of 'D1/1' is held"):
        correct(bare, amount="1.00")
    for source in ("isu", "tel"):
        made = bare.load("line", source, [line("D1")])
        refuse(bare, made, 0)
        go_on(bare, made)
    with pytest.raises(DataError, match="held in store line from several sources: isu, tel; say which one"):
        correct(bare, amount="1.00")


def test_a_correction_that_is_refused_again_holds_the_key_again(bare: Stage) -> None:
    with_one_held(bare)
    made = correct(bare, amount="777.00")
    refuse(bare, made, 0)
    go_on(bare, made)
    (found,) = held.open_entries(bare.connection, bare.store("line"))
    assert found.requests == (made.id,)


def test_a_package_read_again_notes_what_is_unread_anew(bare: Stage) -> None:
    made, store = bare.open("line", "isu"), bare.store("line")
    unread(bare, made, "D1/1", "D2/1")
    inbound.write_package(bare.connection, store, made, 1, batch(store, [line("D2")]))
    unread(bare, made, "D1/1")
    assert [row[1] for row in entries(bare)] == ["D1/1"]
