"""The outline of a project: what a DAG needs to lay out its tasks, read in a millisecond.

Airflow parses a DAG file again for every task, and reading all mappings takes most of a second, so the outline is
kept under `.isthmus/cache` for as long as no file of the project changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from isthmus.home import MARKER, home

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT = 3
Kind = TypeVar("Kind", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Outline:
    """Scenarios, objects in load order with those they wait for, and the pool of the system each object comes from."""

    scenarios: dict[str, str]  # name: what it says about itself
    scenario: str
    package_rows: int
    objects: dict[str, list[str]]
    pools: dict[str, str]
    connections: list[str]
    synchronized: list[str]  # objects that some scenario keeps in step both ways, in load order


def outline(folder: Path | None = None) -> Outline:
    """Return the outline of a project folder; raises SpecError or ConfigError when its files cannot be used."""
    folder = folder or home()
    return cached(Outline, folder / ".isthmus" / "cache" / "outline.json", stamp(folder), lambda: _drawn(folder))


def cached(kind: type[Kind], file: Path, current: str, draw: Callable[[], Kind]) -> Kind:
    """Return what was drawn when the stamp was the same; else draw it, and keep it where that is allowed."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(file.read_text(encoding="utf-8"))
        if said["stamp"] == current:
            return kind(**said["outline"])
    found = draw()
    with contextlib.suppress(OSError):  # another user's project may be read, not written
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.stem}.{os.getpid()}.new")
        new.write_text(json.dumps({"stamp": current, "outline": asdict(found)}), encoding="utf-8")
        new.replace(file)
    return found


def stamp(folder: Path | None = None) -> str:
    """Return a text that changes whenever a file of the project, or the scenario chosen outside, does."""
    return stamped(f"{FORMAT} {os.environ.get('ISTHMUS_SCENARIO', '')}", _files(folder or home()))


def stamped(said: str, files: Iterable[Path]) -> str:
    """Return a text that changes whenever a file does: its time or its size."""
    facts = [said]
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            known = file.stat()
            facts.append(f"{file} {known.st_mtime_ns} {known.st_size}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield folder / MARKER
    yield from sorted((folder / "mappings").rglob("*.yaml"))


def _drawn(folder: Path) -> Outline:
    from isthmus.project import Project

    project = Project.load(folder)
    known = project.catalogue
    flows = [flow for scenario in known.scenarios.values() for flow in scenario.flows]
    # The project's own scenario decides where an object comes from when another one has it from elsewhere.
    flows += known.scenarios[project.scenario_name].flows if project.scenario_name in known.scenarios else ()
    order = known.order(tuple(dict.fromkeys(flow.object for flow in flows)))
    parents = {name: [parent for parent in known.parents(name) if parent in order and parent != name] for name in order}
    parents = {name: _nearest(name, parents) for name in order}
    return Outline(
        {name: scenario.about for name, scenario in sorted(known.scenarios.items())},
        project.scenario_name,
        project.package_rows,
        parents,
        {flow.object: project.system(flow.source).pool for flow in flows},
        sorted({system.connection for system in project.systems.values() if system.connection}),
        [name for name in order if any(flow.object == name and flow.level == "synchronize" for flow in flows)],
    )


def _nearest(name: str, parents: dict[str, list[str]]) -> list[str]:
    """Return the parents that are not ancestors of another parent: who waits for these waits for all."""

    def ancestors(of: str) -> set[str]:
        return {found for parent in parents[of] for found in (parent, *ancestors(parent))}

    behind = {found for parent in parents[name] for found in ancestors(parent)}
    return [parent for parent in parents[name] if parent not in behind]
