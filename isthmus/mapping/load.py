"""Read the content folders into a Catalogue: every file, every finding at once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from isthmus.errors import ConfigError, Finding, SpecError, did_you_mean
from isthmus.mapping.document import Entries, place, read_document
from isthmus.mapping.form import Findings, kind
from isthmus.mapping.load_codes import load_codes, load_system
from isthmus.mapping.load_mapping import load_mapping
from isthmus.mapping.load_model import load_model
from isthmus.mapping.load_scenario import load_scenario
from isthmus.mapping.spec import Catalogue, CodeTable, MappingSpec, Model, Scenario, SystemSettings

SYSTEM_FILE = "_system"
SUFFIXES = (".yaml", ".yml")
KINDS = ("model", "codes", "scenarios")  # every other folder is a system


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that could be read: its folder (`model`, `isu`, ...), its name without ending, its root."""

    folder: str
    name: str
    file: str
    root: Entries
    hash: str


@dataclass(slots=True)
class Reading:
    """What was read so far; `unreadable` names files that exist but say nothing, so nobody misses them twice."""

    findings: Findings = field(default_factory=Findings)
    files: list[SourceFile] = field(default_factory=list)
    unreadable: set[tuple[str, str]] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def of(self, folder: str) -> list[SourceFile]:
        """Return the files of one folder."""
        return [file for file in self.files if file.folder == folder]


