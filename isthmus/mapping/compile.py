"""Compile a system's mapping into the plan that reads it: queries, bound pipes, rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from isthmus.connector import ColumnRef, Comparison, Query, Source
from isthmus.errors import Finding, SpecError, did_you_mean
from isthmus.mapping.bind import (
    Setting,
    bind_pipe,
    context_of,
    fixed_terms,
    refuse,
    source_of,
    switched,
    tables_in_force,
)
from isthmus.mapping.conditions import fields_of, holds
from isthmus.mapping.functions import Context
from isthmus.mapping.plan import BoundPipe, ChangeDate, Presence, ReadField, ReadList, ReadPlan, ReadRule, Stamp
from isthmus.mapping.spec import Catalogue, Field, MappedField, MappedList, MappedTable, MappingSpec, Predicate, Rule

COPY = " (copy)"  # follows the name of a field where one of its copies is meant


def setting(switches: Mapping[str, bool] | None = None, today: date | None = None) -> Setting:
    """Make the setting of a compilation; without switches everything conditional is off."""
    return Setting(dict(switches or {}), f"{today:%Y%m%d}" if today else "99991230")


def specs_of(catalogue: Catalogue, system: str, object_: str, given: Setting | None) -> tuple[MappingSpec, ...]:
    """Return an object's mapping, one spec per variant in force (all without a setting); raises SpecError for none."""
    specs = catalogue.mappings.get((system, object_))
    if specs is None:
        known = [name for speaker, name in catalogue.mappings if speaker == system]
        raise SpecError([_missing(system, object_, known)])
    return tuple(spec for spec in specs if given is None or switched(spec.condition, given))


def compile_read(
    catalogue: Catalogue,
    system: str,
    object_: str,
    variant: str = "",
    given: Setting | None = None,
    copies: bool = False,
) -> ReadPlan:
    """Compile how `system` speaks `object_` in the read direction (one variant where it has several).

    With `copies` the columns that repeat a field are read as well, under the field's name and `COPY`.
    """
    given = given or setting()
    spec = _spec(catalogue, system, object_, variant)
    context = context_of(catalogue, system)
    model = catalogue.models[object_]
    lines = (*spec.fields, *spec.reads, *(_copies(spec, given) if copies else ()))
    fields = tuple(_field(line, model.field(line.name.removesuffix(COPY)), context) for line in lines)
    key = bind_pipe(spec.key, context)
    deleted = bind_pipe(spec.deleted, context) if spec.deleted else None
    known_as = {other: bind_pipe(pipe, context) for other, pipe in spec.known_as.items()}
    pipes = [key, *(item.pipe for item in fields), *([deleted] if deleted else []), *known_as.values()]
    tables = tables_in_force(spec.tables, given)
    used = _needed(tables, (column for pipe in pipes for column in pipe.columns))
    presences = tuple(_presence(table) for table in used[1:] if not table.optional and table.ties)
    columns = [
        *(c for pipe in pipes for c in pipe.columns),
        *(p.column for p in presences),
        *(t for p in presences for t in p.tied),
    ]
    query = _query(spec, catalogue, given, used, key, columns)
    lists = tuple(_list(entry, spec, catalogue, given, tables, key, context) for entry in _lists(spec, given))
    listed = [table for entry in _lists(spec, given) for table in tables_in_force(entry.tables, given)]
    return ReadPlan(
        object=object_,
        system=system,
        variant=spec.variant,
        query=query,
        key_columns=key.columns,
        key=key,
        fields=fields,
        lists=lists,
        rejects=tuple(_rule(rule) for rule in spec.rejects),
        warns=tuple(_rule(rule) for rule in spec.warns),
        presences=presences,
        deleted=deleted,
        known_as=known_as,
        constants=spec.constants,
        changes=(
            *change_dates(query, key.columns, tables),
            *(date for entry in lists for date in change_dates(entry.query, entry.parent, listed)),
        ),
        stamps=stamps_of(query, tables),
    )


