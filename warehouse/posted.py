"""Attributes of dimensions that are looked up when records are activated, and stay with them as posted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from warehouse.columns import column, key, more, posted, same
from warehouse.expression import day_sql, quoted
from warehouse.requests import Request
from warehouse.shape_fill import rank
from warehouse.spec import Dimension, Posted, Store, Warehouse
from warehouse.statement import Connection, analyze, statements
from warehouse.tables import active, changes, history


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What one look-up brought: the joins that reach it, and the SQL of each posted attribute."""

    joins: str
    values: str


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Attributes that one table of a dimension gives for one field, and one day where former values count."""

    table: str
    dimension: Dimension
    store: Store
    by: str
    on: str
    items: tuple[Posted, ...]


def look_up(
    connection: Connection,
    warehouse: Warehouse,
    store: Store,
    request_: Request,
    records: str,
    *,
    only: str = "",
    as_of: date,
) -> LookedUp:
    """Look up what the records of a relation post, each value of a dimension's key once, into TEMP tables.

    The joins it returns speak of the records as `e`.  A reversal posts what had been posted before what it takes back.
    """
    if request_.mode == "REVERSAL" and request_.parent is not None:
        return _as_before(store, request_.parent)
    lookups = list(_lookups(warehouse, store))
    for lookup in lookups:
        _fill(connection, store, lookup, records, only, request_.id, as_of)
    joins = "\n".join(_join(lookup, store, as_of) for lookup in lookups)
    tables = {item.name: (lookup.table, item.attribute) for lookup in lookups for item in lookup.items}
    values = "".join(f", {column(tables[name][1], tables[name][0])} AS {quoted(name)}" for name in posted(store))
    return LookedUp(joins, values)


def _as_before(store: Store, parent: int) -> LookedUp:
    join = (
        f"LEFT JOIN {changes(store)} p ON p.request_id = {int(parent)} AND p.sign = -1 AND {same(key(store), 'p', 'e')}"
    )
    return LookedUp(join, "".join(f", {column(name, 'p')}" for name in posted(store)))


def _lookups(warehouse: Warehouse, store: Store) -> Iterator[_Lookup]:
    """Yield one look-up for each dimension, field and day that the posted attributes of a store need."""
    groups: dict[tuple[str, str, str], list[Posted]] = {}
    for item in store.posted:
        dimension = warehouse.dimensions[item.dimension]
        of = warehouse.stores[dimension.store]
        dated = item.on if item.attribute in of.history and dimension.key in of.key else ""
        groups.setdefault((item.dimension, item.by, dated), []).append(item)
    for number, ((name, by, on), items) in enumerate(groups.items()):
        dimension = warehouse.dimensions[name]
        yield _Lookup(f"lookup_{number}", dimension, warehouse.stores[dimension.store], by, on, tuple(items))


def _fill(
    connection: Connection, store: Store, lookup: _Lookup, records: str, only: str, request_id: int, as_of: date
) -> None:
    run = statements("activate")
    parts = {
        "lookup": f"pg_temp.{lookup.table}",
        "d_key": quoted(lookup.dimension.key),
        "attributes": more(dict.fromkeys(item.attribute for item in lookup.items), "d"),
        "by": column(lookup.by, "r"),
        "on": _day(lookup, store, "r", as_of) if lookup.on else "",
        "records": records,
        "only": only,
        "members": history(lookup.store) if lookup.on else active(lookup.store),
        "rank": rank(lookup.store, "d."),
    }
    sources = [feed.system for feed in lookup.store.feeds]
    run.run(connection, "drop lookup", parts)
    name = "look up history" if lookup.on else "look up"
    count = run.count(connection, name, parts, request=request_id, sources=sources, as_of=as_of)
    analyze(connection, lookup.table, count)


def _join(lookup: _Lookup, store: Store, as_of: date) -> str:
    condition = f'{lookup.table}."the key" = {column(lookup.by, "e")}'
    if lookup.on:
        condition += f' AND {lookup.table}."the day" = {_day(lookup, store, "e", as_of)}'
    return f"LEFT JOIN pg_temp.{lookup.table} {lookup.table} ON {condition}"


def _day(lookup: _Lookup, store: Store, of: str, as_of: date) -> str:
    """Return the day on which a record wants to know an attribute: its own, or the day of the request."""
    field = store.field(lookup.on)
    own = day_sql(column(lookup.on, of), field.type.kind if field else None)
    return f"coalesce({own}, DATE '{as_of.isoformat()}')"
