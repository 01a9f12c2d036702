"""Compile a system's mapping into the plan that writes it: every target column gets exactly one source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pyarrow as pa

from isthmus.connector import Canonical, ColumnRef, Source, Table
from isthmus.errors import Finding, SpecError, did_you_mean
from isthmus.mapping.bind import (
    Setting,
    bind_pipe,
    context_of,
    refuse,
    slice_columns,
    source_of,
    switched,
    tables_in_force,
    value_of,
)
from isthmus.mapping.compile import setting, specs_of
from isthmus.mapping.functions import Context
from isthmus.mapping.plan import BoundPipe, Filling, ReadPlan, Slices, WriteColumn, WritePlan, WriteTable
from isthmus.mapping.spec import Call, Catalogue, MappedField, MappedList, MappedTable, MappingSpec, Pipe, Position

Describe = Callable[[str], Table]


@dataclass(slots=True)
class Columns:
    """The sources of a target's columns, found step by step; a tied column shares the source of its class."""

    sources: dict[str, Filling] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    canonical: dict[str, Canonical] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    said: dict[str, Position] = field(default_factory=dict)
    absent: list[Finding] = field(default_factory=list)

    def head(self, name: str) -> str:
        """Return the representative of a column's tied class."""
        while self.same.get(name, name) != name:
            name = self.same[name]
        return name

    def tie(self, one: str, other: str) -> None:
        """Declare two columns equal."""
        self.same[self.head(one)] = self.head(other)

    def fill(self, name: str, filling: Filling, role: str, canonical: Canonical | None = None) -> None:
        """Give a column its source; the first source of a class stays."""
        head = self.head(name)
        self.sources.setdefault(head, filling)
        self.roles.setdefault(name, role)
        if canonical is not None:
            self.canonical.setdefault(name, canonical)

    def source(self, name: str) -> Filling | None:
        """Return where a column's content comes from, or None if no line says."""
        return self.sources.get(self.head(name))


def compile_write(
    catalogue: Catalogue,
    system: str,
    object_: str,
    describe: Describe,
    provided: tuple[ReadPlan, ...],
    given: Setting | None = None,
) -> WritePlan:
    """Compile how `system` is written with what `provided` reads; columns nobody provides are never touched.

    `describe` tells the live tables: their keys and types.  Raises SpecError where a key stays unfilled.
    """
    given = given or setting()
    spec = specs_of(catalogue, system, object_, given)[0]
    context = context_of(catalogue, system)
    offered = {item.name for plan in provided for item in plan.fields} | {
        n for plan in provided for n in plan.constants
    }
    tables = [table for table in tables_in_force(spec.tables, given) if not table.lookup]
    columns = Columns()
    for table in tables:
        for tie in table.ties:
            columns.tie(f"{table.alias}.{tie.column}", f"{tie.other_alias}.{tie.other_column}")
    lines = [line for line in (*spec.fields, *spec.copies) if line.name in offered]
    _fill_fields(columns, lines, context)
    key = bind_pipe(spec.key, context)
    key_from = _fill_key(columns, key)
    _fill_made(columns, spec.make, key.columns)
    if spec.deleted is not None:
        _fill_pipe(columns, spec.deleted, context, "deleted", "")
    _fill_constants(columns, tables, catalogue, given.today)
    written = [
        _sliced(table, columns, describe(table.table), given, history_of(table, spec, catalogue, given))
        if table.split
        else _table(table, columns, describe(table.table))
        for table in tables
        if not table.distinct
    ]
    lists = [entry for entry in spec.lists if switched(entry.condition, given)]
    fields_of_lists = _offered_lists(provided)
    for entry in lists:
        if entry.name in fields_of_lists:
            written += _list_tables(entry, columns, catalogue, given, context, describe, fields_of_lists[entry.name])
    if columns.absent:
        raise SpecError(sorted(set(columns.absent)))
    kinds = {line.name: bind_pipe(line.pipe, context).ref for line in lines}
    return WritePlan(
        object=object_,
        system=system,
        tables=tuple(written),
        key=key,
        key_from=key_from,
        refs={name: ref for name, ref in kinds.items() if ref},
        list_refs=_list_refs(lists, fields_of_lists, context),
        create=spec.create,
        can_delete=spec.deleted is not None,
        counters=tuple(
            dict.fromkeys(c.filling.value for t in written for c in t.columns if c.filling.kind == "number")
        ),
        stands_in=_stands_in(columns, spec.make, tables),
    )


