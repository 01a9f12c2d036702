"""The DAG run in one process: same rows as the engine alone, small references, readable failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.ledger import migrate
from isthmus.levels.download import download, open_desk
from isthmus.levels.summary import summary
from isthmus.project import Project
from isthmus.store import ensure_database
from landscape.create import create
from tests.airflow.conftest import CONTRACTS, Airflow, Ended, Ground, asked

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_the_dag_carries_the_same_rows_as_the_engine_alone(
    ground: Ground, first: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, isu, crm = (ensure_database(name) for name in ("alone", "alone_isu", "alone_crm"))
    create(isu, crm, contracts=CONTRACTS, seed=7)
    migrate(ledger)
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", ledger)
    monkeypatch.setenv("ISTHMUS_CONNECTION_ISU", isu)
    monkeypatch.setenv("ISTHMUS_CONNECTION_CRM", crm)
    target = Project.load().connector("crm")
    target.install_journal()  # type: ignore[attr-defined]
    target.close()
    with open_desk() as desk:
        alone = summary(desk, download(desk))
    written = {name: {**counts, "warned": 0} for name, counts in first.summary["flows"].items()}
    assert written == {name: {**counts, "warned": 0} for name, counts in alone["flows"].items()}
    assert first.summary["totals"]["inserted"] > CONTRACTS


def test_every_task_ends_well_and_both_sides_agree(first: Ended) -> None:
    assert first.answer["result"] == "success"
    assert {state for states in first.tasks.values() for state in states} == {"success"}
    assert {found["verdict"] for found in first.summary["reconciliation"].values()} == {"agrees"}


def test_only_references_travel_between_tasks(first: Ended) -> None:
    ((largest,),) = asked("SELECT max(length(value::text)) FROM xcom WHERE run_id = %s", first.answer["run"])
    assert largest < 2_048


def test_a_second_run_writes_nothing(airflow: Airflow, first: Ended) -> None:
    totals = airflow.run().summary["totals"]
    assert (totals["inserted"], totals["updated"]) == (0, 0)
    assert totals["read"] == first.summary["totals"]["read"]


def test_the_same_run_again_converges(airflow: Airflow, first: Ended) -> None:
    again = airflow.run(at="2026-01-01T00:00:00+00:00")
    assert again.answer["run"] == first.answer["run"]
    assert again.answer["result"] == "success"
    # rows held by a later run belong to that one
    written = {name: number for name, number in again.summary["totals"].items() if name != "rejected"}
    assert written == {name: first.summary["totals"][name] for name in written}


def test_a_request_reads_its_key_range_and_skips_the_other_objects(airflow: Airflow, first: Ended) -> None:
    ended = airflow.run(objects=["contract"], mode="request", key_from="100010", key_to="100019")
    assert ended.answer["result"] == "success"
    assert 0 < ended.summary["totals"]["read"] <= 10
    assert ended.tasks["contract.load"] == {"success"}
    assert ended.tasks["premise.plan"] == ended.tasks["premise.finish"] == {"skipped"}


def test_a_request_without_keys_says_what_it_needs(airflow: Airflow, first: Ended) -> None:
    ended = airflow.run(mode="request")
    assert ended.answer["result"] == "failed"
    assert "needs one object and a first or last key" in ended.answer["failed"]["begin"]


def test_a_wrong_mapping_fails_the_run_with_file_and_line(airflow: Airflow, first: Ended, ground: Ground) -> None:
    file = Path(ground.folder, "mappings", "isu", "contract.yaml")
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace("EVER.EINZDAT ", "EVER.EINZDATE "), encoding="utf-8")
    try:
        ended = airflow.run()
    finally:
        file.write_text(right, encoding="utf-8")
    assert ended.tasks["begin"] == {"failed"}
    why = ended.answer["failed"]["begin"]
    assert why.startswith("mappings/isu/contract.yaml:") and 'no column "EINZDATE". Did you mean "einzdat"' in why
    assert {"upstream_failed"} == ended.tasks["contract.load"] == ended.tasks["publish"]