def load_catalogue(*folders: Path) -> Catalogue:
    """Read and check `mappings/**` of one or more folders; raises SpecError with all findings, sorted.

    Folders with the same files are read once a process: that takes a quarter of a second, looking at them a few ms.
    """
    return _checked(_fingerprint(folders))


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What the folders hold; they are told apart by nothing else."""

    digest: str
    folders: tuple[Path, ...] = field(compare=False)


def _fingerprint(folders: tuple[Path, ...]) -> _Fingerprint:
    digest = hashlib.sha256()
    for folder in folders:
        top = _top(folder)
        for path in (top, *sorted(top.rglob("*"))):
            content = path.read_bytes() if path.is_file() and path.suffix in SUFFIXES else b""
            digest.update(f"{top.name}/{path.relative_to(top)} {path.is_symlink()} {len(content)}\n".encode())
            digest.update(content)
    return _Fingerprint(digest.hexdigest(), folders)


@functools.lru_cache(maxsize=8)
def _checked(known: _Fingerprint) -> Catalogue:
    catalogue, findings = read_catalogue(*known.folders)
    if findings:
        raise SpecError(findings)
    return catalogue


def read_catalogue(*folders: Path) -> tuple[Catalogue, tuple[Finding, ...]]:
    """Read and check `mappings/**` of one or more folders; return what could be read, and what is wrong."""
    from isthmus.mapping.check import check

    reading = read_files(folders)
    catalogue = build(reading)
    check(catalogue, reading)
    return catalogue, reading.findings.sorted()


def read_files(folders: Iterable[Path]) -> Reading:
    """Read every YAML file below the folders' `mappings`; raises ConfigError for a folder without one."""
    reading = Reading()
    for folder in folders:
        top = _top(folder)
        reading.folders.update(part.name for part in top.iterdir() if part.is_dir() and part.name not in KINDS)
        for path in sorted(top.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                _read_file(path, top, reading)
    return reading


def _top(folder: Path) -> Path:
    top = folder / "mappings" if (folder / "mappings").is_dir() else folder
    if not top.is_dir():
        raise ConfigError(f'"{folder}" is no folder with mappings. Name the folder that holds "mappings".')
    return top


def _read_file(path: Path, top: Path, reading: Reading) -> None:
    inside = path.relative_to(top)
    file = str(Path(top.name) / inside)
    wrong = _wrong_place(path, inside, top, reading)
    if wrong:
        reading.findings.found.append(Finding(file, 1, 1, wrong))
        return
    folder, name = inside.parts[0], path.stem
    content = path.read_bytes()
    root, found = read_document(content, file)
    reading.findings.found.extend(found)
    if isinstance(root, Entries):
        reading.files.append(SourceFile(folder, name, file, root, hashlib.sha256(content).hexdigest()))
        return
    reading.unreadable.add((folder, name))
    if root is not None:
        reading.findings.add(root.position, f'a file is a group of "key: value" lines; this is {kind(root)}.')


def _wrong_place(path: Path, inside: Path, top: Path, reading: Reading) -> str:
    if not path.resolve().is_relative_to(top.resolve()):
        return "this file is a link out of its folder. Put the file itself here."
    if len(inside.parts) != 2:
        return 'a mapping file stands in a folder such as "model", "codes", "scenarios" or a system. Move it there.'
    if path.suffix == ".yml":
        return f'the name ends with ".yml". Rename the file to "{path.stem}.yaml".'
    if any(file.folder == inside.parts[0] and file.name == path.stem for file in reading.files):
        return f'another folder has "{inside}" already. Remove one of the two.'
    return ""


def build(reading: Reading) -> Catalogue:
    """Turn the files that were read into values."""
    models = _models(reading)
    systems = _systems(reading)
    return Catalogue(
        models=models,
        mappings=_mappings(reading, models),
        codes=_codes(reading, systems),
        systems=systems,
        scenarios=_scenarios(reading),
    )


def _models(reading: Reading) -> Mapping[str, Model]:
    models = {file.name: load_model(file.root, reading.findings) for file in reading.of("model")}
    for name, model in models.items():
        _same_name("object", model.object, name, reading)
    return models


def _codes(reading: Reading, systems: Mapping[str, SystemSettings]) -> Mapping[str, CodeTable]:
    codes = {file.name: load_codes(file.root, reading.findings) for file in reading.of("codes")}
    for name, table in codes.items():
        _same_name("code", table.name, name, reading)
    for system, settings in systems.items():
        for name, values in settings.codes.items():
            _add_codes(codes, name, system, values, reading)
    return codes


def _add_codes(
    codes: dict[str, CodeTable], name: str, system: str, values: Mapping[str, tuple[str, ...]], reading: Reading
) -> None:
    """Add what a system says of a code table in its own folder."""
    if name not in codes:
        reading.findings.add(place(name), f'there is no code table "{name}".{did_you_mean(name, codes)}')
    elif system in codes[name].systems:
        message = f'mappings/codes/{name}.yaml speaks for "{system}" already. Keep one of the two.'
        reading.findings.add(place(name), message)
    else:
        codes[name] = replace(codes[name], systems={**codes[name].systems, system: values})


def _scenarios(reading: Reading) -> Mapping[str, Scenario]:
    scenarios = {file.name: load_scenario(file.root, reading.findings) for file in reading.of("scenarios")}
    for name, scenario in scenarios.items():
        _same_name("scenario", scenario.name, name, reading)
    return scenarios


def _systems(reading: Reading) -> Mapping[str, SystemSettings]:
    systems = {}
    for file in reading.files:
        if file.name == SYSTEM_FILE and file.folder not in KINDS:
            systems[file.folder] = load_system(file.root, reading.findings)
            _same_name("system", systems[file.folder].system, file.folder, reading)
    return systems


def _mappings(reading: Reading, models: Mapping[str, Model]) -> Mapping[tuple[str, str], tuple[MappingSpec, ...]]:
    mappings = {}
    for file in reading.files:
        if file.folder in KINDS or file.name == SYSTEM_FILE:
            continue
        specs = load_mapping(file.root, models.get(file.name), reading.findings)
        for spec in specs:
            _same_name("object", spec.object, file.name, reading)
            _same_name("system", spec.system, file.folder, reading)
        named = [replace(spec, object=file.name, system=file.folder, text_hash=file.hash) for spec in specs]
        mappings[file.folder, file.name] = tuple(named)
    return mappings


def _same_name(key: str, said: str, path: str, reading: Reading) -> None:
    if said and said != path:
        what = "folder" if key == "system" else "file"
        message = f'"{key}" is "{said}" but the {what} is called "{path}". Give both the same name.'
        reading.findings.add(place(said), message)
