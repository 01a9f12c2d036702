"""Checks of scenarios: objects, systems and mappings exist, parents travel too, required fields have a place."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapping import check_sync
from isthmus.mapping.document import place
from isthmus.mapping.scope import Scope, lines_of, read_names
from isthmus.mapping.spec import Field, Flow, MappingSpec, Scenario

ROLES = ("back_office", "front_office")


def check(scope: Scope) -> None:
    """Check every scenario."""
    for scenario in scope.catalogue.scenarios.values():
        for role, system in scenario.roles.items():
            scope.known(role, ROLES, "there is no role", scenario.position)
            scope.system(system, scenario.position)
        seen: set[tuple[str, str, str]] = set()
        for flow in scenario.flows:
            _flow_is_sound(flow, scenario, scope)
            if (key := (flow.object, flow.source, flow.target)) in seen:
                scope.add(place(flow.object, flow.position), f'"{flow.object}" flows this way already. Keep one line.')
            seen.add(key)


def _flow_is_sound(flow: Flow, scenario: Scenario, scope: Scope) -> None:
    if not (flow.object and flow.source and flow.target):
        return
    switch = flow.condition.removeprefix("not ").strip()
    if switch:
        at = place(flow.condition, flow.position)
        scope.known(switch, scenario.switches, "this scenario has no switch", at)
    known = [scope.object(flow.object, flow.position)]
    known += [scope.system(system, flow.position) for system in (flow.source, flow.target)]
    if not all(known):
        return
    if flow.source == flow.target:
        scope.add(place(flow.target, flow.position), '"from" and "to" are the same system. Name the other one.')
    there = [_is_mapped(system, flow, scope) for system in (flow.source, flow.target)]
    if all(there):
        _parents_travel_too(flow, scenario, scope)
        _required_fields_have_a_place(flow, scope)
        check_sync.check(flow, scenario, scope)


def _is_mapped(system: str, flow: Flow, scope: Scope) -> bool:
    if (system, flow.object) in scope.exist:
        return (system, flow.object) in scope.catalogue.mappings
    message = f"{system} has no mapping of {flow.object}. Add mappings/{system}/{flow.object}.yaml or remove the flow."
    scope.add(place(system, flow.position), message)
    return False


def _parents_travel_too(flow: Flow, scenario: Scenario, scope: Scope) -> None:
    """A row whose parent is never known in the target would wait for it for ever; any flow may bring the parent."""
    if any(system not in scope.folders for other in scenario.flows for system in (other.source, other.target)):
        return  # said already; the flow that seems missing may be the one with the wrong name
    known = {other.object for other in scenario.flows if flow.target in (other.source, other.target)}
    for parent in _parents(flow, scope):
        if parent not in known and parent != flow.object:
            message = f'"{flow.object}" refers to "{parent}", which no flow of this scenario brings to {flow.target}.'
            scope.add(place(flow.object, flow.position), f"{message} Add one, or its rows would wait for ever.")


def _parents(flow: Flow, scope: Scope) -> list[str]:
    """Return the objects referred to by fields that the source reads and the target writes."""
    sources = scope.catalogue.mappings[flow.source, flow.object]
    targets = scope.catalogue.mappings[flow.target, flow.object]
    read = {name for spec in sources for name in _names(spec, writing=False)}
    written = {name for spec in targets for name in _names(spec, writing=True)}
    refs = [field.args[0] for name, field in _fields(flow.object, scope) if name in read & written and _is_ref(field)]
    return list(dict.fromkeys(refs))


def _is_ref(field: Field) -> bool:
    return field.type == "ref" and bool(field.args)


def _fields(object_: str, scope: Scope) -> Iterator[tuple[str, Field]]:
    """Yield the fields of an object, those of lists with the list's name before."""
    model = scope.catalogue.models.get(object_)
    if model is not None:
        yield from ((field.name, field) for field in model.fields)
        yield from ((f"{entry.name}.{field.name}", field) for entry in model.lists for field in entry.fields)


def _names(spec: MappingSpec, writing: bool) -> set[str]:
    names = {line.name for line in ((*spec.fields, *spec.copies) if writing else lines_of(spec))}
    for entry in spec.lists:
        names |= {f"{entry.name}.{line.name}" for line in (entry.fields if writing else (*entry.fields, *entry.reads))}
    return names


def _required_fields_have_a_place(flow: Flow, scope: Scope) -> None:
    """A target that makes rows must be able to hold what identifies them in the model."""
    model = scope.catalogue.models.get(flow.object)
    for spec in scope.catalogue.mappings[flow.target, flow.object]:
        if model is None or spec.create != "rows":
            continue
        held = read_names(spec) | {line.name for line in spec.copies}
        for field in model.fields:
            if field.required and field.name not in held:
                message = f'{flow.target} has no line for "{field.name}", which the model requires of {flow.object}.'
                scope.add(spec.position, f'{message} Add it to "fields" or "constants".')
