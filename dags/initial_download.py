"""Initial download: bring IS-U's technical and commercial master data into CRM, object by object, and prove it.

Press **Trigger**, choose a scenario, and go: *full* loads everything the scenario carries.

| Step | What it does |
|---|---|
| begin | checks every mapping against the live systems before a row is read |
| *object*.plan | notes the position of the change feed, cuts the object into packages |
| *object*.load | carries a set of packages; a second try goes on where the first one ended |
| *object*.finish | lets rows go that waited for a parent, declares the object loaded |
| check | runs the checks that need more than one row, in the source |
| reconcile | compares both sides field by field, writes the verdict down |
| publish | closes the run and tells those who wait for the data |

Rejected and parked rows do not fail a run: `isthmus rejected` and `isthmus parked` list them with their reasons.
Running it again writes nothing that is there already. Only references travel between tasks, never rows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param, dag, get_current_context, task, task_group

from isthmus.errors import IsthmusError
from isthmus.levels.outline import outline
from monitor.tasks import PATIENCE, lent, skip

PROJECT = outline()
DOWNLOADED = Asset("isthmus://initial_download")

FORM = {
    "scenario": Param(
        PROJECT.scenario or next(iter(PROJECT.scenarios)),
        enum=list(PROJECT.scenarios),
        title="Scenario",
        description_md="Which contract model, with technical devices or without.",
    ),
    "mode": Param(
        "full",
        enum=["full", "request", "repair"],
        values_display={
            "full": "full: everything",
            "request": "request: a key range of one object",
            "repair": "repair: only what differs",
        },
        title="Mode",
        description_md="A repair compares both sides first and sends the differing rows again.",
    ),
    "objects": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "enum": list(PROJECT.objects)},
        examples=list(PROJECT.objects),
        title="Objects",
        description_md="Leave empty for all. Objects the scenario lacks are skipped.",
    ),
    "key_from": Param(
        None,
        type=["null", "string"],
        title="First key",
        description_md="As people write it; zeros in front may be left out. For mode *request*, with one object.",
        section="Key range",
    ),
    "key_to": Param(
        None, type=["null", "string"], title="Last key", description_md="This one is included.", section="Key range"
    ),
    "package_rows": Param(
        PROJECT.package_rows,
        type="integer",
        minimum=1_000,
        maximum=50_000,
        title="Rows per package",
        description_md="A package is what one transaction writes and what a restart reads again at most.",
        section="Tuning",
    ),
}


def give_up(context: Any) -> None:
    """Tell the ledger that the run failed, unless a task has said why already."""
    from isthmus.levels import orchestrate

    orchestrate.give_up(context["run_id"], "a task failed in Airflow; its log says why")


@dag(
    dag_id="initial_download",
    dag_display_name="Initial download",
    description="Bring IS-U's technical and commercial master data into CRM, and prove it.",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=FORM,
    default_args={"owner": "data engineering", **PATIENCE},
    on_failure_callback=give_up,
    tags=["isthmus", "replicate"],
    doc_md=__doc__,
)
def initial_download() -> None:
    """Lay out the tasks: one group per object, in the order of the model's references."""
    begun: Any = begin()
    loaded: dict[str, Any] = {}
    for name, parents in PROJECT.objects.items():
        label = name.replace("_", " ").capitalize()
        loaded[name] = object_group.override(group_id=name, group_display_name=label)(name)
        ([loaded[parent] for parent in parents] or [begun]) >> loaded[name]
    waited_for = {parent for parents in PROJECT.objects.values() for parent in parents}
    proof = [check(), reconcile()]
    for name in sorted(PROJECT.objects.keys() - waited_for):
        loaded[name] >> proof
    proof >> publish()


@task_group
def object_group(name: str) -> None:
    """Plan one object's packages, load them in a few sets, declare the object loaded."""
    pool, label = PROJECT.pools[name], name.replace("_", " ")
    sets = plan.override(task_display_name=f"plan {label}")(name)
    moved = load.override(pool=pool, task_display_name=f"load {label}").partial(name=name).expand(reference=sets)
    moved >> finish.override(task_display_name=f"finish {label}")(name)


@task
def begin() -> str:
    """Check every mapping against the live systems, then begin the run; it keeps the DAG run's id."""
    with engine() as (orchestrate, params, run):
        return str(orchestrate.begin(params, run))


@task(trigger_rule="none_failed")
def plan(name: str) -> list[str]:
    """Note the feed's position, cut the object into packages, deal them out into sets."""
    with engine() as (orchestrate, params, run):
        skip(orchestrate.left_out(params, name))
        return list(orchestrate.plan(params, run, name))


@task(map_index_template="{{ part }}", execution_timeout=timedelta(hours=6))
def load(name: str, reference: str) -> dict[str, int]:
    """Carry a set of packages; a second try goes on where the first one ended."""
    context: Any = get_current_context()
    _, *variant, packages = reference.split("/")
    first, last = (int(number) for number in packages.split("-"))
    context["part"] = " ".join([*variant, f"packages {first} to {last}" if last > first else f"package {first}"])
    with engine() as (orchestrate, params, run):
        return dict(orchestrate.load(params, run, name, reference, f"{reference}:{context['ti'].try_number}"))


@task(trigger_rule="none_failed")
def finish(name: str) -> dict[str, int]:
    """Let parked rows go whose parents have come, and declare the object loaded."""
    with engine() as (orchestrate, params, run):
        skip(orchestrate.left_out(params, name))
        return dict(orchestrate.finish(params, run, name))


@task(trigger_rule="none_failed", execution_timeout=timedelta(hours=6))
def check() -> dict[str, int]:
    """Run the checks across rows (`quality/checks.yaml`) and keep what they find with the run."""
    from quality.across import run_checks

    with engine() as (orchestrate, params, run), orchestrate.desk_of(params) as desk:
        skip("a repair run checks nothing anew" if params["mode"] == "repair" else "")
        found = run_checks(desk.project, desk.ledger, desk.scenario, run, desk.today)
        return {item.expectation: item.unexpected for item in found}


@task(trigger_rule="none_failed", execution_timeout=timedelta(hours=6))
def reconcile() -> dict[str, str]:
    """Compare both sides of every flow, and write down the verdict."""
    with engine() as (orchestrate, params, run):
        return dict(orchestrate.reconcile(params, run))


@task(trigger_rule="none_failed", outlets=[DOWNLOADED])
def publish(outlet_events: Any = None) -> dict[str, Any]:
    """Close the run and tell those who wait for the data how much there is."""
    with engine() as (orchestrate, params, run):
        done = dict(orchestrate.publish(params, run))
    outlet_events[DOWNLOADED].extra = done
    return done


def engine() -> AbstractContextManager[tuple[Any, dict[str, Any], str]]:
    """Lend what loads; what ends a task for good is told to the run."""
    return lent("isthmus.levels.orchestrate", PROJECT.connections, fault=told)


def told(orchestrate: Any, context: Any, wrong: IsthmusError) -> None:
    """Let the run say which task failed and why."""
    orchestrate.give_up(context["run_id"], f"{context['ti'].task_id}: {wrong}")


initial_download()
