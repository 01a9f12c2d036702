"""What a feed of one object in one system watches: every table its mapping reads or writes, and the way to the key.

A change in an address or a status row is a change of the object, also where the mapping says that the table is
stamped with another one: pointers and snapshots see it all the same.  Lookups count too, because what they say is
read into the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from isthmus.connector import ColumnRef, Feeds, Query, Source, Watched
from isthmus.connector import FeedKind as Kind
from isthmus.errors import ConfigError
from isthmus.home import MARKER
from isthmus.mapping.bind import Setting, source_of, switched, tables_in_force
from isthmus.mapping.compile import compile_read, reach, reference, setting, specs_of
from isthmus.mapping.plan import ReadPlan
from isthmus.mapping.spec import Catalogue, MappedTable, MappingSpec, Scenario
from isthmus.project import Project


@dataclass(frozen=True, slots=True)
class Feed:
    """How the changes of one object are read from one system."""

    object: str
    system: str
    kind: Kind
    plans: tuple[ReadPlan, ...]
    watched: tuple[Watched, ...]


def feed_of(project: Project, scenario: Scenario, system: str, object_: str, today: date) -> Feed:
    """Say what to watch of an object in a system, and by which kind of feed; raises SpecError, ConfigError."""
    catalogue, given = project.catalogue, setting(scenario.switches, today)
    instance = project.system(system)
    specs = specs_of(catalogue, instance.speaks, object_, given)
    plans = tuple(compile_read(catalogue, instance.speaks, object_, spec.variant, given) for spec in specs)
    watched = [
        table for spec, plan in zip(specs, plans, strict=True) for table in watched_tables(spec, plan, catalogue, given)
    ]
    kind = instance.feed or default_kind(watched)
    return Feed(object_, system, kind, plans, tuple(watched))


def watched_in(project: Project, scenario: Scenario, system: str, today: date) -> list[Watched]:
    """Return every table of a system whose changes some flow of a scenario reads: as source, or kept in step."""
    given = setting(scenario.switches, today)
    found: dict[str, tuple[Watched, ...]] = {}
    for flow in scenario.flows:
        sides = (flow.source, flow.target) if flow.level == "synchronize" else (flow.source,)
        if system in sides and switched(flow.condition, given):
            found[flow.object] = feed_of(project, scenario, system, flow.object, today).watched
    return [table for tables in found.values() for table in tables]


def default_kind(watched: Sequence[Watched]) -> Kind:
    """Return the kind that the mapping's change columns allow: by timestamp only where every one is a stamp."""
    dated = [table for table in watched if table.changed]
    return "timestamp" if dated and all(table.stamp for table in dated) else "date"


def refuse_unable(feed: Feed, connector: object) -> None:
    """Raise ConfigError where a system's connector has not the kind of feed that isthmus.yaml asks for."""
    if feed.kind == "pointer" and not isinstance(connector, Feeds):
        raise ConfigError(
            f'{MARKER}: system "{feed.system}" says feed: pointer, but its connector keeps no change pointers. '
            "Say feed: snapshot, or leave the line out."
        )


def watched_tables(spec: MappingSpec, plan: ReadPlan, catalogue: Catalogue, given: Setting) -> Iterator[Watched]:
    """Yield the tables of one mapping: its own, then those of its lists, each with the way to the object's key."""
    tables = tables_in_force(spec.tables, given)
    used = {source.alias for source in plan.query.sources}
    own = [table for table in tables if table.alias in used or not table.lookup]
    root = tables[0]
    sources = [Source(root.alias, root.table)]
    sources += [source_of(table, spec, catalogue, given, tables, optional=True) for table in tables[1:]]
    whole = replace(plan.query, sources=tuple(sources))
    seen: set[tuple[object, ...]] = set()
    for table in own:
        yield from _once(table, narrowed(whole, table.alias, plan.key.columns), plan.key.columns, seen, table == root)
    entries = {entry.name: entry for entry in spec.lists if switched(entry.condition, given)}
    for entry in plan.lists:
        for table in tables_in_force(entries[entry.name].tables, given):
            if table.alias in {source.alias for source in entry.query.sources}:
                yield from _once(table, narrowed(entry.query, table.alias, entry.parent), entry.parent, seen, False)


def narrowed(query: Query, alias: str, key: Sequence[str]) -> Query:
    """Return the query that leads from rows of `alias` to the key, and reads nothing else."""
    references = tuple(reference(name) for name in key)
    sources = reach(query, {alias, *(ref.alias for ref in references)})
    where = tuple(term for term in query.where if term.left.alias in {source.alias for source in sources})
    return Query(sources, references, references, where, query.distinct)


def _once(
    table: MappedTable, query: Query, key: tuple[str, ...], seen: set[tuple[object, ...]], root: bool
) -> Iterator[Watched]:
    """Leave out a table that is watched already by the same ties, like the second slice of one history."""
    columns, stamp = change_columns(table)
    same = (table.table.casefold(), key, table.ties, tuple(column.column for column in columns))
    if same not in seen:
        seen.add(same)
        yield Watched(table.table, query, key, columns, stamp, table.alias, root)


def change_columns(table: MappedTable) -> tuple[tuple[ColumnRef, ...], bool]:
    """Return the columns that say when a row of a table changed, and whether they are stamps; none for `with X`."""
    if table.changed in ("", "none") or table.changed.startswith("with "):
        return (), False
    columns, _, pipe = table.changed.partition("|")
    names = [name.strip().rpartition(".")[2] for name in columns.split("+")]
    return tuple(ColumnRef(table.alias, name) for name in names), "stamp" in pipe
