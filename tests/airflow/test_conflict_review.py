"""The DAG `conflict_review` as `isthmus up` runs it: a person answers through the API; who dies takes all along."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import psutil
import pytest

from isthmus.errors import SystemUnavailable
from isthmus.levels.download import download, open_desk
from isthmus.levels.rounds import keep_in_step
from isthmus.store import store_url
from monitor.airflow_home import AirflowHome
from monitor.api import Api
from tests.airflow.conftest import Ground, grounded, launched, wait
from tests.airflow.test_contract_sync import NAME, marry, person, tell
from tests.airflow.test_launch import left_running

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

NUMBERS = (5, 6, 7)
HOLD = "level: synchronize, on_conflict: {last_name: hold}"
TASKS = ("pick", "ask", "settle", "sync")
DAG = "/api/v2/dags/conflict_review"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A project of its own: what other tests leave behind would be asked about as well."""
    with grounded() as found:
        yield found


@pytest.fixture(scope="module")
def launch(ground: Ground) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The real Airflow as `isthmus up` starts it, and what that prints; shared, because it takes half a minute."""
    with launched(ground) as found:
        yield found


@pytest.fixture(scope="module")
def numbers(ground: Ground) -> dict[int, str]:
    """Three conflicts about last names: number -> partner."""
    file = ground.folder / "mappings" / "scenarios" / "single_with_devices.yaml"
    text = file.read_text(encoding="utf-8")
    head, tail = text.split("object: business_partner", 1)
    file.write_text(f"{head}object: business_partner{tail.replace('level: synchronize', HOLD, 1)}", encoding="utf-8")
    with open_desk(gate="off") as desk:
        download(desk, ("business_partner",))
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


def test_a_person_answers_in_airflow_and_the_answers_are_carried_out(
    ground: Ground, numbers: dict[int, str], launch: tuple[subprocess.Popen[str], Path]
) -> None:
    first, second, third = numbers
    airflow = AirflowHome(ground.folder / ".isthmus" / "airflow")
    _, said = launch
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


def test_a_component_that_dies_is_named_with_its_log_and_the_others_stop(
    ground: Ground, launch: tuple[subprocess.Popen[str], Path]
) -> None:
    """The last test here: it ends the launch that they share."""
    process, said = launch
    (victim,) = [p for p in psutil.Process(process.pid).children() if "monitor.scheduler" in p.cmdline()]
    victim.kill()
    assert process.wait(60) == SystemUnavailable.exit_code
    assert "scheduler was ended by SIGKILL" in said.read_text(encoding="utf-8")
    assert "scheduler.log" in said.read_text(encoding="utf-8")
    assert left_running(ground) == []
