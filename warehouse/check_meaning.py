"""Checks of meanings: every column an analyst sees says what it is."""

from __future__ import annotations

from isthmus.mapping.spec import Position
from warehouse.check_scope import Scope
from warehouse.load_store import source_fields
from warehouse.spec import Balance, Calculated, Distinct, Figure, Store, StoreField


def check(scope: Scope) -> None:
    """Check fields of stores and figures of cubes; what the model or another store says counts."""
    for store in scope.warehouse.stores.values():
        for field in store.fields:
            if _is_explained_here(field, store, scope):
                _says(field.meaning, field.name, "field", field.position, scope)
    for cube in scope.warehouse.cubes.values():
        figures: tuple[Figure | Calculated | Balance | Distinct, ...] = cube.figures
        for item in (*figures, *cube.calculated, *cube.balances, *cube.distincts):
            _says(item.meaning, item.name, "figure", item.position, scope)


def _is_explained_here(field: StoreField, store: Store, scope: Scope) -> bool:
    """Tell whether a field must say what it means; of one that the model lacks something else is said."""
    if scope.catalogue is None or not store.object:
        return scope.catalogue is not None
    return field.source in source_fields(scope.catalogue.models.get(store.object), store.list)


def _says(meaning: str, name: str, what: str, position: Position, scope: Scope) -> None:
    if not meaning:
        message = f'nothing says what the {what} "{name}" means, and analysts read it beside the column.'
        scope.add(position, f'{message} Add meaning: "…".')
