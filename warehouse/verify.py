"""Verification: a cube equals what its postings make of active data; a rebuild makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warehouse import control
from warehouse.columns import fields, listed, posted
from warehouse.compress import add_to_totals
from warehouse.expression import literal
from warehouse.locks import lock_cubes, lock_publication, lock_stores
from warehouse.posting import added_up, cube_sql
from warehouse.rollup import add_up, cell_columns
from warehouse.spec import Cube, Store, Warehouse
from warehouse.statement import Connection, group_by_hash, statements
from warehouse.tables import active, changes, facts, totals


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison found: `cells` there should be, and how many rows of either side the other does not have."""

    cube: str
    at: datetime
    cells: int
    differing: int

    @property
    def holds(self) -> bool:
        """Tell whether the cube equals its recomputation."""
        return not self.differing


def verify(connection: Connection, warehouse: Warehouse, cube: Cube, now: datetime) -> Verification:
    """Compare a cube with a recomputation from active data, cell by cell and to the last digit, and note the result.

    One statement on one snapshot: it holds while requests go on, those that are not rolled up yet being left out.
    """
    run = statements("verify")
    parts = {"facts": facts(cube), "totals": totals(cube), "listed": listed(cell_columns(cube))}
    parts["held"] = added_up(cube, run.texts["cells"].format_map(parts), request=False)
    parts["due"] = _recomputed(warehouse, cube, "not rolled up")
    with connection.transaction():
        group_by_hash(connection)
        cells, differing = run.rows(connection, "compare", parts)[0]
        run.run(connection, "note", {}, cube=cube.name, now=now, cells=cells, differing=differing)
    return Verification(cube.name, now, cells, differing)


def rebuild(connection: Connection, warehouse: Warehouse, cube: Cube, now: datetime) -> int:
    """Make a cube anew from active data and return how many cells its totals have.

    Published requests become part of the totals and can be reversed, no longer deleted; those that are not published
    are rolled up again and stay as they are.  One transaction under the locks of all its stores.
    """
    run = statements("verify")
    stores = list(cube.stores)
    with connection.transaction():
        lock_stores(connection, stores)
        lock_cubes(connection, [cube.name])
        lock_publication(connection)
        group_by_hash(connection)
        for table in (facts(cube), totals(cube)):
            run.run(connection, "empty", {"table": table})
        cells = add_to_totals(connection, cube, _recomputed(warehouse, cube, "not published"))
        run.run(connection, "absorb", {}, cube=cube.name, stores=stores, now=now)
        run.run(connection, "forget rolled up", {}, cube=cube.name, stores=stores)
        for store, request_id in run.rows(connection, "rolled up", {}, stores=stores):
            add_up(connection, warehouse, cube, warehouse.stores[store], request_id, now)
        control.done(connection, "cube", cube.name, now)
        return cells


def _recomputed(warehouse: Warehouse, cube: Cube, without: str) -> str:
    """Return the cells that active data makes, without the images of some requests."""
    run = statements("verify")

    def relation(store: Store) -> str:
        parts = {
            "columns": listed(["source", *fields(store), *posted(store)]),
            "active": active(store),
            "changes": changes(store),
            "store": literal(store.name),
            "cube": literal(cube.name),
        }
        return "({} UNION ALL {})".format(*(run.texts[name].format_map(parts) for name in ("active", without)))

    return cube_sql(cube, warehouse.stores, relation, request=False)
