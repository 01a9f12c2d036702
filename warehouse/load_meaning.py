"""What columns mean where a file does not say it: it was said before, of the field they are taken from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from warehouse.grammar import SPREAD_MONTH
from warehouse.spec import Cube, CubeDimension, Dimension, Expression, Figure, Store, Warehouse

OF_SPREAD = "Month that this share of a spread record belongs to."


def explain(warehouse: Warehouse) -> Warehouse:
    """Fill in meanings: fields made of other stores mean what they mean there, dimensions and figures what is posted.

    A name that several stores have means what the first with an object of the model says, in the order of names.
    """
    known = {name: meaning for store in _by_trust(warehouse) for name, meaning in _said(store)}
    stores = {name: _explained_store(store, known) for name, store in warehouse.stores.items()}
    cubes = {name: _explained_cube(cube, stores, warehouse.dimensions) for name, cube in warehouse.cubes.items()}
    return replace(warehouse, stores=stores, cubes=cubes)


def _by_trust(warehouse: Warehouse) -> list[Store]:
    """Return stores so that the first with an object comes last: what comes later is what counts."""
    return sorted(reversed(list(warehouse.stores.values())), key=lambda store: bool(store.object))


def _said(store: Store) -> Iterator[tuple[str, str]]:
    yield from ((field.name, field.meaning) for field in store.fields if field.meaning)


def _explained_store(store: Store, known: Mapping[str, str]) -> Store:
    if store.object:
        return store
    fields = [replace(field, meaning=field.meaning or known.get(field.name, "")) for field in store.fields]
    return replace(store, fields=tuple(fields))


def _explained_cube(cube: Cube, stores: Mapping[str, Store], shared: Mapping[str, Dimension]) -> Cube:
    dimensions = [
        replace(item, meaning=item.meaning or _of_dimension(item, cube, stores, shared)) for item in cube.dimensions
    ]
    figures = [replace(item, meaning=item.meaning or _of_figure(item, cube, stores)) for item in cube.figures]
    return replace(cube, dimensions=tuple(dimensions), figures=tuple(figures))


def _of_dimension(item: CubeDimension, cube: Cube, stores: Mapping[str, Store], shared: Mapping[str, Dimension]) -> str:
    dimension = shared.get(item.dimension)
    store = stores.get(dimension.store) if dimension else None
    key = store.field(dimension.key) if store and dimension else None
    if key is not None and key.meaning:
        return key.meaning
    for posting in cube.postings:
        expression = posting.dimensions.get(item.name)
        found = _meaning(expression, stores.get(posting.store)) if expression else ""
        if found:
            return found
    return ""


def _of_figure(item: Figure, cube: Cube, stores: Mapping[str, Store]) -> str:
    said = [(posting, posting.figures[item.name]) for posting in cube.postings if item.name in posting.figures]
    found = (_meaning(line, stores.get(posting.store)) for posting, line in said if not line.calls and not line.when)
    return next((meaning for meaning in found if meaning), "")


def _meaning(expression: Expression, store: Store | None) -> str:
    if expression.field == SPREAD_MONTH:
        return OF_SPREAD
    field = store.field(expression.field) if store else None
    if field is None or not field.meaning:
        return ""
    ways = ", ".join(call.name for call in expression.calls)
    return f"{field.meaning.removesuffix('.')}, by {ways}." if ways else field.meaning
