"""Checks of the write direction: every line can be turned round, every column gets its content from one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.mapping.check_pipes import bound, context_of
from isthmus.mapping.document import place
from isthmus.mapping.form import Findings
from isthmus.mapping.functions import Context
from isthmus.mapping.scope import Scope, column_names
from isthmus.mapping.spec import Call, Catalogue, MappedField, MappedList, MappedTable, MappingSpec, Pipe


def check(spec: MappingSpec, scope: Scope) -> None:
    """Check that what a mapping writes has an inverse and one source for each column."""
    context = context_of(spec, scope)
    lines = [*spec.fields, *spec.copies, *(line for entry in spec.lists for line in entry.fields)]
    tables = [*spec.tables, *(table for entry in spec.lists for table in entry.tables)]
    for line in lines:
        _line_has_an_inverse(line, context, scope)
        _line_writes_no_lookup(line, {table.alias: table for table in tables}, scope)
    _key_has_an_inverse(spec, context, scope)
    _columns_have_one_source(spec, scope)


def _line_has_an_inverse(line: MappedField, context: Context, scope: Scope) -> None:
    name = _without_inverse(line.pipe, context)
    if name:
        message = f'"{name}" has no inverse, so "{line.name}" cannot be written. Move this line to "reads".'
        call = next(call for call in line.pipe.calls if call.name == name)
        scope.add(call.position, message)


def _without_inverse(pipe: Pipe, context: Context) -> str:
    return next((step.name for step in bound(pipe, context, None).steps if step.write is None), "")


def _line_writes_no_lookup(line: MappedField, tables: Mapping[str, MappedTable], scope: Scope) -> None:
    for alias, column in line.pipe.columns:
        table = tables.get(alias)
        if table is not None and table.lookup:
            message = f'"{alias}" is a lookup table, which is never written. Move "{line.name}" to "reads".'
            scope.add(place(alias, place(column, line.pipe.position)), message)


def _key_has_an_inverse(spec: MappingSpec, context: Context, scope: Scope) -> None:
    name = _without_inverse(spec.key, context)
    if name and spec.create == "rows" and (spec.fields or spec.copies):
        message = (
            f'"{name}" has no inverse, so no row can be written by this key. Use another function, or "create: never".'
        )
        call = next(call for call in spec.key.calls if call.name == name)
        scope.add(call.position, message)


@dataclass(slots=True)
class _Classes:
    """Tied columns are one class: whatever fills one of them fills all."""

    same: dict[str, str] = field(default_factory=dict)
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)  # head -> (field or kind, column as written)
    made: dict[str, str] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)

    def head(self, name: str) -> str:
        name = name.casefold()
        while self.same.get(name, name) != name:
            name = self.same[name]
        return name

    def fills(self, name: str) -> bool:
        return self.head(name) in self.filled

    def tie(self, one: str, other: str) -> None:
        self.same[self.head(one)] = self.head(other)


def _columns_have_one_source(spec: MappingSpec, scope: Scope) -> None:
    """Fields, a key, `make` and `fixed` may fill a class of tied columns: exactly one of them does."""
    for tables, classes in _filled_classes(spec, scope):
        _ties_are_filled(tables, spec, classes, scope)


def filled_columns(spec: MappingSpec) -> Iterator[tuple[MappedTable, Callable[[str], bool]]]:
    """Yield every table that is written with the question whether a column of it (`ALIAS.COLUMN`) gets content."""
    nowhere = Scope(Catalogue({}, {}, {}, {}, {}), Findings(), frozenset(), frozenset())
    for tables, classes in _filled_classes(spec, nowhere):
        yield from ((table, classes.fills) for table in tables)


def _filled_classes(spec: MappingSpec, scope: Scope) -> Iterator[tuple[Sequence[MappedTable], _Classes]]:
    """Yield the written tables of the object, then of each list, with what fills their columns."""
    tables = [table for table in spec.tables if not table.lookup]
    classes = _Classes()
    _tie(tables, classes)
    _fill_by_lines((*spec.fields, *spec.copies), classes, scope)
    if spec.deleted is not None:
        _fill_by_lines([MappedField("deleted", spec.deleted, spec.deleted.position)], classes, scope)
    classes.filled.update(classes.head(name) for name in column_names(spec.key))
    _fill_by_make(spec.make, classes, scope)
    _fill_by_constants(tables, classes, scope)
    yield tables, classes
    for entry in spec.lists:
        yield _filled_list(entry, classes, scope)


def _filled_list(entry: MappedList, outer: _Classes, scope: Scope) -> tuple[Sequence[MappedTable], _Classes]:
    inner = _Classes(dict(outer.same), {}, {}, set(outer.filled))
    tables = [table for table in entry.tables if not table.lookup]
    _tie(tables, inner)
    inner.filled = {inner.head(name) for name in inner.filled}
    _fill_by_lines(entry.fields, inner, scope)
    if entry.period is not None:
        _fill_by_lines([MappedField("period", entry.period, entry.period.position)], inner, scope)
    _fill_by_make(entry.make, inner, scope)
    _fill_by_constants(tables, inner, scope)
    return tables, inner


def _tie(tables: Iterable[MappedTable], classes: _Classes) -> None:
    for table in tables:
        for tie in (tie for tie in table.ties if tie.column):
            classes.tie(f"{table.alias}.{tie.column}", f"{tie.other_alias}.{tie.other_column}")


def _fill_by_lines(lines: Iterable[MappedField], classes: _Classes, scope: Scope) -> None:
    for line in lines:
        for alias, column in line.pipe.columns:
            name = f"{alias}.{column}"
            head = classes.head(name)
            before, there = classes.lines.setdefault(head, (line.name, name))
            classes.filled.add(head)
            if before != line.name:
                tied = "" if there == name else f', which is tied to "{there}"'
                message = f'"{name}"{tied} is filled by "{before}" already. Move "{line.name}" to "reads".'
                scope.add(place(alias, line.pipe.position), message)


def _fill_by_make(make: Mapping[str, Call], classes: _Classes, scope: Scope) -> None:
    for column, call in make.items():
        head = classes.head(column)
        before = classes.made.setdefault(head, column)
        if before != column:
            message = f'"{column}" is tied to "{before}", which is made already. Remove one of the two lines.'
            scope.add(place(column, call.position), message)
        classes.filled.add(head)


def _fill_by_constants(tables: Sequence[MappedTable], classes: _Classes, scope: Scope) -> None:
    for table in tables:
        for column in table.fixed:
            name = f"{table.alias}.{column}"
            head, at = classes.head(name), place(column, table.position)
            if head in classes.lines:
                by = classes.lines[head][0]
                scope.add(at, f'"{name}" is filled by "{by}" already, so it cannot be fixed. Remove one of the two.')
            elif head in classes.made:
                scope.add(at, f'"{name}" is made already, so it cannot be fixed. Remove one of the two.')
            classes.filled.add(head)
        classes.filled.update(classes.head(f"{table.alias}.{column}") for column in table.initial)


def _ties_are_filled(tables: Sequence[MappedTable], spec: MappingSpec, classes: _Classes, scope: Scope) -> None:
    if spec.create != "rows":
        return
    for table in tables:
        for tie in table.ties:
            name = f"{table.alias}.{tie.column}"
            if tie.column and not classes.fills(name):
                message = f'nothing fills "{name}", which is tied to "{tie.other_alias}.{tie.other_column}".'
                advice = 'Give one of them a field, a "make" line or the key; or mark the table "lookup: yes".'
                scope.add(place(tie.column, table.position), f"{message} {advice}")
