"""Checks of synchronized flows: roles are bound, both sides can be written, policies can be followed."""

from __future__ import annotations

from isthmus.mapping.compile import changed_columns
from isthmus.mapping.document import place
from isthmus.mapping.form import listed
from isthmus.mapping.load_model import ON_CONFLICT, OWNERS
from isthmus.mapping.policy import DELETED, written_names
from isthmus.mapping.scope import Scope, read_names
from isthmus.mapping.spec import Field, Flow, MappedTable, MappingSpec, Model, Scenario


def check(flow: Flow, scenario: Scenario, scope: Scope) -> None:
    """Check a flow whose object, systems and mappings exist."""
    model = scope.catalogue.models.get(flow.object)
    if flow.level == "replicate":
        for name, said in (("owners", flow.owners), ("on_conflict", flow.on_conflict)):
            for word in list(said)[:1]:
                message = f'"{name}" decides between two sides, but level: replicate goes one way. Remove it'
                scope.add(place(word, flow.position), f"{message}, or write level: synchronize.")
        return
    if model is None:
        return
    _overrides_are_known(flow, model, scope)
    _roles_are_bound(flow, scenario, scope)
    _both_sides_are_written(flow, scope)
    for system, other in ((flow.source, flow.target), (flow.target, flow.source)):
        for spec in _specs(system, flow, scope):
            _changes_are_spoken_of(spec, other, scope)
    for field in (*model.fields, model.deleted):
        _newest_can_be_told(field, flow, scope)


def _overrides_are_known(flow: Flow, model: Model, scope: Scope) -> None:
    names = [*(field.name for field in model.fields), DELETED]
    for field in (*flow.owners, *flow.on_conflict):
        scope.known(field, names, f"{model.object} has no field", flow.position)
    for word in flow.owners.values():
        scope.known(word, OWNERS, "there is no role", flow.position)
    for word in flow.on_conflict.values():
        scope.known(word, ON_CONFLICT, "there is no policy", flow.position)


def _roles_are_bound(flow: Flow, scenario: Scenario, scope: Scope) -> None:
    """An owner is a role; the scenario must say which of the two systems plays it."""
    played = {role for role, system in scenario.roles.items() if system in (flow.source, flow.target)}
    for role in OWNERS:
        if role not in played:
            message = f'no system of this flow is the {role}, so nobody owns what is "owner: {role}".'
            free = flow.target if flow.source in scenario.roles.values() else flow.source
            text = f"{message} Say it under roles, such as {role}: {free}."
            scope.add(place(flow.object, flow.position), text)


def _both_sides_are_written(flow: Flow, scope: Scope) -> None:
    for system, other in ((flow.source, flow.target), (flow.target, flow.source)):
        offered = {name for spec in _specs(other, flow, scope) for name in read_names(spec)}
        for spec in _specs(system, flow, scope):
            if not offered & {line.name for line in spec.fields}:
                message = f'{system} has no line under "fields" that {other} reads, so no change could reach it.'
                scope.add(spec.position, f"{message} Move lines there from reads, or write level: replicate.")


def _changes_are_spoken_of(spec: MappingSpec, other: str, scope: Scope) -> None:
    """A lookup table may be silent about changes where it is replicated; where an object is kept in step it may not."""
    for table in spec.tables:
        said = fields_from(spec, table)
        if table.lookup and not table.changed and said:
            message = f'"{table.alias}" does not say what shows a change, so {listed(said, "and")} could change in'
            text = f'{message} {spec.system} and {other} would not hear of it. Add "changed: COLUMN | date", or'
            scope.add(table.position, f'{text} "changed: none": then only feeds by pointer or snapshot see it.')


def fields_from(spec: MappingSpec, table: MappedTable) -> list[str]:
    """Return the fields that a mapping reads from a table."""
    return [line.name for line in (*spec.fields, *spec.reads) if any(a == table.alias for a, _ in line.pipe.columns)]


def _newest_can_be_told(field: Field, flow: Flow, scope: Scope) -> None:
    """Which of two changes is newer can be told only where both sides stamp the second, not the day."""
    overridden = flow.on_conflict.get(field.name)
    if (overridden or field.on_conflict) != "newest" or not _travels(field.name, flow, scope):
        return
    for system in (flow.source, flow.target):
        coarse = next((spec for spec in _specs(system, flow, scope) if not _stamps_seconds(spec)), None)
        if coarse is not None:
            at = place(overridden, flow.position) if overridden else field.position
            message = f'"{field.name}" cannot be decided by newest: {system} stamps only dates of {flow.object}'
            scope.add(at, f"{message}, so two changes of one day have no order. Use owner or hold.")
            return


def _travels(name: str, flow: Flow, scope: Scope) -> bool:
    sides = [_specs(system, flow, scope) for system in (flow.source, flow.target)]
    return any(name in written_names(spec) for specs in sides for spec in specs)


def _stamps_seconds(spec: MappingSpec) -> bool:
    told = [changed_columns(table) for table in spec.tables]
    return all(stamp for names, stamp in told if names) and any(names for names, _ in told)


def _specs(system: str, flow: Flow, scope: Scope) -> tuple[MappingSpec, ...]:
    return scope.catalogue.mappings.get((system, flow.object), ())
