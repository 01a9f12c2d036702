"""The launcher: Airflow really starts, a run succeeds, and afterwards nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from isthmus.errors import SystemUnavailable
from monitor.airflow_home import AirflowHome, child_environment
from monitor.api import Api
from monitor.processes import running_launcher
from tests.airflow.conftest import Ground

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(400)]


@contextmanager
def launched(ground: Ground) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run `isthmus up` until the caller is done; what it prints goes into a file."""
    said = ground.folder / "up.log"
    with said.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "isthmus.cli", "up", "--for", "300"],
            env=child_environment({"ISTHMUS_HOME": str(ground.folder)}), stdout=out, stderr=out, text=True,
        )  # fmt: skip
    try:
        wait(lambda: "Ctrl-C stops" in said.read_text(encoding="utf-8") or process.poll() is not None, 180)
        assert process.poll() is None, said.read_text(encoding="utf-8")
        yield process, said
    finally:
        process.terminate()
        process.wait(60)


def wait(condition: object, seconds: float) -> None:
    """Wait for a condition; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not (callable(condition) and condition()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.5)


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
        assert api.call("/api/v2/dags/initial_download", token=token)["is_paused"] is False
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


def test_a_component_that_dies_is_named_with_its_log_and_the_others_stop(ground: Ground) -> None:
    with launched(ground) as (process, said):
        (victim,) = [p for p in psutil.Process(process.pid).children() if "monitor.scheduler" in p.cmdline()]
        victim.kill()
        assert process.wait(60) == SystemUnavailable.exit_code
        assert "scheduler was ended by SIGKILL" in said.read_text(encoding="utf-8")
        assert "scheduler.log" in said.read_text(encoding="utf-8")
    assert left_running(ground) == []
