"""A round of synchronization as commands and DAG call it: it passes over what waits and cleans up after the dead."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.errors import ConfigError
from isthmus.levels.rounds import Round, keep_in_step, synchronized
from tests.flows.both_ways import both_ways, marry, persons
from tests.flows.conftest import Build
from tests.flows.house import House

FLOW = "business_partner.isu.crm"


@pytest.fixture
def house(build: Build) -> House:
    """A house whose partners are loaded and kept in step."""
    return build("schema", defects=False, begin=loaded_yesterday)


def loaded_yesterday(house: House) -> None:
    both_ways(house).load(("business_partner",), run="first")
    house.clock.forward(days=1)


def round_of(house: House, run: str = "") -> Round:
    with house.desk() as desk:
        return keep_in_step(desk, desk.flow("business_partner"), run)


def last_name(house: House, system: str, partner: str) -> str:
    return str(house.one(system, "SELECT name_last FROM but000 WHERE partner = %s", partner))


def test_a_round_carries_changes_of_both_sides_and_the_next_one_writes_nothing(house: House) -> None:
    ours, theirs = persons(house, 2)
    marry(house, ours, ours="Inward")
    marry(house, theirs, theirs="Outward")
    first = round_of(house)
    assert (last_name(house, "crm", ours), last_name(house, "isu", theirs)) == ("Inward", "Outward")
    assert (first.changed, first.counts["fields_to_target"], first.counts["fields_to_source"]) == (2, 1, 1)
    second = round_of(house)
    assert second.changed == 0
    assert second.queued == 0


def test_the_same_run_again_gives_the_same_answer(house: House) -> None:
    (partner,) = persons(house, 1)
    marry(house, partner, ours="Once")
    first = round_of(house, "scheduled__1")
    again = round_of(house, "scheduled__1")
    assert again.run == first.run == f"scheduled__1/{FLOW}"
    assert again.counts == first.counts


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ("UPDATE ledger.flows SET paused = true, paused_by = 'ops', paused_why = 'audit'", "paused by ops: audit"),
        ("UPDATE ledger.flows SET state = 'loading', load_run = 'second'", "being loaded by run second"),
        ("DELETE FROM ledger.flows", "not loaded yet"),
    ],
)  # fmt: skip
def test_a_flow_that_may_not_run_is_passed_over_with_its_reason(house: House, said: str, because: str) -> None:
    (partner,) = persons(house, 1)
    marry(house, partner, ours="Waiting")
    house.tell("ledger", said)
    assert because in round_of(house).waits
    assert last_name(house, "crm", partner) != "Waiting"


def test_a_run_that_died_is_marked_by_the_next_one_of_its_flow(house: House) -> None:
    with house.desk() as desk:
        for id, flow in (("dead", FLOW), ("other", "contract.isu.crm")):
            desk.ledger.runs.start("single_with_devices", "contract_sync", "delta", {"flow": flow}, "", id=id)
    house.clock.forward(minutes=1)
    round_of(house)
    assert states(house) == {"dead": "running", "other": "running"}
    house.clock.forward(minutes=10)
    round_of(house)
    assert states(house) == {"dead": "failed", "other": "running"}


def states(house: House) -> dict[str, Any]:
    return dict(house.ask("ledger", "SELECT id, state FROM ledger.runs WHERE id IN ('dead', 'other')"))


def test_how_far_a_flow_is_behind_is_written_down(house: House) -> None:
    round_of(house)
    with house.desk() as desk:
        lags = desk.ledger.flows.lags(FLOW)
    assert {lag.system for lag in lags} == {"isu", "crm"}
    assert {lag.waiting for lag in lags} == {0}


def test_an_object_that_is_not_synchronized_is_named(house: House) -> None:
    with house.desk() as desk, pytest.raises(ConfigError, match="does not synchronize premise; it keeps business_part"):
        synchronized(desk, ["premise"])
