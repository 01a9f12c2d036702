"""Requests: every load has one, with a load key that makes a second delivery a no-op, and a state that advances."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, cast

from psycopg.types.json import Jsonb

from isthmus.errors import ConflictError, DataError
from warehouse import pointers
from warehouse.locks import lock_opening
from warehouse.spec import Store
from warehouse.statement import Connection, Row, statements
from warehouse.tables import STATES, Mode, State

# Which states may follow one; activation, roll-up, publication, compression and undo set theirs themselves.
FOLLOWERS: Mapping[State, tuple[State, ...]] = {
    "OPEN": ("LOADED", "FAILED", "DELETED"),
    "LOADED": ("CHECKED", "FAILED", "DELETED"),
    "CHECKED": ("ACTIVE", "FAILED", "DELETED"),
    "ACTIVE": ("ROLLED_UP", "DELETED"),
    "ROLLED_UP": ("PUBLISHED", "DELETED"),
    "PUBLISHED": ("COMPRESSED", "DELETED"),
    "COMPRESSED": (),
    "FAILED": ("DELETED",),
    "DELETED": (),
}
WAITING: tuple[State, ...] = ("OPEN", "LOADED", "CHECKED")
# The columns of a request, in the order of `Request`.
RETURNED = {
    "columns": "request_id, store, source, mode, load_key, state, as_of, cursor_from, cursor_to, parent_request_id, "
    "records, excluded, changed, control, publication, because, run, created_at"
}
HOLDING: tuple[State, ...] = ("ACTIVE", "ROLLED_UP", "PUBLISHED", "COMPRESSED")


@dataclass(frozen=True, slots=True)
class Request:
    """One load of one store from one source; `already` tells that it was there when it was opened again.

    `as_of` is the day its changes count from in the history; it never lies before that of an earlier request.
    """

    id: int
    store: str
    source: str
    mode: Mode
    load_key: str
    state: State
    as_of: date
    cursor_from: str | None = None
    cursor_to: str | None = None
    parent: int | None = None
    records: int = 0
    excluded: int = 0
    changed: int = 0
    control: Mapping[str, Any] = field(default_factory=dict)
    publication: int | None = None
    because: str = ""
    run: str = ""
    created_at: datetime | None = None
    already: bool = False


def load_key(store: str, source: str, mode: Mode, cursor_from: str | None, selection: str = "") -> str:
    """Return what tells one delivery from another; the same delivery has the same key, whenever it is made."""
    said = "\x1f".join((store, source, mode, "" if cursor_from is None else f"={cursor_from}", selection))
    return hashlib.sha256(said.encode()).hexdigest()


def open_request(
    connection: Connection,
    store: Store,
    source: str,
    mode: Mode,
    load_key: str,
    *,
    as_of: date,
    now: datetime,
    cursor_from: str | None = None,
    run: str = "",
    parent: int | None = None,
) -> Request:
    """Open a request, or return the one that has this load already, as `already`.

    A delta begins where the pointer of its feed stands: raises ConflictError for any other `cursor_from`, and where
    the feed was never initialised.  A delivery whose cursor did not move is no second one, but the next.
    """
    run_ = statements("requests")
    with connection.transaction():
        lock_opening(connection, store.name)
        found = run_.rows(connection, "delivered", {}, store=store.name, key=load_key)
        if found and not _stood_still(found[0]):
            return request(connection, found[0][0], already=True)
        if mode == "DELTA":
            pointers.begins(connection, store.name, source, cursor_from)
        row = run_.rows(
            connection,
            "open",
            RETURNED,
            store=store.name,
            source=source,
            mode=mode,
            key=f"{load_key}@{found[0][0]}" if found else load_key,
            cursor=cursor_from,
            parent=parent,
            run=run,
            as_of=as_of,
            now=now,
        )[0]
        return _request(row, False)


def request(connection: Connection, request_id: int, *, lock: bool = False, already: bool = False) -> Request:
    """Return a request, with `lock` for the rest of the transaction; raises DataError for an unknown one."""
    parts = RETURNED | {"lock": "FOR UPDATE" if lock else ""}
    found = statements("requests").rows(connection, "request", parts, request=request_id)
    if not found:
        raise DataError(f"there is no request {request_id}; `isthmus warehouse requests` lists them")
    return _request(found[0], already)


def list_requests(
    connection: Connection, store: str | None = None, states: Sequence[State] | None = None, limit: int = 1_000
) -> list[Request]:
    """Return requests, the newest first: of one store or all, in some states or any."""
    wanted = None if states is None else list(states)
    found = statements("requests").rows(connection, "requests", RETURNED, store=store, states=wanted, limit=limit)
    return [_request(row, False) for row in found]


def set_state(connection: Connection, request_id: int, state: State, now: datetime, *, because: str = "") -> Request:
    """Bring a request to a state; it may be there already.  Raises ConflictError where that state cannot follow.

    What is given up frees its load key, its file and its pointer, so that the same delta is delivered again; what it
    held is held no more, and what it had corrected is held again.  `undo.delete_request` takes back what it changed.
    """
    with connection.transaction():
        found = request(connection, request_id, lock=True)
        if found.state == state:
            return found
        if state not in FOLLOWERS[found.state]:
            may = ", ".join(FOLLOWERS[found.state]) or "nothing"
            raise ConflictError(f"request {request_id} is {found.state}; {may} may follow, {state} may not")
        if state in ("FAILED", "DELETED") and found.state != "FAILED":
            _give_up(connection, found, now)
        return advance(connection, found, state, now, because)


def advance(connection: Connection, found: Request, state: State, now: datetime, because: str = "") -> Request:
    """Bring a request that this transaction has locked to its next state."""
    said = {"state": state, "because": because, "now": now}
    return _request(statements("requests").rows(connection, "set state", RETURNED, request=found.id, **said)[0], False)


def note(
    connection: Connection,
    request_id: int,
    *,
    records: int | None = None,
    changed: int | None = None,
    control: Mapping[str, Any] | None = None,
    cursor_to: str | None = None,
) -> Request:
    """Note counts of a request, add to its control totals, and count anew what is excluded."""
    row = statements("requests").rows(
        connection,
        "count",
        RETURNED,
        request=request_id,
        records=records,
        changed=changed,
        control=Jsonb(dict(control or {})),
        cursor=cursor_to,
    )[0]
    return _request(row, False)


def in_the_way(connection: Connection, store: str, request_id: int, states: Iterable[State] = WAITING) -> list[Row]:
    """Return (request id, state) of the earlier requests of a store that are in one of these states."""
    return statements("requests").rows(connection, "before", {}, store=store, request=request_id, states=list(states))


def after_you(connection: Connection, found: Request, states: Iterable[State], deed: str) -> None:
    """Raise ConflictError while earlier requests of the same store are in one of these states."""
    waiting = in_the_way(connection, found.store, found.id, states)
    if waiting:
        named = ", ".join(f"{number} ({state})" for number, state in waiting[:5])
        raise ConflictError(
            f"request {found.id} of store {found.store} cannot be {deed} before earlier ones: {named}"
            f"{' ...' if len(waiting) > 5 else ''}; finish them, or delete them with `isthmus warehouse delete`"
        )


def _give_up(connection: Connection, found: Request, now: datetime) -> None:
    run = statements("requests")
    pointers.take_back(connection, found.store, found.source, found.id)
    run.run(connection, "reopen held", {}, request=found.id)
    run.run(connection, "end held", {}, request=found.id, now=now)
    run.run(connection, "forget file", {}, request=found.id)


def _stood_still(row: Row) -> bool:
    """Tell whether a delivery left its cursor where it was: the next one begins there too and is another."""
    _, state, cursor_from, cursor_to = row
    return state != "OPEN" and cursor_from is not None and cursor_from == cursor_to


def _request(row: Row, already: bool) -> Request:
    assert row[5] in STATES
    id_, store, source, mode, key, state, as_of, *rest = row
    found = Request(id_, store, source, cast(Mode, mode), key, cast(State, state), as_of, *rest)
    return replace(found, already=already)
