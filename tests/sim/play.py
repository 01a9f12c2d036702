"""Play one history: epochs of work and faults, then quiet runs, then every invariant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from tests.sim import check
from tests.sim.faults import FAULTS, Struck, boundaries, dying_after, striking
from tests.sim.history import History
from tests.sim.world import Died, Kinds, World

SIZE = 250  # numbers in one history: a partner each, and a deal to every other one
EPOCHS = 3
STORM = 4  # faults that strike one after the other in the last epoch


def play(
    world: World,
    seed: int,
    kinds: Kinds,
    struck: Struck,
    *,
    size: int = SIZE,
    only: Sequence[tuple[str, int]] = (),
    first: tuple[str, str] | None = None,
) -> History:
    """Play a history; raises Broken where an invariant does not hold.

    `only` plays some of its things alone, `first` names the first fault and its boundary.
    """
    world.reset(kinds)
    world.histories += 1
    history = History(world, seed, size, only)
    pairs = chain([first] if first else [], strikes(seed))
    history.early(0.6)
    world.take_over()
    check.quiet(history, 1)
    check.settled(history)
    for epoch in range(EPOCHS):
        history.begin_epoch()
        history.decide()
        history.begin_slow()
        history.early(0.35)
        for _ in range(STORM if epoch == EPOCHS - 1 else 1):
            fault, point = next(pairs)
            passage = history.random.choice((1, 1, 2))
            with striking(history, fault, point, passage, struck):
                world.sync(f"worker {history.random.random()}")
            history.late = True
            history.end_slow()
            world.clock.move(minutes=history.random.choice((1, 6, 30)))
        check.quiet(history)
        check.settled(history)
        world.clock.move(hours=history.random.choice((1, 7, 20)))
    return history


def play_dying(world: World, seed: int, kinds: Kinds, size: int = 60) -> int:
    """Play an epoch in which every run dies one transaction of the ledger later than the one before.

    Agents work on between the runs.  Returns how many runs died.
    """
    world.reset(kinds)
    world.histories += 1
    history = History(world, seed, size)
    history.early(0.6)
    world.take_over()
    check.quiet(history, 1)
    check.settled(history)
    history.begin_epoch()
    history.early(0.4)
    died = 0
    while True:
        try:
            with dying_after(world, died + 1):
                world.sync(f"worker {died}")
        except Died:
            died += 1
            history.meanwhile(("back", "front"), 0.05)
            world.clock.move(minutes=6)
        else:
            break
    check.quiet(history)
    check.settled(history)
    return died


def strikes(seed: int) -> Iterator[tuple[str, str]]:
    """Yield fault and boundary, so that neighbouring seeds cover every pair."""
    every = [(fault, point) for point in boundaries() for fault in FAULTS]
    place = seed * (EPOCHS - 1 + STORM)
    while True:
        yield every[(place * 37) % len(every)]
        place += 1
