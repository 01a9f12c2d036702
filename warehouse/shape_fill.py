"""Filling what was added to rows that are there: slices of a new history, attributes as posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warehouse import tables
from warehouse.expression import day_sql, literal, quoted
from warehouse.shape_steps import Step
from warehouse.shape_tables import OPEN_END
from warehouse.spec import Posted, Store, Warehouse


def fill_history(store: Store) -> Step:
    """Return the step that begins the history of every live record with its values of now, valid since ever."""
    names = dict.fromkeys(("source", *store.key, *store.history))
    listed = ", ".join(map(quoted, names))
    target = tables.history(store)
    sql = (
        f"TRUNCATE {target}",
        f"INSERT INTO {target} ({listed}, valid_from, valid_to) "
        f"SELECT {listed}, '0001-01-01', '{OPEN_END}' FROM {tables.active(store)} WHERE NOT deleted",
    )
    return Step("fill", target, f"begin {target} with the values of now: former ones are not known", sql)


def fill_slices(store: Store, added: Sequence[str]) -> Step:
    """Return the step that gives standing slices the values of now in columns that were added to the history."""
    target, listed = tables.history(store), ", ".join(added)
    values = ", ".join(f"{quoted(name)} = a.{quoted(name)}" for name in added)
    same = " AND ".join(f"h.{quoted(name)} = a.{quoted(name)}" for name in ("source", *store.key))
    sql = f"UPDATE {target} AS h SET {values} FROM {tables.active(store)} AS a WHERE {same}"
    return Step("fill", target, f"fill {listed} of {target} with the values of now: former ones are not known", (sql,))


def fill_posted(warehouse: Warehouse, store: Store, posted: Posted) -> Step:
    """Return the step that looks up an attribute that is posted from now on, for records that are there."""
    sql = tuple(
        statement
        for table in (tables.active(store), tables.changes(store))
        for statement in _lookups(warehouse, store, table, posted)
    )
    text = f"look up {posted.name} ({posted.attribute} of {posted.dimension}) for the records of {store.name} there are"
    return Step("fill", tables.active(store), text, sql)


def _lookups(warehouse: Warehouse, records: Store, table: str, posted: Posted) -> Iterator[str]:
    """Yield the statements that look an attribute up: as it is now, and as of the record's day where that is kept."""
    dimension = warehouse.dimensions[posted.dimension]
    store = warehouse.stores[dimension.store]
    now = members(store, dimension.key, posted.attribute)
    name, by = quoted(posted.name), f"t.{quoted(posted.by)}"
    yield f"UPDATE {table} AS t SET {name} = m.value FROM ({now}) AS m WHERE m.key = {by}"
    if posted.on and posted.attribute in store.history and dimension.key in store.key:
        former = (
            f"SELECT h.{quoted(posted.attribute)} FROM {tables.history(store)} AS h "
            f"WHERE h.source = ANY ({_sources(store)}) AND h.{quoted(dimension.key)} = {by} "
            f"AND {_day(records, posted.on)} BETWEEN h.valid_from AND h.valid_to ORDER BY {rank(store, 'h.')} LIMIT 1"
        )
        yield f"UPDATE {table} AS t SET {name} = ({former}) WHERE t.{quoted(posted.on)} IS NOT NULL"


def _day(store: Store, field: str) -> str:
    """Return SQL for the day of a record's date or moment, in the business's zone."""
    found = store.field(field)
    return day_sql(f"t.{quoted(field)}", found.type.kind if found else None)


def members(store: Store, key: str, value: str) -> str:
    """Return a SELECT of `key` and `value` of a dimension's live records, one row a key.

    Where sources share a key, the one whose feed is named first counts.
    """
    columns = f"{quoted(key)} AS key, {quoted(value)} AS value FROM {tables.active(store)} WHERE NOT deleted"
    if is_unique(store, key):
        return f"SELECT {columns}"
    return f"SELECT DISTINCT ON (1) {columns} ORDER BY 1, {rank(store)}"


def is_unique(store: Store, key: str) -> bool:
    """Tell whether the records of a store have one row a value of `key`, by its key and its only feed."""
    return store.key == (key,) and len(store.feeds) <= 1


def rank(store: Store, alias: str = "") -> str:
    """Return SQL that orders the sources of a store as its feeds are named, and their records by key."""
    keys = ", ".join(f"{alias}{quoted(name)}" for name in store.key)
    return f"array_position({_sources(store)}, {alias}source), {keys}"


def _sources(store: Store) -> str:
    return f"ARRAY[{', '.join(literal(feed.system) for feed in store.feeds)}]::text[]"
