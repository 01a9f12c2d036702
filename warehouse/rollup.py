"""Roll-up: the images of one request, added up by the cells of every cube that its store posts into."""

from __future__ import annotations

from datetime import datetime

from isthmus.errors import ConflictError
from warehouse.columns import more
from warehouse.locks import lock_stores
from warehouse.posting import cube_sql
from warehouse.requests import HOLDING, advance, request
from warehouse.spec import Cube, Store, Warehouse
from warehouse.statement import Connection, group_by_hash, statements
from warehouse.tables import changes, facts


def roll_up(connection: Connection, warehouse: Warehouse, store: Store, request_id: int, now: datetime) -> int:
    """Add up an ACTIVE request's images in all cubes of its store and return how many cells that took.

    One transaction; a request that is rolled up already, in some cubes or in all, is not added up there again.
    Raises ConflictError while it is not active.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_id, lock=True)
        if found.state not in HOLDING:
            raise ConflictError(
                f"request {request_id} of store {store.name} is {found.state}; roll-up needs an ACTIVE one"
            )
        cells = sum(
            add_up(connection, warehouse, cube, store, request_id, now) for cube in warehouse.cubes_of(store.name)
        )
        if found.state == "ACTIVE":
            advance(connection, found, "ROLLED_UP", now)
        return cells


def add_up(
    connection: Connection, warehouse: Warehouse, cube: Cube, store: Store, request_id: int, now: datetime
) -> int:
    """Write the facts of one request in one cube, unless they are there; returns how many cells were written."""
    run = statements("rollup")
    if run.rows(connection, "is rolled up", {}, cube=cube.name, request=request_id)[0][0]:
        return 0
    parts = {"changes": changes(store), "request": str(int(request_id))}
    images = run.texts["images"].format_map(parts)
    cells = cube_sql(cube, warehouse.stores, lambda s: images if s.name == store.name else "", request=False)
    # A per cent sign in a condition's literal is no place for a value.
    parts = {"facts": facts(cube), "columns": more(cell_columns(cube)), "cells": cells.replace("%", "%%")}
    group_by_hash(connection)
    count = run.count(connection, "facts", parts, request=request_id)
    run.run(connection, "note", {}, cube=cube.name, request=request_id, cells=count, now=now)
    return count


def cell_columns(cube: Cube) -> list[str]:
    """Return the columns of a cube's tables but `request_id` and `records`: dimensions, then figures."""
    return [*(item.name for item in cube.dimensions), *(item.name for item in cube.figures)]
