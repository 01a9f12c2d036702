"""Extract: an object of one system in the model's values, in packages: everything, what changed, or some keys.

Nothing is written and nothing is remembered: whoever extracts keeps the cursor, and moves it when what was read is
durable.  Rows that the mapping rejects come out with their reasons, keys that a system has no more come out as gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Comparison, Connector, Keys, Query
from isthmus.errors import ConfigError
from isthmus.levels.changed import NO_KEYS, Changed, as_recorded, begun, polled
from isthmus.levels.resolve import canonical_key, raw_key, read_raw, undone
from isthmus.levels.watch import Feed, feed_of
from isthmus.mapping.plan import REMARKS, ReadPlan, Records
from isthmus.mapping.reading import run

if TYPE_CHECKING:
    from isthmus.mapping.spec import Scenario
    from isthmus.project import Project

KEY, DELETED, CHANGED_AT = "object_key", "object_deleted", "object_changed_at"  # what a flat batch holds besides fields
WHOLE = ("none", "snapshot")  # kinds of feeds that tell of no single change: everything is read instead


@dataclass(frozen=True)
class Origin:
    """One object of one system, opened to be read in packages of so many rows."""

    feed: Feed
    system: Connector
    rows: int
    clock: Callable[[], datetime]

    @property
    def whole(self) -> bool:
        """Say whether its feed tells of no single change, so that everything has to be read every time."""
        return self.feed.kind in WHOLE or not self.system.capabilities().feeds


@dataclass(frozen=True, slots=True)
class Extracted:
    """One package: its records, one batch of them a variant, and the asked keys that the system has no more."""

    records: tuple[Records, ...]
    gone: pa.Array = field(default_factory=lambda: NO_KEYS)

    @property
    def seen(self) -> int:
        """Return how many objects were read, those that the mapping rejects included."""
        return sum(records.seen for records in self.records)

    @property
    def rejects(self) -> pa.Table:
        """Return what the mapping rejects, by the object's key (`REMARKS`)."""
        return pa.concat_tables([REMARKS.empty_table(), *(records.rejects for records in self.records)])


@contextmanager
def opened_origin(
    project: Project,
    scenario: Scenario,
    system: str,
    object_: str,
    clock: Callable[[], datetime],
    *,
    stamped: bool = False,
    connector: Connector | None = None,
) -> Iterator[Origin]:
    """Open an object of a system; `stamped` reads also when each record was changed.  Raises SpecError, ConfigError."""
    feed = feed_of(project, scenario, system, object_, clock().date())
    if stamped:
        feed = replace(feed, plans=tuple(plan.stamped() for plan in feed.plans))
    opened = connector or project.connector(system)
    try:
        yield Origin(as_recorded(project, feed, opened, clock()), opened, project.package_rows, clock)
    finally:
        if connector is None:
            opened.close()


def begin_cursor(origin: Origin) -> str:
    """Return a cursor of this moment; take it before the first row is read."""
    return begun(origin.feed, origin.system, origin.clock())


def extract_all(origin: Origin, within: tuple[Comparison, ...] = ()) -> Iterator[Extracted]:
    """Read every object, or those whose root row fulfils some comparisons too; memory is one package."""
    for plan in origin.feed.plans:
        narrowed = narrow(plan, within)
        for part in origin.system.partitions(narrowed.query, origin.rows):
            raw = read_raw(origin.system, narrowed, part)
            yield Extracted((narrowed.apply(raw.root, raw.lists),))


def extract_changed(origin: Origin, cursor: str | None) -> Changed:
    """Return the keys of what changed since a cursor, and where to go on from; raises FeedLost.

    Keys that the feed knows to be gone are among `keys` as well: reading tells what really stands there.
    """
    found = polled(origin.feed, origin.system, cursor, origin.clock())
    keys = pc.unique(pa.concat_arrays([found.keys, found.gone]))
    return replace(found, keys=keys.take(pc.sort_indices(keys)))


def extract_keys(origin: Origin, keys: pa.Array) -> Iterator[Extracted]:
    """Read objects by canonical key, in packages; what is not there, or no longer meant by the mapping, is gone."""
    for start in range(0, len(keys), origin.rows):
        chunk = keys.slice(start, origin.rows)
        found = []
        for plan in origin.feed.plans:
            raw = read_raw(origin.system, plan, Keys(raw_key(plan, chunk)))
            found.append(plan.apply(raw.root, raw.lists))
        met = [met_key for records in found for met_key in (records.key, records.rejects["key"].combine_chunks())]
        gone = chunk.filter(pc.invert(pc.is_in(chunk, pa.concat_arrays([NO_KEYS, *met]))))
        yield Extracted(tuple(found), gone)


