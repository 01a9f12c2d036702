"""What the DAG `bw_aggregation` calls: each function takes the run's parameters and may be tried again.

Parameters: scenario, stores, mode, month, verify (when due | yes | no).  Answers are counts and numbers of requests.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from isthmus.errors import ConfigError, DataError
from isthmus.home import home
from isthmus.levels.outline import stamp as project_stamp
from isthmus.project import Project
from warehouse import orchestrate, shape
from warehouse.depot import Depot, depot_at
from warehouse.feed import month_of
from warehouse.load_spec import load_warehouse
from warehouse.order import in_order, is_derived
from warehouse.outline import MODES, stamp
from warehouse.pickup import is_files, pick_up
from warehouse.spec import Store, Warehouse
from warehouse.tables import Mode

Parameters = Mapping[str, Any]


@functools.lru_cache(maxsize=4)
def _read(folder: str, current: str) -> tuple[Project, Warehouse]:
    """Read the files once a process for as long as they stay the same (`current` is their stamp)."""
    project = Project.load()
    return project, load_warehouse(project.folder, project.catalogue)


@contextmanager
def at_depot(parameters: Parameters, run: str) -> Iterator[Depot]:
    """Open a depot for a task of a run."""
    project, warehouse = _read(str(home()), project_stamp() + stamp())
    with depot_at(project, warehouse, parameters.get("scenario") or "", run=run) as depot:
        yield depot


def begin(parameters: Parameters, run: str) -> list[str]:
    """Return the stores of this run, in order of dependency.

    Raises ConfigError where the tables are not what the files say, or the form asks for what cannot be.
    """
    _mode(parameters)
    with at_depot(parameters, run) as depot:
        steps = [step.text for step in shape.plan(depot.connection, depot.warehouse) if step.changes]
        if steps:
            more = f" and {len(steps) - 3} more" if len(steps) > 3 else ""
            raise ConfigError(
                f"the tables of the warehouse are not what its files say: {'; '.join(steps[:3])}{more}. "
                "`isthmus warehouse apply` brings them there"
            )
        return [store.name for store in chosen_of(depot, parameters)]


def plan(parameters: Parameters, run: str, system: str) -> list[str]:
    """Return the stores that a system has to deliver in this run, in order of dependency."""
    with at_depot(parameters, run) as depot:
        return [store.name for store in chosen_of(depot, parameters) if store.feed(system)]


def chosen_of(depot: Depot, parameters: Parameters) -> list[Store]:
    """Return the stores of a run in order of dependency; derived ones go along with what they are made of."""
    names = [depot.store(name).name for name in parameters.get("stores") or ()]
    every = in_order(depot.warehouse, depot.project.folder)
    return [store for store in every if not names or store.name in names or is_derived(store)]


def extract(parameters: Parameters, run: str, system: str, store: str) -> dict[str, Any]:
    """Load one store from one system, as the form says."""
    with at_depot(parameters, run) as depot:
        meant, said = depot.store(store), str(parameters.get("month") or "")
        month = month_of(meant, said, depot.warehouse) if said else None
        loads = orchestrate.extract(depot, meant, system=system, mode=_mode(parameters), month=month)
        step = orchestrate.told(depot, meant, orchestrate.references(loads), orchestrate.notes(loads))
    numbers: Sequence[int] = step.requests
    counts = {"requests": list(numbers[:20]), "records": step.records, "held": step.held}
    return {"store": store, **counts, "notes": [note[:200] for note in step.notes[:3]]}


def left_out(parameters: Parameters, run: str, store: str) -> str:
    """Return why a repair of a month leaves a store out, or ''."""
    if not parameters.get("month"):
        return ""
    with at_depot(parameters, run) as depot:
        dated = any(item.type.kind in ("date", "moment") for item in depot.store(store).fields)
    return "" if dated else f"store {store} has no date, so nothing of it belongs to a month"


def pick_up_files(parameters: Parameters, run: str, system: str) -> dict[str, Any]:
    """Take the complete files of a system's inbox and say how many, and how many were refused."""
    taken, refused = 0, []
    with at_depot(parameters, run) as depot:
        for store in chosen_of(depot, parameters):
            feed = store.feed(system)
            if feed is None or not is_files(depot, store, feed):
                continue
            for load in pick_up(depot, store, feed):
                taken += load.request is not None
                refused += [load.because] * (" is refused: " in load.because)
                print(load.because)
    return {"files": taken, "refused": len(refused), "first_refused": [text[:300] for text in refused[:1]]}


