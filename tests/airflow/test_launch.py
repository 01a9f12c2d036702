"""What `isthmus up` starts: DAGs can be clicked, a person answers a conflict, who dies takes all along, nothing stays.

The real Airflow takes half a minute to start, so the tests share it, in the order they stand here.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
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
from monitor.launch import DAGS
from monitor.processes import running_launcher
from tests.airflow.conftest import Ground, begun, grounded, launched, wait
from tests.airflow.test_contract_sync import NAME, marry, person, tell

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

NUMBERS = (5, 6, 7)
HOLD = "level: synchronize, on_conflict: {last_name: hold}"
TASKS = ("pick", "ask", "settle", "sync")
REVIEW = "/api/v2/dags/conflict_review"


@dataclass(frozen=True)
class Up:
    """A running Airflow, where it keeps its files, and what it printed when it said that it runs."""

    process: subprocess.Popen[str]
    airflow: AirflowHome
    shown: str

    @property
    def api(self) -> Api:
        """Return Airflow's API, at the address it printed."""
        words = self.shown.split()
        return Api(next(word for word in words if word.startswith("http://127.0.0.1:") and "dags" not in word))

    def token(self, user: str) -> str:
        """Log a user on."""
        return self.api.token(user, self.airflow.passwords()[user])


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A project of its own: what other tests leave behind would be asked about as well."""
    with grounded() as found:
        yield found


@pytest.fixture(scope="module")
def up(ground: Ground) -> Iterator[Up]:
    """The real Airflow as `isthmus up` starts it."""
    with launched(ground) as (process, said):
        yield Up(process, AirflowHome(ground.folder / ".isthmus" / "airflow"), said.read_text(encoding="utf-8"))


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


def left_running(ground: Ground) -> list[str]:
    """Return the command lines of processes that still work for this project; the store's have no environment."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            ours = process.environ().get("ISTHMUS_HOME") == str(ground.folder) and process.pid != os.getpid()
            if ours and process.status() != psutil.STATUS_ZOMBIE and "monitor.headless" not in process.info["cmdline"]:
                found.append(" ".join(process.info["cmdline"]))
    return found


def test_every_dag_can_be_clicked_when_airflow_says_that_it_runs(up: Up) -> None:
    assert running_launcher(up.airflow) == up.process.pid
    assert up.airflow.passwords()["user"] not in up.shown
    token = up.token("user")
    for dag in DAGS:
        assert up.api.call(f"/api/v2/dags/{dag}", token=token)["is_paused"] is False
    pools = {pool["name"]: pool["slots"] for pool in up.api.call("/api/v2/pools", token=token)["pools"]}
    assert (pools["isu"], pools["nem"]) == (4, 4)


def test_a_click_runs_the_download(up: Up) -> None:
    token = up.token("user")
    asked = {"logical_date": None, "conf": {"objects": ["business_partner"]}}
    run = up.api.call("/api/v2/dags/initial_download/dagRuns", asked, token)["dag_run_id"]
    path = f"/api/v2/dags/initial_download/dagRuns/{quote(run)}"
    wait(lambda: up.api.call(path, token=token)["state"] in ("success", "failed"), 120)
    assert up.api.call(path, token=token)["state"] == "success"


def test_a_person_answers_in_airflow_and_the_answers_are_carried_out(
    up: Up, ground: Ground, numbers: dict[int, str]
) -> None:
    first, second, third = numbers
    api, token = up.api, up.token("user")
    api.call("/api/v2/dags/contract_sync", {"is_paused": True}, up.token("admin"), method="PATCH")  # it runs alone
    asked = {"logical_date": None, "conf": {"object": "business_partner"}}
    run = api.call(f"{REVIEW}/dagRuns", asked, token)["dag_run_id"]
    path = f"{REVIEW}/dagRuns/{quote(run)}"
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


def test_it_stops_without_a_trace(up: Up, ground: Ground) -> None:
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert left_running(ground) == []
    assert running_launcher(up.airflow) is None


def test_a_component_that_dies_is_named_with_its_log_and_the_others_stop(ground: Ground, up: Up) -> None:
    def scheduler() -> psutil.Process | None:
        children = psutil.Process(process.pid).children()
        return next((child for child in children if "monitor.scheduler" in child.cmdline()), None)

    with begun(ground) as (process, said):
        wait(lambda: scheduler() is not None or process.poll() is not None, 120)
        victim = scheduler()
        assert victim is not None, said.read_text(encoding="utf-8")
        victim.kill()
        assert process.wait(60) == SystemUnavailable.exit_code
        assert "scheduler was ended by SIGKILL" in said.read_text(encoding="utf-8")
        assert "scheduler.log" in said.read_text(encoding="utf-8")
    assert left_running(ground) == []
