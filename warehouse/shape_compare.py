"""What stores and cubes lack in the database, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from warehouse import tables
from warehouse.expression import quoted
from warehouse.shape_fill import fill_history, fill_posted, fill_slices
from warehouse.shape_standing import NO_LONGER, StandingTable
from warehouse.shape_steps import Step, alter, create, describe, digest, too_long
from warehouse.shape_tables import Column, Table, comment, cube_tables, store_tables
from warehouse.spec import Cube, Posting, Store, Warehouse

NEW_EXPRESSIONS = 170000  # servers that give a generated column another expression in place


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database has: tables, digests of what was applied last, and which tables have rows."""

    tables: Mapping[str, StandingTable]
    applied: Mapping[tuple[str, str], str]
    filled: frozenset[str]
    server: int  # its version, such as 150004

    def added(self, table: Table, names: Iterator[str] | tuple[str, ...]) -> list[str]:
        """Return the columns that a standing table lacks, or that were not named when it was applied last."""
        stands = self.tables[table.name]
        return [name for name in names if name not in stands.columns or name in stands.stale]


def hashes(warehouse: Warehouse) -> dict[tuple[str, str], str]:
    """Return the digests of what the files say: tables with their comments, and what cubes make of records."""
    found: dict[tuple[str, str], str] = {}
    for store in warehouse.stores.values():
        found["store", store.name] = _table_hash(store_tables(warehouse, store))
    for cube in warehouse.cubes.values():
        found["cube", cube.name] = _table_hash(cube_tables(warehouse, cube))
        found["postings", cube.name] = _postings_hash(cube)
    return found


def _table_hash(built: tuple[Table, ...]) -> str:
    return digest([text for table in built for text in (table.ddl, *table.comments)])


def _postings_hash(cube: Cube) -> str:
    """Return the digest of what decides about a cube's content: a change of it means to add up anew."""
    types = [cube.dimensions, [(figure.name, figure.type) for figure in cube.figures]]
    return digest([types, [_plain(posting) for posting in cube.postings]])


def _plain(posting: Posting) -> object:
    return [posting.store, posting.dimensions, posting.figures, posting.when, posting.spread]


# --- stores -------------------------------------------------------------------------------------------------------


def store_steps(warehouse: Warehouse, store: Store, found: Standing) -> Iterator[Step]:
    """Yield what a store lacks; a field that was added to records there are asks for a REPAIR_FULL."""
    built = store_tables(warehouse, store)
    yield from (refusal for table in built if (refusal := too_long(table.name)))
    stands = found.tables.get(tables.active(store))
    if stands is not None and stands.key != ("source", *store.key):
        yield _other_key(store, stands)
        return
    for table in built:
        there = found.tables.get(table.name)
        yield from alter(table, there) if there else iter((create(table),))
    yield from _fills(warehouse, store, {table.role: table for table in built}, found)
    if found.applied.get(("store", store.name)) != _table_hash(built):
        yield describe(f"store {store.name}", built)


def _other_key(store: Store, stands: StandingTable) -> Step:
    was, new = ", ".join(stands.key[1:]), ", ".join(store.key)
    return Step(
        "refuse",
        tables.active(store),
        f"store {store.name} is kept by ({was}), the file says ({new}): its records and everything added up from them "
        f"would be others. Declare a store of another name with the new key, load it and let cubes read from it; "
        f"or keep key: [{was}].",
    )


def _fills(warehouse: Warehouse, store: Store, built: Mapping[str, Table], found: Standing) -> Iterator[Step]:
    """Yield what fills columns that were added to a store with records."""
    active = built["active"]
    if active.name not in found.filled:
        return
    added = found.added(active, tuple(field.name for field in store.fields))
    for posted in store.posted:
        if found.added(active, (posted.name,)):
            yield fill_posted(warehouse, store, posted)
    if "history" in built:
        yield from _history_fills(store, built["history"], found)
    if added:
        names = ", ".join(added)
        yield Step("load", store.name, f"load {store.name} wholly at its next extraction (REPAIR_FULL), for {names}")


def _history_fills(store: Store, history: Table, found: Standing) -> Iterator[Step]:
    stands = found.tables.get(history.name)
    if stands is None or "" in stands.stale:
        yield fill_history(store)
    elif added := found.added(history, store.history):
        yield fill_slices(store, added)


# --- cubes --------------------------------------------------------------------------------------------------------


def cube_steps(warehouse: Warehouse, cube: Cube, found: Standing) -> Iterator[Step]:
    """Yield what a cube lacks; whatever changes its cells asks for a rebuild from active data."""
    built = cube_tables(warehouse, cube)
    yield from (refusal for table in built if (refusal := too_long(table.name)))
    for table in built:
        there = found.tables.get(table.name)
        if there is None:
            yield create(table)
            continue
        yield from alter(table, there)
        if there.key != table.key:
            yield _rekey(table, there, found.server)
    if found.applied.get(("cube", cube.name)) != _table_hash(built):
        yield describe(f"cube {cube.name}", built)
    sources = [tables.active(warehouse.stores[name]) for name in cube.stores]
    if found.applied.get(("postings", cube.name)) != _postings_hash(cube) and found.filled.intersection(sources):
        yield Step("rebuild", cube.name, f"add {cube.name} up anew from the active data of {', '.join(cube.stores)}")


def _rekey(table: Table, stands: StandingTable, server: int) -> Step:
    """Return the step to other dimensions: cells of the former grain go, the cube is added up anew."""
    name = table.name
    drop = (f"ALTER TABLE {name} DROP CONSTRAINT {quoted(stands.key_name)}",) if stands.key_name else ()
    made = (text for column in table.columns if column.made for text in _remake(table, column, stands, server))
    key = f"ALTER TABLE {name} ADD PRIMARY KEY ({', '.join(map(quoted, table.key))})"
    text = f"make ({', '.join(table.key)}) the grain of {name}; its cells are added up anew"
    return Step("rekey", name, text, (f"TRUNCATE {name}", *drop, *made, key))


def _remake(table: Table, column: Column, stands: StandingTable, server: int) -> Iterator[str]:
    """Yield what gives a column another expression; before PostgreSQL 17 views that show it must make way."""
    if column.name in stands.columns and server >= NEW_EXPRESSIONS:
        yield f"ALTER TABLE {table.name} ALTER COLUMN {quoted(column.name)} SET EXPRESSION AS ({column.made})"
        return
    if column.name in stands.columns:
        yield f"ALTER TABLE {table.name} DROP COLUMN {quoted(column.name)}"
    yield f"ALTER TABLE {table.name} ADD COLUMN {column.ddl}"


# --- what is named no longer --------------------------------------------------------------------------------------


def gone(warehouse: Warehouse, found: Standing) -> Iterator[Step]:
    """Yield notes on stores, cubes and histories that stand but are named no longer."""
    kinds = {"store": warehouse.stores, "cube": warehouse.cubes}
    for kind, name in sorted(found.applied):
        if kind in kinds and name not in kinds[kind]:
            yield Step(
                "keep", f"{kind} {name}", f"{kind} {name} is named no longer: its tables are kept, never dropped"
            )
    for store in warehouse.stores.values():
        name = tables.history(store)
        if not store.history and name in found.tables:
            yield _gone_history(name, found.tables[name])


def _gone_history(name: str, stands: StandingTable) -> Step:
    text = f"{name} is named no longer: kept as it is, changes are not added"
    if "" in stands.stale:
        return Step("keep", name, text)
    return Step("describe", name, text, (comment("TABLE", name, f"{NO_LONGER}: kept as it was."),))
