"""Bind the pipes of a spec to kernels: names become functions, tables become query sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.connector import ColumnRef, Comparison, Source
from isthmus.errors import Finding, SpecError
from isthmus.mapping.functions import Context
from isthmus.mapping.functions.registry import bind_all
from isthmus.mapping.plan import BoundPipe
from isthmus.mapping.spec import Catalogue, MappedTable, MappingSpec, Pipe, Position

TODAY = {"$today.date": "", "$today.stamp": "000000"}  # of the first row of a thing: the day it was written
LAST = "last"  # the slice with the latest end, whatever day it is


@dataclass(frozen=True, slots=True)
class Setting:
    """What a compilation depends on besides the files: the scenario's switches and the day it is for."""

    switches: Mapping[str, bool]
    today: str  # YYYYMMDD, as SAP spells days


def refuse(position: Position, message: str) -> SpecError:
    """Make the error for something the language has no words for."""
    return SpecError([Finding(position.file, position.line, position.column, message)])


def context_of(catalogue: Catalogue, system: str) -> Context:
    """Return what functions of that system's mappings may depend on."""
    settings = catalogue.systems.get(system)
    return Context(system, catalogue.codes, settings.values if settings else {})


def bind_pipe(pipe: Pipe, context: Context) -> BoundPipe:
    """Bind every call of a pipe; a bare column is read as it is (text)."""
    names = tuple(f"{alias}.{column}" for alias, column in pipe.columns)
    try:
        return BoundPipe(names, bind_all(pipe.calls, len(names), context))
    except ValueError as wrong:
        raise refuse(pipe.position, str(wrong)) from wrong


def value_of(text: str, catalogue: Catalogue, position: Position, today: str = "") -> str:
    """Resolve `$isu.logical_system`, and `$today.date` where a day is given, to its value; other text is itself."""
    if not text.startswith("$"):
        return text
    if today and text in TODAY:
        return today + TODAY[text]
    system, _, name = text[1:].partition(".")
    settings = catalogue.systems.get(system)
    if settings is None or name not in settings.values:
        raise refuse(position, f'"{text}" names no value of mappings/{system}/_system.yaml.')
    return settings.values[name]


def switched(condition: str, setting: Setting) -> bool:
    """Tell whether an `if:` holds; no condition always holds, `not x` is its opposite."""
    if condition.startswith("not "):
        return not setting.switches.get(condition[4:].strip(), False)
    return not condition or setting.switches.get(condition, False)


def tables_in_force(tables: Sequence[MappedTable], setting: Setting) -> list[MappedTable]:
    """Leave out the tables that the scenario switches off."""
    return [table for table in tables if switched(table.condition, setting)]


def source_of(
    table: MappedTable,
    spec: MappingSpec,
    catalogue: Catalogue,
    setting: Setting,
    among: Sequence[MappedTable],
    optional: bool,
) -> Source:
    """Turn a tied table into a source of a query: ties, discriminators, the slice in force, the slice it overlaps."""
    on = [
        Comparison(ColumnRef(table.alias, t.column), "=", ColumnRef(t.other_alias, t.other_column)) for t in table.ties
    ]
    on += fixed_terms(table, catalogue)
    if table.at and table.at != LAST:
        day: ColumnRef | str = setting.today
        if table.at != "today":
            alias, _, column = table.at.partition(".")
            day = ColumnRef(alias, column)
        start, end = slice_columns(table)
        on += [Comparison(ColumnRef(table.alias, start), "<=", day), Comparison(ColumnRef(table.alias, end), ">=", day)]
    if table.during:
        on += overlap_terms(table, next(other for other in among if other.alias == table.during))
    last = slice_columns(table)[1] if table.at == LAST else ""
    return Source(table.alias, table.table, tuple(on), optional, last)


def overlap_terms(table: MappedTable, other: MappedTable) -> list[Comparison]:
    """Return the terms by which two closed slices overlap (never equality of their ends)."""
    start, end = slice_columns(table)
    other_start, other_end = slice_columns(other)
    return [
        Comparison(ColumnRef(table.alias, start), "<=", ColumnRef(other.alias, other_end)),
        Comparison(ColumnRef(table.alias, end), ">=", ColumnRef(other.alias, other_start)),
    ]


def slice_columns(table: MappedTable) -> tuple[str, str]:
    """Return the first and last day columns of a slice table (`AB, BIS` or `DATEFROM, TIMEFROM, DATETO, TIMETO`)."""
    if len(table.valid) == 2:
        return table.valid[0], table.valid[1]
    if len(table.valid) == 4:
        return table.valid[0], table.valid[2]
    raise refuse(table.position, f'table "{table.alias}" is read at a day; say its slice columns: `valid: AB + BIS`.')


def fixed_terms(table: MappedTable, catalogue: Catalogue) -> list[Comparison]:
    """Return the discriminators of a table as comparisons."""
    return [
        Comparison(ColumnRef(table.alias, column), "=", value_of(value, catalogue, table.position))
        for column, value in table.fixed.items()
    ]
