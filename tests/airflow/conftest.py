"""A project of its own with a store, a small landscape and one Airflow process that all tests of this folder share."""

from __future__ import annotations

import os
import queue
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from isthmus.ledger import migrate
from isthmus.levels.download import open_desk
from isthmus.levels.summary import summary
from isthmus.store import server, store_url
from isthmus.store.place import Place
from monitor import grounds
from monitor.airflow_home import ROOT, AirflowHome, metadata_url
from monitor.runner import Runner
from tests.conftest import FAST, new_home, remove_home
from tests.flows.both_ways import synchronize

CONTRACTS = 300


@dataclass(frozen=True)
class Ground:
    """A project folder whose landscape stands, and how its systems are reached."""

    folder: Path
    connections: dict[str, str]


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A project with everything in it; the session's environment points to it."""
    folder = new_home()
    (folder / "isthmus.yaml").write_text((ROOT / "isthmus.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copytree(ROOT / "mappings", folder / "mappings")
    synchronize(folder / "mappings")
    (folder / "tests" / "data").mkdir(parents=True)
    (folder / "tests" / "data" / "nem12").symlink_to(ROOT / "tests" / "data" / "nem12")
    for name in ("dags", "quality"):
        (folder / name).symlink_to(ROOT / name)
    place = Place(folder / ".isthmus" / "store")
    place.write("local.conf", FAST)
    place.folder.chmod(0o711)
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("ISTHMUS_", "AIRFLOW_"))}
    os.environ["ISTHMUS_HOME"] = str(folder)
    try:
        server.start(place)
        migrate(store_url("owner"))
        connections = grounds.ensure_databases(folder)
        grounds.stand(connections, grounds.Wanted(CONTRACTS, 7), lambda _: None, lambda _: None)
        yield Ground(folder, connections)
    finally:
        del os.environ["ISTHMUS_HOME"]
        os.environ.update(kept)
        remove_home(folder)


@dataclass(frozen=True)
class Ended:
    """How a run of a DAG ended: Airflow's answer, a download's summary, the state of every task."""

    answer: dict[str, Any]
    summary: dict[str, Any]
    tasks: dict[str, set[str]]


@dataclass(frozen=True)
class Airflow:
    """One Airflow process; every call runs a DAG once."""

    runner: Runner

    def run(self, at: str = "", dag: str = "initial_download", **params: Any) -> Ended:
        """Run a DAG and wait for its end."""
        run = self.runner.begin(params, at, dag)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            try:
                answer = self.runner.hear(5)
            except queue.Empty:
                continue
            summed_up = dag == "initial_download" and answer["result"] == "success"
            return Ended(answer, summed(run) if summed_up else {}, states(run))
        raise AssertionError(f"the run did not end; see {self.runner.log}")


def summed(run: str) -> dict[str, Any]:
    """Return the engine's summary of a run."""
    with open_desk(gate="off") as desk:
        return summary(desk, run)


def states(run: str) -> dict[str, set[str]]:
    """Return the states of every task of a run."""
    found: dict[str, set[str]] = {}
    for task, state in asked("SELECT task_id, state FROM task_instance WHERE run_id = %s", run):
        found.setdefault(task, set()).add(state)
    return found


def asked(statement: Any, *values: Any) -> list[tuple[Any, ...]]:
    """Ask Airflow's metadata."""
    with psycopg.connect(metadata_url()) as connection:
        return connection.execute(statement, values).fetchall()


@pytest.fixture(scope="session")
def airflow(ground: Ground) -> Iterator[Airflow]:
    """Airflow, ready to run the DAG in one process."""
    with Runner.start(AirflowHome.of_project()) as runner:
        runner.prepare({"isu": 4, "nem": 4}, ground.connections)
        runner.wait_ready()
        yield Airflow(runner)


@pytest.fixture(scope="session")
def first(airflow: Airflow) -> Ended:
    """The first full download, through the DAG."""
    return airflow.run(at="2026-01-01T00:00:00+00:00")
