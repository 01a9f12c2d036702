"""`quality/checks.yaml`: what is looked for across all rows of an object, declared by its mapped fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from isthmus.errors import Finding, SpecError, did_you_mean
from isthmus.mapping.document import Node, Word, place
from isthmus.mapping.form import Findings, Form, group, listed
from isthmus.mapping.spec import NOWHERE, Catalogue, MappingSpec, Model, Position
from quality.suite import read_root

FILE = "checks.yaml"
CHECK = ("check", "expect", "about", "object", "system", "same", "differ", "used_by", "of", "severity")
WHAT = {
    "one_object": "objects whose fields `same` are all set and equal are one object",
    "all_or_none": "of objects with equal `same`, each value of `differ` is referred to by `used_by`, or none is",
    "own_spelling": "`of` (the key, or the period of a list) is spelled in the source as Isthmus would write it",
}
Expect = Literal["one_object", "all_or_none", "own_spelling"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check across the rows of an object as one system speaks it.

    `same` and `differ` are fields (`list.field` inside a list), `used_by` is (object, field) with a reference to
    the object, `of` is `key` or the name of a list.
    """

    name: str
    expect: Expect
    about: str
    object: str
    system: str
    same: tuple[str, ...] = ()
    differ: str = ""
    used_by: tuple[str, str] = ("", "")
    of: str = ""
    severity: Literal["critical", "warning"] = "warning"
    position: Position = NOWHERE

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields that are read of each object."""
        return (*self.same, *([self.differ] if self.differ else []))


def load_checks(folder: Path, catalogue: Catalogue) -> tuple[Check, ...]:
    """Read the checks of a project folder; raises SpecError with all findings."""
    checks, findings = read_checks(folder, catalogue)
    if findings:
        raise SpecError(findings)
    return checks


def read_checks(folder: Path, catalogue: Catalogue) -> tuple[tuple[Check, ...], tuple[Finding, ...]]:
    """Read the checks of a project folder; return those that could be read, and what is wrong."""
    path, findings = folder / "quality" / FILE, Findings()
    if not path.is_file():
        return (), ()
    root = read_root(path, f"quality/{FILE}", findings)
    if root is None:
        return (), findings.sorted()
    form = Form(root, "the file of checks", ("about", "checks"), findings)
    form.word("about", required=True)
    found = [check for node in form.items("checks") if (check := _check(node, catalogue, findings))]
    for place_, check in enumerate(found):
        if any(check.name == other.name for other in found[:place_]):
            findings.add(check.position, f'there is a check "{check.name}" above already. Give one another name.')
    return tuple(found), findings.sorted()


def _check(node: Node, catalogue: Catalogue, findings: Findings) -> Check | None:
    form = Form(group(node, "checks", findings), "a check", CHECK, findings)
    if not form.node.pairs:
        return None
    before = len(findings.found)
    object_, system = form.word("object", required=True), form.word("system", required=True)
    specs = catalogue.mappings.get((system, object_), ())
    if object_ and object_ not in catalogue.models:
        findings.add(place(object_), f'the model has no object "{object_}".{did_you_mean(object_, catalogue.models)}')
    elif system and not specs:
        known = sorted(speaker for speaker, name in catalogue.mappings if name == object_)
        hint = did_you_mean(system, known) or f" It is spoken by {', '.join(known)}."
        findings.add(place(system), f'no mapping says how "{system}" speaks {object_}.{hint}')
    expect = form.choice("expect", tuple(WHAT), "one_object")
    _needs(form, str(expect), findings)
    same, differ, of = form.words("same"), form.word("differ"), form.word("of")
    used_by = form.word("used_by")
    check = Check(
        name=form.word("check", required=True),
        expect=cast(Expect, str(expect)),
        about=form.word("about", required=True),
        object=object_,
        system=system,
        same=same,
        differ=differ,
        used_by=cast(tuple[str, str], tuple(used_by.partition(".")[::2])),
        of=of,
        severity=cast(Literal["critical", "warning"], str(form.choice("severity", ("critical", "warning"), "warning"))),
        position=form.position,
    )
    if specs and len(findings.found) == before:
        _known_names(check, used_by, catalogue, specs, findings)
    return check if len(findings.found) == before else None


def _needs(form: Form, expect: str, findings: Findings) -> None:
    """Note which keys a kind of check lacks or does not take."""
    needs = {"one_object": ("same",), "all_or_none": ("same", "differ", "used_by"), "own_spelling": ("of",)}
    every = ("same", "differ", "used_by", "of")
    if not form.has("expect"):
        findings.add(form.position, f'a check needs "expect": {listed(WHAT)}. Add it.')
        return
    for name in every:
        if name in needs[expect] and not form.has(name):
            findings.add(form.position, f'"{expect}" needs "{name}": {WHAT[expect]}. Add it.')
        if form.has(name) and name not in needs[expect]:
            findings.add(form.where(name), f'"{expect}" does not look at "{name}". Remove it.')


def _known_names(
    check: Check, used_by: Word, catalogue: Catalogue, specs: Sequence[MappingSpec], findings: Findings
) -> None:
    model = catalogue.models[check.object]
    names = spoken(model, specs)
    for name in check.fields:
        if name not in names:
            hint = did_you_mean(name, names) or f" It speaks {', '.join(names)}."
            findings.add(place(name, check.position), f'{check.system} does not speak of "{name}".{hint}')
    lists = {name.partition(".")[0] if "." in name else "" for name in check.fields}
    if len(lists) > 1:
        findings.add(check.position, "the fields of a check are all of the object itself, or all of one list of it.")
    if check.of and check.of != "key" and not any(entry.name == check.of and entry.period for entry in specs[0].lists):
        known = ["key", *(entry.name for entry in specs[0].lists if entry.period)]
        hint = did_you_mean(check.of, known)
        findings.add(place(check.of), f'"of" is {listed(known)}, not "{check.of}".{hint}')
    if used_by:
        _known_reference(check, used_by, catalogue, findings)


def spoken(model: Model, specs: Sequence[MappingSpec]) -> list[str]:
    """Return the fields of the model that a system's mapping reads, those of lists as `list.field`."""
    own = {line.name for spec in specs for line in (*spec.fields, *spec.reads)}
    inner = {
        f"{entry.name}.{line.name}" for spec in specs for entry in spec.lists for line in (*entry.fields, *entry.reads)
    }
    listed_ = [f"{entry.name}.{item.name}" for entry in model.lists for item in entry.fields]
    return [name for name in (*(item.name for item in model.fields), *listed_) if name in own | inner]


def _known_reference(check: Check, used_by: Word, catalogue: Catalogue, findings: Findings) -> None:
    object_, name = check.used_by
    model = catalogue.models.get(object_)
    item = model.field(name) if model else None
    if model is None or item is None or item.type != "ref" or item.args[0] != check.object:
        known = [
            f"{other.object}.{field.name}"
            for other in catalogue.models.values()
            for field in other.fields
            if field.type == "ref" and field.args and field.args[0] == check.object
        ]
        hint = did_you_mean(used_by, known) or f" Those are: {', '.join(known) or 'none'}."
        findings.add(place(used_by), f'"{used_by}" is no reference to {check.object}.{hint}')
    elif (check.system, object_) not in catalogue.mappings:
        findings.add(place(used_by), f"no mapping says how {check.system} speaks {object_}.")
