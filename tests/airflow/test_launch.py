"""The launcher: Airflow really starts, a run succeeds, and afterwards nothing of it is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from urllib.parse import quote

import psutil
import pytest

from monitor.airflow_home import AirflowHome
from monitor.api import Api
from monitor.launch import DAGS
from monitor.processes import running_launcher
from tests.airflow.conftest import Ground, launched, wait

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(400)]


def left_running(ground: Ground) -> list[str]:
    """Return the command lines of processes that still work for this project; the store's have no environment."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            ours = process.environ().get("ISTHMUS_HOME") == str(ground.folder) and process.pid != os.getpid()
            if ours and process.status() != psutil.STATUS_ZOMBIE and "monitor.headless" not in process.info["cmdline"]:
                found.append(" ".join(process.info["cmdline"]))
    return found


def test_airflow_starts_runs_the_dag_and_stops_without_a_trace(ground: Ground) -> None:
    airflow = AirflowHome(ground.folder / ".isthmus" / "airflow")
    with launched(ground) as (process, said):
        shown = said.read_text(encoding="utf-8")
        api = Api(next(word for word in shown.split() if word.startswith("http://127.0.0.1:") and "dags" not in word))
        assert running_launcher(airflow) == process.pid
        password = airflow.passwords()["user"]
        assert password not in shown
        token = api.token("user", password)
        for dag in DAGS:  # from the moment it says so, every DAG is there to click
            assert api.call(f"/api/v2/dags/{dag}", token=token)["is_paused"] is False
        asked = {"logical_date": None, "conf": {"objects": ["business_partner"]}}
        run = api.call("/api/v2/dags/initial_download/dagRuns", asked, token)["dag_run_id"]
        path = f"/api/v2/dags/initial_download/dagRuns/{quote(run)}"
        wait(lambda: api.call(path, token=token)["state"] in ("success", "failed"), 120)
        assert api.call(path, token=token)["state"] == "success"
        pools = {pool["name"]: pool["slots"] for pool in api.call("/api/v2/pools", token=token)["pools"]}
        assert (pools["isu"], pools["nem"]) == (4, 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert left_running(ground) == []
    assert running_launcher(airflow) is None
