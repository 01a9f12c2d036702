"""Every engine that is broken on purpose is caught by a few histories."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from isthmus.errors import IsthmusError
from isthmus.store.place import Place
from tests.sim.faults import Struck
from tests.sim.mutants import MUTANTS, Mutant
from tests.sim.play import play
from tests.sim.test_histories import HISTORIES
from tests.sim.test_histories import KINDS as BESIDE
from tests.sim.world import Kinds, World, opened

TRIES = 3  # histories a mutant may live through
KINDS = tuple(dict.fromkeys(mutant.kinds for mutant in MUTANTS))
PLAYED = {(mutant.kinds, mutant.first) for mutant in MUTANTS}


@pytest.fixture(scope="module")
def world(store: Place) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, opened(store, KINDS, patch, f"mutants_{os.getpid()}") as world:
        yield world


@pytest.mark.skipif(
    HISTORIES == 1, reason="the histories beside play the sound engine; ISTHMUS_HISTORIES=2 this as well"
)
@pytest.mark.parametrize(("kinds", "first"), sorted(PLAYED - {(BESIDE[0], None)}, key=repr))
def test_the_sound_engine_passes_what_they_fail(world: World, kinds: Kinds, first: tuple[str, str] | None) -> None:
    """History 0 of the first kinds is played by the histories beside."""
    play(world, 0, kinds, Struck(), first=first)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "-") for mutant in MUTANTS])
def test_a_broken_engine_is_caught(world: World, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.breaks(monkeypatch)
    for seed in range(TRIES):
        try:
            play(world, seed, mutant.kinds, Struck(), first=mutant.first)
        except (AssertionError, IsthmusError) as caught:
            print(f"{mutant.name}: caught by history {seed}: {str(caught)[:400]}")
            return
    pytest.fail(f"{mutant.name}: {mutant.breaks.__doc__} Lived through {TRIES} histories.")
