"""A load that is killed anywhere and run again arrives where an undisturbed one does."""

from __future__ import annotations

import random
import signal

import pytest

from isthmus.levels import failpoint
from isthmus.levels.line import UNDER_WAY
from tests.flows.conftest import Build
from tests.flows.forked import loading
from tests.flows.house import NUMBERS, OBJECTS, House

PARENTS = OBJECTS[:-1]
POINTS = ("after claim", "after read", "before write", "after write", "after confirm")
MOMENTS = 1.5  # seconds within which a load of everything is killed; undisturbed it takes longer
IN_HAND = 2 + UNDER_WAY  # packages a killed load held: one confirmed, one written, and those under way behind them


def again(house: House) -> int:
    """Return how many packages of run `killed` were claimed more than once."""
    return int(house.one("ledger", "SELECT count(*) FROM ledger.packages WHERE run = 'killed' AND epoch > 1"))


def confirmed(house: House) -> set[tuple[object, ...]]:
    """Return the packages of run `killed` that are confirmed, each with the epoch it was claimed by."""
    return set(house.ask("ledger", "SELECT id, epoch FROM ledger.packages WHERE run = 'killed' AND state = 'done'"))


def whole(house: House) -> None:
    """Check what must hold of contracts after any load: each once, each with a number of its own."""
    rows, items, numbers = house.ask(
        "crm",
        "SELECT count(*), count(DISTINCT i.guid), count(DISTINCT h.object_id) FROM crmd_orderadm_h h"
        " FULL JOIN crmd_orderadm_i i ON i.header = h.guid WHERE h.object_id <> ''",
    )[0]
    assert rows == items == numbers > 1_000
    assert house.one("ledger", "SELECT count(*) FROM ledger.packages WHERE run = 'killed' AND state <> 'done'") == 0


def test_every_fail_point_is_tried() -> None:
    assert POINTS == failpoint.POINTS


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("journal", "defects"), [("schema", False), ("none", True)], ids=["schema-fill", "none-merge"])
def test_killed_between_the_transactions_it_converges(build: Build, point: str, journal: str, defects: bool) -> None:
    due = build(journal, defects, OBJECTS).content(NUMBERS)
    house = build(journal, defects, PARENTS)
    process = loading("killed", "contract", failpoint=f"{point}:2")
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    before = confirmed(house)
    house.load(["contract"], run="killed")
    assert house.content(NUMBERS) == due
    assert before <= confirmed(house)
    assert again(house) <= IN_HAND
    whole(house)
    counts = house.totals("killed")
    assert counts["read"] == counts["inserted"] + counts["updated"] + counts["unchanged"] + counts["rejected"] + (
        counts["parked"] + counts["filtered"]
    )


def test_killed_at_random_moments_it_converges(build: Build, journal: str) -> None:
    due = build(journal, True, OBJECTS).content(NUMBERS)
    house = build(journal)
    moments = random.Random(journal)
    kills = 0
    for _ in range(3):
        process = loading("killed", *OBJECTS)
        process.join(MOMENTS * moments.random())
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
    # a process may have been killed between its last word to the ledger and its end
    if house.ask("ledger", "SELECT state FROM ledger.runs WHERE id = 'killed'") != [("done",)]:
        house.load(run="killed")
    assert kills
    assert house.content(NUMBERS) == due
    assert again(house) <= IN_HAND * kills
    whole(house)
