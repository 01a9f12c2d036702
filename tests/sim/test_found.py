"""What the histories once found, each as short as it gets."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from isthmus.store.place import Place
from tests.sim.check import settled
from tests.sim.faults import Struck, striking
from tests.sim.history import History, Thing
from tests.sim.world import Kinds, World, opened

POINTERS: Kinds = ("pointer", "pointer")


@pytest.fixture(scope="module")
def world(store: Place) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, opened(store, [POINTERS], patch, f"found_{os.getpid()}") as world:
        yield world


@pytest.fixture
def history(world: World) -> History:
    """A partner and a deal of his, in step on both sides."""
    world.reset(POINTERS)
    history = History(world, 1, 1)
    for thing in history.things.values():
        history.born(thing, "back")
    world.take_over()
    world.sync()
    settled(history)
    history.begin_epoch()
    return history


def partner(history: History) -> Thing:
    return history.things["partner", 1]


def run(history: History) -> None:
    history.world.clock.move(minutes=6)
    history.world.sync()


@pytest.mark.parametrize("name", ["name", "city", "phone"])
def test_an_edit_after_a_worker_died_goes_on_from_what_he_wrote(history: History, name: str) -> None:
    thing = partner(history)
    history.edit(thing, "back", name, "first")
    with striking(history, "died", "after write target", 1, Struck()):
        history.world.sync("dies")
    history.edit(thing, "back", name, "second")
    run(history)
    stands = history.read()["partner", 1]
    assert [(row or {})[name] for row in stands.values()] == ["second", "second"]
    assert history.world.ask("ledger", "SELECT field FROM ledger.conflicts") == []


def test_an_edit_after_two_workers_died_goes_on_from_what_they_wrote(history: History) -> None:
    thing = partner(history)
    history.edit(thing, "back", "name", "first")
    for point, value in (("after write target", "second"), ("before write target", "third")):
        with striking(history, "died", point, 1, Struck()):
            history.world.sync("dies")
        history.edit(thing, "back", "name", value)
        history.world.clock.move(minutes=6)
    run(history)
    assert [(row or {})["name"] for row in history.read()["partner", 1].values()] == ["third", "third"]


def test_a_marker_cleared_where_the_row_still_stands_does_not_bring_it_back(history: History) -> None:
    thing = partner(history)
    history.drop(thing, "back")
    run(history)
    history.world.tell("front", "UPDATE person SET gone = ''")
    run(history)
    assert history.world.ask("front", "SELECT gone FROM person") == [("X",)]


def test_a_thing_born_on_both_sides_is_made_on_neither_again(world: World) -> None:
    world.reset(POINTERS)
    history = History(world, 2, 1)
    for side in ("back", "front"):
        history.born(partner(history), side)
    world.take_over()
    run(history)
    settled(history)
    assert world.ask("front", "SELECT count(*) FROM person") == [(1,)]


def test_what_only_one_side_ever_had_is_agreed_with_nobody(world: World) -> None:
    world.reset(POINTERS)
    history = History(world, 3, 1)
    thing = partner(history)
    history.born(thing, "back")
    history.edit(thing, "back", "deleted", "X")
    world.take_over()
    history.born(thing, "front")
    run(history)
    run(history)
    settled(history)  # phone is the back office's, not what the front office says of it first
    assert (history.read()["partner", 1]["front"] or {})["phone"] == (thing.now["back"] or {})["phone"]
