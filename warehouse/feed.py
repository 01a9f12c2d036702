"""Feeding: records of a system become a request of a store: everything, what changed, the last delta again, a month.

The cursor of a feed moves in the transaction that says the request is loaded; a load that was broken off is begun
anew by the next one, and finds the same.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector, FeedLost
from isthmus.errors import ConfigError, ConflictError, DataError, IsthmusError, SystemUnavailable
from isthmus.levels.changed import NO_KEYS, Changed
from isthmus.levels.extract import (
    Origin,
    begin_cursor,
    extract_all,
    extract_changed,
    extract_keys,
    keys_of,
    keys_within,
    opened_origin,
)
from warehouse import control, pointers
from warehouse.arrive import Arrival, take, take_vanished
from warehouse.columns import column, differ, key, key_text, listed, same
from warehouse.depot import Depot
from warehouse.inbound import differences_only, loaded, must_compare, start_over
from warehouse.objects import told_by_object
from warehouse.records import Conform, as_keys
from warehouse.requests import WAITING, Request, list_requests, load_key, open_request, request, set_state
from warehouse.shared import conform_of
from warehouse.spec import Store, StoreFeed, Warehouse
from warehouse.statement import statements
from warehouse.tables import Mode, active, inbound

ANEW = "the load was broken off; a later one begins anew"
SAME = "nothing differs from what is active"
CLOCKS = ("date", "timestamp")


@dataclass(frozen=True, slots=True)
class Load:
    """What became of loading one store from one source; `request` is None where nothing had changed."""

    store: str
    source: str
    mode: Mode
    request: Request | None = None
    because: str = ""

    @property
    def reference(self) -> int | None:
        """Return the request's number, all that later steps need."""
        return self.request.id if self.request else None


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a date field of a store: what a repair is limited to."""

    field: str
    first: date
    last: date

    @property
    def after(self) -> date:
        """Return the first day that is not part of it."""
        return date.fromordinal(self.last.toordinal() + 1)


def load_feed(
    depot: Depot,
    store: Store,
    feed: StoreFeed,
    mode: Mode | None = None,
    *,
    month: Month | None = None,
    connector: Connector | None = None,
) -> Load:
    """Load a store from one of its systems; without a mode, everything the first time and then what changed.

    Raises ConflictError for a mode that cannot follow what was loaded before, DataError where the source counted
    otherwise, SystemUnavailable where it does not answer: the next load begins anew then.
    """
    with turn(depot, store, feed.system), origin_of(depot, store, feed, connector) as origin:
        known = pointers.pointer(depot.connection, store.name, feed.system)
        mode = "REPAIR_FULL" if month else mode or _usual(depot, store, feed, origin, known)
        job = _Job(depot, store, feed, origin, mode, known, conform_of(depot, store, feed.system))
        if mode in ("DELTA", "REPEAT"):
            return _changes(job)
        return _repair_month(job, month) if month else _everything(job)


def origin_of(
    depot: Depot, store: Store, feed: StoreFeed, connector: Connector | None = None
) -> AbstractContextManager[Origin]:
    """Open what feeds a store, with the stamps of its records where those tell which is the newer."""
    stamped = bool(feed.sequence) and store.field(feed.sequence) is None
    opened = connector or depot.system(feed.system)
    return opened_origin(
        depot.project, depot.scenario, feed.system, store.object, depot.clock, stamped=stamped, connector=opened
    )


@dataclass(frozen=True)
class _Job:
    depot: Depot
    store: Store
    feed: StoreFeed
    origin: Origin
    mode: Mode
    pointer: pointers.Pointer | None
    conform: Conform

    def load(self, request_: Request | None = None, because: str = "") -> Load:
        return Load(self.store.name, self.feed.system, self.mode, request_, because)

    def key(self, cursor: str | None, delivery: str) -> str:
        return load_key(self.store.name, self.feed.system, self.mode, cursor, delivery)

    def arrival(self, request_: Request) -> Arrival:
        return Arrival(self.depot, self.store, self.feed, self.origin, request_, self.conform)


def _usual(depot: Depot, store: Store, feed: StoreFeed, origin: Origin, known: pointers.Pointer | None) -> Mode:
    if any(item.name == store.name for item in control.waiting(depot.connection, "store")) and known:
        return "REPAIR_FULL"
    if feed.mode == "full" or origin.whole:
        return "FULL"
    return "DELTA" if known else "INIT"


# --- everything ---------------------------------------------------------------------------------------------------


def _everything(job: _Job, lost: str = "") -> Load:
    """Load all there is (or, for INIT_NODATA, nothing but the cursor); a filled store gets the differences alone."""
    keeps = job.mode in pointers.INITS
    before = job.pointer.confirmed if job.pointer else ""
    delivery = f"after {before} {lost}" if keeps else job.depot.run or job.depot.clock().isoformat()
    if job.mode not in (*pointers.INITS, "FULL", "REPAIR_FULL"):
        raise ConfigError(f"a load has no mode {job.mode}; corrections and reversals have commands of their own")
    opened = opened_request(job.depot, job.store, job.feed.system, job.mode, None, job.key(None, delivery))
    if opened.state != "OPEN":
        return job.load(opened, "delivered before")
    cursor = begin_cursor(job.origin) if keeps else None
    arrival = job.arrival(opened)
    with failing(job.depot, opened):
        if job.mode != "INIT_NODATA":
            take(arrival, extract_all(job.origin), remembering=False)
        return job.load(finish(arrival, cursor), lost)


def _repair_month(job: _Job, month: Month) -> Load:
    """Load the objects that have a day in the month, at the source or here, and compare within the month alone."""
    refuse_waiting(job.depot, job.store)
    delivery = f"{month.field} {month.first} {job.depot.run or job.depot.clock().isoformat()}"
    source = job.store.field(month.field)
    assert source is not None
    there = keys_within(job.origin, source.source or source.name, (str(month.first), str(month.after)))
    here = _keys_here(job, month)
    keys = pc.unique(pa.concat_arrays([there, here]))
    opened = opened_request(job.depot, job.store, job.feed.system, "REPAIR_FULL", None, job.key(None, delivery))
    if opened.state != "OPEN":
        return job.load(opened, "delivered before")
    arrival = job.arrival(opened)
    with failing(job.depot, opened):
        take(arrival, extract_keys(job.origin, keys.take(pc.sort_indices(keys))), remembering=False)
        return job.load(finish(arrival, None, month))


def _keys_here(job: _Job, month: Month) -> pa.Array:
    """Return the objects whose records lie in the month here: they may have moved, or gone, at the source."""
    store, origin, connection = job.store, job.origin, job.depot.connection
    low, high = window(store, month)[month.field]
    named = {"source": job.feed.system, "low": low, "high": high}
    parts = {"active": active(store), "field": column(month.field, "a"), "a_key": listed(store.key, "a")}
    rows = statements("feed").rows(connection, "keys within", parts, **named)
    if not rows:
        return NO_KEYS
    columns = as_keys(store, rows)
    told = {item.source or item.name: columns.column(item.name) for item in told_by_object(store, origin)}
    found = keys_of(origin.feed.plans[0], told)
    if found is None:
        parts["key_text"] = key_text(store, "a")
        rows = statements("feed").rows(connection, "objects within", parts, store=store.name, **named)
        return pa.array([row[0] for row in rows], pa.string())
    return pc.unique(pc.drop_null(found))


# --- what changed -------------------------------------------------------------------------------------------------


def _changes(job: _Job) -> Load:
    """Load what changed since the cursor, or (REPEAT) since the one before it."""
    depot, store, system = job.depot, job.store, job.feed.system
    if job.origin.whole or job.feed.mode == "full":
        raise ConflictError(f"store {store.name}: {system} delivers everything every time; it has no delta")
    if job.pointer is None:
        raise ConflictError(f"store {store.name} was never loaded from {system}; load it once with --mode init")
    since = job.pointer.confirmed if job.mode == "DELTA" else job.pointer.before
    if since is None:
        raise ConflictError(f"store {store.name}: there is no delta from {system} yet that could be repeated")
    try:
        changed = extract_changed(job.origin, since)
    except FeedLost as lost:
        details = {"system": system, "why": str(lost)}
        depot.ledger.events.put("warehouse", "feed lost", flow=store.name, details=details)
        return _everything(_Job(depot, store, job.feed, job.origin, "INIT", job.pointer, job.conform), str(lost))
    delivery = job.pointer.confirmed if job.mode == "REPEAT" else ""
    if not len(changed.keys) and not _left_open(depot, store, system):
        _follow(job, changed)
        return job.load()
    opened = opened_request(depot, store, system, job.mode, since, job.key(since, delivery))
    if opened.state != "OPEN":
        return job.load(opened, "delivered before")
    arrival = job.arrival(opened)
    with failing(depot, opened):
        take(arrival, extract_keys(job.origin, changed.keys), remembering=job.feed.mode == "after")
        if job.feed.mode == "after":
            take_vanished(arrival)
        if arrival.unread or _says_something(arrival):
            return job.load(finish(arrival, changed.cursor))
        set_state(depot.connection, opened.id, "DELETED", depot.clock(), because=SAME)
        _follow(job, changed)
        return job.load()


def _says_something(arrival: Arrival) -> bool:
    """Tell whether records are to be kept: a feed by date or stamp delivers also what it has delivered before."""
    if arrival.origin.feed.kind not in CLOCKS or not arrival.records:
        return arrival.records > 0
    store, connection = arrival.store, arrival.depot.connection
    earlier = [item for item in list_requests(connection, store.name, WAITING) if item.id != arrival.request.id]
    rest = [item.name for item in store.fields if item.name not in store.key]
    parts = {
        "inbound": inbound(store),
        "active": active(store),
        "same_key": same(key(store), "i", "a"),
        "differ": differ(rest, "i", "a"),
    }
    run = statements("feed")
    return bool(earlier or run.rows(connection, "differing", parts, request=arrival.request.id)[0][0])


def _follow(job: _Job, changed: Changed) -> None:
    """Move the pointer along where nothing had changed."""
    if job.mode == "DELTA" and job.pointer:
        named = {"store": job.store.name, "source": job.feed.system, "from": job.pointer.confirmed}
        statements("feed").run(job.depot.connection, "follow pointer", {}, to=changed.cursor, **named)
        tell_ledger(job.depot, job.store, job.feed.system, changed.cursor)


# --- requests -----------------------------------------------------------------------------------------------------


@contextmanager
def turn(depot: Depot, store: Store, source: str) -> Iterator[None]:
    """Be the only one that loads a store from a source."""
    run, said = statements("feed"), f"warehouse load {store.name} {source}"
    run.run(depot.connection, "wait for turn", {}, turn=said)
    try:
        yield
    finally:
        if not depot.connection.closed:
            run.run(depot.connection, "end turn", {}, turn=said)


def opened_request(depot: Depot, store: Store, source: str, mode: Mode, cursor: str | None, wanted: str) -> Request:
    """Open a request, or begin the one anew that was left open with this load key; others left open have failed."""
    for number, found in _left_open(depot, store, source):
        if found != wanted:
            set_state(depot.connection, number, "FAILED", depot.clock(), because=ANEW)
    made = open_request(
        depot.connection, store, source, mode, wanted,
        as_of=depot.today, now=depot.clock(), cursor_from=cursor, run=depot.run,
    )  # fmt: skip
    if made.already and made.state == "OPEN":
        start_over(depot.connection, store, made)
    return made


def _left_open(depot: Depot, store: Store, source: str) -> list[tuple[int, str]]:
    found = statements("feed").rows(depot.connection, "left open", {}, store=store.name, source=source)
    return [(int(number), str(key)) for number, key in found]


@contextmanager
def failing(depot: Depot, opened: Request) -> Iterator[None]:
    """Say why a load failed; where the system did not answer it stays open, for the next try."""
    try:
        yield
    except SystemUnavailable:
        raise
    except IsthmusError as wrong:
        if request(depot.connection, opened.id).state == "OPEN":
            set_state(depot.connection, opened.id, "FAILED", depot.clock(), because=str(wrong)[:500])
        raise


def finish(arrival: Arrival, cursor: str | None, month: Month | None = None) -> Request | None:
    """Say that a request is loaded, and cut what brought everything down to what differs; None where nothing does."""
    depot, store, connection = arrival.depot, arrival.store, arrival.depot.connection
    now = depot.clock()
    with connection.transaction():
        done = loaded(connection, store, arrival.request, now=now, cursor_to=cursor, control=arrival.control)
        ready = not any(item.id < done.id for item in list_requests(connection, store.name, WAITING))
        if must_compare(connection, store, done) and (ready or month):
            done = differences_only(connection, store, done, window(store, month) if month else None)
        if done.mode in ("FULL", "REPAIR_FULL") and not done.records and not arrival.unread:
            set_state(connection, done.id, "DELETED", now, because=SAME)
            return None
    if cursor is not None:
        tell_ledger(depot, store, done.source, cursor)
    return done


def tell_ledger(depot: Depot, store: Store, source: str, cursor: str) -> None:
    """Let the ledger know how far a system's feed is read here, so that what is not read yet is not pruned there."""
    depot.ledger.feeds.advance(f"warehouse.{store.name}", source, cursor, depot.run)


