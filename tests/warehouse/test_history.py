"""Former values by days: what was valid when, after changes, deletes, returns and undo."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tests.warehouse.engine import Stage, partner
from warehouse import undo

EVER, OPEN = date(1, 1, 1), date(9999, 12, 31)
FIRST, SECOND, THIRD = date(2024, 3, 1), date(2024, 3, 11), date(2024, 3, 21)


def before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)


def slices(stage: Stage) -> list[tuple[str, date, date]]:
    return stage.ask("SELECT segment, valid_from, valid_to FROM warehouse.history_partner ORDER BY valid_from")


def told(stage: Stage, *segments: str | None) -> None:
    """Bring a partner of these segments one after the other, ten days apart; None deletes it."""
    for number, segment in enumerate(segments):
        stage.later(days=10 if number else 0)
        stage.bring("partner", "crm", [partner(segment=segment, mode="" if segment else "D")])


def test_the_first_values_count_for_all_days_before(bare: Stage) -> None:
    told(bare, "A")
    assert slices(bare) == [("A", EVER, OPEN)]


def test_a_change_ends_a_slice_and_begins_one(bare: Stage) -> None:
    told(bare, "A", "B", "C")
    assert slices(bare) == [("A", EVER, before(SECOND)), ("B", SECOND, before(THIRD)), ("C", THIRD, OPEN)]


def test_a_change_of_other_fields_is_no_change_of_the_history(bare: Stage) -> None:
    told(bare, "A")
    bare.later(days=10)
    bare.bring("partner", "crm", [partner(region="S")])
    assert slices(bare) == [("A", EVER, OPEN)]


def test_a_change_to_nothing_is_a_change(bare: Stage) -> None:
    told(bare, "A")
    bare.later(days=10)
    bare.bring("partner", "crm", [partner(discount=None)])
    found = bare.ask("SELECT discount FROM warehouse.history_partner ORDER BY valid_from")
    assert found == [(Decimal("1.50"),), (None,)]


def test_the_last_word_of_a_day_counts(bare: Stage) -> None:
    told(bare, "A", "B")
    bare.bring("partner", "crm", [partner(segment="C")])
    assert slices(bare) == [("A", EVER, before(SECOND)), ("C", SECOND, OPEN)]


def test_a_change_that_is_taken_back_the_same_day_never_was(bare: Stage) -> None:
    told(bare, "A", "B")
    bare.bring("partner", "crm", [partner(segment="A")])
    assert slices(bare) == [("A", EVER, OPEN)]


def test_a_deleted_record_has_no_values_until_it_returns(bare: Stage) -> None:
    told(bare, "A", None, "A")
    assert slices(bare) == [("A", EVER, before(SECOND)), ("A", THIRD, OPEN)]


def test_days_never_go_back(bare: Stage) -> None:
    told(bare, "A", "B")
    bare.bring("partner", "crm", [partner(segment="C")], as_of=FIRST)
    assert slices(bare) == [("A", EVER, before(SECOND)), ("C", SECOND, OPEN)]


def test_undo_gives_every_slice_back(bare: Stage) -> None:
    seen, made = [], []
    for segment in ("A", "B", None, "B", "C"):
        seen.append(slices(bare))
        made.append(bare.bring("partner", "crm", [partner(segment=segment, mode="" if segment else "D")]))
        bare.later(days=10)
    for request, was in zip(made[::-1], seen[::-1], strict=True):
        undo.delete_request(bare.connection, bare.warehouse, bare.store("partner"), request.id, bare.now)
        assert slices(bare) == was


def test_a_record_that_entered_over_the_tombstone_of_nothing_leaves_no_slice_behind(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(mode="D", seq="1")])
    bare.bring("partner", "crm", [partner("P2")])
    made = bare.bring("partner", "crm", [partner(seq="2")])
    undo.delete_request(bare.connection, bare.warehouse, bare.store("partner"), made.id, bare.now)
    assert bare.ask("SELECT number FROM warehouse.history_partner") == [("P2",)]
