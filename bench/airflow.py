"""A delta on its way through the real Airflow: from the commit in IS-U to the moment when CRM shows every row.

The launcher starts Airflow with all its components; `contract_sync` is asked for the moment the change is committed,
as an event of the source would.  Left to its schedule it begins up to five minutes later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench import server, synchronized
from bench.measure import Cost
from monitor.airflow_home import AirflowHome
from monitor.api import Api

METADATA = "bench_airflow"
PATIENCE = 300.0  # seconds for Airflow to start, and for a run
POLL = 0.1
SEEN = "SELECT count(*) FROM crmd_orderadm_h WHERE description LIKE %s"
DAG = "/api/v2/dags/contract_sync"


def run(contracts: int, rows: int, rounds: int) -> list[Cost]:
    """Measure deltas of changed contracts; `said` holds how long the run of the DAG took as Airflow tells it."""
    names = synchronized.databases(contracts)
    found = []
    with launched(names) as (api, token):
        for number in range(rounds + 1):  # the first run finds nothing warm
            found.append(through(api, token, names, contracts, rows, f"{number}{os.getpid()}"))
    return found[1:]


def through(api: Api, token: str, names: dict[str, str], contracts: int, rows: int, word: str) -> Cost:
    """Change contracts in IS-U, ask for a run, and wait until CRM shows all of them."""
    synchronized.change_texts(names, contracts, rows, word)
    began = time.perf_counter()
    asked = api.call(f"{DAG}/dagRuns", {"logical_date": None, "conf": {"objects": ["contract"]}}, token)
    with psycopg.connect(server.url(names["crm"]), autocommit=True) as crm:
        while crm.execute(SEEN, [f"Back {word} %"]).fetchone() != (rows,):
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"CRM does not show the {rows:,} changes after {PATIENCE:.0f} s")
            time.sleep(POLL)
    cost = Cost(wall=time.perf_counter() - began, load=os.getloadavg()[0])
    while (state := api.call(f"{DAG}/dagRuns/{asked['dag_run_id']}", token=token))["state"] in ("queued", "running"):
        time.sleep(POLL)
    if state["state"] != "success":
        raise RuntimeError(f"the run {asked['dag_run_id']} of contract_sync ended as {state['state']}")
    cost.said = {"run": state["duration"]}
    return cost


@contextmanager
def launched(names: dict[str, str]) -> Iterator[tuple[Api, str]]:
    """Start Airflow as `isthmus up` does, on the benchmark's server; give its API and a token."""
    if not server.exists(METADATA):
        server.create(METADATA)
    environment = {**os.environ, **synchronized.environment(names)}
    environment["ISTHMUS_DATABASE_URL_AIRFLOW"] = server.url(METADATA)
    folder = Path(environment["ISTHMUS_HOME"]) / ".isthmus"
    folder.mkdir(exist_ok=True)
    log = folder / "up.log"
    with log.open("w", encoding="utf-8") as out:
        launcher = subprocess.Popen(
            [sys.executable, "-P", "-m", "isthmus.cli", "up"], env=environment, stdout=out, stderr=out
        )
    try:
        yield reached(launcher, log, folder / "airflow")
    finally:
        launcher.terminate()
        launcher.wait(60)


def reached(launcher: subprocess.Popen[bytes], log: Path, folder: Path) -> tuple[Api, str]:
    """Wait until the launcher says that Airflow runs; raises RuntimeError with what it said when it ends instead."""
    deadline = time.monotonic() + PATIENCE
    while "Ctrl-C stops" not in log.read_text(encoding="utf-8"):
        if launcher.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Airflow does not run:\n{log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.5)
    airflow = AirflowHome(folder)
    api = Api(f"http://127.0.0.1:{json.loads(airflow.ports_file.read_text(encoding='utf-8'))['api']}")
    return api, api.token("admin", airflow.passwords()["admin"])
