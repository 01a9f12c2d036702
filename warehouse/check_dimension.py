"""Checks of shared dimensions, and of the attributes that stores take from them as posted."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapping.document import place
from warehouse.check_feed import read_by_query
from warehouse.check_scope import DAYS, SOURCE, Scope
from warehouse.grammar import UNREAD
from warehouse.spec import Dimension, Posted, Store, Type


def check(scope: Scope) -> None:
    """Check every dimension, every posted attribute, and that stores do not wait for each other."""
    for dimension in scope.warehouse.dimensions.values():
        _shows_a_store(dimension, scope)
    for store in scope.warehouse.stores.values():
        for posted in store.posted:
            _can_be_looked_up(posted, store, scope)
    _nobody_waits_in_a_ring(scope)


def refers(type_: Type, key: Type) -> bool:
    """Tell whether values of a type may be keys of a dimension with that key."""
    return UNREAD in (type_, key) or type_.kind == key.kind


def _shows_a_store(dimension: Dimension, scope: Scope) -> None:
    if not dimension.store or not scope.file("stores", dimension.store, "there is no store", dimension.position):
        return
    store = scope.warehouse.stores.get(dimension.store)
    if store is None or not store.key or not store.fields:
        return
    if len(store.key) > 1:
        message = f"a dimension has one key, but {store.name} is known by {' and '.join(store.key)}."
        message += " Show a store whose key is one field, or give this one a single key."
        scope.add(place(dimension.store, dimension.position), message)
    elif dimension.key and dimension.key != store.key[0]:
        message = f'the key of {store.name} is "{store.key[0]}", not "{dimension.key}". Write key: {store.key[0]}.'
        scope.add(place(dimension.key, dimension.position), message)
    names = [name for name in scope.columns(store) if name != SOURCE]
    for word in (*([dimension.text] if dimension.text else []), *dimension.attributes):
        if word in store.key:
            message = f'"{word}" is the key already, so it is no attribute. Remove it here.'
            scope.add(place(word, dimension.position), message)
        else:
            scope.known(word, names, f"{store.name} has no field", dimension.position)


def _can_be_looked_up(posted: Posted, store: Store, scope: Scope) -> None:
    fields = [field.name for field in store.fields]
    by, on = store.field(posted.by), store.field(posted.on)
    for word in (posted.by, posted.on):
        if word and fields:
            scope.known(word, fields, f"{store.name} has no field", posted.position)
    if on is not None and on.type is not UNREAD and on.type.kind not in DAYS:
        message = f'"{posted.on}" is {on.type}, and no day as of which to look. Name a date, or remove "on".'
        scope.add(place(posted.on, posted.position), message)
    if not posted.dimension:
        return
    if not scope.file("dimensions", posted.dimension, "there is no dimension", posted.position):
        return
    dimension = scope.warehouse.dimensions.get(posted.dimension)
    if dimension is None:
        return
    what = f'dimension "{dimension.name}" has no attribute'
    known = [*dimension.attributes, *([dimension.text] if dimension.text else [])]
    if posted.attribute not in known:
        shown = scope.warehouse.stores.get(dimension.store)
        if shown is not None and posted.attribute in scope.columns(shown):
            hint = f" The store has it: add it to the attributes of warehouse/dimensions/{dimension.name}.yaml."
            scope.add(place(posted.attribute, posted.position), f'{what} "{posted.attribute}".{hint}')
        else:
            scope.known(posted.attribute, known, what, posted.position)
    key = _key_type(dimension, scope)
    if by is not None and not refers(by.type, key):
        message = f'"{posted.by}" is {by.type}, but the key of {dimension.name} is {key}. Name the field with its key.'
        scope.add(place(posted.by, posted.position), message)


def _key_type(dimension: Dimension, scope: Scope) -> Type:
    store = scope.warehouse.stores.get(dimension.store)
    field = store.field(store.key[0]) if store and len(store.key) == 1 else None
    return field.type if field else UNREAD


def key_type(name: str, scope: Scope) -> Type:
    """Return the type of a dimension's key, UNREAD where it is not known."""
    dimension = scope.warehouse.dimensions.get(name)
    return _key_type(dimension, scope) if dimension else UNREAD


def _nobody_waits_in_a_ring(scope: Scope) -> None:
    """A record is activated after those it is looked up in and made of, so there must be a first store."""
    told: set[frozenset[str]] = set()
    for name, store in scope.warehouse.stores.items():
        ring = _ring(scope, name, (name,), set())
        if ring and frozenset(ring) not in told:
            told.add(frozenset(ring))
            message = f"stores wait for each other in a ring: {' -> '.join((*ring, ring[0]))}."
            posted = next((item for item in store.posted if _store_of(item, scope) == ring[1 % len(ring)]), None)
            todo = (
                "Remove one of these lookups." if posted else "Change the query, or the lookups of the stores it reads."
            )
            scope.add((posted or store).position, f"{message} {todo}")


def _ring(scope: Scope, start: str, path: tuple[str, ...], visited: set[str]) -> tuple[str, ...]:
    for name in _waits_for(scope.warehouse.stores[path[-1]], scope):
        if name == start:
            return path
        if name in visited or name not in scope.warehouse.stores:
            continue
        visited.add(name)
        ring = _ring(scope, start, (*path, name), visited)
        if ring:
            return ring
    return ()


def _waits_for(store: Store, scope: Scope) -> Iterator[str]:
    yield from (name for item in store.posted if (name := _store_of(item, scope)))
    yield from read_by_query(store, scope)


def _store_of(posted: Posted, scope: Scope) -> str:
    dimension = scope.warehouse.dimensions.get(posted.dimension)
    return dimension.store if dimension else ""
