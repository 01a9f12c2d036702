"""Everything that people see: the views of schema `analysis`, each after those it is built upon."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.spec import Warehouse
from warehouse.view import View
from warehouse.views_balance import balance_views, distinct_views
from warehouse.views_control import control_views
from warehouse.views_cube import cube_view, facts_view, named_view
from warehouse.views_dimension import dimension_name, dimension_views, store_view

__all__ = ["View", "views"]


def views(warehouse: Warehouse) -> tuple[View, ...]:
    """Return the views of a warehouse in the order they are created."""
    return tuple(_all(warehouse))


def _all(warehouse: Warehouse) -> Iterator[View]:
    yield from control_views(warehouse)
    for store in warehouse.stores.values():
        yield store_view(warehouse, store)
    for dimension in warehouse.dimensions.values():
        yield from dimension_views(warehouse, dimension)
    for cube in warehouse.cubes.values():
        yield cube_view(warehouse, cube)
        yield facts_view(warehouse, cube)
        named = named_view(warehouse, cube, lambda name: dimension_name(warehouse, name))
        yield from (named,) if named else ()
        yield from balance_views(warehouse, cube)
        yield from distinct_views(warehouse, cube)
