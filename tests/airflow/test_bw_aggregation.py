"""The DAG `bw_aggregation` run in one process: everything once, then what changed; files, months, gates, proofs."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from isthmus.project import Project
from isthmus.store import store_url
from monitor import stock
from tests.airflow.conftest import Airflow, Ended, Ground, asked

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
STEPS = ("check", "activate", "roll_up", "publish", "compress", "close")


def tell(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Say something to a database."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def requests_of(run: str) -> dict[str, int]:
    """Return the records that a run loaded, by store."""
    found = tell(store_url(), "SELECT store, records FROM warehouse.requests WHERE run = %s AND records > 0", run)
    return dict(found)


def returned(run: str, task: str) -> dict[str, Any]:
    """Return what a task of a run handed on."""
    asks = "SELECT value FROM xcom WHERE run_id = %s AND task_id = %s AND key = 'return_value'"
    ((value,),) = asked(asks, run, task)
    return dict(value)


@pytest.fixture(scope="module")
def filled(airflow: Airflow, first: Ended) -> Ended:
    """The first aggregation, after the download."""
    return airflow.run(dag="bw_aggregation")


def test_the_first_run_fills_every_store_that_has_something_to_hold(filled: Ended) -> None:
    assert filled.answer["result"] == "success", filled.answer["failed"]
    assert {state for name in STEPS for state in filled.tasks[name]} == {"success"}
    assert filled.tasks["extract_isu"] == filled.tasks["extract_crm"] == filled.tasks["pick_up_tel"] == {"success"}
    loaded = requests_of(filled.answer["run"])
    assert {"contract", "billing_line", "quotation", "contact", "call_interval", "consumption"} <= set(loaded)


def test_what_is_filled_is_proved_and_published_at_once(filled: Ended) -> None:
    assert returned(filled.answer["run"], "verify")["cubes"] > 0
    states = tell(store_url(), "SELECT DISTINCT state FROM warehouse.requests WHERE state <> 'DELETED'")
    assert states == [("PUBLISHED",)]
    assert tell(store_url(), "SELECT count(*) FROM warehouse.publications") == [(1,)]
    uris = asked(
        "SELECT a.uri FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE e.source_run_id = %s",
        filled.answer["run"],
    )
    assert uris == [("isthmus://warehouse/publication",)]


def test_the_contracts_of_analysts_are_those_of_the_source(filled: Ended, ground: Ground) -> None:
    held = tell(store_url("analyst"), "SELECT count(*) FROM analysis.contract")
    alive = "SELECT count(DISTINCT ltrim(vertrag, '0')) FROM ever WHERE loevm = ''"
    read = tell(ground.connections["isu"], alive)
    rejected = tell(store_url(), "SELECT count(DISTINCT key) FROM warehouse.held WHERE store = 'contract'")
    assert held[0][0] == read[0][0] - rejected[0][0]


def test_the_next_run_makes_no_request_and_publishes_nothing(airflow: Airflow, filled: Ended) -> None:
    again = airflow.run(dag="bw_aggregation")
    assert again.answer["result"] == "success", again.answer["failed"]
    assert requests_of(again.answer["run"]) == {}
    assert again.tasks["verify"] == {"skipped"}
    assert returned(again.answer["run"], "publish")["requests"] == 0
    assert asked("SELECT 1 FROM asset_event WHERE source_run_id = %s", again.answer["run"]) == []


def test_only_references_travel_between_tasks(filled: Ended) -> None:
    ((largest,),) = asked("SELECT max(length(value::text)) FROM xcom WHERE run_id = %s", filled.answer["run"])
    assert largest < 2_048


def test_what_changed_arrives_and_a_broken_file_is_refused_with_its_reason(
    airflow: Airflow, filled: Ended, ground: Ground
) -> None:
    project = Project.load(ground.folder)
    (contract,) = tell(ground.connections["isu"], "SELECT min(vertrag) FROM ever WHERE loevm = ''")[0]
    tell(ground.connections["isu"], "UPDATE ever SET auszdat = '20291231' WHERE vertrag = %s", contract)
    inbox = ground.folder / str(project.system(stock.TELEPHONY).options["path"])
    whole = sorted((inbox.parent / "done" / "calls").glob("*.csv"))[0]
    (inbox / "calls" / "20290101.csv").write_text(whole.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    (inbox / "calls" / "20290101.done").write_text("0" * 64, encoding="utf-8")
    (inbox / "calls" / "20290102.csv").write_text("still on its way", encoding="utf-8")
    ended = airflow.run(dag="bw_aggregation", verify="yes")
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert requests_of(ended.answer["run"])["contract"] == 1
    held = tell(
        store_url(), "SELECT ends_on::text FROM warehouse.active_contract WHERE number = ltrim(%s, '0')", contract
    )
    assert held == [("2029-12-31",)]
    assert ended.tasks["verify"] == {"success"}
    refused = inbox.parent / "refused" / "calls"
    assert sorted(path.name for path in refused.iterdir()) == [
        "20290101.csv", "20290101.csv.reason.txt", "20290101.done",
    ]  # fmt: skip
    assert "cut on its way" in (refused / "20290101.csv.reason.txt").read_text(encoding="utf-8")
    assert [path.name for path in (inbox / "calls").iterdir()] == ["20290102.csv"]
    assert returned(ended.answer["run"], "pick_up_tel")["refused"] == 1


def test_a_store_whose_source_fails_leaves_the_others_and_the_run_shows_it(
    airflow: Airflow, filled: Ended, ground: Ground
) -> None:
    isu = ground.connections["isu"]
    tell(isu, "UPDATE ever SET auszdat = '20281231' WHERE vertrag = (SELECT max(vertrag) FROM ever WHERE loevm = '')")
    tell(isu, "ALTER TABLE ettifn RENAME TO ettifn_away")
    try:
        ended = airflow.run(dag="bw_aggregation", mode="delta", stores=["contract", "installation_fact"])
    finally:
        tell(isu, "ALTER TABLE ettifn_away RENAME TO ettifn")
    assert ended.answer["result"] == "failed"
    assert ended.tasks["extract_isu"] == {"success", "failed"}
    assert ended.tasks["publish"] == {"success"}
    assert ended.tasks["close"] == {"upstream_failed"}
    assert requests_of(ended.answer["run"])["contract"] == 1


def test_a_month_is_repaired(airflow: Airflow, filled: Ended) -> None:
    asks = "SELECT to_char(max(posted_on), 'YYYY-MM') FROM warehouse.active_billing_line"
    ((month,),) = tell(store_url(), asks)
    spoil = (
        "UPDATE warehouse.active_billing_line SET rate_type = 'spoilt' WHERE (document, line) ="
        " (SELECT document, line FROM warehouse.active_billing_line WHERE to_char(posted_on, 'YYYY-MM') = %s LIMIT 1)"
    )
    tell(store_url(), spoil, month)
    ended = airflow.run(dag="bw_aggregation", stores=["billing_line"], month=month)
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert requests_of(ended.answer["run"])["billing_line"] == 1
    spoilt = "SELECT count(*) FROM warehouse.active_billing_line WHERE rate_type = 'spoilt'"
    assert tell(store_url(), spoilt) == [(0,)]


def test_a_cube_that_differs_is_not_published(airflow: Airflow, filled: Ended) -> None:
    newest = "SELECT max(publication) FROM warehouse.publications"
    before = tell(store_url(), newest)
    cell = "(SELECT ctid FROM warehouse.facts_contract_movement LIMIT 1)"
    tell(store_url(), f"UPDATE warehouse.facts_contract_movement SET records = records + 1 WHERE ctid = {cell}")
    ended = airflow.run(dag="bw_aggregation", verify="yes")
    assert ended.answer["result"] == "failed"
    assert "contract_movement" in ended.answer["failed"]["verify"]
    assert ended.tasks["publish"] == {"upstream_failed"}
    assert tell(store_url(), newest) == before
    tell(store_url(), f"UPDATE warehouse.facts_contract_movement SET records = records - 1 WHERE ctid = {cell}")
