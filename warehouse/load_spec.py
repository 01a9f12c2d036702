"""Read the warehouse's files into a Warehouse: every file, every finding at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from isthmus.errors import Finding, SpecError
from isthmus.home import MARKER
from isthmus.mapping.document import Entries, place, read_document
from isthmus.mapping.form import Findings, kind
from isthmus.mapping.spec import Catalogue
from isthmus.project import Project
from warehouse.check_feed import read_by
from warehouse.check_scope import Scope
from warehouse.check_spec import check
from warehouse.load_cube import load_cube
from warehouse.load_dimension import load_dimension
from warehouse.load_meaning import explain
from warehouse.load_store import load_store
from warehouse.spec import Store, Warehouse

TOP = "warehouse"
FOLDERS = ("stores", "dimensions", "cubes")


@dataclass(slots=True)
class Reading:
    """What was read so far: roots by (folder, name); `unreadable` names files that exist but say nothing."""

    findings: Findings = field(default_factory=Findings)
    roots: dict[tuple[str, str], Entries] = field(default_factory=dict)
    unreadable: set[tuple[str, str]] = field(default_factory=set)
    queries: dict[str, str] = field(default_factory=dict)  # SQL files beside the stores: name -> text

    def of(self, folder: str) -> Mapping[str, Entries]:
        """Return the files of one folder by name."""
        return {name: root for (where, name), root in self.roots.items() if where == folder}


def load_warehouse(folder: Path, catalogue: Catalogue | None) -> Warehouse:
    """Read and check `warehouse/` of a project folder; raises SpecError with all findings, sorted.

    Without a catalogue nothing is compared with the shared model.
    """
    warehouse, findings = read_warehouse(folder, catalogue)
    if findings:
        raise SpecError(findings)
    return warehouse


def read_warehouse(folder: Path, catalogue: Catalogue | None) -> tuple[Warehouse, tuple[Finding, ...]]:
    """Read and check `warehouse/` of a project folder; return what could be read, and what is wrong."""
    project = folder if (folder / TOP).is_dir() else folder.parent
    reading = read_files(folder / TOP if (folder / TOP).is_dir() else folder)
    warehouse = build(reading, catalogue)
    exist = frozenset({*reading.roots, *reading.unreadable})
    check(Scope(warehouse, reading.findings, exist, reading.queries, catalogue, _systems(project)))
    return warehouse, reading.findings.sorted()


def _systems(project: Path) -> Mapping[str, str] | None:
    """Return the systems of isthmus.yaml and the kind of system each is, or None where there is no such file."""
    if not (project / MARKER).is_file():
        return None
    return {name: system.speaks for name, system in Project.load(project).systems.items()}


def read_files(top: Path) -> Reading:
    """Read every YAML file below the folders of stores, dimensions and cubes."""
    reading = Reading()
    for path in sorted((top / "stores").glob("*.sql")):
        reading.queries[path.name] = path.read_text(encoding="utf-8")
    for folder in FOLDERS:
        for path in sorted((top / folder).rglob("*")):
            if path.suffix in (".yaml", ".yml") and path.is_file():
                _read_file(path, folder, top, reading)
    return reading


def _read_file(path: Path, folder: str, top: Path, reading: Reading) -> None:
    file = str(Path(TOP) / path.relative_to(top))
    wrong = _wrong_place(path, top / folder, top)
    if wrong:
        reading.findings.found.append(Finding(file, 1, 1, wrong))
        return
    root, found = read_document(path.read_bytes(), file)
    reading.findings.found.extend(found)
    if isinstance(root, Entries):
        reading.roots[folder, path.stem] = root
        return
    reading.unreadable.add((folder, path.stem))
    if root is not None:
        reading.findings.add(root.position, f'a file is a group of "key: value" lines; this is {kind(root)}.')


def _wrong_place(path: Path, folder: Path, top: Path) -> str:
    if not path.resolve().is_relative_to(top.resolve()):
        return "this file is a link out of its folder. Put the file itself here."
    if path.parent != folder:
        return f'a file stands in "{folder.name}" itself, not in a folder below it. Move it there.'
    if path.suffix == ".yml":
        return f'the name ends with ".yml". Rename the file to "{path.stem}.yaml".'
    return ""


def build(reading: Reading, catalogue: Catalogue | None) -> Warehouse:
    """Turn the files that were read into values."""
    findings = reading.findings
    stores = {
        name: made_of(load_store(root, catalogue, findings), reading.queries)
        for name, root in reading.of("stores").items()
    }
    dimensions = {name: load_dimension(root, findings) for name, root in reading.of("dimensions").items()}
    cubes = {name: load_cube(root, findings) for name, root in reading.of("cubes").items()}
    for key, said in (("store", stores), ("dimension", dimensions), ("cube", cubes)):
        for name, value in said.items():
            _same_name(key, value.name, name, findings)
    return explain(Warehouse(stores, dimensions, cubes))


def made_of(store: Store, queries: Mapping[str, str]) -> Store:
    """Return a store whose feeds know which stores their query reads."""
    return replace(
        store,
        feeds=tuple(replace(feed, reads=read_by(queries.get(feed.query, ""))) for feed in store.feeds),
    )


def _same_name(key: str, said: str, path: str, findings: Findings) -> None:
    if said and said != path:
        message = f'"{key}" is "{said}" but the file is called "{path}". Give both the same name.'
        findings.add(place(said), message)
