"""Compression: facts of older requests are added to the totals; what adds up to nothing is left out."""

from __future__ import annotations

from datetime import datetime, timedelta

from warehouse.columns import column, listed
from warehouse.expression import quoted
from warehouse.locks import lock_cubes
from warehouse.posting import added_up
from warehouse.rollup import cell_columns
from warehouse.spec import Cube, Warehouse
from warehouse.statement import Connection, statements
from warehouse.tables import facts, totals

KEEP_DAYS = 7  # requests stay deletable for so long after their publication


def compress(
    connection: Connection,
    warehouse: Warehouse,
    now: datetime,
    *,
    days: int = KEEP_DAYS,
    up_to: int | None = None,
) -> dict[str, int]:
    """Compress every cube and return how many requests each has absorbed.

    Taken are requests published at least `days` days ago, or with `up_to` those up to that request, whatever their
    age.  A request that all cubes of its store have absorbed is COMPRESSED: it can be reversed, not deleted.  Each
    cube is one transaction, and so is the end; killed anywhere, it goes on when it is run again.
    """
    before = None if up_to is not None else now - timedelta(days=days)
    absorbed = {name: _absorb(connection, cube, before, up_to) for name, cube in sorted(warehouse.cubes.items())}
    with connection.transaction():
        finish(connection, warehouse, now, before, up_to)
    return absorbed


def finish(
    connection: Connection, warehouse: Warehouse, now: datetime, before: datetime | None, up_to: int | None
) -> int:
    """Call those published requests COMPRESSED that every cube of their store has absorbed; returns how many."""
    pairs = [(store, cube.name) for cube in warehouse.cubes.values() for store in cube.stores]
    return statements("compress").count(
        connection,
        "finish",
        {},
        now=now,
        before=before,
        up_to=up_to,
        stores=[store for store, _ in pairs],
        cubes=[cube for _, cube in pairs],
    )


def add_to_totals(connection: Connection, cube: Cube, cells: str, **values: object) -> int:
    """Add cells (a SELECT of a cube's columns) to its totals in the order of their keys; returns how many."""
    figures = [item.name for item in cube.figures]
    parts = {
        "totals": totals(cube),
        "listed": listed(cell_columns(cube)),
        "dimensions": listed(item.name for item in cube.dimensions),
        "cells": cells,
        "added": "".join(f"{quoted(name)} = t.{quoted(name)} + excluded.{quoted(name)}, " for name in figures),
    }
    return statements("compress").count(connection, "absorb", parts, **values)


def _absorb(connection: Connection, cube: Cube, before: datetime | None, up_to: int | None) -> int:
    run = statements("compress")
    parts = {
        "facts": facts(cube),
        "totals": totals(cube),
        "zero": "".join(f" AND {column(item.name)} = 0" for item in cube.figures),
    }
    with connection.transaction():
        lock_cubes(connection, [cube.name])
        due = [row[0] for row in run.rows(connection, "due", {}, cube=cube.name, before=before, up_to=up_to)]
        if not due:
            return 0
        cells = added_up(cube, run.texts["facts"].format_map(parts), request=False)
        add_to_totals(connection, cube, cells, requests=due)
        run.run(connection, "drop zeros", parts)
        run.run(connection, "drop facts", parts, requests=due)
        run.run(connection, "note", {}, cube=cube.name, requests=due)
    return len(due)
