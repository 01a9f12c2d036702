"""Every engine that is broken on purpose is caught by a few histories."""

from __future__ import annotations

import os

import psycopg
import pytest

from isthmus.errors import IsthmusError
from tests.warehouse.engine import Stage, emptied
from tests.warehouse.sim.mutants import MUTANTS, Mutant
from tests.warehouse.sim.play import Play

TRIES = int(os.environ.get("ISTHMUS_WAREHOUSE_TRIES", "2"))  # histories a mutant may live through
STEPS = 120


@pytest.mark.parametrize("seed", sorted({mutant.seed for mutant in MUTANTS}))
def test_the_sound_engine_passes_what_they_fail(bare: Stage, seed: int) -> None:
    Play(bare, seed, crashes=0).run(STEPS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "-") for mutant in MUTANTS])
def test_a_broken_engine_is_caught(bare: Stage, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.breaks(monkeypatch)
    for seed in range(mutant.seed, mutant.seed + TRIES):
        play = Play(emptied(bare), seed, crashes=0)
        try:
            play.run(STEPS)
        except (AssertionError, IsthmusError, psycopg.Error) as caught:
            print(f"{mutant.name}: seed {seed}, step {play.step}: {type(caught).__name__} {str(caught)[:150]}")
            return
    pytest.fail(f"{mutant.name}: it lived through {TRIES} histories")
