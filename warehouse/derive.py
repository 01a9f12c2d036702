"""Derived stores: a query over other stores makes all records, and the differences from what is active are loaded."""

from __future__ import annotations

import hashlib
import re

import psycopg

from isthmus.errors import DataError, Finding, SpecError
from warehouse.columns import column, differ, listed, same
from warehouse.depot import Depot
from warehouse.feed import Load, opened_request, refuse_waiting, turn
from warehouse.inbound import loaded
from warehouse.order import reads_of
from warehouse.requests import Request, load_key, note
from warehouse.spec import Store, StoreFeed
from warehouse.statement import statements
from warehouse.tables import active, inbound, sql_type

CLOCK = re.compile(r"\b(current_date|current_timestamp|localtimestamp|now\s*\(|clock_timestamp\s*\()", re.IGNORECASE)


def load_query(depot: Depot, store: Store, feed: StoreFeed, *, anew: bool = False) -> Load:
    """Run a store's query and load what differs; no request is made where nothing does.

    The query is not even run where the stores it reads have not changed, unless it is asked to run `anew`.

    Raises DataError for records without a key or with the same one, and where the query gives nothing at all although
    the store is filled; SpecError for a query that the database refuses; ConflictError while requests of the store
    wait for their activation.
    """
    source = feed.system
    with turn(depot, store, source):
        refuse_waiting(depot, store)
        with depot.connection.transaction():
            inputs = inputs_of(depot, store, feed)
            known = statements("derive").rows(depot.connection, "made of", {}, store=store.name)
            if known == [(inputs,)] and not anew:
                return Load(store.name, source, "FULL")
            made = _make(depot, store, feed)
            _refuse_faults(depot, store, source)
            count = _compare(depot, store, source)
            statements("derive").run(depot.connection, "note", {}, store=store.name, inputs=inputs, now=depot.clock())
            if not count:
                return Load(store.name, source, "FULL")
            opened = _opened(depot, store, source)
            return Load(store.name, source, "FULL", _write(depot, store, opened, made, count))


def inputs_of(depot: Depot, store: Store, feed: StoreFeed) -> str:
    """Return a digest of what a query is made of: its text, what is active in the stores it reads, the day."""
    query = _query(depot, feed)
    own = f"{store.name} {[item.type for item in store.fields]}"
    reads = reads_of(store, depot.project.folder)
    found = statements("derive").rows(depot.connection, "inputs", {}, stores=reads)
    deleted = statements("derive").rows(depot.connection, "inputs", {}, stores=[store.name])
    day = str(depot.today) if CLOCK.search(query) else ""
    said = "\n".join([own, query, day, *map(str, found), str(sum(row[3] for row in deleted))])
    return hashlib.sha256(said.encode()).hexdigest()


def _query(depot: Depot, feed: StoreFeed) -> str:
    file = depot.project.folder / "warehouse" / "stores" / feed.query
    return file.read_text(encoding="utf-8").strip().rstrip(";")


def _opened(depot: Depot, store: Store, source: str) -> Request:
    """Open a request; what differs when a query runs again in the same run is another delivery."""
    delivery = depot.run or depot.clock().isoformat()
    opened = opened_request(depot, store, source, "FULL", None, load_key(store.name, source, "FULL", None, delivery))
    while opened.state != "OPEN":
        delivery = f"{delivery} after {opened.id}"
        key = load_key(store.name, source, "FULL", None, delivery)
        opened = opened_request(depot, store, source, "FULL", None, key)
    return opened


def _make(depot: Depot, store: Store, feed: StoreFeed) -> int:
    """Put what the query gives into the TEMP table `made`, in the store's types; returns how many records."""
    run, connection, query = statements("derive"), depot.connection, _query(depot, feed)
    shown = ", ".join(
        f"q.{column(item.source or item.name)}::{sql_type(item.type)} AS {column(item.name)}" for item in store.fields
    )
    run.run(connection, "drop", {})
    try:
        # a query holds braces and percent signs of its own: nothing is bound here
        text = run.texts["made"].replace("{columns}", shown).replace("{query}", query)
        run.run(connection, "all at once", {})
        made = connection.execute(text.encode(), prepare=False).rowcount
        run.run(connection, "as usual", {})
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        raise SpecError([_finding(feed, error)]) from error
    run.run(connection, "index", {"key": listed(store.key)})
    run.run(connection, "analyze", {})
    return made


def _finding(feed: StoreFeed, error: psycopg.Error) -> Finding:
    said = error.diag.message_primary or str(error)
    hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
    return Finding(f"warehouse/stores/{feed.query}", 1, 1, f"the database refuses the query: {said}.{hint} Correct it.")


def _refuse_faults(depot: Depot, store: Store, source: str) -> None:
    run, connection = statements("derive"), depot.connection
    no_key = " OR ".join(f"{column(name)} IS NULL" for name in store.key)
    parts = {"key": listed(store.key), "no_key": no_key}
    made, keyless, twice = run.rows(connection, "faults", parts)[0]
    if keyless or twice:
        wrong = [f"{keyless:,} records without a key"] * bool(keyless)
        wrong += [f"{twice:,} records more than keys ({', '.join(store.key)})"] * bool(twice)
        raise DataError(f"the query of store {store.name} gives {' and '.join(wrong)}; correct the query or the key")
    if not made and run.rows(connection, "holds live", {"active": active(store)}, source=source)[0][0]:
        raise DataError(
            f"the query of store {store.name} gives nothing, but the store is filled; an empty load never empties a "
            "store. Look at the stores it reads"
        )


def _compare(depot: Depot, store: Store, source: str) -> int:
    run, connection = statements("derive"), depot.connection
    names = [item.name for item in store.fields]
    rest = [name for name in names if name not in store.key]
    gone = (
        f"a.{column(item.name)}" if item.name in store.key else f"NULL::{sql_type(item.type)}" for item in store.fields
    )
    parts = {
        "active": active(store),
        "m_fields": listed(names, "m"),
        "gone_fields": ", ".join(gone),
        "same": same(list(store.key), "a", "m"),
        "differ": differ(rest, "m", "a"),
    }
    run.run(connection, "differing", parts, source=source)
    return int(run.rows(connection, "count", {})[0][0])


def _write(depot: Depot, store: Store, opened: Request, made: int, count: int) -> Request:
    connection, now = depot.connection, depot.clock()
    parts = {"inbound": inbound(store), "fields": listed(item.name for item in store.fields)}
    statements("derive").run(connection, "write", parts, request=opened.id, source=opened.source)
    noted = statements("requests")
    noted.run(connection, "note package", {}, request=opened.id, package=1, records=count, digest="query")
    note(connection, opened.id, control={"compared": True, "arrived": made, "differing": count})
    return loaded(connection, store, opened, now=now, control={"records": count})
