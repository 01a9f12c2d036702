"""Undo: a request that nothing was built on is deleted; later it is reversed by another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from isthmus.errors import ConflictError
from warehouse.columns import assigned, column, key, key_text, listed, more, nulled, same, values
from warehouse.expression import quoted
from warehouse.history import kept, turn
from warehouse.inbound import loaded
from warehouse.locks import lock_stores
from warehouse.pointers import pointer
from warehouse.requests import HOLDING, WAITING, Request, load_key, open_request, request, set_state
from warehouse.spec import Store, Warehouse
from warehouse.statement import Connection, analyze, statements
from warehouse.tables import active, changes, facts, history, inbound

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion took back, in images; `again` tells whether the feed will deliver the same delta again."""

    request: int
    images: int
    again: bool


def delete_request(
    connection: Connection, warehouse: Warehouse, store: Store, request_id: int, now: datetime
) -> Deleted:
    """Take a request back as if it had never been; one that is deleted already is left as it is.

    Last in, first out: raises ConflictError when a later request spoke of one of its keys or compared everything with
    active data, and when a cube has absorbed it.  If it was published, its facts leave what analysts see at once.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_id, lock=True)
        if found.state == "DELETED":
            return Deleted(request_id, 0, False)
        standing = pointer(connection, store.name, found.source)
        again = standing is not None and standing.request == request_id
        images = _take_back(connection, warehouse, store, found) if found.state in HOLDING else 0
        set_state(connection, request_id, "DELETED", now)
        return Deleted(request_id, images, again)


def reverse_request(
    connection: Connection,
    store: Store,
    request_id: int,
    *,
    now: datetime,
    as_of: date,
    partial: bool = False,
    run: str = "",
) -> Request:
    """Make a REVERSAL request, LOADED, that puts every key of a request back to what it was before.

    It goes the way of every request.  Keys that changed since are refused by ConflictError, or left out with
    `partial`.  The same reversal again returns the one there is.  Raises ConflictError while requests of the store wait
    to be activated, because they may change the keys.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_id, lock=True)
        delivery = load_key(store.name, found.source, "REVERSAL", None, str(request_id))
        made = open_request(
            connection, store, found.source, "REVERSAL", delivery, as_of=as_of, now=now, run=run, parent=request_id
        )
        if made.already:
            return made
        _reversible(connection, store, found, made)
        _reverse(connection, store, found, made, partial)
        return loaded(connection, store, made, now=now)


# --- deleting -----------------------------------------------------------------------------------------------------


def _take_back(connection: Connection, warehouse: Warehouse, store: Store, found: Request) -> int:
    run = statements("undo")
    parts = _parts(store)
    _not_absorbed(connection, found)
    images = _stage(connection, store, found, parts)
    _nothing_later(connection, store, found, parts)
    for name in ("bring back", "bury", "untouch", "remove"):
        run.run(connection, name, parts)
    if store.history:
        run.run(connection, "forget slices", parts)
        analyze(connection, "turned", run.count(connection, "turned", parts))
        turn(connection, store, found.as_of)
    run.run(connection, "drop images", parts, request=found.id)
    for cube in warehouse.cubes_of(store.name):
        run.run(connection, "drop facts", {"facts": facts(cube)}, request=found.id)
    for name in ("forget rolled up", "forget late"):
        run.run(connection, name, {}, request=found.id)
    return images


def _stage(connection: Connection, store: Store, found: Request, parts: dict[str, str]) -> int:
    """Put what was there before a request into the TEMP table `undone`, one row a key; returns how many."""
    run = statements("undo")
    run.run(connection, "drop undone", {})
    count = run.count(connection, "undone", parts, request=found.id)
    analyze(connection, "undone", count)
    return count


def _not_absorbed(connection: Connection, found: Request) -> None:
    absorbed = [row[0] for row in statements("undo").rows(connection, "absorbed", {}, request=found.id)]
    if absorbed or found.state == "COMPRESSED":
        named = f" in {', '.join(absorbed)}" if absorbed else ""
        raise ConflictError(
            f"request {found.id} of store {found.store} is compressed{named} and cannot be deleted; "
            f"reverse it: `isthmus warehouse reverse {found.id}`"
        )


def _nothing_later(connection: Connection, store: Store, found: Request, parts: dict[str, str]) -> None:
    after = statements("requests").rows(
        connection, "after", {}, store=store.name, request=found.id, states=list((*WAITING, *HOLDING))
    )
    comparing = [number for number, _, _, control in after if control.get("compared")]
    later = statements("undo").rows(connection, "later", parts, store=store.name, request=found.id)
    reasons = [f"request {number} spoke of {count} of its keys" for number, count in later]
    reasons += [f"request {number} compared everything with active data" for number in comparing]
    if reasons:
        raise ConflictError(
            f"request {found.id} of store {store.name} is not the last: {'; '.join(reasons[:5])}. Delete "
            "the later ones first, the last of them to begin with, or reverse this one"
        )


# --- reversing ----------------------------------------------------------------------------------------------------


def _reversible(connection: Connection, store: Store, found: Request, made: Request) -> None:
    if found.state not in HOLDING:
        raise ConflictError(f"request {found.id} is {found.state}: it changed nothing, there is nothing to reverse")
    waiting = statements("requests").rows(
        connection, "before", {}, store=store.name, request=made.id, states=list(WAITING)
    )
    if waiting:
        raise ConflictError(
            f"request {found.id} of store {store.name} cannot be reversed while request {waiting[0][0]} is "
            f"{waiting[0][1]}; activate or delete it first"
        )


def _reverse(connection: Connection, store: Store, found: Request, made: Request, partial: bool) -> None:
    run = statements("undo")
    parts = _parts(store)
    _stage(connection, store, found, parts)
    run.run(connection, "drop changed since", {})
    run.run(connection, "changed since", parts, request=found.id)
    since = [row[0] for row in run.rows(connection, "texts of changed since", {})]
    if since and not partial:
        named = ", ".join(since[:SHOWN]) + (" ..." if len(since) > SHOWN else "")
        raise ConflictError(
            f"request {found.id} of store {store.name}: {len(since)} of its keys changed since: {named}. Reverse the "
            "later requests first, or leave these keys out with --partial"
        )
    records = run.count(connection, "reversal", parts, reversal=made.id)
    if not records:
        raise ConflictError(f"request {found.id} of store {store.name} has no key left that could be put back")
    statements("requests").run(
        connection, "note package", {}, request=made.id, package=1, records=records, digest=f"reversal {found.id}"
    )


def _parts(store: Store) -> dict[str, str]:
    keys, rest = key(store), values(store)
    own = [name for name in rest if store.field(name)]
    reversed_values = "".join(
        f", CASE WHEN u.image <> 'N' THEN {column(name, 'u')} END AS {quoted(name)}" for name in own
    )
    return {
        "active": active(store),
        "changes": changes(store),
        "inbound": inbound(store),
        "history": history(store),
        "columns": more([*keys, *rest]),
        "assigned": assigned(rest, "u"),
        "nulled": nulled(rest),
        "same": same(keys, "a", "u"),
        "same_inbound": same(keys, "i", "u"),
        "same_history": same(keys, "h", "u"),
        "same_changed": same(keys, "c", "u"),
        "same_log": same(keys, "l", "u"),
        "u_key": listed(keys, "u"),
        "key_text": key_text(store, "u"),
        "keys_and_history": listed(kept(store), "u"),
        "reversal_columns": more([*keys, *own]),
        "reversed_columns": more(keys, "u") + reversed_values,
    }
