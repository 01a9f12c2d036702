"""What the DAGs `contract_sync` and `conflict_review` call; each function may be tried again.

Parameters: scenario, objects, what_if; of a review also limit, object, kind, show_values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from isthmus.errors import ConflictError, IsthmusError, SystemUnavailable
from isthmus.levels import alerts as level
from isthmus.levels.baseline import forecast
from isthmus.levels.delta import delta_flow
from isthmus.levels.download import Desk
from isthmus.levels.orchestrate import desk_of
from isthmus.levels.rounds import keep_in_step, waits_for
from isthmus.levels.route import flow_name
from isthmus.mapping.spec import Flow

Parameters = Mapping[str, Any]
WRITTEN = ("inserted", "updated", "deleted")


@contextmanager
def at_desk(parameters: Parameters, task: str = "") -> Iterator[Desk]:
    """Open a desk for a task; flows without a gate of their own need none here."""
    with desk_of(parameters, task, gate="off") as desk:
        yield desk


def left_out(parameters: Parameters, object_: str) -> str:
    """Return why a run does not keep an object in step, or ''."""
    with at_desk(parameters) as desk:
        if not flows_of(desk, object_):
            return f"the scenario {desk.scenario.name} does not synchronize {object_}"
        chosen = list(parameters.get("objects") or ())
        return f"{object_} was not chosen in the form" if chosen and object_ not in chosen else ""


def flows_of(desk: Desk, object_: str) -> list[Flow]:
    """Return the synchronized flows of an object."""
    return [flow for flow in desk.flows() if flow.level == "synchronize" and flow.object == object_]


def sync(parameters: Parameters, run: str, object_: str, task: str = "") -> list[dict[str, Any]]:
    """Bring an object's flows in step; each answer has counts, `changed`, `waits` and the feeds' positions."""
    answers = []
    with at_desk(parameters, task) as desk:
        for flow in flows_of(desk, object_):
            found = keep_in_step(desk, flow, run)
            answers.append({**found.as_json(), "watermark": watermark(desk, flow)})
    return answers


def watermark(desk: Desk, flow: Flow) -> dict[str, str]:
    """Return how far each side's feed has been read, as the feed spells it."""
    cursors = {system: desk.ledger.feeds.cursor(flow_name(flow), system) for system in (flow.source, flow.target)}
    return {system: cursor for system, cursor in cursors.items() if cursor}


def look(parameters: Parameters, object_: str) -> list[dict[str, Any]]:
    """Say what a run would do to an object, field by field; writes nothing."""
    with at_desk(parameters) as desk:
        return [asdict(forecast(desk, flow)) for flow in flows_of(desk, object_)]


def deltas(parameters: Parameters, pool: str, task: str = "") -> dict[str, dict[str, Any]]:
    """Carry what changed in one-way flows whose source sits in a pool; those that must wait say why.

    A flow that a person has to look at does not stop the others; raises ConflictError with all such at the end, and
    SystemUnavailable at once.
    """
    found: dict[str, dict[str, Any]] = {}
    wrong: list[str] = []
    with at_desk(parameters, task) as desk:
        chosen = list(parameters.get("objects") or ())
        for flow in one_way(desk, pool):
            name = flow_name(flow)
            waits = "not chosen in the form" if chosen and flow.object not in chosen else waits_for(desk, flow)
            if waits:
                found[name] = {"waits": waits}
                continue
            try:
                counts = dict(delta_flow(desk, flow).counts)
            except SystemUnavailable:
                raise
            except IsthmusError as error:
                wrong.append(f"{name}: {error}")
                continue
            changed = sum(counts.get(what, 0) for what in WRITTEN)
            found[name] = {"counts": counts, "changed": changed, "watermark": desk.ledger.flows.watermark(name)}
    if wrong:
        raise ConflictError("\n".join(wrong))
    return found


def one_way(desk: Desk, pool: str) -> list[Flow]:
    """Return the replicated flows whose source sits in a pool, parents first."""
    return [
        flow for flow in desk.flows() if flow.level == "replicate" and desk.project.system(flow.source).pool == pool
    ]


# --- alerts -------------------------------------------------------------------------------------------------------


def news(parameters: Parameters) -> tuple[level.Rules, level.News]:
    """Evaluate the rules of `isthmus.yaml`."""
    with at_desk(parameters) as desk:
        asked = level.rules(desk.project.alerts)
        return asked, level.news(desk, asked)


def told(parameters: Parameters, found: level.News) -> None:
    """Remember what was sent."""
    with at_desk(parameters) as desk:
        level.told(desk, found)
