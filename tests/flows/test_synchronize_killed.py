"""A run that is killed between any two of its durable steps and begun again leaves both sides as an undisturbed one."""

from __future__ import annotations

import signal

import pytest

from tests.flows.both_ways import both_ways, marry, persons, sync
from tests.flows.conftest import Build
from tests.flows.forked import synchronizing
from tests.flows.house import House
from tests.sim.faults import boundaries

OBJECT = "business_partner"
NAMES = "SELECT partner, name_last, name_first FROM but000 WHERE type = '1' ORDER BY partner"


def synchronizer(house: House, failpoint: str = "") -> int | None:
    """Keep partners in step in a process that dies at a fail point if one is named. Returns how it ended."""
    process = synchronizing(house.clock(), OBJECT, failpoint=failpoint)
    process.join(120)
    return process.exitcode


def writes(house: House) -> list[tuple[object, ...]]:
    """Return how often rows were written in either system since ever."""
    asked = "SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'public'"
    return [house.ask(system, asked)[0] for system in ("isu", "crm")]


@pytest.mark.parametrize("journal", ["schema", "none"])
def test_killed_anywhere_and_begun_again_it_converges(build: Build, journal: str) -> None:
    house = both_ways(build(journal, defects=False), (OBJECT,))
    house.load((OBJECT,))
    people = persons(house, 3 * len(boundaries()))
    house.clock.forward(days=1)
    sync(house, OBJECT)
    for place, point in enumerate(boundaries()):
        house.clock.forward(days=1)
        ours, theirs, both = people[3 * place : 3 * place + 3]
        marry(house, ours, ours=f"Ours{place}")
        marry(house, theirs, theirs=f"Theirs{place}")
        marry(house, both, ours=f"One{place}", theirs=f"Other{place}")
        assert synchronizer(house, point) == -signal.SIGKILL, f"{point} was not passed"
        house.clock.forward(minutes=10)  # the lease of the dead is over
        sync(house, OBJECT)
        for system in ("isu", "crm"):
            stands = {row[0]: row[1] for row in house.ask(system, NAMES)}
            assert (stands[ours], stands[theirs]) == (f"Ours{place}", f"Theirs{place}"), point
            assert stands[both] == (f"One{place}" if system == "isu" else f"Other{place}"), point
        held = house.ask("ledger", "SELECT source_value, target_value FROM ledger.conflicts WHERE state = 'open'")
        assert sorted(held) == sorted((f"One{n}", f"Other{n}") for n in range(place + 1)), point
    house.clock.forward(minutes=10)
    sync(house, OBJECT)
    before = writes(house)
    house.clock.forward(minutes=10)
    assert synchronizer(house) == 0
    assert writes(house) == before
    assert house.one("ledger", "SELECT count(*) FROM ledger.queue") == 0
