"""What a second run writes: nothing, or exactly what the target lacks."""

from __future__ import annotations

import pytest

from isthmus.errors import ConflictError
from tests.flows.conftest import Build, Copies
from tests.flows.house import NUMBERS, OBJECTS, House

ALLOWED = {"runs", "packages"}


def test_a_second_run_writes_nothing(loaded: House) -> None:
    content, touched, ledger = loaded.content(), loaded.touched(), loaded.ledger_rows()
    totals = loaded.totals(loaded.load())
    assert totals["inserted"] == totals["updated"] == 0
    assert totals["unchanged"] == loaded.totals("first")["inserted"] + loaded.totals("first")["updated"] + 16
    assert loaded.content() == content
    assert loaded.touched() == touched
    grown = {name for name, rows in loaded.ledger_rows().items() if rows != ledger[name]}
    assert grown <= ALLOWED


def test_a_run_that_is_over_is_not_run_again(clean: House) -> None:
    with pytest.raises(ConflictError, match="done"):
        clean.load(run="first")


def test_a_target_restored_to_half_of_the_objects_gets_exactly_the_difference(build: Build, journal: str) -> None:
    old = build(journal, loaded=OBJECTS[:4])
    house = build(journal, loaded=OBJECTS)
    whole = house.content(NUMBERS)
    house.move("crm", old.urls["crm"])
    counts = house.counts(house.load())
    assert house.content(NUMBERS) == whole
    assert all(counts[name]["inserted"] + counts[name]["updated"] == 0 for name in OBJECTS[:4])
    assert all(counts[name]["inserted"] for name in ("point_of_delivery", "installation", "device", "contract"))


def test_a_target_restored_to_before_changes_gets_exactly_the_difference(loaded: House, copies: Copies) -> None:
    old = copies({"crm": loaded.urls["crm"]})["crm"]
    loaded.tell("isu", "UPDATE but000 SET name_last = left(name_last || '-X', 40) WHERE partner LIKE '%%7'")
    loaded.tell("isu", "UPDATE etdz SET kennziff = '2.8.0' WHERE equnr LIKE '%%3'")
    loaded.tell("isu", "UPDATE ever SET vbez = 'Changed' WHERE vertrag LIKE '%%5'")
    changed = loaded.totals(loaded.load())
    new = loaded.content()
    loaded.move("crm", old)
    again = loaded.totals(loaded.load())
    assert again == changed
    assert again["inserted"] == 0 < again["updated"]
    assert loaded.content() == new
