"""Contract synchronization: every five minutes each side's changes reach the other, field by field.

Nothing has to be pressed. **Trigger** runs it at once; with *Only look* it says who would win and writes nothing.

| Step | What it does |
|---|---|
| deltas_*system* | carries what changed in flows that go one way only |
| *object* | reads both feeds, compares what changed with what was agreed, writes both sides, holds conflicts |
| alert | tells of lag, queues, parked rows and conflicts beyond their limits, once until it is over |
| close | sums up; it fails when an object failed, so that the run shows it |

An object that is being loaded, paused or blacked out is skipped with its reason; the others go on. Conflicts fail
nothing: `isthmus conflicts list` shows them, the DAG *Conflict review* asks for answers. A task that dies goes on where
it was: a change leaves the queue only together with what became of it. Each object that changed publishes the asset
`isthmus://contract_sync/`*object* with its counts and how far the feeds were read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import Asset, AssetAlias, Connection, Param, dag, get_current_context, task

from isthmus.levels.outline import outline
from monitor.tasks import PATIENCE, lent, skip

PROJECT = outline()
ONE_WAY = [name for name in PROJECT.objects if name not in PROJECT.synchronized]
POOLS = sorted({PROJECT.pools[name] for name in PROJECT.objects})
# An alias publishes only what a task adds to it: an object that did not change wakes nobody.
CHANGED = AssetAlias("contract_sync")

engine = partial(lent, "isthmus.levels.orchestrate_sync", PROJECT.connections)

FORM = {
    "scenario": Param(
        PROJECT.scenario or next(iter(PROJECT.scenarios)),
        enum=list(PROJECT.scenarios),
        title="Scenario",
        description_md="Which flows there are, and which of them go both ways.",
    ),
    "objects": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "enum": list(PROJECT.objects)},
        examples=list(PROJECT.objects),
        title="Objects",
        description_md="Leave empty for all.",
    ),
    "what_if": Param(
        False,
        type="boolean",
        title="Only look",
        description_md="Write nothing: the log of each object says, field by field, who would win.",
    ),
}


@dag(
    dag_id="contract_sync",
    dag_display_name="Contract synchronization",
    description="Keep contracts, partners and accounts of IS-U and CRM in step, field by field.",
    schedule="*/5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=FORM,
    default_args={"owner": "data engineering", **PATIENCE},
    tags=["isthmus", "synchronize"],
    doc_md=__doc__,
)
def contract_sync() -> None:
    """Lay out the tasks: one-way flows first where something refers to them, then object by object."""
    carried: dict[str, Any] = {}
    for pool in POOLS:
        named = deltas.override(task_id=f"deltas_{pool}", pool=pool, task_display_name=f"deltas from {pool}")
        carried[pool] = named(pool)
    synced: dict[str, Any] = {}
    for name in PROJECT.synchronized:
        label = name.replace("_", " ")
        synced[name] = sync.override(task_id=name, pool=PROJECT.pools[name], task_display_name=label)(name)
        behind = ancestors(name)
        first = [synced[parent] for parent in behind if parent in synced]
        first += [carried[pool] for pool in sorted({PROJECT.pools[parent] for parent in behind if parent in ONE_WAY})]
        if first:
            first >> synced[name]
    ended = [*carried.values(), *synced.values()]
    last = close()
    ended >> alert() >> last
    ended >> last


def ancestors(name: str) -> list[str]:
    """Return the objects that an object refers to, and those they refer to."""
    found: dict[str, None] = {}
    for parent in PROJECT.objects[name]:
        found |= {parent: None, **dict.fromkeys(ancestors(parent))}
    return list(found)


# all_done: what went wrong with one object is no reason to leave another behind; `close` shows it.
@task(trigger_rule="all_done", outlets=[CHANGED])
def sync(name: str, outlet_events: Any = None) -> list[dict[str, Any]]:
    """Bring one object in step, both ways."""
    with engine() as (orchestrate, params, run):
        skip(orchestrate.left_out(params, name))
        if params["what_if"]:
            return looked_at(orchestrate.look(params, name))
        context: Any = get_current_context()
        answers = list(orchestrate.sync(params, run, name, f"{name}:{context['ti'].try_number}"))
    skip("; ".join(answer["waits"] for answer in answers if answer["waits"]))
    for answer in answers:
        publish(outlet_events, name, answer)
    return answers


@task(trigger_rule="all_done", outlets=[CHANGED])
def deltas(pool: str, outlet_events: Any = None) -> dict[str, dict[str, Any]]:
    """Carry what changed in the flows that go one way, from the systems of one pool."""
    with engine() as (orchestrate, params, _):
        skip("nothing is written in a run that only looks" if params["what_if"] else "")
        context: Any = get_current_context()
        answers = dict(orchestrate.deltas(params, pool, f"deltas:{context['ti'].try_number}"))
    for flow, answer in answers.items():
        print(f"{flow}: {answer}")
        publish(outlet_events, flow.partition(".")[0], answer)
    if answers and all("waits" in answer for answer in answers.values()):
        skip("; ".join(f"{flow}: {answer['waits']}" for flow, answer in answers.items()))
    return {flow: answer for flow, answer in answers.items() if answer.get("changed")}


@task(trigger_rule="all_done")
def alert() -> list[str]:
    """Tell of what is beyond its limits, and of what is over, each once."""
    with engine() as (orchestrate, params, _):
        rules, news = orchestrate.news(params)
        if news:
            send(rules, news)
            orchestrate.told(params, news)
        return [item.cause for item in news.raised]


@task(trigger_rule="none_failed")
def close() -> dict[str, int]:
    """Sum the run up."""
    context: Any = get_current_context()
    found = context["ti"].xcom_pull(task_ids=list(PROJECT.synchronized)) or []
    totals: dict[str, int] = {}
    for answers in found:
        for answer in answers or ():
            for what, number in answer.get("counts", {}).items():
                totals[what] = totals.get(what, 0) + number
    return totals


def publish(outlet_events: Any, name: str, answer: dict[str, Any]) -> None:
    """Tell those who wait for an object that it changed, how much, and up to where."""
    if answer.get("changed"):
        extra = {"flow": answer.get("flow", name), "counts": answer["counts"], "watermark": answer["watermark"]}
        outlet_events[CHANGED].add(Asset(f"isthmus://contract_sync/{name}"), extra=extra)


def looked_at(forecasts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write a forecast to the log and return its totals: XCom carries references, not reports."""
    totals = []
    for found in forecasts:
        print(f"{found['flow']}: {found['things']}")
        for field in found["fields"]:
            print(f"  {field['field']} (owner {field['owner']}, {field['on_conflict']}): {field['counts']}")
        totals.append({"flow": found["flow"], "what_if": dict(found["things"]), "fields": len(found["fields"])})
    return totals


