"""Checks of a mapping's names: object, fields, tables, ties, slices, switches, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.errors import did_you_mean
from isthmus.mapping.bind import TODAY
from isthmus.mapping.check_codes import values_of
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from isthmus.mapping.scope import Scope, all_tables, list_fields, misnamed
from isthmus.mapping.spec import MappedField, MappedList, MappedTable, MappingSpec, Model, Position

AT = ("today", "last")


def check(spec: MappingSpec, scope: Scope) -> None:
    """Check what a mapping names."""
    if scope.object(spec.object, spec.position):
        _fields_are_in_the_model(spec, scope)
    _variant_is_a_value(spec, scope)
    _tables_are_sound(spec, scope)
    _other_systems_exist(spec, scope)
    _settings_exist(spec, scope)
    _switches_exist(spec, scope)
    _examples_name_columns_and_fields(spec, scope)


def _fields_are_in_the_model(spec: MappingSpec, scope: Scope) -> None:
    model = scope.catalogue.models.get(spec.object)
    if model is None:
        return
    names = [field.name for field in model.fields]
    _known_fields((*spec.fields, *spec.reads, *spec.copies), names, model.object, scope)
    _no_field_is_read_twice(spec.fields, spec.reads, scope)
    for name in spec.constants:
        scope.known(name, names, f"{model.object} has no field", spec.position)
    for entry in spec.lists:
        _list_is_in_the_model(spec, entry, model, scope)


def _known_fields(lines: Iterable[MappedField], names: Sequence[str], owner: str, scope: Scope) -> None:
    for line in lines:
        scope.known(line.name, names, f"{owner} has no field", line.position)


def _no_field_is_read_twice(fields: Sequence[MappedField], reads: Sequence[MappedField], scope: Scope) -> None:
    names = {line.name for line in fields}
    for line in reads:
        if line.name in names:
            message = f'"{line.name}" stands under "fields" too, which reads it already. Keep one of the lines.'
            scope.add(line.position, message)


def _list_is_in_the_model(spec: MappingSpec, entry: MappedList, model: Model, scope: Scope) -> None:
    if not scope.known(entry.name, [item.name for item in model.lists], f"{model.object} has no list", entry.position):
        return
    fields, owner = list_fields(scope, spec, entry) or {}, f"{model.object}.{entry.name}"
    history = bool((listed := model.list(entry.name)) and listed.history)
    bounds = [line for line in (*entry.fields, *entry.reads) if history and line.name in ("from", "until")]
    for line in bounds:
        scope.add(line.position, f'"{line.name}" is filled by "period". Remove this line.')
    _known_fields([line for line in (*entry.fields, *entry.reads) if line not in bounds], list(fields), owner, scope)
    _no_field_is_read_twice(entry.fields, entry.reads, scope)
    if history and entry.period is None:
        scope.add(entry.position, f'{owner} has a history. Say its slices: "period: ALIAS.AB + ALIAS.BIS | days".')
    if entry.period is not None and not history:
        message = f'{owner} has no history in the model, so "period" has nothing to fill. Remove it.'
        scope.add(entry.period.position, message)


def _variant_is_a_value(spec: MappingSpec, scope: Scope) -> None:
    model = scope.catalogue.models.get(spec.object)
    if not spec.variant or model is None:
        return
    if not model.variants:
        message = (
            f'{spec.object} has no variants in the model. Say there which field tells them apart: "variants: kind".'
        )
        scope.add(place(spec.variant, spec.position), message)
        return
    field = model.field(model.variants)
    table = scope.catalogue.codes.get(field.args[0]) if field and field.type == "code" and field.args else None
    if table:
        scope.known(spec.variant, values_of(table), f"code table {table.name} has no value", spec.position)


def _tables_are_sound(spec: MappingSpec, scope: Scope) -> None:
    if spec.tables and (spec.tables[0].ties or spec.tables[0].lookup):
        root = spec.tables[0]
        message = (
            f'"{root.alias}" comes first, so it is the root: one row of it is one object. It has no tie or lookup.'
        )
        scope.add(root.position, message)
    before: dict[str, MappedTable] = {}
    for table in spec.tables:
        _table_is_sound(table, before, not before, spec.tables, scope)
        _fill_in_is_possible(table, (*spec.fields, *spec.copies), scope)
        before[table.alias] = table
    split = next((table for table in spec.tables if table.split and not table.lookup), None)
    if split is not None and spec.create == "rows":
        message = f'"{split.alias}" is split where a thing stands, so no new thing gets its first slice.'
        scope.add(split.position, f'{message} Write "create: never", or map the slices as a list under "each".')
    for entry in spec.lists:
        inside = dict(before)
        for table in entry.tables:
            if table.split:
                message = f'"{table.alias}" is a list, whose entries are slices already. Remove "split".'
                scope.add(table.position, message)
            if table.alias in before:
                message = f'"{table.alias}" names a table of the object already. Use another alias and "table: ...".'
                scope.add(table.position, message)
            _table_is_sound(table, inside, False, (*spec.tables, *entry.tables), scope)
            inside[table.alias] = table


def _table_is_sound(
    table: MappedTable, before: Mapping[str, MappedTable], root: bool, every: Sequence[MappedTable], scope: Scope
) -> None:
    if not root and not table.ties:
        message = f'nothing ties "{table.alias}" to the tables before it. Add "tie: COLUMN = ALIAS.COLUMN".'
        scope.add(table.position, message)
    for tie in (tie for tie in table.ties if tie.column):
        known_alias(tie.other_alias, before, scope, table.position)
    if len(table.valid) not in (0, 2, 4):
        message = '"valid" names two columns (from + to) or four (date + time, date + time).'
        scope.add(place(table.valid[0], table.position), message)
    _slice_is_chosen(table, before, scope)
    if table.split:
        _split_is_possible(table, root, scope)
    _change_is_seen(table, [other.alias for other in every], scope)
    for column in table.initial:
        if column in table.fixed:
            scope.add(place(column, table.position), f'"{column}" is fixed already. Remove it from "initial".')


def _slice_is_chosen(table: MappedTable, before: Mapping[str, MappedTable], scope: Scope) -> None:
    for name, word in (("at", table.at), ("during", table.during)):
        if word and not table.valid:
            message = f'"{name}" needs to know the slices of "{table.alias}". Add "valid: AB + BIS".'
            scope.add(place(word, table.position), message)
    if table.at and table.at not in AT:
        alias, dot, _ = table.at.rpartition(".")
        if not dot:
            hint = did_you_mean(table.at, AT)
            message = f'"at" is today, last or a column such as ALIAS.COLUMN, not "{table.at}".{hint}'
            scope.add(place(table.at, table.position), message)
        elif alias not in before:
            known_alias(alias, before, scope, place(table.at, table.position))
    if table.during and known_alias(table.during, before, scope, table.position) and not before[table.during].valid:
        message = f'"{table.during}" has no slices to overlap with. Add "valid: AB + BIS" to it.'
        scope.add(place(table.during, table.position), message)


def _split_is_possible(table: MappedTable, root: bool, scope: Scope) -> None:
    if table.lookup or root:
        what = "a lookup table is never written" if table.lookup else "the root is the object itself, not a slice of it"
        scope.add(table.position, f'"{table.alias}" cannot be split: {what}. Remove "split" or the other word.')
    elif table.at != "today" or len(table.valid) != 2:
        message = (
            f'"{table.alias}" is split today, so it is read today by its days. Write "valid: AB + BIS, at: today".'
        )
        scope.add(place(table.at, table.position), message)


def _fill_in_is_possible(table: MappedTable, lines: Sequence[MappedField], scope: Scope) -> None:
    alone = {
        f"{alias}.{column}".casefold()
        for line in lines
        if len(line.pipe.columns) == 1
        for alias, column in line.pipe.columns
    }
    for column in table.fill_in:
        name = f"{table.alias}.{column}"
        if not table.split:
            message = f'"{name}" is filled into slices, but "{table.alias}" is not split. Add "split: yes",'
            scope.add(place(column, table.position), f'{message} or remove "fill_in".')
        elif name.casefold() not in alone:
            message = f'no line writes "{name}" by itself, so there is nothing to fill in. Add one under "copies",'
            scope.add(place(column, table.position), f'{message} such as "FIELD: {name}".')


def _change_is_seen(table: MappedTable, aliases: Sequence[str], scope: Scope) -> None:
    if not table.changed and not table.lookup:
        message = (
            f'"{table.alias}" does not say what shows that a row changed, so a change there alone would not be seen. '
            'Add "changed: COLUMN | date", "changed: with ALIAS", or "changed: none" to accept that.'
        )
        scope.add(table.position, message)
    if table.by and (not table.changed or table.changed == "none" or table.changed.startswith("with ")):
        message = f'"by" tells who made the last change, but "{table.alias}" does not say when that was.'
        scope.add(place(table.by[0], table.position), f'{message} Add "changed: COLUMN | date", or remove "by".')
    if table.changed.startswith("with "):
        alias = table.changed.split()[1]
        if alias == table.alias or alias not in aliases:
            others = [name for name in aliases if name != table.alias]
            hint = did_you_mean(alias, others) or offered(others)
            scope.add(place(table.changed, table.position), f'"changed: with {alias}" names no other table.{hint}')


def known_alias(alias: str, tables: Iterable[str], scope: Scope, at: Position) -> bool:
    """Tell whether an alias names a table; if not, say so."""
    return scope.known(alias, tables, "no table before this is called" if not tables else "there is no table", at)


def _other_systems_exist(spec: MappingSpec, scope: Scope) -> None:
    for system in spec.known_as:
        if scope.system(system, spec.position) and system == spec.system:
            scope.add(place(system, spec.position), '"known_as" names another system\'s key. Name that system.')


def _settings_exist(spec: MappingSpec, scope: Scope) -> None:
    for table in all_tables(spec):
        first = [value for value in table.initial.values() if value not in TODAY]
        for value in (*table.fixed.values(), *first):
            if value.startswith("$"):
                _setting_exists(value, table.position, scope)
    for value in spec.constants.values():
        if value.startswith("$"):
            _setting_exists(value, spec.position, scope)


def _setting_exists(value: str, at: Position, scope: Scope) -> None:
    if value in TODAY:
        scope.add(place(value, at), f'"{value}" is a day that passes. It stands under "initial" only.')
        return
    every = [f"${name}.{key}" for name, system in scope.catalogue.systems.items() for key in system.values]
    system = value[1:].partition(".")[0]
    if value in every or ((system, "_system") in scope.exist and system not in scope.catalogue.systems):
        return
    hint = did_you_mean(value, every) or offered(every)
    scope.add(place(value, at), f'no _system.yaml has the value "{value}". Add it there.{hint}')


def _switches_exist(spec: MappingSpec, scope: Scope) -> None:
    scenarios = scope.catalogue.scenarios.values()
    if not scenarios:
        return
    switches = sorted({switch for scenario in scenarios for switch in scenario.switches})
    parts: list[MappingSpec | MappedTable | MappedList] = [spec, *all_tables(spec), *spec.lists]
    for part in parts:
        name = part.condition.removeprefix("not ").strip()
        if name and name not in switches:
            hint = did_you_mean(name, switches) or offered(switches)
            scope.add(place(part.condition, part.position), f'no scenario has a switch "{name}".{hint}')


def _examples_name_columns_and_fields(spec: MappingSpec, scope: Scope) -> None:
    model = scope.catalogue.models.get(spec.object)
    aliases = [table.alias for table in all_tables(spec)]
    for example in spec.examples:
        for column in example.given:
            alias, dot, _ = column.rpartition(".")
            if not dot:
                message = f'"{column}" does not say which table it belongs to. Write ALIAS.{column}.'
                scope.add(place(column, example.position), message)
            elif alias not in aliases:
                hint = did_you_mean(alias, aliases) or offered(aliases)
                scope.add(place(column, example.position), f'there is no table "{alias}".{hint}')
        for name in example.gives:
            if model is not None:
                _example_field(name, spec, model, example.position, scope)


def _example_field(name: str, spec: MappingSpec, model: Model, at: Position, scope: Scope) -> None:
    if misnamed(spec, model):
        return
    read = [*(line.name for line in (*spec.fields, *spec.reads)), *spec.constants]
    for entry in spec.lists:
        bounds = ["from", "until"] if entry.period else []
        read += [f"{entry.name}.{inner}" for inner in (*(x.name for x in (*entry.fields, *entry.reads)), *bounds)]
    scope.known(name, read, f"{spec.system} reads no field", at)
