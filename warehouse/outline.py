"""The outline of a warehouse: what a DAG needs to lay out its tasks, read in a millisecond; nothing is checked here.

It is kept under `.isthmus/cache` for as long as no file of it changes, because Airflow parses a DAG for every task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.home import MARKER, home
from isthmus.levels.outline import cached, stamped
from warehouse.spec import OWN

FORMAT = 1
MODES = ("usual", "delta", "repeat", "full", "repair full", "init", "init nodata")  # of a run, as its form offers them


@dataclass(frozen=True, slots=True)
class Outline:
    """Which stores each system feeds; `picked_up` are systems whose files are, `derived` the stores queries make."""

    systems: dict[str, list[str]] = field(default_factory=dict)  # system: stores, those whose files are picked up apart
    picked_up: dict[str, list[str]] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    pools: dict[str, str] = field(default_factory=dict)
    connections: list[str] = field(default_factory=list)
    cubes: list[str] = field(default_factory=list)

    @property
    def stores(self) -> list[str]:
        """Return every store, sorted."""
        of_systems = (name for names in (*self.systems.values(), *self.picked_up.values()) for name in names)
        return sorted({*of_systems, *self.derived})


def outline(folder: Path | None = None) -> Outline:
    """Return the outline of a project folder's warehouse; an empty one where there is none."""
    folder = folder or home()
    return cached(Outline, folder / ".isthmus" / "cache" / "warehouse.json", stamp(folder), lambda: _drawn(folder))


def stamp(folder: Path | None = None) -> str:
    """Return a text that changes whenever a file of the warehouse or the list of systems does."""
    return stamped(str(FORMAT), _files(folder or home()))


def _files(folder: Path) -> Iterator[Path]:
    yield folder / MARKER
    for name in ("stores", "dimensions", "cubes"):
        yield from sorted((folder / OWN / name).glob("*"))


def _drawn(folder: Path) -> Outline:
    known = _read(folder / MARKER).get("systems") or {}
    found = Outline(
        pools={name: said.get("pool", name) for name, said in known.items()},
        connections=sorted({said["connection"] for said in known.values() if said.get("connection")}),
        cubes=sorted(file.stem for file in (folder / OWN / "cubes").glob("*.yaml")),
    )
    for file in sorted((folder / OWN / "stores").glob("*.yaml")):
        for system, feed in (_read(file).get("feeds") or {}).items():
            mode = feed.get("mode", "after") if isinstance(feed, dict) else feed
            if system == OWN:
                found.derived.append(file.stem)
            elif mode == "new" and known.get(system, {}).get("connector") == "files":
                found.picked_up.setdefault(system, []).append(file.stem)
            else:
                found.systems.setdefault(system, []).append(file.stem)
    return found


def _read(file: Path) -> dict[str, Any]:
    import yaml

    with contextlib.suppress(OSError, yaml.YAMLError):
        said = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        if isinstance(said, dict):
            return said
    return {}
