"""Check mappings against the tables as the live systems describe them: names, lengths, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from isthmus.connector import Column, Table
from isthmus.errors import Finding, SystemUnavailable, did_you_mean
from isthmus.mapping.check_rules import terms_of
from isthmus.mapping.check_writes import filled_columns
from isthmus.mapping.document import Text, place
from isthmus.mapping.form import Findings, offered
from isthmus.mapping.grammar import Misread
from isthmus.mapping.pipe import read_pipe
from isthmus.mapping.scope import all_tables
from isthmus.mapping.spec import Catalogue, Field, MappedField, MappedTable, MappingSpec, Pipe, Position

Describe = Callable[[str, str], Table | None]  # (system, table) -> its description, None if the system lacks it
KEEPS_LENGTH = {"trim", "upper", "first", "latest", "default"}


@dataclass(slots=True)
class _Live:
    """What the systems say about their tables, asked once for each."""

    describe: Describe
    names: Callable[[str], Sequence[str]]
    known: dict[tuple[str, str], Table | None] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def table(self, system: str, name: str) -> Table | None:
        key = (system, name.casefold())
        if key not in self.known:
            try:
                self.known[key] = self.describe(system, name)
            except SystemUnavailable:
                self.silent.add(system)
                self.known[key] = None
        return self.known[key]


def check_against(
    catalogue: Catalogue, describe: Describe, names: Callable[[str], Sequence[str]] = lambda system: ()
) -> tuple[Finding, ...]:
    """Return what the described tables contradict, sorted; a system that does not answer is passed over.

    `names` lists a system's tables, for the nearest name of an unknown one.
    """
    findings, live = Findings(), _Live(describe, names)
    for specs in catalogue.mappings.values():
        for spec in specs:
            _check(spec, catalogue, live, findings)
    return findings.sorted()


def _check(spec: MappingSpec, catalogue: Catalogue, live: _Live, findings: Findings) -> None:
    tables: dict[str, Table] = {}
    for mapped in all_tables(spec):
        table = live.table(spec.system, mapped.table)
        if spec.system in live.silent:
            return
        if table is None:
            known = live.names(spec.system)
            hint = did_you_mean(mapped.table, known) or offered(known)
            at = place(mapped.table, mapped.position)
            findings.add(at, f'{spec.system} has no table "{mapped.table}".{hint}')
        else:
            tables[mapped.alias] = table
    for alias, column, at in _columns(spec):
        _column_exists(alias, column, at, tables, spec.system, findings)
    _texts_fit(spec, catalogue, tables, findings)
    _keys_are_filled(spec, tables, findings)


def _column_exists(
    alias: str, column: str, at: Position, tables: dict[str, Table], system: str, findings: Findings
) -> None:
    table = tables.get(alias)
    if table is not None and table.column(column) is None:
        hint = did_you_mean(column, [known.name for known in table.columns])
        where = (
            f"{system}.{table.name}"
            if table.name.casefold() == alias.casefold()
            else f"{system}.{table.name} ({alias})"
        )
        findings.add(place(column, at), f'{where} has no column "{column}".{hint}')


def _columns(spec: MappingSpec) -> Iterator[tuple[str, str, Position]]:
    """Yield every column a mapping names: its alias, its name, the line it stands in."""
    for pipe in _pipes(spec):
        yield from ((alias, column, pipe.position) for alias, column in pipe.columns)
    for table in all_tables(spec):
        yield from _columns_of_table(table)
    for make in (spec.make, *(entry.make for entry in spec.lists)):
        for name, call in make.items():
            yield *_parted(name), call.position
    if spec.where is not None:
        for term, part in terms_of(spec.where):
            yield from ((*_parted(name), part.position) for name in (term.left, term.right_field) if name)
    for example in spec.examples:
        yield from ((*_parted(name), example.position) for name in example.given)


def _parted(name: str) -> tuple[str, str]:
    """Split `ALIAS.COLUMN`; the column keeps its place in the file."""
    alias, _, column = name.rpartition(".")
    at = place(name)
    if not at.line:
        return alias, column
    return alias, Text(column, replace(at, column=at.column + len(alias) + 1), True, column).word


def _columns_of_table(table: MappedTable) -> Iterator[tuple[str, str, Position]]:
    for tie in table.ties:
        yield table.alias, tie.column, table.position
        yield tie.other_alias, tie.other_column, table.position
    yield from (
        (table.alias, column, table.position) for column in (*table.valid, *table.by, *table.fixed, *table.initial)
    )
    if "." in table.at:
        yield *_parted(table.at), table.position
    if table.changed and table.changed != "none" and not table.changed.startswith("with "):
        position = place(table.changed, table.position)
        try:
            pipe = read_pipe(Text(table.changed, position, True, table.changed), table.alias)
        except Misread:
            return
        yield from ((table.alias, column, position) for _, column in pipe.columns)


def _pipes(spec: MappingSpec) -> Iterator[Pipe]:
    yield spec.key
    yield from (line.pipe for line in (*spec.fields, *spec.reads, *spec.copies))
    yield from spec.known_as.values()
    if spec.deleted is not None:
        yield spec.deleted
    for entry in spec.lists:
        yield from (line.pipe for line in (*entry.fields, *entry.reads))
        if entry.period is not None:
            yield entry.period


# --- lengths ------------------------------------------------------------------------------------------------------


def _texts_fit(spec: MappingSpec, catalogue: Catalogue, tables: dict[str, Table], findings: Findings) -> None:
    model = catalogue.models.get(spec.object)
    fields = {item.name: item for item in model.fields} if model else {}
    _lengths((*spec.fields, *spec.copies), fields, tables, spec, findings)
    for entry in spec.lists:
        listed = model.list(entry.name) if model else None
        _lengths(entry.fields, {item.name: item for item in listed.fields} if listed else {}, tables, spec, findings)


def _lengths(
    lines: Iterable[MappedField],
    fields: dict[str, Field],
    tables: dict[str, Table],
    spec: MappingSpec,
    findings: Findings,
) -> None:
    for line in lines:
        if len(line.pipe.columns) != 1:
            continue
        alias, name = line.pipe.columns[0]
        column = tables[alias].column(name) if alias in tables else None
        if column is None or not column.length or not pa.types.is_string(column.type):
            continue
        _padding_fits(line, column, findings)
        _text_fits(line, fields.get(line.name), column, spec, findings)


def _padding_fits(line: MappedField, column: Column, findings: Findings) -> None:
    """A key padded to another length than its column's is a key that SAP's own programs do not find."""
    first = line.pipe.calls[0] if line.pipe.calls else None
    if first is not None and first.name == "padded" and first.args and first.args[0] != str(column.length):
        message = f'"{first}" pads to {first.args[0]} places, but {column.name} has {column.length}.'
        findings.add(place(first.args[0], first.position), f"{message} Write padded({column.length}).")


def _text_fits(line: MappedField, field_: Field | None, column: Column, spec: MappingSpec, findings: Findings) -> None:
    if field_ is None or field_.type != "text" or not field_.args or spec.create != "rows":
        return
    if all(call.name in KEEPS_LENGTH for call in line.pipe.calls) and int(field_.args[0]) > (column.length or 0):
        message = f'field "{line.name}" may have {field_.args[0]} characters, but {column.name} holds {column.length}.'
        at = place(line.pipe.columns[0][1], line.pipe.position)
        findings.add(at, f"{message} Shorten the field in the model, or take a longer column.")


# --- keys ---------------------------------------------------------------------------------------------------------


def _keys_are_filled(spec: MappingSpec, tables: dict[str, Table], findings: Findings) -> None:
    if spec.create != "rows":
        return
    for mapped, filled in filled_columns(spec):
        table = tables.get(mapped.alias)
        for column in table.key if table else ():
            if not filled(f"{mapped.alias}.{column}"):
                message = f'nothing fills "{mapped.alias}.{column}", a key column of {table.name if table else ""}.'
                findings.add(mapped.position, f'{message} Give it a field, a tie, "fixed" or "make".')
