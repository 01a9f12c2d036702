"""`warehouse/stores/<store>.yaml` into a Store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast, get_args

from isthmus.mapping.document import Entries, Items, Node, Text, Word
from isthmus.mapping.form import Findings, Form, group, one_value
from isthmus.mapping.load_table import parsed
from isthmus.mapping.spec import Catalogue, Field, ListField, Model
from warehouse.grammar import UNREAD, read_type
from warehouse.spec import OWN, FeedMode, Posted, Store, StoreFeed, StoreField, Type

STORE = ("store", "about", "object", "list", "key", "feeds", "fields", "posted", "history")
FEED = ("mode", "query", "sequence", "control")
FIELD = ("type", "meaning", "from")
POSTED = ("dimension", "attribute", "by", "on")
MODES: tuple[FeedMode, ...] = get_args(FeedMode)


def load_store(root: Entries, catalogue: Catalogue | None, findings: Findings) -> Store:
    """Read a store; what fields mean comes from the shared model unless it is said."""
    form = Form(root, "a store", STORE, findings)
    if not form.has("key"):
        findings.add(form.position, f'{form.what} needs "key", the fields that identify a record. Add it.')
    for name, what in (("key", "the fields that identify a record"), ("feeds", "systems"), ("fields", "fields")):
        filled(form, name, what)
    object_, list_ = form.word("object"), form.word("list")
    known = source_fields(catalogue.models.get(object_) if catalogue else None, list_)
    return Store(
        name=form.word("store", required=True),
        about=form.word("about", required=True),
        object=object_,
        key=form.words("key"),
        fields=tuple(_field(key, node, known, findings) for key, node in form.entries("fields", required=True).pairs),
        feeds=tuple(_feed(key, node, findings) for key, node in form.entries("feeds", required=True).pairs),
        list=list_,
        posted=tuple(_posted(form, findings)),
        history=form.words("history"),
        position=root.position,
    )


def source_fields(model: Model | None, list_: str = "") -> Mapping[str, Field]:
    """Return what a store may take from an object of the model: its fields, or a list's entries' and then its own."""
    if model is None:
        return {}
    entry = model.list(list_) if list_ else None
    return {field.name: field for field in (*model.fields, *(_entry_fields(entry) if entry else ()))}


def _entry_fields(entry: ListField) -> tuple[Field, ...]:
    """Return the fields of a list; a slice has its first and its last day (or moment) besides."""
    if not entry.history:
        return entry.fields
    first = Field("from", "date", meaning="First day of the slice.", position=entry.position)
    last = Field("until", "date", meaning="Day after its last; nothing while it is open.", position=entry.position)
    return (*entry.fields, first, last)


def filled(form: Form, name: str, what: str) -> None:
    """Note a list or group that is there and has nothing in it."""
    node = form.node.get(name)
    if (isinstance(node, Entries) and not node.pairs) or (isinstance(node, Items) and not node.items):
        form.findings.add(form.where(name), f'"{name}" names none. Write {what}, at least one.')


def type_of(text: Text | None, findings: Findings) -> Type:
    """Read a type; what is none is a finding and fits everything."""
    return parsed(text, read_type, UNREAD, findings)


def _field(key: Text, node: Node, known: Mapping[str, Field], findings: Findings) -> StoreField:
    if isinstance(node, Text):
        type_, source, meaning = type_of(one_value(node, key.value, findings), findings), key.word, Word("")
    else:
        form = Form(group(node, key.value, findings), "a field", FIELD, findings)
        type_ = type_of(form.scalar("type", required=bool(form.node.pairs)), findings)
        source, meaning = form.word("from") or key.word, form.word("meaning")
    said = known.get(source)
    return StoreField(key.word, type_, meaning or (said.meaning if said else ""), source, key.position)


def _feed(key: Text, node: Node, findings: Findings) -> StoreFeed:
    if isinstance(node, Text) and not node.empty:  # `isu: after` says all there is to say
        short = Form(Entries(((key, node),), key.position), "a feed", (), findings)
        return StoreFeed(key.word, _mode(short, key.value, key.value), position=key.position)
    form = Form(group(node, key.value, findings), "a feed", FEED, findings)
    return StoreFeed(
        system=key.word,
        mode=_mode(form, "mode", key.value),
        query=form.word("query"),
        sequence=form.word("sequence"),
        control=form.words("control"),
        position=key.position,
    )


def _mode(form: Form, name: str, system: str) -> FeedMode:
    return cast(FeedMode, str(form.choice(name, MODES, "full" if system == OWN else "after")))


def _posted(form: Form, findings: Findings) -> Iterator[Posted]:
    for key, node in form.entries("posted").pairs:
        entry = Form(group(node, key.value, findings), "a posted attribute", POSTED, findings)
        there = bool(entry.node.pairs)
        yield Posted(
            name=key.word,
            dimension=entry.word("dimension", required=there),
            attribute=entry.word("attribute") or key.word,
            by=entry.word("by", required=there),
            on=entry.word("on"),
            position=key.position,
        )
