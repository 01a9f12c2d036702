"""Aggregation: what changed in both systems becomes what analysts see, all of it at once and proved.

Runs by itself when the initial download or contract synchronization published something, and every hour for what
nobody publishes: bills, quotations, contacts, telephony files. Events that come while it runs are taken together by
the next run. **Trigger** runs it at once; the form repairs a month or loads some stores anew.

| Step | What it does |
|---|---|
| begin | sees that the tables are what the files say |
| plan_*system* | says which stores a system has to deliver |
| extract_*system* | one task a store: a request with what changed since the last one, and its control totals |
| pick_up_*system* | takes complete files of the inbox, one request a file; broken ones go to `refused` with a reason |
| check | Great Expectations judges the records of every request; bad ones are held, with whatever follows them |
| activate | makes requests hold, one after the other; stores that are made of others by a query follow |
| roll_up | adds up what changed in every cube |
| verify | compares cubes with a recomputation from active data, once a day or when the form says so |
| publish | shows everything that is rolled up to analysts, in one step |
| compress | adds up what was published a week ago |
| close | fails when something failed, so that the run shows it; publishes the asset `isthmus://warehouse/publication` |

A store that fails leaves the others; nothing of it is lost, the next run goes on where it stood. Cubes that differ
from their recomputation are not published. `isthmus warehouse status`, `requests` and `held` show what became of it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from airflow.sdk import (
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    Param,
    dag,
    get_current_context,
    task,
)

from isthmus.levels.outline import outline as project_outline
from monitor.tasks import PATIENCE, lent, skip
from warehouse.outline import MODES, outline

PROJECT, WAREHOUSE = project_outline(), outline()
DOWNLOADED, CHANGED = Asset("isthmus://initial_download"), AssetAlias("contract_sync")
# An alias publishes only what a task adds to it: a run that changed nothing wakes nobody.
PUBLISHED = AssetAlias("warehouse")

engine = partial(lent, "warehouse.aggregate", WAREHOUSE.connections)

FORM = {
    "scenario": Param(
        PROJECT.scenario or next(iter(PROJECT.scenarios)),
        enum=list(PROJECT.scenarios),
        title="Scenario",
        description_md="Which system is the back office, and which variants of mappings are in force.",
    ),
    "stores": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "enum": WAREHOUSE.stores},
        examples=WAREHOUSE.stores,
        title="Stores",
        description_md="Leave empty for all. What is made of other stores goes along.",
    ),
    "mode": Param(
        "usual",
        enum=list(MODES),
        values_display={
            "usual": "usual: everything the first time, then what changed",
            "delta": "delta: what changed since the last one",
            "repeat": "repeat: the last delta again",
            "full": "full: everything; the differences are kept",
            "repair full": "repair full: the same, the feed's position stays",
            "init": "init: everything, and deltas begin anew",
            "init nodata": "init nodata: deltas begin anew, nothing is read",
        },
        title="Mode",
        description_md="Files and what is made of other stores are loaded as usual, whatever is chosen.",
    ),
    "month": Param(
        None,
        type=["null", "string"],
        pattern=r"^\d{4}-\d{2}$",
        title="Month to repair",
        description_md="Such as *2025-12*: only records of that month are read and compared.",
    ),
    "verify": Param(
        "when due",
        enum=["when due", "yes", "no"],
        title="Verify",
        description_md="*When due*: cubes that were not verified for a day.",
    ),
}


@dag(
    dag_id="bw_aggregation",
    dag_display_name="Aggregation",
    description="Bring the warehouse up to date: request by request, checked, proved and published at once.",
    # Without a start date the hour that has begun is not made up for: a new house is loaded first.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("20 * * * *", timezone="UTC"), assets=(DOWNLOADED | CHANGED)
    ),
    catchup=False,
    max_active_runs=1,
    params=FORM,
    default_args={"owner": "data engineering", **PATIENCE},
    tags=["isthmus", "warehouse"],
    doc_md=__doc__,
)
def bw_aggregation() -> None:
    """Lay out the tasks: every system delivers at once, then one step after the other for all stores."""
    begun: Any = begin()
    delivered: list[Any] = []
    for system in WAREHOUSE.systems:
        pool = WAREHOUSE.pools.get(system, "default_pool")
        stores: Any = plan.override(task_id=f"plan_{system}", task_display_name=f"plan {system}")(system)
        named = extract.override(task_id=f"extract_{system}", task_display_name=f"extract from {system}", pool=pool)
        begun >> stores
        delivered.append(named.partial(system=system).expand(store=stores))
    for system in WAREHOUSE.picked_up:
        pool = WAREHOUSE.pools.get(system, "default_pool")
        files = pick_up.override(task_id=f"pick_up_{system}", task_display_name=f"pick up from {system}", pool=pool)
        taken: Any = files(system)
        begun >> taken
        delivered.append(taken)
    steps = [check(), activate(), roll_up(), verify(), publish(), compress()]
    delivered >> steps[0]
    for before, after in pairwise(steps):
        before >> after
    [*delivered, *steps] >> close()


@task
def begin() -> list[str]:
    """See that everything stands as the files say, and return the stores of this run."""
    with engine() as (aggregate, params, run):
        return list(aggregate.begin(params, run))


@task
def plan(system: str) -> list[str]:
    """Return the stores that a system has to deliver in this run."""
    with engine() as (aggregate, params, run):
        return list(aggregate.plan(params, run, system))


@task(map_index_template="{{ store_name }}", execution_timeout=timedelta(hours=6))
def extract(system: str, store: str) -> dict[str, Any]:
    """Load one store from one system."""
    context: Any = get_current_context()
    context["store_name"] = store.replace("_", " ")
    with engine() as (aggregate, params, run):
        skip(aggregate.left_out(params, run, store))
        return dict(aggregate.extract(params, run, system, store))


@task
def pick_up(system: str) -> dict[str, Any]:
    """Take the complete files of a system's inbox."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.pick_up_files(params, run, system))


