"""What becomes of each field of a synchronized flow: who owns it, who may change it, who decides a conflict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import pyarrow as pa

from isthmus.mapping.plan import BoundPipe, ReadPlan
from isthmus.mapping.spec import Catalogue, Field, Flow, MappingSpec, Model, Scenario

DELETED = "deleted"  # the delete marker, a field like the others


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """One field between the two sides of a flow (`source` and `target` are the flow's own).

    `owner` decides with `on_conflict: owner`; with `edits: owner` the other side may not change it at all.  `ref`
    names the object whose key the field holds.  With `along` a difference that was never agreed on travels along
    with another change, not alone.  `writes_source` and `writes_target` tell whose mapping can write it.
    """

    name: str
    type: pa.DataType
    owner: Literal["source", "target"]
    on_conflict: Literal["owner", "newest", "hold"]
    edits: Literal["both", "owner"]
    ref: str = ""
    writes_source: bool = False
    writes_target: bool = False
    personal: bool = False
    along: bool = False


def policies(catalogue: Catalogue, scenario: Scenario, flow: Flow, a: ReadPlan, b: ReadPlan) -> tuple[FieldPolicy, ...]:
    """Return the policy of every field that both sides read and at least one of them writes, in the model's order.

    `a` reads the flow's source, `b` its target; the delete marker comes last, by the name `deleted`.
    """
    model = catalogue.models[flow.object]
    specs = _spec(catalogue, a), _spec(catalogue, b)
    return tuple(item for item in _policies(model, specs, scenario, flow, a, b))


def _policies(
    model: Model, specs: tuple[MappingSpec, MappingSpec], scenario: Scenario, flow: Flow, a: ReadPlan, b: ReadPlan
) -> Iterator[FieldPolicy]:
    mine, theirs = _pipes(a), _pipes(b)
    written = [written_names(spec) for spec in specs]
    for field in (*model.fields, model.deleted):
        read = field.name in mine and field.name in theirs
        if not read or not any(field.name in names for names in written):
            continue
        pipe = mine[field.name] or theirs[field.name]
        yield FieldPolicy(
            name=field.name,
            type=pipe.type if pipe else pa.string(),
            owner=side_of(flow.owners.get(field.name, owner_of(field, model)), scenario, flow, a, b),
            on_conflict=cast(Any, str(flow.on_conflict.get(field.name, field.on_conflict))),
            edits=cast(Any, str(field.edits)),
            ref=pipe.ref if pipe else "",
            writes_source=field.name in written[0],
            writes_target=field.name in written[1],
            personal=field.personal,
            along=field.along,
        )


def owner_of(field: Field, model: Model) -> str:
    """Return the role that owns a field; where the model is silent, that of the object's key."""
    key = model.field(model.key)
    return field.owner or (key.owner if key else "")


def side_of(role: str, scenario: Scenario, flow: Flow, a: ReadPlan, b: ReadPlan) -> Literal["source", "target"]:
    """Return the side of a flow that plays a role; the source where no role says otherwise."""
    system = scenario.roles.get(role, "")
    return "target" if system in (flow.target, b.system) and system not in (flow.source, a.system) else "source"


def written_names(spec: MappingSpec) -> frozenset[str]:
    """Return the fields that a mapping writes, the delete marker among them where it can be set."""
    lookups = {table.alias for table in spec.tables if table.lookup}
    deleted = [DELETED] if spec.deleted and not any(alias in lookups for alias, _ in spec.deleted.columns) else []
    return frozenset([*(line.name for line in (*spec.fields, *spec.copies)), *deleted])


def _pipes(plan: ReadPlan) -> dict[str, BoundPipe | None]:
    """Return what a plan reads: field -> its pipe, None for a constant of the variant."""
    found: dict[str, BoundPipe | None] = {item.name: item.pipe for item in plan.fields}
    found.update(dict.fromkeys(plan.constants))
    return {**found, DELETED: plan.deleted} if plan.deleted else found


def _spec(catalogue: Catalogue, plan: ReadPlan) -> MappingSpec:
    specs = catalogue.mappings[plan.system, plan.object]
    return next((spec for spec in specs if spec.variant == plan.variant), specs[0])
