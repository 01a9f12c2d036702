"""A day of sales and service in CRM: what is decided, moves on, comes back and is withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from isthmus.store.place import Place
from landscape.live_commerce import KINDS, CommerceDay, play_commerce
from tests.landscape.conftest import Standing, standing
from tests.landscape.documents import NOW, PLAIN, digest, read, same


@dataclass(frozen=True)
class Lived:
    """A landscape with a day that was played in it, and what its documents were stamped with before."""

    landscape: Standing
    day: CommerceDay
    before: dict[str, Any]

    def of(self, kind: str) -> list[str]:
        """Return the numbers that a kind of event befell, as the model spells them."""
        return [number.lstrip("0") for number in self.day.of(kind)]

    def records(self, object_: str, name: str = "number") -> dict[str, dict[str, Any]]:
        return {one[name]: one for one in read(self.landscape.crm, object_).root.to_pylist()}


def _stamps(landscape: Standing) -> dict[str, Any]:
    return dict(landscape.ask_crm("SELECT object_id, changed_at FROM crmd_orderadm_h"))


def _played(landscape: Standing, changes: int = 60, now: datetime = NOW) -> CommerceDay:
    return play_commerce(landscape.crm, changes=changes, seed=3, now=now)


@pytest.fixture(scope="module")
def lived(store: Place) -> Iterator[Lived]:
    for landscape in standing(store, defects=False, business=True):
        before = _stamps(landscape)
        yield Lived(landscape, _played(landscape), before)


@pytest.mark.parametrize("object_", PLAIN)
def test_after_a_day_the_mapping_reads_what_stands_in_the_tables(lived: Lived, object_: str) -> None:
    same(lived.landscape, object_)


def test_every_kind_of_event_befalls_somebody_and_what_changed_is_stamped(lived: Lived) -> None:
    happened = lived.day.happened
    assert [one.kind for one in happened] == [play.__name__ for _, _, play in KINDS]
    assert [one.kind for one in happened if not one.numbers] == []
    met = {number for one in happened for number in one.numbers}
    after = _stamps(lived.landscape)
    assert {number for number in after if after[number] != lived.before.get(number)} == met
    assert {after[number] for number in met} == {20260105093000}
    items = lived.landscape.ask_crm(
        "SELECT DISTINCT h.object_id FROM crmd_orderadm_i i JOIN crmd_orderadm_h h ON h.guid = i.header "
        "WHERE i.changed_at = 20260105093000"
    )
    with_items = {number for one in happened if one.object != "contact" for number in one.numbers}
    assert {number for (number,) in items} == with_items


def test_quotations_are_decided_on_the_day_that_is_played(lived: Lived) -> None:
    quotations = lived.records("quotation", "document")
    for kind in ("accepted", "rejected", "expired"):
        for number in lived.of(kind):
            one = quotations[number]
            assert (one["status"], one["decided_on"]) == (kind, NOW.date())
            assert (one["reason"] is not None) == (kind == "rejected")
    for number in lived.of("quoted"):
        one = quotations[number]
        assert (one["status"], one["created_on"], one["decided_on"]) == ("open", NOW.date(), None)
        assert (one["valid_until"] - one["created_on"]).days == 30
    assert not [one for one in quotations.values() if one["status"] == "open" and one["valid_until"] < NOW.date()]
    named = {quotations[number]["contract"] for number in lived.of("accepted")} - {None}
    known = {str(row[0]).lstrip("0") for row in lived.landscape.ask("SELECT vertrag FROM ever")}
    assert named
    assert named <= known


def test_opportunities_move_on_and_close(lived: Lived) -> None:
    opportunities = lived.records("opportunity")
    for kind, chance in (("won", 100), ("lost", 0)):
        for number in lived.of(kind):
            one = opportunities[number]
            assert (one["outcome"], one["closed_on"], one["probability"]) == (kind, NOW.date(), chance)
    usual = {"qualified": 30, "quoted": 50, "negotiated": 75}
    for number in set(lived.of("moved_on")) - {*lived.of("won"), *lived.of("lost")}:
        one = opportunities[number]
        assert (one["outcome"], one["probability"]) == ("open", usual[one["stage"]])
    for number in lived.of("found"):
        assert (opportunities[number]["stage"], opportunities[number]["probability"]) == ("identified", 10)


@pytest.mark.parametrize(
    ("object_", "kind", "name"),
    [("quotation", "quotation_withdrawn", "document"), ("contact", "contact_withdrawn", "number")],
)
def test_what_is_withdrawn_carries_its_delete_marker(lived: Lived, object_: str, kind: str, name: str) -> None:
    records = read(lived.landscape.crm, object_)
    assert records.deleted is not None
    gone = dict(zip(records.root.column(name).to_pylist(), records.deleted.to_pylist(), strict=True))
    assert [gone[number] for number in lived.of(kind)] == [True] * len(lived.of(kind))


def test_repeats_are_of_the_same_customer_and_reason_within_a_week(lived: Lived) -> None:
    contacts = lived.records("contact")
    for number in lived.of("called_again"):
        one = contacts[number]
        assert any(
            0 <= (one["created_at"] - other["created_at"]).days < 7
            for other in contacts.values()
            if (other["customer"], other["reason"]) == (one["customer"], one["reason"]) and other is not one
        )
    for number in lived.of("called"):
        assert contacts[number]["agent"][:4] == contacts[number]["team"]


def test_the_same_day_on_the_same_landscape_is_the_same(store: Place, lived: Lived) -> None:
    for other in standing(store, defects=False, business=True):
        assert _played(other) == lived.day
        assert digest(other.crm) == digest(lived.landscape.crm)
        # played once more on that day it goes on where it was
        again = _played(other)
        for kind in ("quoted", "found", "called"):
            assert again.of(kind)
            assert not {*again.of(kind)} & {*lived.day.of(kind)}, kind
        same(other, "contact")


def test_both_items_of_a_dual_quotation_are_decided_together(store: Place) -> None:
    for dual in standing(store, defects=False, business=True, model="dual", contracts=300):
        assert _played(dual).of("accepted")
        odd = dual.ask_crm(
            "SELECT i.header FROM crmd_orderadm_i i JOIN crm_jest j ON j.objnr = i.guid AND j.inact = '' "
            "WHERE i.object_type = 'BUS2000131' GROUP BY 1 HAVING count(DISTINCT j.stat) <> 1 OR count(*) <> 2"
        )
        assert odd == []
        same(dual, "quotation")
