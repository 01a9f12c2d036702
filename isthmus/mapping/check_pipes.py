"""Checks of pipes: tables and functions exist, what comes out fits the model, references are spelled as keys are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from isthmus.mapping.check_codes import ambiguous
from isthmus.mapping.document import Text, place
from isthmus.mapping.functions import Context, Step
from isthmus.mapping.functions.registry import bind
from isthmus.mapping.grammar import Misread
from isthmus.mapping.pipe import read_pipe
from isthmus.mapping.scope import Scope, list_fields
from isthmus.mapping.spec import Call, Field, MappedField, MappedTable, MappingSpec, Pipe, Position

NAMES = {"text": "text", "date": "a date", "time": "a time", "moment": "a moment", "integer": "a whole number"}
ENDINGS = {"date": "date", "time": "time", "moment": "stamp", "integer": "integer", "boolean": "flag"}
MAKERS = {"guid": (0, 1), "next": (1, 1)}


@dataclass(frozen=True, slots=True)
class Bound:
    """A pipe whose functions were bound as far as possible; `whole` if all of them were."""

    steps: tuple[Step, ...]
    whole: bool


def check(spec: MappingSpec, scope: Scope) -> None:
    """Check every pipe of a mapping."""
    context = context_of(spec, scope)
    aliases = [table.alias for table in spec.tables]
    model = scope.catalogue.models.get(spec.object)
    fields = {field.name: field for field in model.fields} if model else {}
    _lines((*spec.fields, *spec.reads, *spec.copies), fields, aliases, context, spec, scope)
    _pipe(spec.key, aliases, context, scope)
    _deleted_gives_yes_or_no(spec, aliases, context, scope)
    for pipe in spec.known_as.values():
        _pipe(pipe, aliases, context, scope)
    _make_is_known(spec.make, spec.tables, scope)
    for entry in spec.lists:
        own = [*aliases, *(table.alias for table in entry.tables)]
        inner = list_fields(scope, spec, entry) or {}
        _lines((*entry.fields, *entry.reads), inner, own, context, spec, scope)
        _period_gives_a_period(entry.period, own, context, scope)
        _make_is_known(entry.make, (*spec.tables, *entry.tables), scope)
    for table in (*spec.tables, *(table for entry in spec.lists for table in entry.tables)):
        _changed_can_be_read(table, context, scope)


def context_of(spec: MappingSpec, scope: Scope) -> Context:
    """Return what functions of a mapping may depend on."""
    settings = scope.catalogue.systems.get(spec.system)
    return Context(spec.system, scope.catalogue.codes, settings.values if settings else {})


def bound(pipe: Pipe, context: Context, scope: Scope | None) -> Bound:
    """Bind the functions of a pipe one by one; with a scope, what cannot be bound is a finding."""
    columns = len(pipe.columns)
    steps: list[Step] = []
    for call in pipe.calls:
        if _said_already(call, context, scope):
            return Bound(tuple(steps), False)
        try:
            step = bind(call, replace(context, columns=columns))
        except ValueError as wrong:
            if scope:
                scope.add(_offending(call, str(wrong)), sentence(str(wrong)))
            return Bound(tuple(steps), False)
        context = replace(context, entering=step.type)
        columns = step.outputs
        steps.append(step)
    return Bound(tuple(steps), bool(pipe.columns))


def _said_already(call: Call, context: Context, scope: Scope | None) -> bool:
    """Tell whether a call names a code table that could not be read, or that gives one spelling two meanings."""
    if scope is None or call.name != "code" or not scope.has("codes", call.args):
        return False
    table = scope.catalogue.codes.get(call.args[0])
    return table is None or ambiguous(table, context.system)


def _offending(call: Call, message: str) -> Position:
    """Return the position of the argument a message quotes, or of the call."""
    quoted = next((arg for arg in call.args if arg and f'"{arg}"' in message), "")
    return place(quoted, call.position)


def sentence(text: str) -> str:
    """End a text with a full stop."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _pipe(pipe: Pipe, aliases: Sequence[str], context: Context, scope: Scope) -> Bound:
    for alias, _ in pipe.columns:
        if "." in alias:
            message = f'"{alias}" is a table of a list, and this line reads the object\'s own tables.'
            scope.add(place(alias, pipe.position), f'{message} Tie it there too, with "lookup: yes" and "at: today".')
        else:
            scope.known(alias, aliases, "there is no table", pipe.position)
    found = bound(pipe, context, scope)
    if len(pipe.columns) > 1 and not pipe.calls:
        joined = " + ".join(column for _, column in pipe.columns)
        scope.add(
            pipe.position, f"{joined} are {len(pipe.columns)} columns. Add the function that makes one value of them."
        )
    return found


def _lines(
    lines: Iterable[MappedField],
    fields: dict[str, Field],
    aliases: Sequence[str],
    context: Context,
    spec: MappingSpec,
    scope: Scope,
) -> None:
    for line in lines:
        found = _pipe(line.pipe, aliases, context, scope)
        field = fields.get(line.name)
        if found.whole and field is not None and (field.args or field.type != "text"):
            _result_fits(line, field, found, scope)
        _reference_is_spelled_like_the_key(line, found, spec, scope)


