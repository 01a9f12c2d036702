"""Conflict review: a batch of open conflicts is laid before a person, and the answers are carried out.

Press **Trigger**, say how many and of which object, then open *Required Actions*: the task *ask* waits there.

| Step | What it does |
|---|---|
| pick | takes the oldest conflicts that wait |
| ask | shows field, both values, what was agreed last, who changed what when; waits for an answer |
| settle | keeps every decision with your name |
| sync | brings the objects in step whose conflicts were decided |

One answer holds for the whole batch; the form says it otherwise for a single conflict. Of two records that may be one,
*same* joins them and *create* makes another. Whoever does not answer leaves everything open, and nothing is lost by
that. Personal values are hidden unless `isthmus.yaml` says `review: {show_values: yes}`;
`isthmus conflicts show NUMBER --show-values` shows one to you, which the trail keeps.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from isthmus.levels.outline import outline
from monitor.tasks import PATIENCE, lent

PROJECT = outline()
KINDS = ("both changed", "refused", "duplicate", "vanished", "disagrees")
LEAVE, AS_BATCH = "leave open", "as the whole batch"
ANSWER_WITHIN = timedelta(days=2)

FORM = {
    "scenario": Param(
        PROJECT.scenario or next(iter(PROJECT.scenarios)),
        enum=list(PROJECT.scenarios),
        title="Scenario",
        description_md="Which flows go both ways.",
    ),
    "limit": Param(
        20, type="integer", minimum=1, maximum=100, title="How many", description_md="The oldest ones are taken."
    ),
    "object": Param(
        None, type=["null", "string"], enum=[None, *PROJECT.synchronized], title="Object", description_md="None: all."
    ),
    "kind": Param(None, type=["null", "string"], enum=[None, *KINDS], title="Kind", description_md="None: all."),
}


class Ask(HITLOperator):
    """Ask a person about the conflicts that the task `pick` has chosen; whoever stays silent leaves them open."""

    def execute(self, context: Any) -> Any:
        """Lay out the batch and wait."""
        self.lay_out(context, shown=True)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Take the answer, in another process than the one that asked."""
        self.lay_out(context, shown=False)
        return super().execute_complete(context, event)

    def lay_out(self, context: Any, shown: bool) -> None:
        """Fill in what to show and what may be answered."""
        batch = context["ti"].xcom_pull(task_ids="pick")
        takes = [f"take {system}" for system in batch["systems"]]
        self.options, self.defaults = [LEAVE, *takes], [LEAVE]
        titles: dict[int, str] = {}
        if shown:
            with engine() as (review, params, run):
                self.body, titles = review.lay_out(params, batch["numbers"], run)
            self.subject = f"{len(batch['numbers'])} of {batch['open']} open conflicts: whose value counts?"
        form = {}
        for number in batch["numbers"]:
            # whose value counts says nothing about whether two records are one: that is asked one by one
            first, own = (LEAVE, ["same", "create"]) if number in batch["alike"] else (AS_BATCH, [*takes, LEAVE])
            form[field(number)] = Param(first, type="string", enum=[first, *own], title=titles.get(number, str(number)))
        self.params = ParamsDict(form)


@dag(
    dag_id="conflict_review",
    dag_display_name="Conflict review",
    description="Ask a person whose value counts, and carry the answers out.",
    schedule=None,
    catchup=False,
    max_active_runs=4,
    params=FORM,
    default_args={"owner": "data engineering", **PATIENCE},
    tags=["isthmus", "synchronize"],
    doc_md=__doc__,
)
def conflict_review() -> None:
    """Lay out the tasks."""
    ask = Ask(
        task_id="ask", subject="Conflicts", body="", options=[LEAVE], defaults=[LEAVE], response_timeout=ANSWER_WITHIN
    )
    picked: Any = pick()
    answer: Any = ask.output
    settled: Any = settle(picked, answer)
    picked >> ask
    sync(settled)


@task
def pick() -> dict[str, Any]:
    """Choose the conflicts of this batch; without any there is nothing to ask."""
    with engine() as (review, params, _):
        batch = review.pick(params)
    if not batch.numbers:
        raise AirflowSkipException("no conflict of that object and kind waits for a person")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(batch).items()}


@task
def settle(batch: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Keep every decision with the name of who answered."""
    who = answer.get("responded_by_user") or {}
    by = who.get("name") or who.get("id") or ""
    chosen = answers(batch["numbers"], answer["chosen_options"][0], answer.get("params_input") or {})
    if not by:
        raise AirflowSkipException("nobody answered in time; the conflicts stay open")
    with engine() as (review, params, run):
        done: dict[str, Any] = review.settle(params, chosen, by, run)
    for number, why in done["over"].items():
        print(f"{number}: {why}")
    return done


@task
def sync(done: dict[str, Any]) -> dict[str, int]:
    """Bring the objects in step whose conflicts were decided; one that has to wait applies them later."""
    from isthmus.levels import orchestrate_sync

    written: dict[str, int] = {}
    with engine() as (_, params, run):
        for name in done["objects"]:
            for found in orchestrate_sync.sync(params, run, name):
                print(f"{found['flow']}: {found['waits'] or found['counts']}")
                written[found["flow"]] = found["changed"]
    return written


def answers(numbers: list[int], batch: str, form: dict[str, Any]) -> dict[int, str]:
    """Say what holds for each conflict: its own answer, else the batch's; a side is called by its system."""
    said = {number: form.get(field(number)) or AS_BATCH for number in numbers}
    own = {number: batch if answer == AS_BATCH else answer for number, answer in said.items()}
    return {number: answer.removeprefix("take ") for number, answer in own.items()}


def field(number: int) -> str:
    """Name a conflict's field of the form."""
    return f"conflict_{number}"


def engine() -> AbstractContextManager[tuple[Any, dict[str, Any], str]]:
    """Lend what reviews conflicts."""
    return lent("isthmus.levels.review", PROJECT.connections, params_of)


def params_of(context: Any) -> dict[str, Any]:
    """Return the parameters of the run; the task that asks has a form of its own in their place."""
    return {**{name: param.value for name, param in FORM.items()}, **(context["dag_run"].conf or {})}


conflict_review()
