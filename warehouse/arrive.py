"""Packages of a request as they arrive: shaped, written, counted; what cannot be read is noted by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.levels.changed import NO_KEYS
from isthmus.levels.extract import Extracted, Origin, flat
from warehouse.columns import column, key, key_text, listed, same
from warehouse.depot import Depot
from warehouse.held import UNREAD, hold_unread, open_entries, supersede
from warehouse.inbound import copy_in, write_package
from warehouse.objects import object_columns, remember, texts_of
from warehouse.records import Conform, as_keys, deletes, key_texts, shape
from warehouse.requests import Request
from warehouse.spec import Store, StoreFeed
from warehouse.statement import statements
from warehouse.tables import active, inbound

AGAIN = "it was read again"


@dataclass
class Arrival:
    """A request while it is read; `met` are the objects that were read, rejected ones left out."""

    depot: Depot
    store: Store
    feed: StoreFeed
    origin: Origin
    request: Request
    conform: Conform
    packages: int = 0
    records: int = 0
    unread: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)
    met: list[pa.Array] = field(default_factory=list)

    @property
    def control(self) -> dict[str, int | Decimal]:
        """Return what was counted while reading; sums are left out where some of it could not be read."""
        return {"records": self.records + self.unread, **({} if self.unread else self.sums)}

    @property
    def objects(self) -> pa.Array:
        """Return the keys of all objects that were met."""
        return pa.concat_arrays([NO_KEYS, *self.met])


def take(arrival: Arrival, packages: Iterable[Extracted], *, remembering: bool) -> None:
    """Write packages into inbound; `remembering` keeps which objects were met, for `take_vanished`."""
    for extracted in packages:
        _take(arrival, extracted)
        if remembering:
            rejected = pc.unique(extracted.rejects["key"].combine_chunks())
            for keys in (*(records.key for records in extracted.records), extracted.gone):
                arrival.met.append(keys.filter(pc.invert(pc.is_in(keys, rejected))))


def _take(arrival: Arrival, extracted: Extracted) -> None:
    store, depot = arrival.store, arrival.depot
    batches, unread = [], [extracted.rejects.select(UNREAD.names)]
    for records in extracted.records:
        shaped = shape(store, arrival.feed, flat(records, store.list), arrival.conform)
        remember(depot, store, arrival.origin, shaped)
        batches.append(shaped.batch)
        unread.append(shaped.unread)
    batch = pa.Table.from_batches(batches).combine_chunks()
    rows = batch.to_batches()[0] if batch.num_rows else batches[0]
    _write(arrival, rows)
    _note_unread(arrival, pa.concat_tables(unread))


def _write(arrival: Arrival, rows: pa.RecordBatch) -> None:
    if not rows.num_rows:
        return
    arrival.packages += 1
    arrival.records += write_package(arrival.depot.connection, arrival.store, arrival.request, arrival.packages, rows)
    for name in arrival.feed.control:
        added = pc.sum(rows.column(name)).as_py() or 0
        arrival.sums[name] = arrival.sums.get(name, Decimal(0)) + added
    _read_again(arrival, key_texts(arrival.store, rows))


def _note_unread(arrival: Arrival, found: pa.Table) -> None:
    """Hold the keys that could not be read; their records in the store stay as they are."""
    if not found.num_rows:
        return
    depot, store = arrival.depot, arrival.store
    named = texts_of(depot, store, arrival.origin, pc.unique(found["key"].combine_chunks()))
    found = found.join(named, "key", join_type="inner").drop_columns(["key"]).rename_columns({"text": "key"})
    arrival.packages += 1  # a package of its own, without records
    hold_unread(depot.connection, store, arrival.request, arrival.packages, found.select(UNREAD.names), depot.clock())
    arrival.unread += int(pc.count_distinct(found["key"]).as_py())


def take_vanished(arrival: Arrival) -> int:
    """Add deletes for records of met objects that did not come with them, and return how many."""
    depot, store, objects = arrival.depot, arrival.store, arrival.objects
    if not len(objects):
        return 0
    run, connection = statements("feed"), depot.connection
    staged = object_columns(store, arrival.origin, objects)
    known = staged or {"object_key": objects}
    run.run(connection, "drop objects", {})
    listed_types = ", ".join(f"{column(name)} {_sql(array.type)}" for name, array in known.items())
    run.run(connection, "stage objects", {"columns": listed_types})
    copy_in(connection, "pg_temp.objects", pa.RecordBatch.from_pydict(known))
    run.run(connection, "analyze objects", {})
    parts = {
        "active": active(store),
        "inbound": inbound(store),
        "a_key": listed(store.key, "a"),
        "same_key": same(key(store), "i", "a"),
        "same_objects": same(list(known), "a", "o") if staged else "",
        "key_text": key_text(store, "a"),
    }
    name = "vanished" if staged else "vanished known"
    rows = run.rows(connection, name, parts, source=arrival.feed.system, store=store.name, request=arrival.request.id)
    run.run(connection, "drop objects", {})
    if rows:
        _write(arrival, deletes(store, as_keys(store, rows)))
    return len(rows)


def _read_again(arrival: Arrival, texts: pa.Array) -> None:
    """Let go of keys that could not be read before and can be now: nothing waits for what never came."""
    depot, store, source = arrival.depot, arrival.store, arrival.feed.system
    waiting = [
        entry.key
        for entry in open_entries(depot.connection, store)
        if entry.source == source and entry.kinds == ("unread",) and entry.requests != (arrival.request.id,)
    ]
    back = pc.filter(pa.array(waiting, pa.string()), pc.is_in(pa.array(waiting, pa.string()), texts)).to_pylist()
    if back:
        supersede(depot.connection, store, arrival.request, back, by=source, why=AGAIN, now=depot.clock())


def _sql(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return "bigint" if pa.types.is_integer(kind) else "text"