def _copies(spec: MappingSpec, given: Setting) -> Iterator[MappedField]:
    """Yield the lines under `copies` whose tables are in force, renamed so that they stand beside their fields."""
    there = {table.alias for table in tables_in_force(spec.tables, given)}
    for line in spec.copies:
        if {alias for alias, _ in line.pipe.columns} <= there:
            yield replace(line, name=line.name + COPY)


def change_dates(query: Query, key: tuple[str, ...], tables: Sequence[MappedTable]) -> Iterator[ChangeDate]:
    """Yield the change columns of the tables in a query, each with a query that reads keys and nothing else."""
    asked = {source.alias for source in query.sources}
    for table in tables:
        if table.alias not in asked:
            continue
        names, stamp = changed_columns(table)
        for name in names:
            column = ColumnRef(table.alias, name)
            sources = reach(query, {column.alias, *(name.rpartition(".")[0] for name in key)})
            references = tuple(reference(name) for name in key)
            where = tuple(term for term in query.where if term.left.alias in {source.alias for source in sources})
            yield ChangeDate(Query(sources, references, references, where, query.distinct), key, column, stamp)


def changed_columns(table: MappedTable) -> tuple[tuple[str, ...], bool]:
    """Return the columns of a table that tell when a row changed, and whether they are UTC stamps (else dates)."""
    if table.changed in ("", "none") or table.changed.startswith("with "):
        return (), False
    columns, _, pipe = table.changed.partition("|")
    return tuple(name.strip().rpartition(".")[2] for name in columns.split("+")), "stamp" in pipe


def stamps_of(query: Query, tables: Sequence[MappedTable]) -> tuple[Stamp, ...]:
    """Return what the rows of a query say of their last change, table by table."""
    asked = {source.alias for source in query.sources}
    found = []
    for table in tables:
        names, stamp = changed_columns(table)
        if names and table.alias in asked:
            at, by = ([f"{table.alias}.{name}" for name in every] for every in (names, table.by))
            found.append(Stamp(tuple(at), tuple(by), stamp))
    return tuple(found)


def reach(query: Query, aliases: set[str]) -> tuple[Source, ...]:
    """Return the root and the sources through which `aliases` are tied to it, in order, all of them required."""
    wanted = {query.root.alias, *aliases}
    for source in reversed(query.sources):
        if source.alias in wanted:
            wanted |= {term.right.alias for term in source.on if isinstance(term.right, ColumnRef)}
    return tuple(replace(source, optional=False) for source in query.sources if source.alias in wanted)


def _spec(catalogue: Catalogue, system: str, object_: str, variant: str) -> MappingSpec:
    specs = specs_of(catalogue, system, object_, None)
    chosen = [spec for spec in specs if spec.variant == variant] if variant else list(specs)
    if not chosen:
        raise refuse(specs[0].position, f'the mapping of {object_} has no variant "{variant}".')
    return chosen[0]


def _missing(system: str, object_: str, known: list[str]) -> Finding:
    text = f'system "{system}" has no mapping for "{object_}".{did_you_mean(object_, known)}'
    return Finding(f"mappings/{system}/{object_}.yaml", 1, 1, text)


def _lists(spec: MappingSpec, given: Setting) -> list[MappedList]:
    return [entry for entry in spec.lists if switched(entry.condition, given)]


def _field(line: MappedField, model: Field | None, context: Context) -> ReadField:
    pipe = bind_pipe(line.pipe, context)
    return ReadField(line.name, pipe, bool(model and model.required), bool(model and model.personal))


def _rule(rule: Rule) -> ReadRule:
    return ReadRule(fields_of(rule.when), partial(holds, rule.when), rule.because)


def _presence(table: MappedTable) -> Presence:
    column = f"{table.alias}.{table.ties[0].column}"
    return Presence(column, tuple(f"{tie.other_alias}.{tie.other_column}" for tie in table.ties), table.table)


