"""Check a warehouse: what every file says must hold together with what the others, the model and systems say."""

from __future__ import annotations

from warehouse import check_cube, check_dimension, check_feed, check_meaning, check_names, check_store
from warehouse.check_scope import Scope


def check(scope: Scope) -> None:
    """Add to the findings whatever does not hold."""
    check_names.check(scope)
    for store in scope.warehouse.stores.values():
        check_store.check(store, scope)
        check_feed.check(store, scope)
    check_dimension.check(scope)
    for cube in scope.warehouse.cubes.values():
        check_cube.check(cube, scope)
    check_meaning.check(scope)
