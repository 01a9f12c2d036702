"""`mappings/model/<object>.yaml` into a Model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast, get_args

from isthmus.errors import did_you_mean
from isthmus.mapping.document import Entries, Items, Node, Text, place
from isthmus.mapping.form import Findings, Form, group, kind, one_value
from isthmus.mapping.grammar import Misread
from isthmus.mapping.load_table import parsed
from isthmus.mapping.pipe import read_call
from isthmus.mapping.predicate import read_predicate
from isthmus.mapping.spec import Field, ListField, Model, Refusal, Scoring, Type

MODEL = ("object", "about", "key", "match", "variants", "deleted", "fields", "each", "refuse")
SCORING = ("score", "block", "same", "doubtful")
MARKER = ("owner", "on_conflict", "edits")
FIELD = ("type", "meaning", "owner", "on_conflict", "edits", "along", "unit", "personal", "required")
LIST = ("history", "match", "meaning", "fields")
OWNERS = ("back_office", "front_office")
ON_CONFLICT = ("owner", "newest", "hold")
EDITS = ("both", "owner")
WITH_ARGUMENT = {
    "text": "its length: text(40)",
    "code": "its code table: code(division)",
    "decimal": "its digits: decimal(13.2)",
    "ref": "the object it refers to: ref(contract_account)",
}


def load_model(root: Entries, findings: Findings) -> Model:
    """Read an object of the shared model."""
    form = Form(root, "a model", MODEL, findings)
    return Model(
        object=form.word("object", required=True),
        about=form.word("about", required=True),
        key=form.word("key", required=True),
        fields=_fields(form),
        lists=tuple(_list(key, node, findings) for key, node in form.entries("each").pairs),
        match=_match(form, findings),
        variants=form.word("variants"),
        deleted=_marker(form, findings),
        scoring=_scoring(form, findings),
        refuses=tuple(_refusals(form, findings)),
        position=root.position,
    )


def _marker(form: Form, findings: Findings) -> Field:
    """Read `deleted: {owner: ..., on_conflict: ..., edits: ...}`, the policy of the delete marker."""
    marker = Form(form.entries("deleted"), '"deleted"', MARKER, findings)
    return Field("deleted", "boolean", **_policy(marker), position=form.where("deleted"))


def _refusals(form: Form, findings: Findings) -> Iterator[Refusal]:
    for node in form.items("refuse"):
        rule = Form(group(node, "refuse", findings), 'an entry of "refuse"', ("fields", "when", "because"), findings)
        there = bool(rule.node.pairs)
        when = parsed(rule.scalar("when", required=there), read_predicate, None, findings)
        because = rule.word("because", required=there)
        if there and not rule.has("fields"):
            findings.add(rule.position, f'{rule.what} needs "fields", the fields that must not change. Add it.')
        elif when is not None and because:
            yield Refusal(rule.words("fields"), when, because, rule.position)


def _policy(form: Form) -> dict[str, Any]:
    return {
        "owner": form.choice("owner", OWNERS, ""),
        "on_conflict": form.choice("on_conflict", ON_CONFLICT, "owner"),
        "edits": form.choice("edits", EDITS, "both"),
    }


def _match(form: Form, findings: Findings) -> tuple[tuple[str, ...], ...]:
    """Read `match: [[number], [name, birth_date]]`; a flat list is one group, a group of keys is the scoring."""
    items = form.items("match")
    if items and all(isinstance(node, Text) for node in items):
        return (form.words("match"),)
    groups = []
    for node in items:
        if isinstance(node, Entries):
            continue
        if not isinstance(node, Items):
            message = f'"match" is a list of lists of fields; this is {kind(node)}. Write [[number]].'
            findings.add(node.position, message)
            continue
        words = [text.word for item in node.items if (text := one_value(item, "match", findings))]
        groups.append(tuple(words))
    return tuple(groups)


def _scoring(form: Form, findings: Findings) -> Scoring | None:
    """Read `{score: {name: 3, ...}, block: [...], same: 0.95, doubtful: 0.7}`, one entry of `match`."""
    value = form.node.get("match")
    found = [node for node in (value.items if isinstance(value, Items) else ()) if isinstance(node, Entries)]
    for node in found[1:]:
        findings.add(node.position, 'an object has one scoring. Put all fields under one "score".')
    if not found:
        return None
    rule = Form(found[0], 'an entry of "match" with a score', SCORING, findings)
    weights = Form(rule.entries("score", required=True), '"score"', (), findings)
    given: dict[str, float] = {key.word: weights.number(key.value, 1.0) for key, _ in weights.node.pairs}
    for name, weight in given.items():
        if not 0 < weight < 1000:
            findings.add(place(name, rule.position), f'the weight of "{name}" is a number above 0, such as 3.')
    if not rule.has("block"):
        message = f'{rule.what} needs "block", fields of which two records must share one to be compared. Add it.'
        findings.add(rule.position, message)
    same, doubtful = rule.number("same", 0.95), rule.number("doubtful", 0.7)
    if not 0 < doubtful <= same <= 1:
        findings.add(
            rule.where("same"), '"doubtful" and "same" lie between 0 and 1, and "doubtful" is not above "same".'
        )
    return Scoring(given, rule.words("block"), same, doubtful, rule.position)


def _fields(form: Form) -> tuple[Field, ...]:
    found = form.entries("fields", required=True)
    return tuple(_field(key, node, form.findings) for key, node in found.pairs)


def _field(key: Text, node: Node, findings: Findings) -> Field:
    if isinstance(node, Text):
        text = one_value(node, key.value, findings)
        kind_, args = read_type(text, findings) if text else UNKNOWN
        return Field(key.word, kind_, args, position=key.position)
    form = Form(group(node, key.value, findings), "a field", FIELD, findings)
    text = form.scalar("type", required=bool(form.node.pairs))
    kind_, args = read_type(text, findings) if text else UNKNOWN
    return Field(
        name=key.word,
        type=kind_,
        args=args,
        meaning=form.word("meaning"),
        unit=form.word("unit"),
        **_policy(form),
        along=form.yes("along"),
        personal=form.yes("personal"),
        required=form.yes("required"),
        position=key.position,
    )


def _list(key: Text, node: Node, findings: Findings) -> ListField:
    form = Form(group(node, key.value, findings), "a list of a model", LIST, findings)
    return ListField(
        name=key.word,
        fields=_fields(form),
        match=form.words("match"),
        history=form.yes("history"),
        meaning=form.word("meaning"),
        position=key.position,
    )


UNKNOWN: tuple[Type, tuple[str, ...]] = ("text", ())  # of a field whose type is wrong: fits everything


def read_type(text: Text, findings: Findings) -> tuple[Type, tuple[str, ...]]:
    """Read `text(10)`, `code(division)`, `date` ...; what is no type is a finding and fits everything."""
    try:
        call = read_call(text)
    except Misread as error:
        findings.add(error.position, error.message)
        return UNKNOWN
    wrong = _wrong_type(call.name, call.args)
    if wrong:
        offending = call.args[0] if call.name in WITH_ARGUMENT and call.args else ""
        findings.add(place(offending, call.position), wrong)
        return UNKNOWN
    return cast(Type, call.name), call.args


def _wrong_type(name: str, args: tuple[str, ...]) -> str:
    types = get_args(Type)
    if name not in types:
        hint = did_you_mean(name, types) or f" Types are {', '.join(types)}."
        return f'there is no type "{name}".{hint}'
    if name not in WITH_ARGUMENT:
        return f'"{name}" takes no arguments. Write "{name}".' if args else ""
    if len(args) != 1:
        return f'"{name}" needs {WITH_ARGUMENT[name]}.'
    if name == "text" and not (args[0].isascii() and args[0].isdigit() and int(args[0][:9]) > 0):
        return f'"{args[0]}" is no length. Write a whole number of characters: text(40).'
    if name == "decimal" and not is_precision(args[0]):
        return f'"{args[0]}" is no number of digits. Write all digits and those after the point: decimal(13.2).'
    return ""


def is_precision(text: str) -> bool:
    """Tell whether a text is `p.s`, 1 to 38 digits of which at most all stand after the point."""
    parts = text.split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 3 for part in parts):
        return False
    return 0 < int(parts[0]) <= 38 and int(parts[1]) <= int(parts[0])
