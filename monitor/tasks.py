"""What the tasks of every DAG share: how patient they are, how the engine is lent to them, how they skip."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

from isthmus.errors import IsthmusError, SystemUnavailable

# Only a system that does not answer is worth another try; everything else fails at once (`lent`).
PATIENCE: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
    "execution_timeout": timedelta(hours=1),
}


def form(context: Any) -> dict[str, Any]:
    """Return the parameters of a run as its form has them."""
    return dict(context["params"])


@contextmanager
def lent(
    module: str,
    connections: Sequence[str],
    params: Callable[[Any], dict[str, Any]] = form,
    fault: Callable[[Any, Any, IsthmusError], None] = lambda engine, context, wrong: None,
) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Lend a part of the engine to a task, with the run's parameters and id.

    Airflow's connections are handed on where the environment names none.  `params` reads the form, `fault` is told of
    what ends the task for good.  Raises AirflowFailException for every error that another try would meet again.
    """
    engine = import_module(module)
    for name in connections:
        if not {f"ISTHMUS_CONNECTION_{name.upper()}", f"AIRFLOW_CONN_{name.upper()}"} & set(os.environ):
            try:
                os.environ[f"AIRFLOW_CONN_{name.upper()}"] = Connection.get(name).get_uri()
            except AirflowNotFoundException:
                continue  # the engine knows more places and says which it tried
    context: Any = get_current_context()
    try:
        yield engine, params(context), context["run_id"]
    except SystemUnavailable:
        raise
    except IsthmusError as wrong:
        fault(engine, context, wrong)
        raise AirflowFailException(str(wrong)) from wrong


def skip(because: str) -> None:
    """Skip this task for a reason that its log and page show; go on when there is none."""
    if because:
        raise AirflowSkipException(because)
