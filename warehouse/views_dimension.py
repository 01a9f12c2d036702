"""Views of records: live rows of stores, dimensions as they are now, as they were, and as of a day."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse import tables
from warehouse.expression import quoted
from warehouse.shape_fill import is_unique, rank
from warehouse.shape_tables import comment, meaning_of, posted_type
from warehouse.spec import Dimension, Store, Warehouse
from warehouse.tables import VIEWS, sql_type
from warehouse.view import FRESH, View
from warehouse.views_cube import attributes


def dimension_name(warehouse: Warehouse, dimension: str) -> str:
    """Return the view of a dimension: its name, unless a cube is called so."""
    return f"{dimension}_members" if dimension in warehouse.cubes else dimension


def store_name(warehouse: Warehouse, store: str) -> str:
    """Return the view of a store: its name, or `<store>_records` where a cube or dimension is called so."""
    return f"{store}_records" if store in warehouse.cubes or store in warehouse.dimensions else store


# --- stores -------------------------------------------------------------------------------------------------------


def store_view(warehouse: Warehouse, store: Store) -> View:
    """Return the view of a store's live records."""
    columns = _store_columns(store)
    select = f"SELECT {', '.join(map(quoted, columns))} FROM {tables.active(store)} WHERE NOT deleted"
    about = f"{store.about} One row per source and {', '.join(store.key)}: the records that hold now. {FRESH}"
    return View(store_name(warehouse, store.name), select, about, columns)


def _store_columns(store: Store) -> dict[str, str]:
    fields = {field.name: meaning_of(field, store) for field in store.fields}
    posted = {item.name: f"{item.attribute} of {item.dimension} {item.by}, as posted." for item in store.posted}
    source = {"source": "System the record comes from."}
    return source | fields | posted | {"request_id": "Request that changed the record last."}


# --- dimensions ---------------------------------------------------------------------------------------------------


def dimension_views(warehouse: Warehouse, dimension: Dimension) -> Iterator[View]:
    """Yield the view of a dimension's members as they are now and, where attributes have a history, as they were."""
    store = warehouse.stores[dimension.store]
    columns = _columns(warehouse, dimension)
    name = dimension_name(warehouse, dimension.name)
    about = f"{dimension.about} One row per {dimension.key}, as it is now. {FRESH}"
    yield View(name, _members(store, dimension, columns), about, columns)
    kept = [item for item in store.history if item in columns]
    if kept:
        yield _history(warehouse, dimension, columns, kept)


def _columns(warehouse: Warehouse, dimension: Dimension) -> dict[str, str]:
    """Return a dimension's columns; one that bears its store's name shows all of the store's fields."""
    store = warehouse.stores[dimension.store]
    if dimension.name == store.name:
        return _store_columns(store)
    key = store.field(dimension.key)
    return {dimension.key: meaning_of(key, store) if key else ""} | dict(attributes(warehouse, dimension.name))


def _members(store: Store, dimension: Dimension, columns: dict[str, str]) -> str:
    listed, key = ", ".join(map(quoted, columns)), quoted(dimension.key)
    live = f"FROM {tables.active(store)} WHERE NOT deleted AND {key} IS NOT NULL"
    if is_unique(store, dimension.key):
        return f"SELECT {listed} {live}"
    return f"SELECT DISTINCT ON ({key}) {listed} {live} ORDER BY {key}, {rank(store)}"


def _history(warehouse: Warehouse, dimension: Dimension, columns: dict[str, str], kept: list[str]) -> View:
    store = warehouse.stores[dimension.store]
    name = f"{dimension_name(warehouse, dimension.name)}_history"
    of_slices = {*kept, "source", *store.key}
    listed = ", ".join(f"{'h' if item in of_slices else 'a'}.{quoted(item)}" for item in columns)
    same = " AND ".join(f"h.{quoted(item)} = a.{quoted(item)}" for item in ("source", *store.key))
    key = quoted(dimension.key)
    one = tables.active(store)
    if not is_unique(store, dimension.key):
        one = f"(SELECT DISTINCT ON ({key}) * FROM {one} ORDER BY {key}, deleted, {rank(store)})"
    select = (
        f"SELECT {listed}, h.valid_from, nullif(h.valid_to, '9999-12-31') AS valid_to\n"
        f"FROM {tables.history(store)} AS h JOIN {one} AS a ON {same}"
    )
    days = {
        "valid_from": "First day it was so; 0001-01-01: since ever.",
        "valid_to": "Last day it was so; null while it is.",
    }
    about = (
        f"{dimension.about} One row per {dimension.key} and time slice of {', '.join(kept)}; "
        f"other attributes are as they are now. {FRESH}"
    )
    function = _on(warehouse, dimension, tuple(columns), name)
    return View(name, select, about, columns | days, function)


def _on(warehouse: Warehouse, dimension: Dimension, columns: tuple[str, ...], history: str) -> tuple[str, ...]:
    """Return the statements of the function `analysis.<dimension>_on(day)`."""
    signature = f"{VIEWS}.{quoted(f'{dimension_name(warehouse, dimension.name)}_on')}(date)"
    types = ", ".join(f"{quoted(name)} {_type(warehouse, dimension, name)}" for name in columns)
    body = (
        f"SELECT {', '.join(f'h.{quoted(name)}' for name in columns)} FROM {VIEWS}.{quoted(history)} AS h "
        "WHERE $1 BETWEEN h.valid_from AND coalesce(h.valid_to, '9999-12-31')"
    )
    create = f"CREATE FUNCTION {signature} RETURNS TABLE ({types}) LANGUAGE sql STABLE AS $$ {body} $$"
    about = f"{dimension.about} As it was on a day: one row per {dimension.key}."
    return f"DROP FUNCTION IF EXISTS {signature}", create, comment("FUNCTION", signature, about)


def _type(warehouse: Warehouse, dimension: Dimension, name: str) -> str:
    store = warehouse.stores[dimension.store]
    field = store.field(name)
    posted = next((item for item in store.posted if item.name == name), None)
    if field:
        return sql_type(field.type)
    if posted:
        return sql_type(posted_type(warehouse, posted))
    return "bigint" if name == "request_id" else "text"
