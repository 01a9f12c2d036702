"""A pair is a synchronized flow made ready: two systems opened, both directions compiled, both sides read by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import ColumnRef, Connector, Keys
from isthmus.levels.resolve import gather, raw_key
from isthmus.levels.route import Route, compile_route, flow_name
from isthmus.mapping.bind import refuse
from isthmus.mapping.compile import setting
from isthmus.mapping.plan import ReadPlan, Records
from isthmus.mapping.policy import FieldPolicy, policies
from isthmus.mapping.refuse import RefuseRule, refusals
from isthmus.mapping.spec import Flow, Scenario, Scoring
from isthmus.project import Project

Name = Literal["source", "target"]
WAYS: tuple[tuple[Name, Name], ...] = (("target", "source"), ("source", "target"))  # a side, and the one it is fed from
OTHER: Mapping[Name, Name] = dict(WAYS)


@dataclass(frozen=True)
class Side:
    """One system of a pair: how it is read (`plan`, with the key columns of every written table) and written.

    `route` leads to this side: its write plan spells records for it, its flow is named by where they come from.
    """

    name: Name
    system: str
    client: str
    plan: ReadPlan
    route: Route

    @property
    def connector(self) -> Connector:
        """Return the system's connector."""
        return self.route.target


@dataclass(frozen=True)
class Pair:
    """A synchronized flow with everything it needs; the key space of `source` is the common one."""

    name: str
    flow: Flow
    source: Side
    target: Side
    policies: tuple[FieldPolicy, ...]
    refusals: tuple[RefuseRule, ...]
    back_office: Name
    match: tuple[tuple[str, ...], ...]
    scoring: Scoring | None
    mapping_hash: str
    restored: Name | None = None  # a side that was set back to an older copy: everything travels to it

    @property
    def object(self) -> str:
        """Return the object that is kept in step."""
        return self.flow.object

    def side(self, name: Name) -> Side:
        """Return a side by its name."""
        return self.source if name == "source" else self.target

    @cached_property
    def image_fields(self) -> tuple[pa.Field, ...]:
        """Return the fields of the agreed image."""
        return tuple(pa.field(policy.name, policy.type) for policy in self.policies)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one side holds of some things: records and raw rows, and where each thing's are (-1: there is no row).

    `unread` tells which things have a row that the mapping rejected; `records.rejects` says why.
    """

    records: Records
    raw: pa.RecordBatch
    at: np.ndarray
    unread: np.ndarray

    @property
    def there(self) -> np.ndarray:
        """Tell which things have a readable record."""
        return self.at >= 0

    def column(self, name: str) -> pa.Array:
        """Return a field of the model aligned with the things; null where there is no record."""
        return aligned(self.records.root.column(name), self.at)

    def raw_column(self, name: str) -> pa.Array:
        """Return a raw column aligned with the things."""
        return aligned(self.raw.column(name).take(self.records.positions), self.at)


@contextmanager
def opened_pair(project: Project, scenario: Scenario, flow: Flow, today: date) -> Iterator[Pair]:
    """Open both systems of a synchronized flow and compile both directions; closes them at the end."""
    source, target = project.connector(flow.source), project.connector(flow.target)
    try:
        yield compile_pair(project, scenario, flow, source, target, today)
    finally:
        source.close()
        target.close()


def compile_pair(
    project: Project, scenario: Scenario, flow: Flow, source: Connector, target: Connector, today: date
) -> Pair:
    """Compose both systems' mappings both ways; raises SpecError where that cannot be."""
    if flow.level != "synchronize":
        said = f'{flow_name(flow)} is a one-way flow; say "level: synchronize" in scenario "{scenario.name}" first.'
        raise refuse(flow.position, said)
    there = compile_route(project, scenario, flow, source, target, today)
    reverse = replace(flow, source=flow.target, target=flow.source)
    back = compile_route(project, scenario, reverse, target, source, today)
    if len(there.reads) > 1 or len(back.reads) > 1:
        raise refuse(flow.position, f"{flow.object} has variants; an object with variants travels one way only.")
    plans = keyed(there.reads[0], back), keyed(back.reads[0], there)
    return Pair(
        name=there.name,
        flow=flow,
        source=Side("source", flow.source, there.source_client, plans[0], back),
        target=Side("target", flow.target, there.target_client, plans[1], there),
        policies=fixed_keys(policies(project.catalogue, scenario, flow, *plans), plans, (back, there)),
        refusals=refusals(project.catalogue, flow.object, setting(scenario.switches, today)),
        back_office="target" if scenario.roles.get("back_office") == flow.target else "source",
        match=project.catalogue.models[flow.object].match,
        scoring=project.catalogue.models[flow.object].scoring,
        mapping_hash=there.mapping_hash,
    )


def keyed(plan: ReadPlan, route: Route) -> ReadPlan:
    """Let a plan read the key columns of every written table too, so that a row is found again as it is spelled.

    It reads who changed a row and when as well: `newest` and whoever decides a conflict want to know.
    """
    aliases = {source.alias for source in plan.query.sources}
    more = []
    for table in route.write.tables:
        if not table.list and table.alias in aliases:
            more += [ColumnRef(table.alias, name) for name in route.target.describe(table.table).key]
    held = {(column.alias, column.column.casefold()) for column in plan.query.columns}
    fresh = [column for column in dict.fromkeys(more) if (column.alias, column.column.casefold()) not in held]
    return replace(plan, lists=(), query=replace(plan.query, columns=(*plan.query.columns, *fresh))).stamped()


def fixed_keys(
    found: tuple[FieldPolicy, ...], plans: tuple[ReadPlan, ReadPlan], routes: tuple[Route, Route]
) -> tuple[FieldPolicy, ...]:
    """Fields that identify a row on a side are not written there: another key would be another thing.

    `plans` and `routes` are the source's and the target's.  The keys of optional parts may change: another part then
    takes the place of the former one.
    """
    keys = [
        {item.name for item in plan.fields if set(item.pipe.columns) & set(plan.key.columns)}
        | {
            column.filling.name
            for table in route.write.tables
            if not table.list and not table.optional
            for column in table.columns
            if column.role == "key" and column.filling.kind == "field"
        }
        for plan, route in zip(plans, routes, strict=True)
    ]
    return tuple(
        replace(
            policy,
            writes_source=policy.writes_source and policy.name not in keys[0],
            writes_target=policy.writes_target and policy.name not in keys[1],
        )
        for policy in found
    )


def see(side: Side, keys: pa.Array) -> Seen:
    """Read what a side holds of things by canonical key (null: not known there), aligned with `keys`."""
    wanted = pc.unique(pc.drop_null(keys))
    raw = gather(side.connector, side.plan.query, Keys(raw_key(side.plan, wanted)))
    records = side.plan.apply(raw)
    return seen_as(records, raw, keys)


def seen_as(records: Records, raw: pa.RecordBatch, keys: pa.Array) -> Seen:
    """Align records with keys."""
    at = np.asarray(pc.fill_null(pc.index_in(keys, records.key, skip_nulls=True), -1))
    unread = np.asarray(pc.is_in(keys, records.rejects["key"].combine_chunks(), skip_nulls=True))
    return Seen(records, raw, at, unread & (at < 0))


def aligned(array: pa.Array, at: np.ndarray) -> pa.Array:
    """Take entries by number; null where the number is negative."""
    return array.take(pa.array(at, mask=at < 0))