def refuse_waiting(depot: Depot, store: Store) -> None:
    """Raise ConflictError while requests of a store are not active: what a repair finds would not be the difference."""
    waiting = list_requests(depot.connection, store.name, WAITING)
    if waiting:
        named = ", ".join(f"{item.id} ({item.state})" for item in waiting)
        raise ConflictError(
            f"store {store.name} cannot be repaired before its requests are active: {named}. "
            f"`isthmus warehouse load {store.name}` finishes them, `isthmus warehouse delete` takes them away"
        )


# --- months ---------------------------------------------------------------------------------------------------------


def month_of(store: Store, said: str, warehouse: Warehouse, field: str = "") -> Month:
    """Return the month that a person means, of a field or of the one that most tells when a record is posted.

    That is the first field a cube takes the month of, else the first date of the store.  Raises ConfigError.
    """
    try:
        first = datetime.strptime(said, "%Y-%m").date()
    except ValueError as error:
        raise ConfigError(f"{said!r} is no month; write it like 2025-12") from error
    days = [item.name for item in store.fields if item.type.kind in ("date", "moment")]
    postings = [posting for cube in warehouse.cubes_of(store.name) for posting in cube.postings]
    taken = [
        expression.field
        for posting in postings
        if posting.store == store.name
        for expression in posting.dimensions.values()
        if any(call.name == "month" for call in expression.calls)
    ]
    chosen = field or next((name for name in (*taken, *days) if name in days), "")
    if chosen not in days:
        known = ", ".join(days) or "none"
        raise ConfigError(f"store {store.name} has no date {chosen!r} to choose a month of; it has {known}")
    return Month(chosen, first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))


def window(store: Store, month: Month) -> dict[str, tuple[object, object]]:
    """Return the first and last value of the month's field."""
    item = store.field(month.field)
    if item is None:
        raise DataError(f"store {store.name} has no field {month.field}")
    if item.type.kind == "date":
        return {month.field: (month.first, month.last)}
    ends = datetime.combine(month.first, time.min, UTC), datetime.combine(month.last, time.max, UTC)
    return {month.field: ends}
