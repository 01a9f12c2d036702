"""Checks of code tables: systems exist, no spelling stands for two values, flows lose no value."""

from __future__ import annotations

from isthmus.mapping.document import place
from isthmus.mapping.scope import Scope
from isthmus.mapping.spec import CodeTable, Flow, MappingSpec


def check(scope: Scope) -> None:
    """Check every code table, then what flows translate through them."""
    for table in scope.catalogue.codes.values():
        for system in table.systems:
            scope.system(system, table.position)
        _spellings_are_unambiguous(table, scope)
        _otherwise_names_a_value(table, scope)
    for scenario in scope.catalogue.scenarios.values():
        for flow in scenario.flows:
            _target_spells_what_the_source_reads(flow, scope)


def values_of(table: CodeTable) -> list[str]:
    """Return every model value of a code table, over all systems."""
    return list(dict.fromkeys(value for spelled in table.systems.values() for value in spelled))


def ambiguous(table: CodeTable, system: str) -> bool:
    """Tell whether a spelling of a system stands for two values."""
    spelled = [spelling for spellings in table.systems.get(system, {}).values() for spelling in set(spellings)]
    return len(spelled) != len(set(spelled))


def _spellings_are_unambiguous(table: CodeTable, scope: Scope) -> None:
    for system, spelled in table.systems.items():
        seen: dict[str, str] = {}
        for value, spellings in spelled.items():
            for spelling in spellings:
                first = seen.setdefault(spelling, value)
                if first != value:
                    message = f'in {system} "{spelling}" stands for "{first}" already. Give "{value}" another spelling.'
                    scope.add(place(spelling, table.position), message)


def _otherwise_names_a_value(table: CodeTable, scope: Scope) -> None:
    for system, value in table.otherwise.items():
        scope.known(system, table.systems, f"code table {table.name} has no system", table.position)
        scope.known(value, ["reject", *values_of(table)], f"code table {table.name} has no value", table.position)


def _target_spells_what_the_source_reads(flow: Flow, scope: Scope) -> None:
    sources = scope.catalogue.mappings.get((flow.source, flow.object), ())
    targets = scope.catalogue.mappings.get((flow.target, flow.object), ())
    read = {name for spec in sources for name in _code_tables(spec, writing=False)}
    for name in sorted(read & {name for spec in targets for name in _code_tables(spec, writing=True)}):
        table = scope.catalogue.codes.get(name[1])
        spelled = table.systems.get(flow.target) if table else None
        if table is None or spelled is None:
            continue
        for value in table.systems.get(flow.source, {}):
            if value not in spelled:
                message = (
                    f'{flow.target} has no spelling for "{value}", which {flow.source} reads. Add it to {flow.target}.'
                )
                scope.add(place(value, table.position), message)


def _code_tables(spec: MappingSpec, writing: bool) -> set[tuple[str, str]]:
    """Return (field, code table) of the fields a mapping reads, or writes, through a code table."""
    own = (*spec.fields, *spec.copies) if writing else (*spec.fields, *spec.reads)
    lines = [(line.name, line) for line in own]
    for entry in spec.lists:
        inside = entry.fields if writing else (*entry.fields, *entry.reads)
        lines += [(f"{entry.name}.{line.name}", line) for line in inside]
    calls = [(name, call) for name, line in lines for call in line.pipe.calls]
    return {(name, call.args[0]) for name, call in calls if call.name == "code" and call.args}
