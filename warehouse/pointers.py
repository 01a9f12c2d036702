"""How far each feed was read: a delta begins where the last one ended, and can be repeated once."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.errors import ConflictError
from warehouse.statement import Connection, statements

INITS = ("INIT", "INIT_NODATA")
MOVING = (*INITS, "DELTA", "REPEAT")


@dataclass(frozen=True, slots=True)
class Pointer:
    """`confirmed` is where the next delta begins, `before` where the last one began; `request` had moved it there."""

    confirmed: str
    before: str | None
    request: int
    init: int


def pointer(connection: Connection, store: str, source: str) -> Pointer | None:
    """Return the pointer of a feed, or None where it was never initialised."""
    found = statements("requests").rows(connection, "pointer", {}, store=store, source=source)
    return Pointer(*found[0]) if found else None


def begins(connection: Connection, store: str, source: str, cursor_from: str | None) -> Pointer:
    """Return the pointer that a delta begins at; raises ConflictError where it stands elsewhere or nowhere."""
    found = pointer(connection, store, source)
    if found is None:
        raise ConflictError(
            f"store {store} has no delta from {source} before an init: load it once with mode INIT, or INIT_NODATA"
        )
    if found.confirmed != cursor_from:
        raise ConflictError(
            f"store {store}: a delta from {source} begins at {cursor_from!r}, but the feed is read up to "
            f"{found.confirmed!r} by request {found.request}; read on from there, or use mode REPEAT"
        )
    return found


def move(connection: Connection, store: str, source: str, mode: str, request: int, cursor: str) -> None:
    """Move the pointer with the load of a request; full loads and corrections leave it alone."""
    found = pointer(connection, store, source)
    if mode in INITS or found is None:
        before, init = None, request
    else:
        before, init = (found.before if mode == "REPEAT" else found.confirmed), found.init
    statements("requests").run(
        connection,
        "set pointer",
        {},
        store=store,
        source=source,
        confirmed=cursor,
        before=before,
        request=request,
        init=init,
    )


def take_back(connection: Connection, store: str, source: str, request: int) -> bool:
    """Put the pointer back to where it stood before a request, if that was the last to move it; tells whether."""
    found = pointer(connection, store, source)
    if found is None or found.request != request:
        return False
    run = statements("requests")
    earlier = run.rows(connection, "moved before", {}, store=store, source=source, request=request)
    if not earlier:
        run.run(connection, "drop pointer", {}, store=store, source=source)
        return True
    confirmed, before, mover, init = earlier[0]
    run.run(
        connection,
        "set pointer",
        {},
        store=store,
        source=source,
        confirmed=confirmed,
        before=before,
        request=mover,
        init=init if init is not None else found.init,
    )
    return True
