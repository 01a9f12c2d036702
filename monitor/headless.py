"""Run DAGs in this one process, without scheduler and API server: what `isthmus demo` talks to.

Requests come as JSON lines on standard input, answers go as JSON lines to standard output; everything Airflow prints
goes to standard error, which the caller sends to a log file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Answer = Callable[[Mapping[str, Any]], None]
FIRST = "initial_download"


def serve(requests: Iterator[str], answer: Answer) -> None:
    """Make Airflow ready, then run what is asked for, one run after the other.

    A request is `{"pools": …, "connections": …}` first, then `{"params": …}` for every run (with `dag`, its DAG, and
    `at`, a time, for a run of that time's id). Answers have a `state`:
    migrated, ready, running (with `run`), finished (with `result` and the `failed` tasks and why).
    """
    from monitor.prepare import prepare

    said = json.loads(next(requests))
    prepare(said["pools"], said["connections"])
    answer({"state": "migrated"})
    load_dag()
    answer({"state": "ready"})
    for line in requests:
        asked = json.loads(line)
        # a run leaves its parameters in the DAG it was given, so every run gets one of its own
        run_dag(load_dag(asked.get("dag") or FIRST), asked["params"], answer, asked.get("at") or "")


def load_dag(name: str = FIRST) -> Any:
    """Read a DAG as Airflow does; raises RuntimeError with the text of what is wrong in its file."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.configuration import conf

    bag = DagBag(conf.get("core", "dags_folder"), bundle_path=None)
    if name not in bag.dags:
        raise RuntimeError("\n".join(bag.import_errors.values()) or f"there is no DAG {name}")
    return bag.dags[name]


def run_dag(dag: Any, params: Mapping[str, Any], answer: Answer, at: str = "") -> None:
    """Run a DAG once with these parameters and tell how it ended; the same time runs the same run again."""
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.utils.types import DagRunType

    failed: dict[str, str] = {}
    watch(dag, failed)
    now = timezone.parse(at) if at else timezone.utcnow()
    run = DagRun.generate_run_id(run_type=DagRunType.MANUAL, logical_date=now, run_after=now)
    answer({"state": "running", "run": run})
    done = dag.test(logical_date=now, run_after=now, run_conf=dict(params))
    answer({"state": "finished", "run": done.run_id, "result": str(done.state), "failed": failed})


def watch(dag: Any, failed: dict[str, str]) -> None:
    """Keep the text of every task that fails for good: the runner only logs it."""

    def remember(context: Mapping[str, Any]) -> None:
        failed[context["ti"].task_id] = str(context.get("exception") or "")

    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["on_failure_callback"] = [remember]
        else:
            task.on_failure_callback = [remember]


def main() -> None:
    """Give the caller its own channel, and Airflow's prints another."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    serve(iter(sys.stdin.readline, ""), lambda said: print(json.dumps(said), file=channel))


if __name__ == "__main__":
    main()
