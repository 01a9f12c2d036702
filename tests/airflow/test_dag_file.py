"""The DAG file as Airflow reads it: nothing wrong in it, and every task is told how patient to be."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor.airflow_home import ROOT, child_environment

pytestmark = pytest.mark.airflow

# Airflow takes its settings when it is imported, so it is read in a process of its own, without any store.
READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], bundle_path=None)
heavy = [name for name in ("pandas", "great_expectations", "duckdb", "isthmus.project") if name in sys.modules]
tasks = []
for dag in bag.dags.values():
    for task in dag.tasks:
        tasks.append({"dag": dag.dag_id, "id": task.task_id, "pool": task.pool, "retries": task.retries,
            "timeout": bool(task.execution_timeout), "owner": task.owner, "backoff": task.retry_exponential_backoff,
            "upstream": sorted(task.upstream_task_ids)})
dags = {dag.dag_id: {"schedule": str(dag.schedule),
    "tags": sorted(dag.tags), "params": dict(dag.params.dump()), "doc": dag.doc_md, "runs":
    dag.max_active_runs} for dag in bag.dags.values()}
print(json.dumps({"errors": bag.import_errors, "dags": dags, "tasks": tasks, "heavy": heavy}), file=sys.__stdout__)
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow finds in dags/, in a project without a store; the outline is kept from an earlier parse."""
    home = tmp_path_factory.mktemp("project")
    for name in ("isthmus.yaml", "mappings", "warehouse"):
        (home / name).symlink_to(ROOT / name)
    said: dict[str, Any] = {}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-P", "-c", READ, str(ROOT / "dags")],
            env=child_environment({"AIRFLOW_HOME": str(home / "airflow"), "ISTHMUS_HOME": str(home)}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        said = json.loads(done.stdout.splitlines()[-1])
    return said


def test_no_dag_file_has_errors(read: dict[str, Any]) -> None:
    assert read["errors"] == {}
    assert len(read["dags"]) == len(list(Path(ROOT, "dags").glob("*.py")))


def test_parsing_imports_nothing_heavy(read: dict[str, Any]) -> None:
    assert read["heavy"] == []


def test_every_task_has_an_owner_retries_and_a_timeout(read: dict[str, Any]) -> None:
    for task in read["tasks"]:
        assert (task["retries"], task["timeout"], task["owner"]) == (3, True, "data engineering"), task["id"]
        assert task["backoff"], task["id"]


def test_both_ways_runs_by_itself_and_one_at_a_time(read: dict[str, Any]) -> None:
    dag = read["dags"]["contract_sync"]
    assert (dag["schedule"], dag["runs"]) == ("*/5 * * * *", 1)
    assert set(dag["params"]) == {"scenario", "objects", "what_if"}


def test_an_object_is_kept_in_step_after_those_it_refers_to(read: dict[str, Any]) -> None:
    tasks = {task["id"]: task for task in read["tasks"] if task["dag"] == "contract_sync"}
    assert {"business_partner", "contract_account", "deltas_isu"} <= set(tasks["contract"]["upstream"])
    assert tasks["business_partner"]["pool"] == "isu"
    assert {"business_partner", "contract_account", "contract", "deltas_isu"} <= set(tasks["close"]["upstream"])


def test_every_dag_has_a_page_that_names_its_steps(read: dict[str, Any]) -> None:
    for name, dag in read["dags"].items():
        assert "isthmus" in dag["tags"] and "| Step | What it does |" in dag["doc"], name


def test_loads_sit_in_the_pool_of_their_source_system(read: dict[str, Any]) -> None:
    pools = {task["id"]: task["pool"] for task in read["tasks"] if task["id"].endswith(".load")}
    assert (pools["contract.load"], pools["meter_reading.load"]) == ("isu", "nem")


def test_an_object_waits_for_those_it_refers_to(read: dict[str, Any]) -> None:
    upstream = {task["id"]: task["upstream"] for task in read["tasks"] if task["dag"] == "initial_download"}
    assert "installation.finish" in upstream["contract.plan"]
    assert upstream["business_partner.plan"] == ["begin"]
    assert set(upstream["publish"]) == {"check", "reconcile"}


def test_dags_have_tags_a_form_and_a_page_of_documentation(read: dict[str, Any]) -> None:
    dag = read["dags"]["initial_download"]
    assert dag["tags"] == ["isthmus", "replicate"]
    assert set(dag["params"]) == {"scenario", "mode", "objects", "key_from", "key_to", "package_rows"}
    assert "reconcile" in dag["doc"]
    assert dag["runs"] == 1


def test_the_aggregation_is_woken_by_what_was_published_and_runs_one_at_a_time(read: dict[str, Any]) -> None:
    dag = read["dags"]["bw_aggregation"]
    assert dag["runs"] == 1
    assert set(dag["params"]) == {"scenario", "stores", "mode", "month", "verify"}


def test_every_system_delivers_from_its_own_pool_before_anything_is_checked(read: dict[str, Any]) -> None:
    tasks = {task["id"]: task for task in read["tasks"] if task["dag"] == "bw_aggregation"}
    pools = {name: tasks[name]["pool"] for name in ("extract_isu", "extract_crm", "pick_up_tel")}
    assert pools == {"extract_isu": "isu", "extract_crm": "crm", "pick_up_tel": "tel"}
    assert set(tasks["check"]["upstream"]) == set(pools)
    order = ["check", "activate", "roll_up", "verify", "publish", "compress"]
    for before, after in itertools.pairwise(order):
        assert tasks[after]["upstream"] == [before]
