"""`mappings/<system>/<object>.yaml` into one MappingSpec, or one per variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from isthmus.mapping.document import Entries, Node, Text, Word
from isthmus.mapping.form import Findings, Form, group, kind
from isthmus.mapping.load_table import load_fields, load_make, load_tables, parsed, pipe_at
from isthmus.mapping.predicate import read_predicate
from isthmus.mapping.spec import (
    Example,
    MappedField,
    MappedList,
    MappingSpec,
    Model,
    Pipe,
    Rule,
)

VARIANT = (
    *("tables", "key", "known_as", "deleted", "where", "make", "fields", "reads", "copies", "each"),
    *("reject", "warn", "examples", "constants", "create", "about", "if"),
)
MAPPING = ("object", "system", "variants", *VARIANT)
LIST = ("tables", "period", "fields", "reads", "make", "missing", "if")
MERGED = ("tables", "make", "fields", "reads", "copies", "each", "known_as", "constants")


def load_mapping(root: Entries, model: Model | None, findings: Findings) -> tuple[MappingSpec, ...]:
    """Read how a system speaks an object; `model` is None where its file could not be read."""
    Form(root, "a mapping", MAPPING, findings)
    variants = root.get("variants")
    if variants is None:
        return (_spec(root, "", model, findings),)
    named = group(variants, "variants", findings).pairs
    specs = []
    for key, node in named:
        Form(group(node, key.value, findings), f'variant "{key.value}"', VARIANT, findings)
        specs.append(_spec(_merged(root, node), key.word, model, findings))
    return tuple(specs)


def _merged(root: Entries, variant: Node) -> Entries:
    """Lay a variant's keys over the top-level ones: groups are merged, the rest is replaced, rules are added."""
    over = variant if isinstance(variant, Entries) else Entries(())
    pairs: dict[str, tuple[Text, Node]] = {key.value: (key, node) for key, node in root.pairs}
    pairs.pop("variants", None)
    for key, node in over.pairs:
        below = pairs.get(key.value)
        pairs[key.value] = (key, _laid(key.value, below[1], node) if below else node)
    return Entries(tuple(pairs.values()), root.position)


def _laid(name: str, below: Node, above: Node) -> Node:
    if name in MERGED and isinstance(below, Entries) and isinstance(above, Entries):
        pairs = {key.value: (key, node) for key, node in below.pairs}
        pairs.update({key.value: (key, node) for key, node in above.pairs})
        return Entries(tuple(pairs.values()), below.position)
    if name in ("reject", "warn", "examples") and not isinstance(below, Text | Entries):
        return type(below)((*below.items, *getattr(above, "items", ())), below.position)
    return above


def _spec(root: Entries, variant: Word | str, model: Model | None, findings: Findings) -> MappingSpec:
    form = Form(root, "a mapping", (), findings)
    constants = {key: text.word for key, text in form.texts("constants").items()}
    if variant and model and model.variants:
        constants.setdefault(model.variants, Word(variant))
    return MappingSpec(
        object=form.word("object", required=True),
        system=form.word("system", required=True),
        about=form.word("about", required=True),
        tables=load_tables(form.entries("tables", required=True), findings),
        key=pipe_at(form.scalar("key", required=True), findings),
        fields=_fields(form, "fields"),
        reads=_fields(form, "reads"),
        copies=_fields(form, "copies"),
        lists=tuple(_list(key, node, findings) for key, node in form.entries("each").pairs),
        make=load_make(form),
        known_as={key: pipe_at(text, findings) for key, text in form.texts("known_as").items()},
        deleted=_deleted(form),
        where=parsed(form.scalar("where"), read_predicate, None, findings),
        rejects=_rules(form, "reject"),
        warns=_rules(form, "warn"),
        examples=_examples(form, variant, model),
        create=cast(Any, form.choice("create", ("rows", "never"), "rows")),
        variant=variant,
        constants=constants,
        condition=form.word("if"),
        position=root.position,
    )


def _fields(form: Form, name: str) -> tuple[MappedField, ...]:
    return tuple(
        MappedField(key.word, pipe_at(text, form.findings), key.position) for key, text in load_fields(form, name)
    )


def _list(key: Text, node: Node, findings: Findings) -> MappedList:
    form = Form(group(node, key.value, findings), "a list of a mapping", LIST, findings)
    period = form.scalar("period")
    return MappedList(
        name=key.word,
        tables=load_tables(form.entries("tables", required=bool(form.node.pairs)), findings),
        fields=_fields(form, "fields"),
        reads=_fields(form, "reads"),
        period=pipe_at(period, findings) if period else None,
        make=load_make(form),
        missing=cast(Any, form.choice("missing", ("keep", "delete"), "keep")),
        condition=form.word("if"),
        position=key.position,
    )


def _deleted(form: Form) -> Pipe | None:
    text = form.scalar("deleted")
    return None if text is None or text.value == "never" else pipe_at(text, form.findings)


def _rules(form: Form, name: str) -> tuple[Rule, ...]:
    rules = []
    for node in form.items(name):
        rule = Form(group(node, name, form.findings), f'an entry of "{name}"', ("when", "because"), form.findings)
        there = bool(rule.node.pairs)
        when = parsed(rule.scalar("when", required=there), read_predicate, None, form.findings)
        because = rule.word("because", required=there)
        if when is not None and because:
            rules.append(Rule(when, because, rule.position))
    return tuple(rules)


def _examples(form: Form, variant: str, model: Model | None) -> tuple[Example, ...]:
    examples = []
    for node in form.items("examples"):
        example = Form(group(node, "examples", form.findings), "an example", ("given", "gives"), form.findings)
        gives = _scalars(example, "gives")
        chosen = gives.get(model.variants) if model and model.variants and variant else None
        if chosen is None or chosen == variant:
            examples.append(Example(_scalars(example, "given"), gives, example.position))
    return tuple(examples)


def _scalars(form: Form, name: str) -> Mapping[str, str | None]:
    """Read a group of texts; a plain `null` is None.  A group inside is written with dots."""
    found: dict[str, str | None] = {}
    for key, node in form.entries(name, required=bool(form.node.pairs)).pairs:
        if isinstance(node, Entries):
            found.update(_dotted(key, node.pairs, form.findings))
        elif isinstance(node, Text):
            found[key.word] = None if node.null else _text(key, node, form.findings)
        else:
            form.findings.add(node.position, f'"{key.value}" is one value here; this is {kind(node)}.')
    return found


def _dotted(key: Text, pairs: tuple[tuple[Text, Node], ...], findings: Findings) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for inner, node in pairs:
        name = Word(f"{key.value}.{inner.value}", inner.position)
        if isinstance(node, Text):
            found[name] = None if node.null else _text(inner, node, findings)
        else:
            findings.add(node.position, f'"{name}" is one value here; this is {kind(node)}.')
    return found


def _text(key: Text, node: Text, findings: Findings) -> Word:
    if node.empty:
        findings.add(node.position, f'the value of "{key.value}" is missing. Write "" for a blank, null for nothing.')
    return node.word