# all_done: what went wrong with one store is no reason to leave another behind; `close` shows it.
@task(trigger_rule="all_done", execution_timeout=timedelta(hours=6))
def check() -> dict[str, int]:
    """Let what was loaded through the quality gate."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.check(params, run))


@task(trigger_rule="all_done", execution_timeout=timedelta(hours=6))
def activate() -> dict[str, int]:
    """Make what was checked hold, and bring up what is made of it."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.activate(params, run))


@task(task_display_name="roll up", trigger_rule="all_done", execution_timeout=timedelta(hours=6))
def roll_up() -> dict[str, int]:
    """Add up what changed."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.roll_up(params, run))


@task(trigger_rule="all_done", execution_timeout=timedelta(hours=6))
def verify() -> dict[str, int]:
    """Compare cubes with a recomputation; those that differ stop the publication."""
    with engine() as (aggregate, params, run):
        skip("the form says that nothing is verified" if params["verify"] == "no" else "")
        found = dict(aggregate.verify(params, run))
        skip("" if found["cubes"] else "every cube was verified within a day")
        return found


# none_failed: what was not verified because it was not due is published all the same.
@task(trigger_rule="none_failed")
def publish() -> dict[str, int]:
    """Show everything that is rolled up to analysts."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.publish(params, run))


@task
def compress() -> dict[str, int]:
    """Add up what was published a week ago."""
    with engine() as (aggregate, params, run):
        return dict(aggregate.compress(params, run))


@task(trigger_rule="none_failed", outlets=[PUBLISHED])
def close(outlet_events: Any = None) -> dict[str, int]:
    """Sum up; the asset's event carries the publication."""
    context: Any = get_current_context()
    done: dict[str, int] = context["ti"].xcom_pull(task_ids="publish") or {}
    if done.get("requests"):
        outlet_events[PUBLISHED].add(Asset("isthmus://warehouse/publication"), extra=done)
    return done


bw_aggregation()
