"""`quality/suites/<object>.yaml`: what is expected of the mapped rows of a package, read with every finding at once.

`quality/warehouse/<store>.yaml` says the same of the records of a store of the warehouse, before they are activated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

from isthmus.errors import Finding, SpecError, did_you_mean
from isthmus.mapping.document import Entries, Node, Text, Word, place, read_document
from isthmus.mapping.form import Findings, Form, group, kind, listed
from isthmus.mapping.load_model import load_model
from isthmus.mapping.spec import NOWHERE, Model, Position
from quality.kinds import KINDS

Severity = Literal["critical", "warning"]
NUMBERS = ("integer", "decimal", "count")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of a suite: a kind of `KINDS` with its typed arguments; `mostly` is the share that must hold."""

    kind: str
    about: str
    severity: Severity
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mostly: float = 1.0
    position: Position = NOWHERE

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns it looks at."""
        given = self.arguments
        found = (given.get("column"), given.get("other"), *given.get("columns", ()))
        return tuple(name for name in found if name)

    @property
    def name(self) -> str:
        """Return how findings call it, e.g. `unique(key)`."""
        return f"{self.kind}({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True)
class Suite:
    """What is expected of one object."""

    object: str
    about: str
    expectations: tuple[Expectation, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that the suite looks at, the key first."""
        return tuple(dict.fromkeys(["key", *(name for line in self.expectations for name in line.columns)]))


def load_suites(folder: Path) -> dict[str, Suite]:
    """Read the suites of a project folder, by object; raises SpecError with all findings."""
    suites, findings = read_suites(folder)
    if findings:
        raise SpecError(findings)
    return suites


def read_suites(folder: Path) -> tuple[dict[str, Suite], tuple[Finding, ...]]:
    """Read the suites of a project folder; return those that could be read, and what is wrong."""
    findings, suites = Findings(), {}
    for path in sorted((folder / "quality" / "suites").glob("*.y*ml")):
        root = read_root(path, f"quality/suites/{path.name}", findings)
        if root is not None:
            model = _model(folder, path.stem, root, findings)
            suites[path.stem] = _suite(root, path.stem, column_types(model) if model else None, findings)
    for path in sorted((folder / "quality" / "warehouse").glob("*.y*ml")):
        root = read_root(path, f"quality/warehouse/{path.name}", findings)
        if root is not None:
            types = _store_types(folder, path.stem, root, findings)
            suites[f"warehouse.{path.stem}"] = _suite(root, path.stem, types, findings)
    return suites, findings.sorted()


def read_root(path: Path, name: str, findings: Findings) -> Entries | None:
    """Read a file that is a group of keys; None where it is none."""
    root, found = read_document(path.read_bytes(), name)
    findings.found.extend(found)
    if isinstance(root, Entries):
        return root
    if root is not None:
        findings.add(root.position, f'a file is a group of "key: value" lines; this is {kind(root)}.')
    return None


def _model(folder: Path, name: str, root: Entries, findings: Findings) -> Model | None:
    path = folder / "mappings" / "model" / f"{name}.yaml"
    if path.is_file():
        node, _ = read_document(path.read_bytes(), str(path))
        return load_model(node, Findings()) if isinstance(node, Entries) else None
    known = sorted(file.stem for file in path.parent.glob("*.yaml"))
    hint = did_you_mean(name, known) or f" Known: {', '.join(known)}."
    findings.add(root.position, f'the model has no object "{name}"; a suite is called like its object.{hint}')
    return None


def _store_types(folder: Path, name: str, root: Entries, findings: Findings) -> dict[str, str] | None:
    """Return the columns of a store of the warehouse with their types; None where there is no such store."""
    path = folder / "warehouse" / "stores" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        hint = did_you_mean(name, known) or f" Known: {', '.join(known)}."
        findings.add(root.position, f'the warehouse has no store "{name}"; a suite is called like its store.{hint}')
        return None
    node, _ = read_document(path.read_bytes(), str(path))
    fields = Form(node, "a store", (), Findings()).entries("fields") if isinstance(node, Entries) else None
    types = {"key": "text", "record_mode": "text"}
    for key, said in fields.pairs if fields else ():
        text = said.value if isinstance(said, Text) else ""
        if isinstance(said, Entries):
            text = Form(said, "a field", (), Findings()).word("type")
        of = text.partition("(")[0]
        types[key.value] = "decimal" if of in ("amount", "quantity") else of
    return types


