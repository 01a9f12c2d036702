"""Which records of a store an object of a source is: told by the object's key where it says so, else remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.levels.changed import NO_KEYS
from isthmus.levels.extract import Origin, keys_of, values_of
from warehouse.columns import column, key_text
from warehouse.depot import Depot
from warehouse.inbound import copy_in
from warehouse.records import Shaped, fitted, key_columns, key_texts
from warehouse.spec import Store, StoreField
from warehouse.statement import statements
from warehouse.tables import active


def told_by_object(store: Store, origin: Origin) -> tuple[StoreField, ...]:
    """Return the fields of a store's key that the object itself has: all of them, or those outside of the list."""
    fields = [item for item in store.fields if item.name in store.key]
    entries = {item.name for plan in origin.feed.plans for entry in plan.lists if entry.name == store.list
               for item in entry.fields} | ({"from", "until"} if store.list else set())  # fmt: skip
    return tuple(item for item in fields if (item.source or item.name) not in entries)


def object_columns(store: Store, origin: Origin, objects: pa.Array) -> dict[str, pa.Array] | None:
    """Return what canonical keys of objects tell of the key of their records; None where they tell nothing."""
    fields = told_by_object(store, origin)
    values = values_of(origin.feed.plans[0], tuple(item.source or item.name for item in fields), objects)
    if not fields or values is None:
        return None
    return {item.name: fitted(values[item.source or item.name], item.type)[0] for item in fields}


def remember(depot: Depot, store: Store, origin: Origin, shaped: Shaped) -> None:
    """Keep which records objects are, where nothing else tells."""
    if not shaped.batch.num_rows or object_columns(store, origin, NO_KEYS) is not None:
        return
    run, connection = statements("feed"), depot.connection
    rows = pa.RecordBatch.from_pydict({"object_key": shaped.objects, "key": key_texts(store, shaped.batch)})
    with connection.transaction():
        run.run(connection, "stage known", {})
        copy_in(connection, "pg_temp.known", rows)
        run.run(connection, "remember", {}, store=store.name, source=origin.feed.system)


def texts_of(depot: Depot, store: Store, origin: Origin, objects: pa.Array) -> pa.Table:
    """Return (key: of the object, text: of each of its records as `held` names it); unknown ones keep their own key."""
    columns = object_columns(store, origin, objects)
    if columns is not None and not store.list:
        texts = key_texts(store, pa.RecordBatch.from_pydict(columns))
        return pa.table({"key": objects, "text": pc.coalesce(texts, objects)})
    run, wanted = statements("feed"), objects.to_pylist()
    named = {"store": store.name, "source": origin.feed.system}
    if columns is None:
        rows = run.rows(depot.connection, "records of", {}, objects=wanted, **named)
    else:
        (name, values), *_ = columns.items()
        parts = {"active": active(store), "field": column(name, "a"), "key_text": key_text(store, "a")}
        kept = {"objects": wanted, "values": values.to_pylist()}
        rows = run.rows(depot.connection, "entries of", parts, **kept, **named)
    known = {key for key, _ in rows}
    rows = [*rows, *((key, key) for key in wanted if key not in known)]
    keys, texts = zip(*rows, strict=True) if rows else ((), ())
    return pa.table({"key": pa.array(keys, pa.string()), "text": pa.array(texts, pa.string())})


def objects_of(depot: Depot, store: Store, origin: Origin, texts: Sequence[str]) -> pa.Array:
    """Return the canonical keys of the objects whose records have these keys; raises DataError for what is no key."""
    columns = key_columns(store, texts)
    told = {item.source or item.name: columns.column(item.name) for item in told_by_object(store, origin)}
    found = keys_of(origin.feed.plans[0], told)
    if found is not None:
        return pc.unique(pc.drop_null(found))
    named = {"store": store.name, "source": origin.feed.system}
    rows = statements("feed").rows(depot.connection, "objects of", {}, keys=list(texts), **named)
    return pa.array(sorted({object_key for _, object_key in rows}), pa.string())
