"""Activation: a request's records become what holds, and the change log tells every change with what was there before.

One transaction, one at a time for each store, in the order of the requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import errors

from isthmus.errors import ConflictError
from warehouse.columns import (
    assigned,
    column,
    differ,
    fields,
    former,
    key,
    key_text,
    listed,
    more,
    nulled,
    same,
    values,
)
from warehouse.expression import quoted
from warehouse.history import kept, turn
from warehouse.inbound import differences_only, effective, must_compare, unless_held
from warehouse.locks import lock_stores
from warehouse.posted import look_up
from warehouse.requests import WAITING, Request, advance, after_you, note, request
from warehouse.spec import Store, Warehouse
from warehouse.statement import Connection, analyze, statements
from warehouse.tables import active, changes, history, inbound

# What becomes of a record: it enters, changes or leaves what holds; it touches only the sequence; it comes too late;
# or it says the same.
Fates = Mapping[tuple[str, str], int]  # (fate, what was there: '', tombstone or row) -> records


@dataclass(frozen=True, slots=True)
class Activated:
    """What an activation did, in keys."""

    entered: int = 0
    changed: int = 0
    left: int = 0
    touched: int = 0
    late: int = 0
    same: int = 0


def activate(connection: Connection, warehouse: Warehouse, store: Store, request_id: int, now: datetime) -> Activated:
    """Make a CHECKED request's records what holds; one that is active already is left as it is.

    Raises ConflictError when it is not checked, or while earlier requests of the store are not active.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_id, lock=True)
        if "activated" in found.control:
            return Activated(**found.control["activated"])
        if found.state != "CHECKED":
            raise ConflictError(f"request {request_id} of store {store.name} is {found.state}; it has to be CHECKED")
        after_you(connection, found, WAITING, "activated")
        if must_compare(connection, store, found):
            found = differences_only(connection, store, found)
        done = _first(connection, warehouse, store, found) or _usual(connection, warehouse, store, found)
        counts = {name: getattr(done, name) for name in Activated.__dataclass_fields__}
        note(
            connection,
            request_id,
            changed=done.entered + done.changed + done.left,
            control={"activated": counts},
        )
        advance(connection, found, "ACTIVE", now)
        return done


def _first(connection: Connection, warehouse: Warehouse, store: Store, found: Request) -> Activated | None:
    """Fill an empty store the short way; None where it is not empty, or a key has several records or a delete."""
    run = statements("activate")
    parts = {"active": active(store), "inbound": inbound(store)}
    if not run.rows(connection, "is empty", parts)[0][0]:
        return None
    if run.rows(connection, "has deletes", parts, request=found.id)[0][0]:
        return None
    try:
        with connection.transaction():
            return Activated(entered=_fill(connection, warehouse, store, found))
    except errors.UniqueViolation:
        return None


def _fill(connection: Connection, warehouse: Warehouse, store: Store, found: Request) -> int:
    run = statements("activate")
    only = "AND r.request_id = %(request)s"
    posting = look_up(connection, warehouse, store, found, inbound(store), only=only, as_of=found.as_of)
    columns = [*key(store), *values(store)]
    parts = {
        "active": active(store),
        "inbound": inbound(store),
        "changes": changes(store),
        "history": history(store),
        "columns": more(columns),
        "e_fields": listed([name for name in columns if name in ("source", *fields(store))], "e"),
        "posted": posting.values,
        "lookups": posting.joins,
        "unless_held": unless_held(found, "e"),
        "keys_and_history": listed(kept(store)),
    }
    entered = run.count(connection, "first", parts, request=found.id)
    run.run(connection, "first images", parts, request=found.id)
    if store.history:
        run.run(connection, "first slices", parts, request=found.id)
    return entered


def _usual(connection: Connection, warehouse: Warehouse, store: Store, found: Request) -> Activated:
    run = statements("activate")
    effective(connection, store, found, held=False)
    posting = look_up(connection, warehouse, store, found, "pg_temp.effective", as_of=found.as_of)
    parts = _parts(store, posting.joins, posting.values)
    run.run(connection, "drop work", parts)
    analyze(connection, "work", run.count(connection, "work", parts), "fate, was")
    fates: Fates = {(fate, was): count for fate, was, count in run.rows(connection, "fates", parts)}
    for name in _steps(fates):
        run.run(connection, name, parts | _joined(store, name), request=found.id, store=store.name)
    if store.history and _any(fates, "enters", "changes", "leaves"):
        analyze(connection, "turned", run.count(connection, "turned", parts))
        turn(connection, store, found.as_of)
    return Activated(
        entered=_any(fates, "enters"),
        changed=_any(fates, "changes"),
        left=_any(fates, "leaves"),
        touched=_any(fates, "touches"),
        late=_any(fates, "late"),
        same=_any(fates, "same"),
    )


def _steps(fates: Fates) -> list[str]:
    """Return the statements that the fates of a request's records need, images before what they are images of."""
    needed = {
        "late": _any(fates, "late"),
        "before images": _any(fates, "changes", "leaves"),
        "after images": _any(fates, "changes", "enters"),
        "touches": _any(fates, "touches"),
        "change": _any(fates, "changes") + fates.get(("enters", "tombstone"), 0),
        "leave": _any(fates, "leaves"),
        "touch": _any(fates, "touches"),
        "enter": fates.get(("enters", ""), 0),
        "keep out": fates.get(("touches", ""), 0),
    }
    return [name for name, count in needed.items() if count]


def _joined(store: Store, name: str) -> dict[str, str]:
    """Return the condition by which the changes of active rows find their rows."""
    return {"same": same(key(store), "a", "w")} if name in ("change", "leave", "touch") else {}


def _any(fates: Fates, *wanted: str) -> int:
    return sum(count for (fate, _), count in fates.items() if fate in wanted)


def _parts(store: Store, joins: str, posted_values: str) -> dict[str, str]:
    keys, rest = key(store), values(store)
    own = [name for name in fields(store) if name not in store.key]
    formers = [former(name) for name in rest]
    kept_values = [name for name in kept(store) if name not in keys]
    return {
        "active": active(store),
        "changes": changes(store),
        "inbound": inbound(store),
        "key": listed(keys),
        "keys": more(keys),
        "columns": more([*keys, *rest]),
        "former_columns": more([*keys, *formers]),
        "e_fields": listed([*keys, *own], "e"),
        "former": "".join(f", {column(name, 'a')} AS {quoted(former(name))}" for name in rest),
        "posted": posted_values,
        "lookups": joins,
        "same": same(keys, "a", "e"),
        "differ": differ(own, "e", "a"),
        "assigned": assigned(rest, "w"),
        "nulled": nulled(rest),
        "key_text": key_text(store, "w"),
        "keys_and_history": listed(kept(store), "w"),
        "turned": f"({listed(kept_values, 'w')}) IS DISTINCT FROM ({listed(map(former, kept_values), 'w')})"
        if kept_values
        else "false",
    }