def column_types(model: Model) -> dict[str, str]:
    """Return every column a suite may name with its type: the key, fields, and what is counted of lists."""
    types: dict[str, str] = {"key": "text", **{item.name: item.type for item in model.fields}}
    for entry in model.lists:
        types[f"{entry.name}_count"] = "count"
        if entry.history:
            types[f"{entry.name}_overlaps"] = types[f"{entry.name}_gaps"] = "count"
    return types


def _suite(root: Entries, name: str, types: Mapping[str, str] | None, findings: Findings) -> Suite:
    form = Form(root, "a suite", ("suite", "about", "expect"), findings)
    said = form.word("suite", required=True)
    if said and said != name:
        findings.add(place(said), f'"suite" is "{said}" but the file is called "{name}". Give both the same name.')
    lines = tuple(line for node in form.items("expect") if (line := _line(node, types, findings)))
    if not form.has("expect"):
        findings.add(root.position, 'a suite needs "expect", a list of expectations. Add it.')
    return Suite(name, form.word("about", required=True), lines)


def _line(node: Node, types: Mapping[str, str] | None, findings: Findings) -> Expectation | None:
    entries = group(node, "expect", findings)
    if not entries.pairs:
        return None
    form = Form(entries, "an expectation", (), findings)
    name = form.word("expect", required=True)
    if name not in KINDS:
        if name:
            hint = did_you_mean(name, KINDS) or f" Possible: {', '.join(KINDS)}."
            findings.add(place(name), f'there is no expectation "{name}".{hint}')
        return None
    known = KINDS[name]
    allowed = ("expect", "about", "severity", *known.needs, *known.may, *(("mostly",) if known.rows else ()))
    form = Form(entries, f'"{name}"', allowed, findings)
    before = len(findings.found)
    arguments = _arguments(form, (*known.needs, *known.may), known.needs, types, findings)
    if "from" in known.may and len(findings.found) == before and not {"from", "to"} & set(arguments):
        findings.add(form.position, f'"{name}" needs "from", "to" or both. Add one.')
    mostly = form.number("mostly", 1.0)
    if not 0 < mostly <= 1:
        findings.add(form.where("mostly"), '"mostly" is a share between 0 and 1, such as 0.95.')
    severity = form.choice("severity", ("critical", "warning"), "warning")
    if not form.has("severity"):
        findings.add(form.position, f'"{name}" needs "severity": {listed(("critical", "warning"))}. Add it.')
    about = form.word("about", required=True)
    return Expectation(name, about, cast(Severity, str(severity)), arguments, mostly, form.position)


def _arguments(
    form: Form, keys: Sequence[str], needs: Sequence[str], types: Mapping[str, str] | None, findings: Findings
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in keys:
        if not form.has(key):
            if key in needs:
                findings.add(form.position, f'{form.what} needs "{key}". Add it.')
            continue
        if key in ("columns", "values"):
            found[key] = tuple(form.words(key))
        else:
            found[key] = form.word(key)
    for name in (*(found[key] for key in ("column", "other") if key in found), *found.get("columns", ())):
        _known_column(name, types, findings)
    of = (types or {}).get(found.get("column", ""), "")
    return {key: _typed(key, value, of, findings) for key, value in found.items()}


def _known_column(name: Word, types: Mapping[str, str] | None, findings: Findings) -> None:
    if name and types is not None and name not in types:
        hint = did_you_mean(name, types) or f" Columns: {', '.join(types)}."
        findings.add(place(name), f'the model has no column "{name}".{hint}')


def _typed(key: str, value: Any, of: str, findings: Findings) -> Any:
    """Return an argument in the type of its column: bounds and values of numbers, dates, booleans, else text."""
    if key == "values":
        return tuple(_value(word, of, findings) for word in value)
    if key in ("from", "to"):
        return _value(value, of or "count", findings)
    if key == "length":
        return _value(value, "count", findings)
    if key == "pattern":
        return _pattern(value, findings)
    return tuple(map(str, value)) if key == "columns" else str(value)


def _value(word: Word, of: str, findings: Findings) -> Any:
    try:
        if of in NUMBERS:
            return float(word) if "." in word else int(word)
        if of == "date":
            return date.fromisoformat(word)
        if of == "boolean":
            return {"yes": True, "no": False}[word]
    except (ValueError, KeyError):
        wanted = {"date": "a date such as 2024-12-31", "boolean": "yes or no"}.get(of, "a number")
        findings.add(place(word), f'"{word}" is no value of this column; expected {wanted}.')
    return str(word)


def _pattern(word: Word, findings: Findings) -> str:
    try:
        re.compile(word)
    except re.error as error:
        findings.add(place(word), f'"{word}" is no regular expression: {error}.')
    return str(word)
