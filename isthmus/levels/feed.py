"""Feeds: which objects changed in a system since its cursor.  Keys only; rows are read again by key.

The connector reads feeds by date, timestamp or pointer; a snapshot is taken here, from any connector that reads.
A cursor that a feed cannot go on from is never passed over: everything is compared once, and the ledger says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector, FeedLost, Keys
from isthmus.errors import DataError
from isthmus.ledger import Ledger
from isthmus.levels.changed import (
    NO_KEYS,
    Changed,
    as_recorded,
    begun,
    every_key,
    keys_where,
    polled,
    refuse_other,
    spelled,
)
from isthmus.levels.resolve import raw_key
from isthmus.levels.route import Route, flow_name
from isthmus.levels.snapshot import fingerprints
from isthmus.levels.watch import Feed, feed_of
from isthmus.mapping.spec import Flow

if TYPE_CHECKING:
    from isthmus.levels.download import Desk

Side = Literal["source", "target"]


def poll_side(
    desk: Desk, flow: Flow, side: Side, *, connector: Connector | None = None, cursor: str | None = None
) -> Changed:
    """Read what changed on one side of a flow since its cursor (the ledger's, unless one is given).

    Nothing is remembered: polling again gives the same, and what came since.  `connector` is an open one to use.
    """
    feed = side_feed(desk, flow, side)
    name = flow_name(flow)
    other = flow.target if side == "source" else flow.source
    with _open(desk, feed, connector) as system:
        feed = as_recorded(desk.project, feed, system, desk.clock())
        try:
            changed = _poll(
                feed, system, desk.ledger, name, cursor or kept_cursor(desk.ledger, flow, side), desk.clock()
            )
        except FeedLost as lost:
            changed = everything(feed, system, desk.ledger, name, other, desk.clock(), str(lost))
            desk.ledger.events.put(desk.name, "feed lost", flow=name, details={"system": feed.system, "why": str(lost)})
        return known_gone(feed, system, desk.ledger, changed)


def begin_side(desk: Desk, flow: Flow, side: Side, *, connector: Connector | None = None) -> str:
    """Return a cursor of this moment: what is committed after it is not missed.  Store it with `feeds.advance`."""
    feed = side_feed(desk, flow, side)
    with _open(desk, feed, connector) as system:
        feed = as_recorded(desk.project, feed, system, desk.clock())
        return _begin(feed, system, desk.ledger, flow_name(flow), desk.clock())


def begin_feeds(desk: Desk, flow: Flow, route: Route, run: str) -> str:
    """Take the cursors of a flow before the first row of its load is read, and return the source's.

    Going on with a load that was broken off keeps the cursors that it began with.  Both sides of a synchronized flow
    are taken: what agents change in the target while it is loaded is not lost either.
    """
    ledger, name = desk.ledger, route.name
    known = ledger.feeds.cursor(name, flow.source)
    if known is not None and ledger.flows.state(name).state == "loading":
        return known
    cursor = begin_side(desk, flow, "source", connector=route.source)
    if flow.level == "synchronize":
        ledger.feeds.advance(name, flow.target, begin_side(desk, flow, "target", connector=route.target), run)
    ledger.feeds.advance(name, flow.source, cursor, run)
    return cursor


def side_feed(desk: Desk, flow: Flow, side: Side) -> Feed:
    """Return what is watched on one side of a flow."""
    system = flow.source if side == "source" else flow.target
    return feed_of(desk.project, desk.scenario, system, flow.object, desk.today)


def kept_cursor(ledger: Ledger, flow: Flow, side: Side) -> str | None:
    """Return the cursor the ledger keeps of a side; a source's may be one of before there were feeds."""
    system = flow.source if side == "source" else flow.target
    found = ledger.feeds.cursor(flow_name(flow), system)
    if found is None and side == "source":
        state = ledger.flows.state(flow_name(flow))
        return state.watermark or state.cursor
    return found


@contextmanager
def _open(desk: Desk, feed: Feed, connector: Connector | None) -> Iterator[Connector]:
    if connector is not None:
        yield connector
        return
    opened = desk.project.connector(feed.system)
    try:
        yield opened
    finally:
        opened.close()


def _begin(feed: Feed, system: Connector, ledger: Ledger, flow: str, now: datetime) -> str:
    return _snapshot(feed, system, ledger, flow, now).cursor if feed.kind == "snapshot" else begun(feed, system, now)


def _poll(feed: Feed, system: Connector, ledger: Ledger, flow: str, cursor: str | None, now: datetime) -> Changed:
    if feed.kind == "snapshot" and cursor is not None:
        refuse_other(cursor, "snapshot")
        return _snapshot(feed, system, ledger, flow, now)
    return polled(feed, system, cursor, now)


# --- everything ---------------------------------------------------------------------------------------------------


def everything(
    feed: Feed, system: Connector, ledger: Ledger, flow: str, other: str, now: datetime, because: str
) -> Changed:
    """Return every key of an object with a fresh cursor, and as gone what the key map knows and the system has not."""
    if feed.kind == "snapshot":
        ledger.feeds.forget(flow, feed.system)
    cursor = _begin(feed, system, ledger, flow, now)  # before the first key is read
    keys = every_key(feed, system)
    known = [batch.column("source") for batch in ledger.keys.pairs(feed.object, feed.system, other)]
    known_keys = pa.concat_arrays([NO_KEYS, *known])
    refuse_empty(feed, len(keys), len(known_keys))
    gone = known_keys.filter(pc.invert(pc.is_in(known_keys, keys)))
    return Changed(keys, gone, cursor, len(keys), feed.kind, because)


def refuse_empty(feed: Feed, found: int, known: int) -> None:
    """Raise DataError for a system that holds nothing any more: an empty extract never empties the other side."""
    if known and not found:
        raise DataError(
            f"{feed.system} holds no {feed.object} at all, {known:,} were known. Nothing was done; look at the "
            "connection and its client first. If they really were all deleted, delete them in the other system as well."
        )


def known_gone(feed: Feed, system: Connector, ledger: Ledger, changed: Changed) -> Changed:
    """Keep as gone what the key map knows and the system really has not: one variant's row may be another's."""
    gone = changed.gone
    if len(gone):
        gone = gone.filter(ledger.keys.known(feed.object, feed.system, gone))
    back = standing(feed, system, gone) if len(gone) else NO_KEYS
    gone = gone.filter(pc.invert(pc.is_in(gone, back)))
    keys = pc.unique(pa.concat_arrays([changed.keys, back]))
    keys = keys.filter(pc.invert(pc.is_in(keys, gone)))
    return Changed(keys, gone, changed.cursor, changed.rows, changed.kind, changed.because)


def standing(feed: Feed, system: Connector, keys: pa.Array) -> pa.Array:
    """Return those of some canonical keys that a system holds."""
    found = [NO_KEYS]
    for plan in feed.plans:
        found += keys_where(plan, system, Keys(raw_key(plan, keys)))
    return pc.unique(pc.drop_null(pa.concat_arrays(found)))


# --- by snapshot --------------------------------------------------------------------------------------------------


def _snapshot(feed: Feed, system: Connector, ledger: Ledger, flow: str, now: datetime) -> Changed:
    """Compare the fingerprint of every row with the one it had when its outcome became durable."""
    seen = fingerprints(feed.plans, system)
    cursor = spelled("snapshot", now)
    refuse_empty(feed, seen.num_rows, ledger.feeds.count(flow, feed.system))
    found = ledger.feeds.compare(flow, feed.system, seen, cursor)
    return Changed(found.changed, found.gone, cursor, seen.num_rows, "snapshot")
