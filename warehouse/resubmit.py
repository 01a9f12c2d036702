"""Resubmitting: keys that are held are read from their source again; what stands there now ends their waiting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import DataError
from isthmus.levels.changed import NO_KEYS
from isthmus.levels.extract import Extracted, Origin, extract_keys
from isthmus.mapping.plan import REMARKS
from warehouse.arrive import Arrival, take, take_vanished
from warehouse.depot import Depot
from warehouse.feed import failing, finish, opened_request, origin_of, turn
from warehouse.held import Held, open_entries, supersede
from warehouse.objects import objects_of, texts_of
from warehouse.requests import Request, load_key
from warehouse.shared import conform_of
from warehouse.spec import Store, StoreFeed


@dataclass(frozen=True, slots=True)
class Resubmitted:
    """A source's keys that were read again in a request, and those that still cannot be read, with the reason."""

    source: str
    request: Request | None
    keys: tuple[str, ...]
    unread: tuple[tuple[str, str], ...] = ()


def resubmit(depot: Depot, store: Store, keys: Sequence[str], *, by: str, why: str) -> list[Resubmitted]:
    """Read held keys (all of a store where none are named) from their sources again, as CORRECTION requests, LOADED.

    Raises DataError for a key that is not held, or of which the source cannot be asked again.
    """
    held = open_entries(depot.connection, store, keys or None)
    missing = sorted(set(keys) - {entry.key for entry in held})
    if missing:
        raise DataError(
            f"nothing is held of {', '.join(missing)} in store {store.name}; `isthmus warehouse held` lists what is"
        )
    sources = sorted({entry.source for entry in held})
    return [
        _from(depot, store, _feed(store, source), [entry for entry in held if entry.source == source], by, why)
        for source in sources
    ]


def _feed(store: Store, source: str) -> StoreFeed:
    feed = store.feed(source)
    if feed is None or feed.query or feed.mode == "new":
        raise DataError(
            f"store {store.name}: {source} delivers each record once, it cannot be asked for some again. What could "
            "not be read comes with a mended file, `isthmus warehouse dismiss` ends its waiting if the key was wrong; "
            "`correct` puts right what was refused"
        )
    return feed


def _from(depot: Depot, store: Store, feed: StoreFeed, held: list[Held], by: str, why: str) -> Resubmitted:
    with turn(depot, store, feed.system), origin_of(depot, store, feed) as origin:
        texts = [entry.key for entry in held]
        packages = list(extract_keys(origin, _objects(depot, store, origin, texts)))
        unread = _unread(depot, store, origin, packages)
        back = [text for text in texts if text not in unread]
        if not back:
            return Resubmitted(feed.system, None, (), tuple(unread.items()))
        said = json.dumps([sorted(back), sorted(number for entry in held for number in entry.requests)])
        key = load_key(store.name, feed.system, "CORRECTION", None, said)
        request = opened_request(depot, store, feed.system, "CORRECTION", None, key)
        arrival = Arrival(depot, store, feed, origin, request, conform_of(depot, store, feed.system))
        with failing(depot, request):
            take(arrival, map(_readable, packages), remembering=True)
            take_vanished(arrival)
            supersede(depot.connection, store, request, back, by=by, why=why, now=depot.clock())
            done = finish(arrival, None)
    return Resubmitted(feed.system, done, tuple(back), tuple(unread.items()))


def _objects(depot: Depot, store: Store, origin: Origin, texts: Sequence[str]) -> pa.Array:
    """Return the objects that held keys mean; what has not the parts of a record's key is an object's own."""
    parts = len(store.key)
    whole = [text for text in texts if parts == 1 or text.count("/") == parts - 1]
    own = pa.array([text for text in texts if text not in whole], pa.string())
    meant = objects_of(depot, store, origin, whole) if whole else NO_KEYS
    known = texts_of(depot, store, origin, meant)["text"].combine_chunks() if len(meant) else NO_KEYS
    spelled = pa.array(whole, pa.string())
    strange = spelled.filter(pc.invert(pc.is_in(spelled, known)))  # never met as a record: the object's own key
    found = pc.unique(pa.concat_arrays([meant, own, strange]))
    return found.take(pc.sort_indices(found))


def _unread(depot: Depot, store: Store, origin: Origin, packages: Sequence[Extracted]) -> dict[str, str]:
    """Return the keys that the mapping still rejects, with the reasons."""
    rejects = pa.concat_tables([REMARKS.empty_table(), *(package.rejects for package in packages)])
    if not rejects.num_rows:
        return {}
    named = texts_of(depot, store, origin, pc.unique(rejects["key"].combine_chunks()))
    said = rejects.select(["key", "message"]).join(named, "key", join_type="inner")
    found: dict[str, str] = {}
    for text, message in zip(said["text"].to_pylist(), said["message"].to_pylist(), strict=True):
        found[text] = f"{found[text]}; {message}" if text in found else message
    return found


def _readable(package: Extracted) -> Extracted:
    """Leave out what was rejected: it is held already, and stays so."""
    empty = REMARKS.empty_table()
    rejected = pc.unique(package.rejects["key"].combine_chunks())
    gone = package.gone.filter(pc.invert(pc.is_in(package.gone, rejected)))
    return Extracted(tuple(replace(records, rejects=empty) for records in package.records), gone)
