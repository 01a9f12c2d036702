"""A project of its own with a store, a small landscape and one Airflow process that all tests of this folder share."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from monitor.airflow_home import ROOT, AirflowHome, child_environment, metadata_url
from monitor.runner import Runner
from tests.conftest import FAST, new_home, remove_home
from tests.flows.both_ways import synchronize

CONTRACTS = 300


@dataclass(frozen=True)
class Ground:
    """A project folder whose landscape stands, and how its systems are reached."""

    folder: Path
    connections: dict[str, str]


@contextmanager
def grounded() -> Iterator[Ground]:
    """Make a project with everything in it; the environment points to it for so long."""
    folder = new_home()
    (folder / "isthmus.yaml").write_text((ROOT / "isthmus.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copytree(ROOT / "mappings", folder / "mappings")
    synchronize(folder / "mappings")
    (folder / "tests" / "data").mkdir(parents=True)
    (folder / "tests" / "data" / "nem12").symlink_to(ROOT / "tests" / "data" / "nem12")
    for name in ("dags", "quality", "warehouse"):
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


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """The project that Airflow's tests share."""
    with grounded() as found:
        yield found


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
        runner.prepare({"isu": 4, "crm": 4, "nem": 4, "tel": 4}, ground.connections)
        runner.wait_ready()
        yield Airflow(runner)


@pytest.fixture(scope="session")
def first(airflow: Airflow) -> Ended:
    """The first full download, through the DAG."""
    return airflow.run(at="2026-01-01T00:00:00+00:00")


@contextmanager
def begun(ground: Ground) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Begin `isthmus up` and end it when the caller is done; what it prints goes into a file."""
    said = ground.folder / "up.log"
    with said.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "isthmus.cli", "up", "--for", "300"],
            env=child_environment({"ISTHMUS_HOME": str(ground.folder)}), stdout=out, stderr=out, text=True,
        )  # fmt: skip
    try:
        yield process, said
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def launched(ground: Ground) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run `isthmus up` until the caller is done; it has said that it runs."""
    with begun(ground) as (process, said):
        wait(lambda: "Ctrl-C stops" in said.read_text(encoding="utf-8") or process.poll() is not None, 180)
        assert process.poll() is None, said.read_text(encoding="utf-8")
        yield process, said


def wait(condition: object, seconds: float) -> None:
    """Wait for a condition; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not (callable(condition) and condition()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.5)
