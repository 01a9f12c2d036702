"""What a task of a DAG calls: each takes the run's parameters and references, each may be tried again.

Parameters: scenario, objects, mode (full | request | repair), key_from, key_to, package_rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from isthmus.levels import download as level
from isthmus.levels.repair import compare_flow
from isthmus.levels.summary import summary
from isthmus.mapping.spec import Catalogue, Flow
from isthmus.project import Project

Parameters = Mapping[str, Any]
REPAIR_CAP = 0.05


def groups(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Return every object that some scenario carries, in load order, with the objects it must wait for."""
    carried = tuple(dict.fromkeys(flow.object for s in catalogue.scenarios.values() for flow in s.flows))
    order = catalogue.order(carried)
    return {
        name: tuple(parent for parent in catalogue.parents(name) if parent in order and parent != name)
        for name in order
    }


def sets_of(packages: list[str], sets: int) -> list[list[str]]:
    """Deal packages out into at most `sets` sets of neighbours; no packages, no sets."""
    size = -(-len(packages) // sets) if packages else 1
    return [packages[start : start + size] for start in range(0, len(packages), size)]


@contextmanager
def desk_of(parameters: Parameters, worker: str = "", gate: str = "") -> Iterator[level.Desk]:
    """Open a desk for the scenario and package size of a run."""
    project = Project.load()
    rows = int(parameters.get("package_rows") or project.package_rows)
    project = replace(project, package_rows=rows)
    with level.open_desk(project, parameters.get("scenario") or "", name=worker, gate=gate) as desk:
        yield desk


def begin(parameters: Parameters, run: str) -> str:
    """Begin the run: mappings compiled against the live systems, identities checked, parameters kept."""
    with desk_of(parameters) as desk:
        return level.begin(desk, parameters.get("mode") or "full", parameters, run)


def plan(parameters: Parameters, run: str, object_: str) -> list[str]:
    """Return the packages of an object, in key order; none when the run does not carry it or only repairs."""
    with desk_of(parameters) as desk:
        packages = []
        for flow in flows_of(desk, parameters, object_):
            if parameters.get("mode") != "repair":
                packages += level.plan_flow(desk, flow, run, keys_of(parameters))
        return packages


def load(parameters: Parameters, run: str, object_: str, packages: list[str], worker: str = "") -> dict[str, int]:
    """Carry a set of packages of an object."""
    counts: dict[str, int] = {}
    with desk_of(parameters, worker) as desk:
        for flow in flows_of(desk, parameters, object_):
            for name, number in level.load_flow(desk, flow, run, packages).counts.items():
                counts[name] = counts.get(name, 0) + number
    return counts


def finish(parameters: Parameters, run: str, object_: str) -> dict[str, int]:
    """Declare an object loaded and release what waited; a request leaves the object's state as it is."""
    counts: dict[str, int] = {}
    with desk_of(parameters) as desk:
        for flow in flows_of(desk, parameters, object_):
            counts.update(level.finish_flow(desk, flow, run).counts)
    return counts


def reconcile(parameters: Parameters, run: str) -> dict[str, str]:
    """Compare every flow that can be read back; a repair run sends what differs again, under the cap."""
    verdicts = {}
    repair = parameters.get("mode") == "repair"
    with desk_of(parameters) as desk:
        for flow in desk.flows(parameters.get("objects") or ()):
            found = compare_flow(desk, flow, repair=repair, dry_run=False, cap=REPAIR_CAP, guard=False, run=run)
            if repair and found["repaired"]:
                found = compare_flow(desk, flow, repair=False, dry_run=False, cap=REPAIR_CAP, guard=False, run=run)
            verdicts[found["flow"]] = "agrees" if found["agrees"] else f"{found['rows_differing']} rows differ"
    return verdicts


def publish(parameters: Parameters, run: str) -> dict[str, Any]:
    """Close the run and return what the asset's event carries: a reference and counts."""
    with desk_of(parameters) as desk:
        found = summary(desk, run)
        desk.ledger.runs.finish(run, "done", found["totals"])
        return {"run": run, **found["totals"]}


def flows_of(desk: level.Desk, parameters: Parameters, object_: str) -> list[Flow]:
    """Return the flows of an object in this run; none if its scenario or the form leaves it out."""
    chosen = parameters.get("objects") or ()
    if chosen and object_ not in chosen:
        return []
    return [flow for flow in desk.flows() if flow.object == object_]


def keys_of(parameters: Parameters) -> tuple[str, ...]:
    """Return the key range of a request, or nothing."""
    first, last = parameters.get("key_from") or "", parameters.get("key_to") or ""
    return (first, last) if first or last else ()
