"""Checks of names: they become tables and columns of PostgreSQL, beside columns that are there already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from isthmus.mapping.document import place
from isthmus.mapping.spec import Position
from warehouse.check_scope import Scope
from warehouse.spec import Warehouse
from warehouse.tables import RESERVED

LONGEST = 48  # PostgreSQL cuts names after 63 bytes; `inbound_`, `_history` and the like need room
OWN_VIEWS = ("calendar", "freshness", "completeness")
PLAIN = re.compile(r"[a-z][a-z0-9_]*")
# Words that SQL does not take as a name unless it is quoted, and the columns PostgreSQL has in every table.
_OF_SQL = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like
    limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table tablesample then to
    trailing true union unique user using variadic verbose when where window with
    cmax cmin ctid tableoid xmax xmin
"""
OF_SQL = frozenset(_OF_SQL.split())


class Named(Protocol):
    """What has a name that stands somewhere."""

    @property
    def name(self) -> str:
        """Return the name."""

    @property
    def position(self) -> Position:
        """Return where it stands."""


def check(scope: Scope) -> None:
    """Check the names of stores, dimensions, cubes and everything in them."""
    warehouse = scope.warehouse
    for store in warehouse.stores.values():
        _table(scope, store.name, store.position)
        fields: tuple[Named, ...] = (*store.fields, *store.posted)
        _columns(scope, fields, "field")
    for dimension in warehouse.dimensions.values():
        _table(scope, dimension.name, dimension.position)
    for cube in warehouse.cubes.values():
        _table(scope, cube.name, cube.position)
        said: tuple[Named, ...] = (*cube.dimensions, *cube.figures, *cube.calculated)
        _columns(scope, said, "name")
        views: tuple[Named, ...] = (*cube.balances, *cube.distincts)
        for item in views:
            _plain(scope, item.name, item.position)
    _views_are_told_apart(scope)


def _table(scope: Scope, name: str, position: Position) -> None:
    if name:
        _plain(scope, name, place(name, position))


def _columns(scope: Scope, named: Iterable[Named], what: str) -> None:
    """Check names of one table: each is plain, not taken, and there once."""
    seen: dict[str, Position] = {}
    for item in named:
        name, position = item.name, item.position
        if _plain(scope, name, position) and name in RESERVED:
            message = f'"{name}" is a column that every table of the warehouse has already. Choose another name.'
            scope.add(position, message)
        first = seen.setdefault(name, position)
        if first is not position:
            scope.add(position, f'the {what} "{name}" is there already, in line {first.line}. Choose another name.')


def _plain(scope: Scope, name: str, position: Position) -> bool:
    wrong = ""
    if not PLAIN.fullmatch(name):
        wrong = f'"{name}" is no name for a table or column. Write small letters a-z, digits and _, a letter first.'
    elif len(name) > LONGEST:
        wrong = f'"{name}" has {len(name)} characters; {LONGEST} are allowed. Choose a shorter name.'
    elif name in OF_SQL:
        wrong = f'"{name}" is a word of SQL that everybody would have to quote. Choose another name.'
    if wrong:
        scope.add(position, wrong)
    return not wrong


def _views_are_told_apart(scope: Scope) -> None:
    """Views stand beside each other in one schema, those of balances and distinct counts as cube_name."""
    warehouse = scope.warehouse
    taken = {name: "a view that every warehouse has" for name in OWN_VIEWS}
    taken |= {f"{name}_named": f'the view of "{name}" with its texts' for name in warehouse.cubes}
    taken |= {f"{name}_facts": f'the view of the facts of "{name}"' for name in warehouse.cubes}
    taken |= {f"{name}_history": f'the history of "{name}"' for name in warehouse.dimensions}
    for what, named in (("store", warehouse.stores), ("dimension", warehouse.dimensions), ("cube", warehouse.cubes)):
        for name, item in named.items():
            if name in taken:
                scope.add(place(item.name, item.position), f'"{name}" is {taken[name]}. Call the {what} otherwise.')
    taken |= {name: f'the view of the {what} "{name}"' for what, name in _main_views(warehouse)}
    for cube in warehouse.cubes.values():
        views: tuple[Named, ...] = (*cube.balances, *cube.distincts)
        for view in views:
            _view(scope, f"{cube.name}_{view.name}", view.position, taken)


def _main_views(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    yield from (("store", name) for name in warehouse.stores)
    yield from (("dimension", name) for name in warehouse.dimensions)
    yield from (("cube", name) for name in warehouse.cubes)


def _view(scope: Scope, view: str, position: Position, taken: dict[str, str]) -> None:
    if view in taken:
        scope.add(position, f'its view "{view}" is called like {taken[view]}. Choose another name.')
    elif len(view) > LONGEST:
        message = f'its view "{view}" has {len(view)} characters; {LONGEST} are allowed. Choose a shorter name.'
        scope.add(position, message)
    taken.setdefault(view, f"the one of {position.file}:{position.line}")
