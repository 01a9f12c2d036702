"""What changed in one system, as its feed alone tells it: keys and a cursor.  Needs no ledger and no flow.

A cursor that the feed cannot go on from raises FeedLost: whoever keeps the cursor compares everything once instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector, FeedLost, Feeds, KeyRange, Pointers, Polled, Query, Where
from isthmus.errors import ConfigError
from isthmus.levels.resolve import canonical_key
from isthmus.levels.watch import Feed, refuse_unable
from isthmus.mapping.plan import ReadPlan
from isthmus.project import Project

VERSION = 1
NO_KEYS = pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Changed:
    """Canonical keys of what changed in one system, each once; `gone` are those it has no more.

    `cursor` is where to read on from, once their outcomes are durable.  `rows` counts the change rows looked at.
    `because` says why everything was compared instead of the changes alone, or ''.
    """

    keys: pa.Array
    gone: pa.Array
    cursor: str
    rows: int = 0
    kind: str = ""
    because: str = ""


def as_recorded(project: Project, feed: Feed, system: Connector, now: datetime) -> Feed:
    """Read pointers where every watched table is recorded, unless isthmus.yaml says a kind: they see most for least.

    Raises ConfigError where it says one that the connector has not.
    """
    if project.system(feed.system).feed:
        refuse_unable(feed, system)
    elif isinstance(system, Pointers) and isinstance(system, Feeds):
        with suppress(ConfigError):  # not installed, or not for all of these tables
            system.begin_feed("pointer", feed.watched, now)
            return replace(feed, kind="pointer")
    return feed


def begun(feed: Feed, system: Connector, now: datetime) -> str:
    """Return a cursor of this moment: what is committed after it is not missed."""
    if feed.kind == "snapshot":
        return spelled("snapshot", now)
    if isinstance(system, Feeds):
        return system.begin_feed(feed.kind, feed.watched, now)
    return spelled("none", now)


def polled(feed: Feed, system: Connector, cursor: str | None, now: datetime) -> Changed:
    """Read what changed since a cursor, by any kind of feed but a snapshot; raises FeedLost."""
    if cursor is None:
        raise FeedLost("The feed was never begun. Everything is compared once instead.")
    if not isinstance(system, Feeds):
        return Changed(NO_KEYS, NO_KEYS, spelled("none", now), kind="none")  # it stamps nothing, so nothing is seen
    return _canonical(feed, system.poll(feed.kind, feed.watched, cursor, now))


def _canonical(feed: Feed, found: Polled) -> Changed:
    plan = feed.plans[0]

    def read(arrays: tuple[pa.Array, ...] | None) -> pa.Array:
        if not arrays or not len(arrays[0]):
            return NO_KEYS
        rows = pa.RecordBatch.from_arrays(list(arrays), names=list(plan.key.columns))
        return pc.unique(pc.drop_null(canonical_key(plan, rows)))

    return Changed(read(found.keys), read(found.gone), found.cursor, found.rows, feed.kind)


def every_key(feed: Feed, system: Connector) -> pa.Array:
    """Read the canonical keys of all objects a system holds."""
    found = [NO_KEYS]
    for plan in feed.plans:
        found += keys_where(plan, system, KeyRange())
    return pc.unique(pc.drop_null(pa.concat_arrays(found)))


def keys_where(plan: ReadPlan, system: Connector, where: Where) -> Iterator[pa.Array]:
    """Yield the canonical keys of the objects in a range, or of some; only rows of the root are read."""
    terms = tuple(term for term in plan.query.where if term.left.alias == plan.query.root.alias)
    query = Query(plan.query.sources[:1], plan.query.key, plan.query.key, terms, plan.query.distinct)
    for batch in system.read(query, where):
        yield canonical_key(plan, pa.RecordBatch.from_arrays(batch.columns, names=list(plan.key.columns)))


def spelled(kind: str, now: datetime) -> str:
    """Spell the cursor of a feed that is kept here and not by the connector."""
    return json.dumps({"version": VERSION, "kind": kind, "at": now.isoformat()}, separators=(",", ":"))


def refuse_other(cursor: str, kind: str) -> None:
    """Raise FeedLost for a cursor that is none of this kind and version."""
    try:
        said = json.loads(cursor)
        fits = (said["version"], said["kind"]) == (VERSION, kind)
    except (ValueError, TypeError, KeyError):
        fits = False
    if not fits:
        raise FeedLost(f"The cursor kept is none of a feed by {kind}. Everything is compared once instead.")