def check(parameters: Parameters, run: str) -> dict[str, int]:
    """Let everything that was loaded through the quality gate; raises DataError with all that it withholds."""
    held = 0

    def one(store: Store) -> None:
        nonlocal held
        for found in orchestrate.check(depot, store):
            held += found.held
            for finding in found.findings:
                print(f"{store.name} request {found.request}: {finding.expectation} {finding.state}, {finding.about}")

    with at_depot(parameters, run) as depot:
        orchestrate.all_stores(depot, (), one, derived=False)
    return {"held": held}


def activate(parameters: Parameters, run: str) -> dict[str, int]:
    """Make what was checked hold, store by store; derived stores follow those they are made of."""
    counts = {"requests": 0, "derived": 0}

    def one(store: Store) -> None:
        if is_derived(store):
            loads = orchestrate.extract(depot, store)
            counts["derived"] += sum(load.request is not None for load in loads)
            orchestrate.check(depot, store)
        done = orchestrate.activate(depot, store)
        counts["requests"] += len(done)

    with at_depot(parameters, run) as depot:
        orchestrate.all_stores(depot, (), one)
    return counts


def roll_up(parameters: Parameters, run: str) -> dict[str, int]:
    """Add everything that is active up in the cubes, and rebuild cubes whose files changed."""
    with at_depot(parameters, run) as depot:
        done = orchestrate.all_stores(depot, (), lambda store: len(orchestrate.roll_up(depot, store)))
        return {"requests": sum(done.values()), "rebuilt": len(orchestrate.rebuild_waiting(depot))}


def verify(parameters: Parameters, run: str) -> dict[str, int]:
    """Compare cubes with their recomputation: all, or those verified longer ago than a day; none if the form says so.

    Raises DataError naming the cubes that differ.
    """
    with at_depot(parameters, run) as depot:
        hours = 0 if parameters.get("verify") == "yes" else orchestrate.VERIFY_HOURS
        proof = orchestrate.verify(depot, hours=hours)
    if proof.differing:
        raise DataError(
            f"not what active data adds up to: {', '.join(proof.differing)}; nothing was published. "
            "`isthmus warehouse rebuild` makes a cube anew"
        )
    return {"cubes": len(proof.cubes), "cells": sum(cells for cells, _ in proof.cubes.values())}


def publish(parameters: Parameters, run: str) -> dict[str, int]:
    """Show everything that is rolled up to analysts, and return what the asset's event carries."""
    with at_depot(parameters, run) as depot:
        number = orchestrate.publish(depot)
        asked = "SELECT requests FROM warehouse.publications WHERE publication = %s AND run = %s"
        row = depot.connection.execute(asked, [number, run]).fetchone()
    return {"publication": number, "requests": int(row[0]) if row else 0}


def compress(parameters: Parameters, run: str) -> dict[str, int]:
    """Add up what was published long enough ago into the totals of each cube."""
    with at_depot(parameters, run) as depot:
        done = orchestrate.compress(depot)
    return {name: count for name, count in done.items() if count}


def _mode(parameters: Parameters) -> Mode | None:
    said = str(parameters.get("mode") or MODES[0])
    if said not in MODES:
        raise ConfigError(f'"{said}" is no mode; the form knows {", ".join(MODES)}.')
    return None if said == MODES[0] else cast(Mode, said.upper().replace(" ", "_"))
