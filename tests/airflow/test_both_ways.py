"""A day of business of the demo, kept in step through the DAG; the witness tells what fared otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from isthmus.levels.download import open_desk
from isthmus.levels.rounds import Round
from monitor import both_ways
from monitor.both_ways import Business
from monitor.witness import Agreement, Fared, Witness
from tests.airflow.conftest import Airflow, Ended, Ground

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@dataclass(frozen=True)
class Day:
    """What the demo tells at its end: how every change fared, how both sides stand, what first and last run did."""

    witness: Witness
    business: Business
    fared: list[Fared]
    agreement: list[Agreement]
    first: list[Round]
    again: list[Round]

    def broken(self) -> list[str]:
        """Return the promises that were not kept."""
        found = both_ways.promises(self.fared, self.agreement, self.first, self.again)
        return [f"{promise.said}: {promise.found}" for promise in found if not promise.kept]


@pytest.fixture(scope="module")
def day(airflow: Airflow, first: Ended, ground: Ground) -> Iterator[Day]:
    """A day in two parts, then three synchronizations: by the second IS-U hears what CRM numbered in the first."""
    business = Business(ground.connections)
    assert airflow.run(dag="contract_sync").answer["result"] == "success"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(both_ways, "CHANGES", 80)
        patch.setattr(both_ways, "MEANWHILE", 20)
        business.meanwhile()
        business.rest()
    with business.watched() as witness, open_desk(gate="off") as desk:
        runs = [airflow.run(dag="contract_sync").answer for _ in range(3)]
        assert [run["result"] for run in runs] == ["success"] * 3
        agreement = both_ways.agreement(witness, desk)
        fared = witness.account(business.days, both_ways.owners(desk))
        rounds = [both_ways.rounds_of(desk, run["run"]) for run in runs]
        yield Day(witness, business, fared, agreement, rounds[0], rounds[-1])


def test_the_day_ends_as_the_demo_promises(day: Day) -> None:
    assert day.broken() == []
    assert len({item.played.kind for item in day.fared}) > 30
    assert sum(item.values for item in day.agreement) > 5_000


def test_the_witness_sees_what_somebody_changes_behind_everybodys_back(day: Day, ground: Ground) -> None:
    (moved,) = [item for item in day.fared if item.played.kind == "cancelled_in_crm"]
    key = moved.played.keys[0]
    with psycopg.connect(ground.connections["isu"]) as isu:
        isu.execute("UPDATE ever SET auszdat = '20991231' WHERE vertrag = %s", (key,))
    try:
        day.witness.isu.execute("DELETE FROM looks WHERE at = 'after'")
        with open_desk(gate="off") as desk:
            agreement = both_ways.agreement(day.witness, desk)
            fared = day.witness.account(day.business.days, both_ways.owners(desk))
    finally:
        with psycopg.connect(ground.connections["isu"]) as isu, psycopg.connect(ground.connections["crm"]) as crm:
            ends = crm.execute("SELECT a4contend FROM crmd_isuexta4 WHERE a4isucontr = %s", (key,)).fetchone()
            assert ends
            isu.execute("UPDATE ever SET auszdat = %s WHERE vertrag = %s", (*ends, key))
    assert [item.played.kind for item in fared if item.as_expected != item.played.count] == ["cancelled_in_crm"]
    assert [(item.object, item.unexplained) for item in agreement if not item.agrees] == [("contract", 1)]
