"""What a DAG calls: each function takes the run's parameters and references, and each may be tried again.

Parameters: scenario, objects, mode (full | request | repair), key_from, key_to, package_rows.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

from isthmus.errors import ConfigError, SystemUnavailable, did_you_mean
from isthmus.ledger import Ledger
from isthmus.levels import download as level
from isthmus.levels.repair import compare_flow
from isthmus.levels.route import flow_name
from isthmus.levels.summary import summary
from isthmus.mapping.spec import Flow
from isthmus.project import Project
from isthmus.store import store_url

Parameters = Mapping[str, Any]
REPAIR_CAP = 0.05
SETS = 4  # package sets per object and variant: a task works for minutes, not for a row


# --- references ---------------------------------------------------------------------------------------------------


def dealt(packages: Sequence[str], sets: int = SETS) -> list[str]:
    """Deal packages out into sets of neighbours and return a reference to each.

    >>> dealt([f"contract.isu.crm/{n:05d}" for n in range(1, 8)], sets=2)
    ['contract.isu.crm/00001-00004', 'contract.isu.crm/00005-00007']
    """
    groups: dict[str, list[int]] = {}
    for package in packages:
        prefix, _, number = package.rpartition("/")
        groups.setdefault(prefix, []).append(int(number))
    references = []
    for prefix, numbers in groups.items():
        size = -(-len(numbers) // sets)
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            references.append(f"{prefix}/{part[0]:05d}-{part[-1]:05d}")
    return references


def packages_in(reference: str) -> list[str]:
    """Return the packages a reference stands for.

    >>> packages_in("contract.isu.crm/00001-00003")
    ['contract.isu.crm/00001', 'contract.isu.crm/00002', 'contract.isu.crm/00003']
    """
    prefix, _, numbers = reference.rpartition("/")
    first, _, last = numbers.partition("-")
    return [f"{prefix}/{number:05d}" for number in range(int(first), int(last) + 1)]


# --- a desk for one task ------------------------------------------------------------------------------------------


@contextmanager
def desk_of(parameters: Parameters, task: str = "", gate: str = "") -> Iterator[level.Desk]:
    """Open a desk for the scenario and package size of a run; `task` tells workers of one process apart."""
    project = Project.load()
    project = replace(project, package_rows=int(parameters.get("package_rows") or project.package_rows))
    # host and process come first: a worker that died is known by them, and its packages are taken over at once
    name = f"{socket.gethostname()}:{os.getpid()}" + (f":{task}" if task else "")
    with level.open_desk(project, parameters.get("scenario") or "", name=name, gate=gate) as desk:
        yield desk


def flows_of(desk: level.Desk, parameters: Parameters, object_: str) -> list[Flow]:
    """Return the flows of an object in this run; none if its scenario or the form leaves it out."""
    return [flow for flow in desk.flows(carried(desk, parameters)) if flow.object == object_]


def carried(desk: level.Desk, parameters: Parameters) -> list[str]:
    """Return the objects this run carries, in load order; raises ConfigError when that would be none."""
    chosen = list(parameters.get("objects") or ())
    known = list(dict.fromkeys(flow.object for flow in desk.flows()))
    found = [name for name in known if not chosen or name in chosen]
    if not found:
        raise ConfigError(
            f'The scenario "{desk.scenario.name}" carries none of {", ".join(chosen)}.'
            f"{did_you_mean(chosen[0], known)} It carries {', '.join(known)}."
        )
    return found


def keys_of(parameters: Parameters) -> tuple[str, ...]:
    """Return the key range of a request, or nothing."""
    first, last = parameters.get("key_from") or "", parameters.get("key_to") or ""
    return (first, last) if first or last else ()


def left_out(parameters: Parameters, object_: str) -> str:
    """Return why a run does not carry an object, or ''."""
    with desk_of(parameters) as desk:
        if parameters.get("mode") == "repair":
            return "a repair run only sends what the comparison finds different; see the task reconcile"
        if object_ not in {flow.object for flow in desk.flows()}:
            return f"the scenario {desk.scenario.name} has no {object_}"
        if object_ not in carried(desk, parameters):
            return f"{object_} was not chosen in the form"
    return ""


# --- the tasks ----------------------------------------------------------------------------------------------------


def begin(parameters: Parameters, run: str) -> str:
    """Begin the run: mappings compiled against the live systems, identities checked, parameters kept.

    A run that is over already is gone through again without effect: its packages are done.
    """
    keys, mode = keys_of(parameters), cast("level.Mode", parameters.get("mode") or "full")
    if mode == "request" and not (keys and len(parameters.get("objects") or ()) == 1):
        raise ConfigError('A run in mode "request" needs one object and a first or last key; choose them in the form.')
    if keys and mode != "request":
        raise ConfigError(f'A key range goes with mode "request", the form says "{mode}"; clear it or change the mode.')
    with desk_of(parameters) as desk:
        said = {**parameters, "objects": carried(desk, parameters)}
        with suppress(ConfigError):  # the ledger does not know it: the usual case
            known = desk.ledger.runs.get(run)
            if known.state == "done" and known.scenario == desk.scenario.name:
                return known.id
        return level.begin(desk, mode, said, run)


def plan(parameters: Parameters, run: str, object_: str) -> list[str]:
    """Cut an object into packages and return references to sets of them."""
    with desk_of(parameters) as desk:
        packages = [
            package
            for flow in flows_of(desk, parameters, object_)
            for package in level.plan_flow(desk, flow, run, keys_of(parameters))
        ]
    return dealt(packages)


def load(parameters: Parameters, run: str, object_: str, reference: str, task: str = "") -> dict[str, int]:
    """Carry a set of packages; one that was withheld or failed before is tried again.

    Raises SystemUnavailable when a package of the set is still in another worker's hands at the end.
    """
    packages = packages_in(reference)
    counts: dict[str, int] = {}
    with desk_of(parameters, task) as desk:
        for flow in flows_of(desk, parameters, object_):
            name = flow_name(flow)
            if not reference.startswith(f"{name}/"):
                continue
            ended = ("failed", "withheld")
            if any(p.id in packages and p.state in ended for p in desk.ledger.packages.open(run, name)):
                desk.ledger.packages.reopen(run, name)
            for what, number in level.load_flow(desk, flow, run, packages).counts.items():
                counts[what] = counts.get(what, 0) + number
            left = [p.id for p in desk.ledger.packages.open(run, name) if p.id in packages]
            if left:
                raise SystemUnavailable(f"{len(left)} of {reference} are not done yet, {left[0]} first; try again")
    return counts


def finish(parameters: Parameters, run: str, object_: str) -> dict[str, int]:
    """Declare an object loaded and release what waited."""
    counts: dict[str, int] = {}
    with desk_of(parameters) as desk:
        for flow in flows_of(desk, parameters, object_):
            for what, number in level.finish_flow(desk, flow, run).counts.items():
                counts[what] = counts.get(what, 0) + number
    return counts


def reconcile(parameters: Parameters, run: str) -> dict[str, str]:
    """Compare every flow that can be read back; a repair run sends what differs again, under the cap."""
    verdicts = {}
    repair = parameters.get("mode") == "repair"
    with desk_of(parameters) as desk:
        for flow in desk.flows(carried(desk, parameters)):
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


def give_up(run: str, because: str) -> None:
    """Write down why the run failed; the first reason stays, and a run the ledger never knew is no error."""
    with closing(Ledger.open(store_url())) as ledger, suppress(ConfigError):
        if ledger.runs.get(run).state == "running":
            ledger.runs.finish(run, "failed", {"because": because})
