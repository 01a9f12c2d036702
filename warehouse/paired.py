"""Records are read again once what they refer to has found its pair: they move to their true cells by themselves."""

from __future__ import annotations

import json

from isthmus.levels.extract import extract_keys
from warehouse.arrive import Arrival, take, take_vanished
from warehouse.depot import Depot
from warehouse.feed import Load, failing, finish, opened_request, origin_of, turn
from warehouse.objects import objects_of
from warehouse.requests import load_key
from warehouse.shared import conform_of, known_by_now
from warehouse.spec import Store, StoreFeed

BECAUSE = "read again: the key map knows more of what it refers to"


def load_paired(depot: Depot, store: Store, feed: StoreFeed) -> Load | None:
    """Read such records of a store again, as a CORRECTION; None where there are none, or they are on their way.

    Raises SystemUnavailable where the system does not answer.
    """
    if feed.mode != "after" or not (texts := known_by_now(depot, store, feed.system)):
        return None
    with turn(depot, store, feed.system), origin_of(depot, store, feed) as origin:
        key = load_key(store.name, feed.system, "CORRECTION", None, json.dumps(["paired", texts]))
        request = opened_request(depot, store, feed.system, "CORRECTION", None, key)
        if request.state != "OPEN":
            return None
        arrival = Arrival(depot, store, feed, origin, request, conform_of(depot, store, feed.system))
        with failing(depot, request):
            take(arrival, extract_keys(origin, objects_of(depot, store, origin, texts)), remembering=True)
            take_vanished(arrival)
            return Load(store.name, feed.system, "CORRECTION", finish(arrival, None), BECAUSE)