def _result_fits(line: MappedField, field: Field, found: Bound, scope: Scope) -> None:
    steps, last = found.steps, line.pipe.calls[-1] if line.pipe.calls else None
    at = last.position if last else line.pipe.position
    given = steps[-1].type if steps else pa.string()
    said = f'"{last}" gives {words_of(given)}' if last else "the column alone gives text"
    if field.type in ("code", "ref"):
        wanted = f"{field.type}({field.args[0]})"
        unknown = last is not None and last.name == "ref" and not scope.has("model", last.args)
        if (last is None or str(last) != wanted) and not unknown:
            scope.add(
                at, f'field "{line.name}" is {wanted}, so its pipe must end with it. Write "| {wanted}" at the end.'
            )
        return
    if last is not None and last.name in ("code", "ref"):
        wrong = f'field "{line.name}" is {typed(field)} in the model, but the pipe ends with "{last}".'
        scope.add(at, f"{wrong} Make the model's type {last}, or end the pipe before it.")
    elif not _same_type(field, given):
        ending = ENDINGS.get(field.type) or (f"decimal({field.args[0]})" if field.type == "decimal" else "")
        advice = f'End the pipe with "| {ending}"' if ending else f'Leave out "| {last}"'
        scope.add(at, f'field "{line.name}" is {typed(field)}, but {said}. {advice}, or change the type in the model.')


def typed(field: Field) -> str:
    """Return a field's type as the model writes it."""
    return f"{field.type}({', '.join(field.args)})" if field.args else field.type


def words_of(type_: pa.DataType) -> str:
    """Say an Arrow type in words."""
    if pa.types.is_boolean(type_):
        return "yes or no"
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision}.{type_.scale})"
    tests = {
        "a date": pa.types.is_date,
        "a time": pa.types.is_time,
        "a moment": pa.types.is_timestamp,
        "a whole number": pa.types.is_integer,
        "a period": pa.types.is_struct,
    }
    return next((name for name, test in tests.items() if test(type_)), "text")


def _same_type(field: Field, given: pa.DataType) -> bool:
    if field.type == "boolean":
        return bool(pa.types.is_boolean(given))
    if field.type == "decimal":
        return words_of(given) == typed(field) or pa.types.is_integer(given)
    return words_of(given) == NAMES[field.type]


def _reference_is_spelled_like_the_key(line: MappedField, found: Bound, spec: MappingSpec, scope: Scope) -> None:
    """A foreign key is looked up by the canonical key, so both must be read by the same functions."""
    for call, step in zip(line.pipe.calls, found.steps, strict=False):
        if not step.ref:
            continue
        if not scope.object(step.ref, call.position):
            return
        referred = scope.catalogue.mappings.get((spec.system, step.ref))
        if referred is None:
            if (spec.system, step.ref) not in scope.exist:
                message = f'{spec.system} has no mapping of "{step.ref}", so its key is unknown.'
                scope.add(
                    call.position, f"{message} Add mappings/{spec.system}/{step.ref}.yaml or leave the field out."
                )
            return
        before = line.pipe.calls[: line.pipe.calls.index(call)]
        keys = [other.key for other in referred if bound(other.key, context_of(spec, scope), None).whole]
        if keys and not any(_same_functions(before, key.calls) for key in keys):
            wanted = " | ".join(map(str, keys[0].calls)) or "nothing"
            message = f'the key of {step.ref} is read through "{wanted}" in {spec.system}, this reference is not.'
            scope.add(call.position, f'{message} Write "| {wanted} | {call}".' if keys[0].calls else message)


def _same_functions(calls: Sequence[Call], others: Sequence[Call]) -> bool:
    """The spelling of a GUID may differ: read, they are all the same text."""
    return [_identity(call) for call in calls] == [_identity(call) for call in others]


def _identity(call: Call) -> str:
    return call.name if call.name == "guid" else str(call)


def _deleted_gives_yes_or_no(spec: MappingSpec, aliases: Sequence[str], context: Context, scope: Scope) -> None:
    if spec.deleted is None:
        return
    found = _pipe(spec.deleted, aliases, context, scope)
    if found.whole and not (found.steps and pa.types.is_boolean(found.steps[-1].type)):
        message = '"deleted" needs yes or no. End the pipe with "| flag", or write "deleted: never".'
        scope.add(spec.deleted.position, message)


def _period_gives_a_period(pipe: Pipe | None, aliases: Sequence[str], context: Context, scope: Scope) -> None:
    if pipe is None:
        return
    found = _pipe(pipe, aliases, context, scope)
    if found.whole and not (found.steps and pa.types.is_struct(found.steps[-1].type)):
        message = '"period" needs the start and the end of slices. End the pipe with "| days" or "| moments".'
        scope.add(pipe.position, message)


def _changed_can_be_read(table: MappedTable, context: Context, scope: Scope) -> None:
    if not table.changed or table.changed == "none" or table.changed.startswith("with "):
        return
    position = place(table.changed, table.position)
    try:
        pipe = read_pipe(Text(table.changed, position, True, table.changed), table.alias)
    except Misread:
        return  # found when the file was read
    bound(pipe, context, scope)


def _make_is_known(make: Mapping[str, Call], tables: Sequence[MappedTable], scope: Scope) -> None:
    """Columns are made by a guid or a number range, in tables that are written."""
    by_alias = {table.alias: table for table in tables}
    for column, call in make.items():
        alias = column.rpartition(".")[0]
        at = place(column, call.position)
        if scope.known(alias, by_alias, "there is no table", at) and by_alias[alias].lookup:
            scope.add(at, f'"{alias}" is a lookup table, which is never written. Remove this line, or "lookup: yes".')
        if scope.known(call.name, MAKERS, "nothing is made by", call.position):
            low, high = MAKERS[call.name]
            if not low <= len(call.args) <= high:
                message = 'give it its number range: "next(order)".' if low else "it takes at most one argument."
                scope.add(call.position, f'"{call.name}" has {len(call.args)} arguments; {message}')