def _stands_in(columns: Columns, make: Mapping[str, Call], tables: list[MappedTable]) -> dict[str, str]:
    """Find, for a made guid of a tied table, the column above it that holds it where the row stands already."""
    found = {}
    for table in tables:
        for tie in table.ties:
            name, above = f"{table.alias}.{tie.column}", f"{tie.other_alias}.{tie.other_column}"
            filling = columns.source(name)
            if name in make and filling is not None and filling.kind == "made":
                found[name] = above
    return found


def _offered_lists(provided: tuple[ReadPlan, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for plan in provided:
        for entry in plan.lists:
            names = {item.name for item in entry.fields} | ({"from", "until"} if entry.period else set())
            found.setdefault(entry.name, set()).update(names)
    return found


def _list_refs(lists: list[MappedList], offered: dict[str, set[str]], context: Context) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in lists:
        for line in entry.fields:
            ref = bind_pipe(line.pipe, context).ref
            if ref and line.name in offered.get(entry.name, ()):
                found.setdefault(entry.name, {})[line.name] = ref
    return found


def _fill_fields(columns: Columns, lines: list[MappedField], context: Context) -> None:
    for line in lines:
        _fill_pipe(columns, line.pipe, context, "field", line.name)


def _fill_pipe(columns: Columns, pipe: Pipe, context: Context, kind: str, name: str) -> None:
    bound = bind_pipe(pipe, context)
    blocked = [step.name for step in bound.steps if step.write is None]
    if blocked:
        raise refuse(
            pipe.position, f'"{blocked[0]}" has no inverse, so this line cannot be written; move it to `reads`.'
        )
    for output, column in enumerate(bound.columns):
        columns.said.setdefault(column, pipe.position)
        columns.fill(column, Filling(kind, bound, output, name), "written", canonical_of(bound))


def canonical_of(pipe: BoundPipe) -> Canonical | None:
    """Return the kernel that brings spellings of one value together, or None where spellings are unique."""
    steps = [step for step in pipe.steps if not step.ref]
    if len(pipe.columns) != 1 or not steps or all(step.exact for step in steps):
        return None

    def canonical(raw: pa.Array) -> pa.Array:
        arrays: tuple[pa.Array, ...] = (raw,)
        for step in steps:
            arrays = step.read(arrays).arrays
        for step in reversed(steps):
            assert step.write is not None
            arrays = step.write(arrays).arrays
        return arrays[0]

    return canonical


def _fill_key(columns: Columns, key: BoundPipe) -> str:
    """Let the object's own key fill the columns that no field fills; tell who decides it."""
    if all(columns.source(name) for name in key.columns):
        return "fields"
    for output, name in enumerate(key.columns):
        columns.fill(name, Filling("key", key, output), "initial")
    return "made"


def _fill_made(columns: Columns, make: Mapping[str, Call], key: tuple[str, ...]) -> None:
    for name, call in make.items():
        if columns.head(name) in {columns.head(column) for column in key}:
            continue
        kind = "number" if call.name == "next" else "made"
        columns.fill(name, Filling(kind, name=name, value=call.args[0] if call.args else ""), "initial")


def _fill_constants(columns: Columns, tables: list[MappedTable], catalogue: Catalogue, today: str) -> None:
    for table in tables:
        for column, value in {**table.fixed, **table.initial}.items():
            text = value_of(value, catalogue, table.position, today)
            columns.said.setdefault(f"{table.alias}.{column}", table.position)
            columns.fill(f"{table.alias}.{column}", Filling("constant", value=text), "initial")


def _table(
    table: MappedTable, columns: Columns, described: Table, list_: str = "", missing: str = "keep"
) -> WriteTable:
    """Collect the columns of one target table; every key column must have a source."""
    _note_absent(table, columns, described)
    found = []
    keys = {name.casefold() for name in described.key}
    for column in described.columns:
        name = next((n for n in _names(columns, table.alias) if n.casefold() == column.name.casefold()), column.name)
        full = f"{table.alias}.{name}"
        filling = columns.source(full)
        if filling is None:
            if column.name.casefold() in keys:
                raise refuse(
                    table.position,
                    f'nothing fills "{full}", a key column of {table.table}: give it a field, a tie or `make`.',
                )
            continue
        role = "key" if column.name.casefold() in keys else columns.roles.get(full, _tied_role(filling))
        found.append(
            WriteColumn(ColumnRef(table.alias, column.name), column.type, filling, role, columns.canonical.get(full))
        )
    scope = tuple(tie.column for tie in table.ties) if list_ else ()
    return WriteTable(table.alias, table.table, tuple(found), list_, scope, missing, table.shared, table.optional)


def history_of(table: MappedTable, spec: MappingSpec, catalogue: Catalogue, given: Setting) -> Source | None:
    """Return the source of all slices of a thing, whatever the day, where columns are filled in; else None."""
    if not table.fill_in:
        return None
    return source_of(replace(table, at="", during=""), spec, catalogue, given, spec.tables, optional=False)


def _sliced(
    table: MappedTable, columns: Columns, described: Table, given: Setting, history: Source | None
) -> WriteTable:
    """Collect all columns of a table of slices: fields fill theirs, the rest is carried over."""
    _note_absent(table, columns, described)
    fields = {name.rpartition(".")[2].casefold(): name for name in columns.roles if name.startswith(f"{table.alias}.")}
    filled = tuple(_physical(described, name) for name in table.fill_in)
    found = []
    for column in described.columns:
        name = fields.get(column.name.casefold(), "")
        filling = columns.source(name) if name else None
        if filling is None or filling.kind != "field":
            filling = Filling("carried", name=column.name)
        role = "carried" if filling.kind != "field" else "filled" if column.name in filled else "written"
        reference = ColumnRef(table.alias, column.name)
        found.append(WriteColumn(reference, column.type, filling, role, columns.canonical.get(name)))
    start, end = (_physical(described, name) for name in slice_columns(table))
    day = date(int(given.today[:4]), int(given.today[4:6]), int(given.today[6:]))
    before = f"{day - timedelta(days=1):%Y%m%d}"
    offered = tuple(column.column.column for column in found if column.role == "filled")
    slices = Slices(start, end, described.key, given.today, before, offered, history if offered else None)
    return WriteTable(table.alias, table.table, tuple(found), slices=slices)


def _physical(described: Table, name: str) -> str:
    column = described.column(name)
    return column.name if column else name


def _note_absent(table: MappedTable, columns: Columns, described: Table) -> None:
    """Note every column that a line, a tie or a constant names and the live table does not have."""
    known = [column.name for column in described.columns]
    for name in dict.fromkeys(_names(columns, table.alias)):
        if known and described.column(name) is None:
            at = columns.said.get(f"{table.alias}.{name}", table.position)
            nearest = did_you_mean(name, known)
            text = f'table {table.table} of the live system has no column "{name}", so it cannot be written.{nearest}'
            columns.absent.append(Finding(at.file, at.line, at.column, text))


def _tied_role(filling: Filling) -> str:
    return "written" if filling.kind in ("field", "deleted", "period", "parent") else "initial"


def _names(columns: Columns, alias: str) -> list[str]:
    every = {*columns.sources, *columns.same, *columns.same.values(), *columns.roles}
    return [name.rpartition(".")[2] for name in every if name.rpartition(".")[0] == alias]


def _list_tables(
    entry: MappedList,
    outer: Columns,
    catalogue: Catalogue,
    given: Setting,
    context: Context,
    describe: Describe,
    offered: set[str],
) -> list[WriteTable]:
    """Compile the tables of a list; columns tied to the object's own tables are taken from its row."""
    columns = Columns(absent=outer.absent)
    tables = [table for table in tables_in_force(entry.tables, given) if not table.lookup]
    own = {table.alias for table in tables}
    for table in tables:
        for tie in table.ties:
            here, there = f"{table.alias}.{tie.column}", f"{tie.other_alias}.{tie.other_column}"
            if tie.other_alias in own:
                columns.tie(here, there)
            elif outer.source(there) is None:
                raise refuse(table.position, f'"{here}" is tied to "{there}", which nothing fills.')
            else:
                columns.fill(here, Filling("parent", name=outer.head(there)), "written")
    _fill_fields(columns, [line for line in entry.fields if line.name in offered], context)
    if entry.period is not None and "from" in offered:
        _fill_pipe(columns, entry.period, context, "period", "")
    _fill_made(columns, entry.make, ())
    _fill_constants(columns, tables, catalogue, given.today)
    return [_table(table, columns, describe(table.table), entry.name, entry.missing) for table in tables]


__all__ = ["Describe", "MappingSpec", "canonical_of", "compile_write"]