def send(rules: Any, news: Any) -> None:
    """Send news by e-mail and to the webhook that the rules name; the log has it in any case, loudly."""
    import logging

    from isthmus.levels.alerts import in_words

    text, log = in_words(news), logging.getLogger("isthmus.alerts")
    log.error("%s", text)
    if rules.email:
        try:
            mail(rules.email, text)
        except ImportError:
            log.error("no mail was sent: install apache-airflow-providers-smtp, or name a webhook instead")
    if rules.webhook:
        post(rules.webhook, {"text": text, "raised": causes(news.raised), "cleared": causes(news.cleared)})


def causes(alerts: Any) -> list[str]:
    """Return what tells alerts apart."""
    return [alert.cause for alert in alerts]


def mail(to: tuple[str, ...], text: str) -> None:
    """Send a mail through the connection `smtp_default`."""
    from html import escape

    from airflow.providers.smtp.hooks.smtp import SmtpHook

    with SmtpHook() as smtp:
        smtp.send_email_smtp(to=list(to), subject="Isthmus: alerts", html_content=f"<pre>{escape(text)}</pre>")


def post(name: str, message: dict[str, Any]) -> None:
    """Send JSON to the address a connection names: host (an address as a whole, too), schema, port, `path` of extra.

    Its password, if any, goes along as a bearer token.
    """
    import json
    import urllib.request

    known = Connection.get(name)
    url = known.host or ""
    if "://" not in url:
        port = f":{known.port}" if known.port else ""
        url = f"{known.schema or 'https'}://{url}{port}/{str(known.extra_dejson.get('path', '')).lstrip('/')}"
    request = urllib.request.Request(url, json.dumps(message).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    if known.password:
        request.add_header("Authorization", f"Bearer {known.password}")
    with urllib.request.urlopen(request, timeout=30):
        return


contract_sync()
