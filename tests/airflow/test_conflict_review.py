"""The DAG `conflict_review` under the real Airflow: a person answers through the API, and the answer is carried out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from isthmus.levels.download import open_desk
from isthmus.levels.rounds import keep_in_step
from isthmus.store import store_url
from monitor.airflow_home import AirflowHome
from monitor.api import Api
from tests.airflow.conftest import Ended, Ground
from tests.airflow.test_contract_sync import NAME, marry, person, tell
from tests.airflow.test_launch import launched, wait

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

NUMBERS = (5, 6, 7)
HOLD = "level: synchronize, on_conflict: {last_name: hold}"
TASKS = ("pick", "ask", "settle", "sync")
DAG = "/api/v2/dags/conflict_review"


@pytest.fixture(scope="module")
def numbers(ground: Ground, first: Ended) -> dict[int, str]:
    """Three conflicts about last names: number -> partner."""
    file = ground.folder / "mappings" / "scenarios" / "single_with_devices.yaml"
    text = file.read_text(encoding="utf-8")
    head, tail = text.split("object: business_partner", 1)
    file.write_text(f"{head}object: business_partner{tail.replace('level: synchronize', HOLD, 1)}", encoding="utf-8")
    partners = [person(ground, number) for number in NUMBERS]
    for number, partner in enumerate(partners):
        marry(ground, "isu", partner, f"Ours{number}")
        marry(ground, "crm", partner, f"Theirs{number}")
    with open_desk(gate="off") as desk:
        keep_in_step(desk, desk.flow("business_partner"))
        found = desk.ledger.conflicts.open(field="last_name")
    assert len(found) == len(NUMBERS)
    keys = {str(one.source_key).zfill(10): one.number for one in found}
    return {keys[partner]: partner for partner in partners}


def names(ground: Ground, partner: str) -> tuple[Any, Any]:
    """Return a partner's last name in IS-U and in CRM."""
    return tuple(tell(ground.connections[system], NAME, partner)[0][0] for system in ("isu", "crm"))


def answered(api: Api, path: str, at: str, body: dict[str, Any], token: str) -> bool:
    """Answer while the task asks, and say whether the run is over; a task that was tried again asks again."""
    if api.call(f"{path}/taskInstances/ask", token=token)["state"] == "awaiting_input":
        with suppress(HTTPError):  # answered already, Airflow is about to take it
            api.call(at, body, token, method="PATCH")
    return api.call(path, token=token)["state"] in ("success", "failed")


def test_a_person_answers_in_airflow_and_the_answers_are_carried_out(ground: Ground, numbers: dict[int, str]) -> None:
    first, second, third = numbers
    airflow = AirflowHome(ground.folder / ".isthmus" / "airflow")
    with launched(ground) as (_, said):
        shown = said.read_text(encoding="utf-8")
        api = Api(next(word for word in shown.split() if word.startswith("http://127.0.0.1:") and "dags" not in word))
        token = api.token("user", airflow.passwords()["user"])
        boss = api.token("admin", airflow.passwords()["admin"])
        api.call("/api/v2/dags/contract_sync", {"is_paused": True}, boss, method="PATCH")  # the review runs alone
        asked = {"logical_date": None, "conf": {"object": "business_partner"}}
        run = api.call(f"{DAG}/dagRuns", asked, token)["dag_run_id"]
        path = f"{DAG}/dagRuns/{quote(run)}"
        wait(lambda: api.call(f"{path}/hitlDetails", token=token)["hitl_details"], 120)
        (detail,) = api.call(f"{path}/hitlDetails", token=token)["hitl_details"]
        assert detail["options"] == ["leave open", "take isu", "take crm"]
        assert "•••" in detail["body"] and "Ours0" not in detail["body"] and "last_name" in detail["body"]
        answers = {f"conflict_{number}": "as the whole batch" for number in (first, second)}
        body = {"chosen_options": ["take crm"], "params_input": {**answers, f"conflict_{third}": "leave open"}}
        answered_at = f"{path}/taskInstances/ask/-1/hitlDetails"
        wait(lambda: answered(api, path, answered_at, body, token), 300)
        tasks = api.call(f"{path}/taskInstances", token=token)["task_instances"]
        assert {task["task_id"]: task["state"] for task in tasks} == dict.fromkeys(TASKS, "success")
    assert names(ground, numbers[first]) == ("Theirs0", "Theirs0")
    assert names(ground, numbers[second]) == ("Theirs1", "Theirs1")
    assert names(ground, numbers[third]) == ("Ours2", "Theirs2")
    kept = "SELECT decided_by, state FROM ledger.conflicts WHERE number = %s"
    assert tell(store_url(), kept, first) == [("user", "applied")]
    assert tell(store_url(), kept, third) == [(None, "open")]
