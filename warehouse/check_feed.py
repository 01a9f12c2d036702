"""Checks of feeds: systems and what they speak, the fields that order and control, queries of other stores."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.errors import Finding, did_you_mean
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from isthmus.mapping.spec import MappingSpec
from warehouse.check_scope import Scope
from warehouse.expression import NUMBERS
from warehouse.grammar import UNREAD
from warehouse.load_store import source_fields
from warehouse.spec import OWN, Kind, Store, StoreFeed

IN_ORDER: tuple[Kind, ...] = ("text", "date", "moment")  # types whose texts sort as their values do
TABLES = re.compile(r"\bwarehouse\.(inbound|active|changes|history)_(\w+)")


def check(store: Store, scope: Scope) -> None:
    """Check where a store's records come from."""
    for feed in store.feeds:
        _fields_fit(feed, store, scope)
        if feed.system == OWN:
            _query_is_there(feed, store, scope)
        else:
            _system_speaks(feed, store, scope)
    _fields_are_read(store, scope)


def read_by_query(store: Store, scope: Scope) -> tuple[str, ...]:
    """Return the stores that a store's query is made of."""
    sql = "".join(scope.queries.get(feed.query, "") for feed in store.feeds if feed.query)
    return read_by(sql)


def read_by(sql: str) -> tuple[str, ...]:
    """Return the stores whose tables a query names."""
    return tuple(dict.fromkeys(found.group(2) for found in TABLES.finditer(sql)))


def _fields_fit(feed: StoreFeed, store: Store, scope: Scope) -> None:
    names = [field.name for field in store.fields]
    for word in (*([feed.sequence] if feed.sequence else []), *feed.control):
        if not names or not scope.known(word, names, f"{store.name} has no field", feed.position):
            continue
        type_ = next(field.type for field in store.fields if field.name == word)
        if type_ is UNREAD:
            continue
        if word is feed.sequence and type_.kind not in IN_ORDER:
            message = f'"{word}" is {type_}, whose texts do not sort as its values do, so it tells no newer record.'
            scope.add(place(word, feed.position), f'{message} Name a text, date or moment, or remove "sequence".')
        if word is not feed.sequence and type_.kind not in NUMBERS:
            message = f'"{word}" is {type_}, which has no sum to control. Name amounts, quantities or numbers.'
            scope.add(place(word, feed.position), message)


def _query_is_there(feed: StoreFeed, store: Store, scope: Scope) -> None:
    if not feed.query:
        message = f'the feed "{OWN}" needs "query", the SQL file beside this one that makes the records.'
        scope.add(feed.position, f"{message} Add query: {store.name}.sql.")
        return
    if feed.mode != "full":
        message = f'a query gives all records every time, so its mode is "full", not "{feed.mode}". Write mode: full.'
        scope.add(feed.position, message)
    if feed.query not in scope.queries:
        hint = did_you_mean(feed.query, scope.queries) or " Write the query, or name the file it is in."
        message = f'there is no file "{feed.query}" in warehouse/stores.{hint}'
        scope.add(place(feed.query, feed.position), message)
        return
    for found in _unknown_tables(feed.query, scope):
        scope.findings.found.append(found)


def _unknown_tables(query: str, scope: Scope) -> Iterator[Finding]:
    """Yield the tables of stores that a query names and that are not there."""
    names = sorted(name for folder, name in scope.exist if folder == "stores")
    sql = scope.queries[query]
    for found in TABLES.finditer(sql):
        name, at = found.group(2), found.start(2)
        if name not in names:
            line, column = sql.count("\n", 0, at) + 1, at - sql.rfind("\n", 0, at)
            message = f'there is no store "{name}".{did_you_mean(name, names) or offered(names)}'
            yield Finding(f"warehouse/stores/{query}", line, column, message)


def _system_speaks(feed: StoreFeed, store: Store, scope: Scope) -> None:
    if feed.query:
        message = f'only the feed "{OWN}" has a query; {feed.system} is read as its mapping says. Remove "query".'
        scope.add(place(feed.query, feed.position), message)
    if scope.systems is None or scope.catalogue is None:
        return
    if not scope.known(feed.system, [*scope.systems, OWN], "isthmus.yaml names no system", feed.position):
        return
    if not store.object:
        message = f'{feed.system} delivers objects of the shared model, but this store names none. Add "object".'
        scope.add(feed.position, message)
        return
    specs = scope.mappings(store, feed.system)
    if store.object not in scope.catalogue.models or specs is None:
        return
    kind = scope.systems[feed.system]
    if not specs:
        speakers = [
            name for name, spoken in scope.systems.items() if (spoken, store.object) in scope.catalogue.mappings
        ]
        hint = f" It is spoken by {', '.join(speakers)}." if speakers else ""
        message = f'no mapping says how "{feed.system}" speaks {store.object}.{hint}'
        scope.add(feed.position, f"{message} Write mappings/{kind}/{store.object}.yaml, or name another system.")
    elif _has_list(store, scope) and not any(entry.name == store.list for spec in specs for entry in spec.lists):
        message = f'{kind} does not read the list "{store.list}" of {store.object}.'
        scope.add(feed.position, f'{message} Add it under "each" of mappings/{kind}/{store.object}.yaml.')


def _fields_are_read(store: Store, scope: Scope) -> None:
    """Every field is read from one system at least, the key from each."""
    read = {feed.system: names for feed in store.feeds if (names := _read(feed, store, scope)) is not None}
    model = scope.catalogue.models.get(store.object) if scope.catalogue else None
    if not read or model is None or len(read) < len([feed for feed in store.feeds if feed.system != OWN]):
        return
    there = source_fields(model, store.list)
    for field in store.fields:
        lacking = [system for system, names in read.items() if field.source not in names]
        if field.source in there and lacking and (len(lacking) == len(read) or field.name in store.key):
            system = lacking[0]
            file = f"mappings/{(scope.systems or {})[system]}/{store.object}.yaml"
            message = f'{system} does not read "{field.source}" of {store.object}, so nothing would ever stand here.'
            scope.add(field.position, f'{message} Add it under "reads" of {file}, or remove the field.')


def _has_list(store: Store, scope: Scope) -> bool:
    model = scope.catalogue.models.get(store.object) if scope.catalogue else None
    return bool(store.list and model and model.list(store.list))


def _read(feed: StoreFeed, store: Store, scope: Scope) -> frozenset[str] | None:
    """Return the fields a system reads of the store's object, or None where nobody can tell."""
    specs = scope.mappings(store, feed.system)
    return frozenset(name for spec in specs for name in _names(spec, store.list)) if specs else None


def _names(spec: MappingSpec, list_: str) -> Iterator[str]:
    yield from spec.constants
    yield from (line.name for line in (*spec.fields, *spec.reads))
    for entry in spec.lists:
        if entry.name == list_:
            yield from (line.name for line in (*entry.fields, *entry.reads))
            yield from (("from", "until") if entry.period else ())
