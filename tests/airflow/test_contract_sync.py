"""The DAG `contract_sync` run in one process: both sides meet, what waits is skipped, who must know is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from isthmus.store import store_url
from tests.airflow.conftest import Airflow, Ended, Ground, asked

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

KEPT = ("business_partner", "contract_account", "contract")
FLOW = "business_partner.isu.crm"
NAME = "SELECT name_last FROM but000 WHERE partner = %s"


def tell(url: str, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
    """Say something to a database as a person would who knows nothing of us."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def person(ground: Ground, number: int) -> str:
    """Return the key of a person both systems have."""
    found = tell(ground.connections["crm"], "SELECT partner FROM but000 WHERE type = '1' ORDER BY 1 LIMIT 20")
    return str(found[number][0])


def marry(ground: Ground, system: str, partner: str, name: str) -> None:
    """Change a last name in one system."""
    changed = "UPDATE but000 SET name_last = %s, chdat = %s WHERE partner = %s"
    tell(ground.connections[system], changed, name, f"{datetime.now(UTC):%Y%m%d}", partner)


@contextmanager
def flow(values: str, before: str) -> Iterator[None]:
    """Let the partners' flow stand otherwise for a while."""
    tell(store_url(), f"UPDATE ledger.flows SET {values} WHERE flow = '{FLOW}'")
    try:
        yield
    finally:
        tell(store_url(), f"UPDATE ledger.flows SET {before} WHERE flow = '{FLOW}'")


def events_of(run: str) -> dict[str, dict[str, Any]]:
    """Return what a run published: asset -> extra."""
    found = asked(
        "SELECT a.uri, e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE e.source_run_id = %s", run
    )
    return dict(found)


@pytest.fixture(scope="module")
def synced(airflow: Airflow, first: Ended, ground: Ground) -> Ended:
    """The first synchronization after the load; one partner was changed on each side."""
    marry(ground, "isu", person(ground, 0), "Inward")
    marry(ground, "crm", person(ground, 1), "Outward")
    return airflow.run(dag="contract_sync")


def test_changes_of_both_sides_arrive(synced: Ended, ground: Ground) -> None:
    assert synced.answer["result"] == "success", synced.answer["failed"]
    assert {state for name in KEPT for state in synced.tasks[name]} == {"success"}
    assert tell(ground.connections["crm"], NAME, person(ground, 0)) == [("Inward",)]
    assert tell(ground.connections["isu"], NAME, person(ground, 1)) == [("Outward",)]


def test_what_changed_is_published_with_counts_and_positions(synced: Ended) -> None:
    extra = events_of(synced.answer["run"])["isthmus://contract_sync/business_partner"]
    assert (extra["counts"]["fields_to_target"], extra["counts"]["fields_to_source"]) == (1, 1)
    assert set(extra["watermark"]) == {"isu", "crm"}


def test_the_next_run_writes_and_publishes_nothing(airflow: Airflow, synced: Ended) -> None:
    again = airflow.run(dag="contract_sync")
    assert again.answer["result"] == "success"
    assert events_of(again.answer["run"]) == {}
    asks = "SELECT value FROM xcom WHERE run_id = %s AND task_id = 'close' AND key = 'return_value'"
    ((totals,),) = asked(asks, again.answer["run"])
    assert totals["things"] == totals["unchanged"] > 0
    assert {name for name in totals if name.startswith(("updated", "created", "fields"))} == set()


def test_only_references_travel_between_tasks(synced: Ended) -> None:
    ((largest,),) = asked("SELECT max(length(value::text)) FROM xcom WHERE run_id = %s", synced.answer["run"])
    assert largest < 2_048


@pytest.mark.parametrize(
    ("values", "before"),
    [
        ("paused = true, paused_by = 'ops', paused_why = 'audit'", "paused = false"),
        ("state = 'loading', load_run = 'another'", "state = 'loaded'"),
    ],
)
def test_an_object_that_waits_is_skipped_and_the_others_go_on(
    airflow: Airflow, synced: Ended, values: str, before: str
) -> None:
    with flow(values, before):
        ended = airflow.run(dag="contract_sync")
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert ended.tasks["business_partner"] == {"skipped"}
    assert ended.tasks["contract"] == ended.tasks["close"] == {"success"}


def test_a_look_writes_nothing(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    partner = person(ground, 2)
    marry(ground, "isu", partner, "Looked")
    ended = airflow.run(dag="contract_sync", what_if=True)
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert tell(ground.connections["crm"], NAME, partner) != [("Looked",)]
    assert ended.tasks["deltas_isu"] == {"skipped"}


def test_an_object_that_fails_is_shown_and_the_others_go_on(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    file = ground.folder / "mappings" / "isu" / "business_partner.yaml"
    right = file.read_text(encoding="utf-8")
    assert "BUT000.NAME_LAST" in right
    file.write_text(right.replace("BUT000.NAME_LAST", "BUT000.NAME_LOST"), encoding="utf-8")
    try:
        ended = airflow.run(dag="contract_sync", objects=["business_partner", "contract"])
    finally:
        file.write_text(right, encoding="utf-8")
    assert ended.answer["result"] == "failed"
    assert ended.tasks["business_partner"] == {"failed"}
    assert ended.tasks["contract"] == {"success"}
    assert ended.tasks["contract_account"] == {"skipped"}
    assert ended.tasks["close"] == {"upstream_failed"}


def test_deltas_of_one_way_flows_arrive_too(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    isu, crm = ground.connections["isu"], ground.connections["crm"]
    ((premise,),) = tell(isu, "SELECT min(vstelle) FROM evbs")
    tell(isu, "UPDATE evbs SET aedat = %s, floor = '42' WHERE vstelle = %s", f"{datetime.now(UTC):%Y%m%d}", premise)
    ended = airflow.run(dag="contract_sync")
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert "isthmus://contract_sync/premise" in events_of(ended.answer["run"])
    assert crm