def keys_within(origin: Origin, name: str, values: tuple[str, str]) -> pa.Array:
    """Return the canonical keys of objects of which a field of the model lies in a half-open range of dates.

    Reads only the keys and the field's columns.  Raises ConfigError for a field that the system's mapping lacks.
    """
    found = [NO_KEYS]
    for plan in origin.feed.plans:
        item = next((item for item in plan.fields if item.name == name), None)
        if item is None:
            known = ", ".join(item.name for item in plan.fields)
            raise ConfigError(f"{origin.feed.system} does not speak of {plan.object}.{name}. It speaks of {known}.")
        slim = replace(plan, fields=(item,), lists=(), rejects=(), warns=(), presences=(), deleted=None, known_as={})
        names = {*slim.key.columns, *item.pipe.columns}
        columns = tuple(ref for ref in plan.query.columns if str(ref) in names)
        slim = replace(slim, query=replace(plan.query, columns=columns), stamps=(), constants={})
        for part in origin.system.partitions(slim.query, origin.rows):
            raw = read_raw(origin.system, slim, part)
            (days, *_), _ = run(item.pipe, raw.root)
            low, high = (pa.scalar(value).cast(days.type) for value in values)
            inside = pc.fill_null(pc.and_(pc.greater_equal(days, low), pc.less(days, high)), False)
            found.append(canonical_key(plan, raw.root).filter(inside))
    return pc.unique(pc.drop_null(pa.concat_arrays(found)))


def narrow(plan: ReadPlan, within: tuple[Comparison, ...]) -> ReadPlan:
    """Return a plan that reads only root rows that fulfil some comparisons too, in its lists as well."""
    if not within:
        return plan

    def of(query: Query) -> Query:
        return replace(query, where=(*query.where, *within))

    return replace(
        plan, query=of(plan.query), lists=tuple(replace(entry, query=of(entry.query)) for entry in plan.lists)
    )


def flat(records: Records, list_: str = "") -> pa.RecordBatch:
    """Lay records out flat: a row an object, or a row an entry of a list with the fields of its object.

    Columns are the model's fields (an entry's before its object's), `object_key`, `object_deleted` (boolean) and,
    of a stamped plan, `object_changed_at`.
    """
    columns = dict(zip(records.root.schema.names, records.root.columns, strict=True))
    columns[KEY] = records.key
    size = len(records.key)
    marker = pa.repeat(pa.scalar(False), size) if records.deleted is None else pc.fill_null(records.deleted, False)
    columns[DELETED] = marker
    if records.changed_at is not None:
        columns[CHANGED_AT] = records.changed_at
    if not list_:
        return pa.RecordBatch.from_pydict(columns)
    entry = records.lists.get(list_)
    if entry is None:  # no object, so no entries either
        return pa.RecordBatch.from_pydict({name: column.slice(0, 0) for name, column in columns.items()})
    taken = {name: column.take(entry.parent) for name, column in columns.items()}
    taken |= dict(zip(entry.rows.schema.names, entry.rows.columns, strict=True))
    return pa.RecordBatch.from_pydict(taken)


def values_of(plan: ReadPlan, fields: tuple[str, ...], keys: pa.Array) -> dict[str, pa.Array] | None:
    """Return the values of fields as the canonical keys alone tell them; None where a field is made of more."""
    known = {item.name: item.pipe for item in plan.fields if set(item.pipe.columns) <= set(plan.key.columns)}
    if not set(fields) <= set(known):
        return None
    rows = pa.RecordBatch.from_arrays(list(undone(plan.key, keys)), names=list(plan.key.columns))
    return {name: run(known[name], rows)[0][0] for name in fields}


def keys_of(plan: ReadPlan, values: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return the canonical keys of objects whose fields have these values; None where those do not tell the key."""
    columns: dict[str, pa.Array] = {}
    for item in plan.fields:
        wanted = set(item.pipe.columns) <= set(plan.key.columns) and not set(item.pipe.columns) <= set(columns)
        if item.name in values and wanted and all(step.write is not None for step in item.pipe.steps):
            columns |= dict(zip(item.pipe.columns, undone(item.pipe, values[item.name]), strict=True))
    if set(columns) != set(plan.key.columns):
        return None
    rows = pa.RecordBatch.from_arrays([columns[name] for name in plan.key.columns], names=list(plan.key.columns))
    return canonical_key(plan, rows)
