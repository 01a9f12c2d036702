"""What must be true after every step."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.warehouse.engine import Stage
from tests.warehouse.sim import cubes
from tests.warehouse.sim.oracle import Key, Oracle, own
from warehouse.columns import fields, key, listed, posted, values
from warehouse.history import kept
from warehouse.spec import Cube, Store
from warehouse.tables import active, changes, facts, history, totals
from warehouse.verify import verify

CELLS = {"billing": cubes.billing, "lines": cubes.lines}


class Broken(AssertionError):
    """An invariant that does not hold."""


def everything(stage: Stage, oracle: Oracle, stores: Iterable[str] | None = None) -> None:
    """Compare active data, history, late and held records with the oracle, the change log and the cubes with them.

    Only some `stores` and their cubes where a step touched no others.
    """
    _held(stage, oracle)
    for name in stage.warehouse.stores if stores is None else sorted(stores):
        store = stage.warehouse.stores[name]
        _active(stage, oracle, store)
        _log(stage, store)
        _late(stage, oracle, store)
        if store.history:
            _history(stage, oracle, store)
        for cube in stage.warehouse.cubes_of(name):
            _cube(stage, oracle, cube)


def verified(stage: Stage) -> None:
    """Compare every cube with active data by the engine's own verification."""
    for cube in stage.warehouse.cubes.values():
        found = verify(stage.connection, stage.warehouse, cube, stage.now)
        _equal(f"cells of {cube.name} that differ from active data", found.differing, 0)


def _cube(stage: Stage, oracle: Oracle, cube: Cube) -> None:
    """Compare a cube with what Python adds up, to the last digit; with active data while some are not rolled up."""
    waiting = "SELECT count(*) FROM warehouse.requests WHERE state = 'ACTIVE' AND store = ANY(%s)"
    if stage.ask(waiting, list(cube.stores))[0][0]:
        found = verify(stage.connection, stage.warehouse, cube, stage.now)
        _equal(f"cells of {cube.name} that differ from active data", found.differing, 0)
    else:
        _equal(f"cells of {cube.name}", _cells(stage, cube), CELLS[cube.name](oracle))


def _active(stage: Stage, oracle: Oracle, store: Store) -> None:
    columns = [*key(store), *values(store), "request_id", "sequence", "deleted"]
    width = len(key(store))
    found = {row[:width]: row[width:] for row in stage.ask(f"SELECT {listed(columns)} FROM {active(store)}")}
    due = {
        name: (
            *own(store, known.values),
            *(known.posted.get(item) for item in posted(store)),
            known.request,
            known.seq,
            known.deleted,
        )
        for name, known in oracle.active[store.name].items()
    }
    _equal(f"active rows of {store.name}", found, due)


def _history(stage: Stage, oracle: Oracle, store: Store) -> None:
    columns = [*kept(store), "valid_from", "valid_to"]
    width = len(key(store))
    found: dict[Key, list[Any]] = {}
    for row in stage.ask(f"SELECT {listed(columns)} FROM {history(store)} ORDER BY {listed(key(store))}, valid_from"):
        found.setdefault(row[:width], []).append((*row[-2:], dict(zip(store.history, row[width:-2], strict=True))))
    due = {name: slices for name, slices in oracle.slices(store.name).items() if slices}
    _equal(f"history of {store.name}", found, due)


def _log(stage: Stage, store: Store) -> None:
    """The images of each record add up to what holds: none, or the record once, with what it posted."""
    columns = listed(["source", *fields(store), *posted(store)])
    log = f"SELECT {columns}, sum(sign)::int FROM {changes(store)} GROUP BY {columns} HAVING sum(sign) <> 0"
    live = f"SELECT {columns}, 1 FROM {active(store)} WHERE NOT deleted"
    found = stage.ask(f"({log} EXCEPT {live}) UNION ALL ({live} EXCEPT {log})")
    _equal(f"sums of the images of {store.name} that are not active", found, [])


def _late(stage: Stage, oracle: Oracle, store: Store) -> None:
    found = set(stage.ask("SELECT request_id, package_no, record_no FROM warehouse.late WHERE store = %s", store.name))
    due = {item for item in oracle.late if oracle.loads[item[0]].store == store.name}
    _equal("late records", found, due)


def _held(stage: Stage, oracle: Oracle) -> None:
    rows = stage.ask(
        "SELECT store, source, key, array_agg(DISTINCT kind) FROM warehouse.held WHERE state = 'open' GROUP BY 1, 2, 3"
    )
    found = {tuple(row[:3]): set(row[3]) for row in rows}
    due = {
        (store, name[0], text_of(name)): kinds
        for store in stage.warehouse.stores
        for name, kinds in oracle.open_keys(store).items()
    }
    _equal("held keys", found, due)


def text_of(name: Key) -> str:
    """Return a key as people write it."""
    return "/".join(part.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(part, "tzinfo") else str(part) for part in name[1:])


def _cells(stage: Stage, cube: Cube) -> cubes.Cells:
    dimensions, figures = ([item.name for item in part] for part in (cube.dimensions, cube.figures))
    sums = ", ".join(f"sum({listed([name])})" for name in [*figures, "records"])
    columns = listed([*dimensions, *figures, "records"])
    both = f"(SELECT {columns} FROM {totals(cube)} UNION ALL SELECT {columns} FROM {facts(cube)})"
    rows = stage.ask(f"SELECT {listed(dimensions)}, {sums} FROM {both} AS c GROUP BY {listed(dimensions)}")
    found = {row[: len(dimensions)]: [Decimal(part) for part in row[len(dimensions) :]] for row in rows}
    return {cell: parts for cell, parts in found.items() if any(parts)}


def _equal(what: str, found: Any, due: Any) -> None:
    if found == due:
        return
    if isinstance(due, dict):
        names = [name for name in {**found, **due} if found.get(name) != due.get(name)]
        shown = "\n".join(f"  {name}: found {found.get(name)}\n    due {due.get(name)}" for name in names[:4])
        raise Broken(f"{what}: {len(names)} differ\n{shown}")
    raise Broken(f"{what}: found {found}, due {due}")