def _needed(tables: list[MappedTable], columns: Iterable[str]) -> list[MappedTable]:
    """Return the root and the tables that the columns come from, with those they are tied through, in file order."""
    by_alias = {table.alias: table for table in tables}
    wanted = {tables[0].alias}
    waiting = [column.rpartition(".")[0] for column in columns]
    while waiting:
        alias = waiting.pop()
        if alias in wanted or alias not in by_alias:
            continue
        wanted.add(alias)
        waiting += [tie.other_alias for tie in by_alias[alias].ties]
        waiting += [name for name in (by_alias[alias].during, by_alias[alias].at.partition(".")[0]) if name]
    return [table for table in tables if table.alias in wanted]


def _query(
    spec: MappingSpec,
    catalogue: Catalogue,
    given: Setting,
    tables: list[MappedTable],
    key: BoundPipe,
    columns: list[str],
) -> Query:
    root = tables[0]
    sources = [Source(root.alias, root.table)]
    sources += [source_of(table, spec, catalogue, given, tables, optional=True) for table in tables[1:]]
    return Query(
        sources=tuple(sources),
        columns=tuple(dict.fromkeys(reference(name) for name in columns)),
        key=tuple(reference(name) for name in key.columns),
        where=(*fixed_terms(root, catalogue), *_where(spec.where)),
        distinct=root.distinct,
    )


def _list(
    entry: MappedList,
    spec: MappingSpec,
    catalogue: Catalogue,
    given: Setting,
    tables: list[MappedTable],
    key: BoundPipe,
    context: Context,
) -> ReadList:
    model = catalogue.models[spec.object].list(entry.name)
    known = {item.name: item for item in model.fields} if model else {}
    fields = tuple(_field(line, known.get(line.name), context) for line in (*entry.fields, *entry.reads))
    period = bind_pipe(entry.period, context) if entry.period else None
    own = tables_in_force(entry.tables, given)
    columns = [column for pipe in (*(f.pipe for f in fields), *([period] if period else [])) for column in pipe.columns]
    direct = _direct_parent(own[0], key)
    if direct and not any(
        tie.other_alias != own[0].alias and tie.other_alias not in {t.alias for t in own}
        for t in own[1:]
        for tie in t.ties
    ):
        parent, reach = direct, []
    else:
        parent, reach = key.columns, _needed(tables, (f"{tie.other_alias}." for table in own for tie in table.ties))
    every = [*reach, *own]
    first, rest = every[0], every[1:]
    sources = [Source(first.alias, first.table)]
    sources += [source_of(table, spec, catalogue, given, every, optional=table.optional) for table in rest]
    query = Query(
        sources=tuple(sources),
        columns=tuple(dict.fromkeys(reference(name) for name in [*parent, *columns])),
        key=tuple(reference(name) for name in parent),
        where=(*fixed_terms(first, catalogue), *(_where(spec.where) if reach else ())),
    )
    apart = tuple(name for name in model.match if name not in ("from", "until")) if model else ()
    history = bool(model and model.history and period)
    return ReadList(entry.name, query, tuple(parent), fields, period, history, apart)


def _direct_parent(table: MappedTable, key: BoundPipe) -> tuple[str, ...]:
    """Return the columns of a list's first table that hold the root's key, if its ties do; else nothing."""
    tied = {f"{tie.other_alias}.{tie.other_column}": f"{table.alias}.{tie.column}" for tie in table.ties}
    if table.at or table.during or set(tied) != set(key.columns):
        return ()
    return tuple(tied[column] for column in key.columns)


def _where(predicate: Predicate | None) -> tuple[Comparison, ...]:
    """Turn a `where` into comparisons the source can apply; only an AND of simple terms on columns can be."""
    if predicate is None:
        return ()
    if predicate.operator == "and":
        return tuple(term for part in predicate.parts for term in _where(part))
    term = predicate.term
    if predicate.operator != "term" or term is None or term.operator == "not in":
        raise refuse(predicate.position, "`where` takes comparisons joined by `and`; move the rest to a `reject` rule.")
    right = reference(term.right_field) if term.right_field else term.right
    return (Comparison(reference(term.left), term.operator, right),)


def reference(name: str) -> ColumnRef:
    """Split `ALIAS.COLUMN`."""
    alias, _, column = name.rpartition(".")
    return ColumnRef(alias, column)
