"""Lineage: from a column of a system, by its mapping, into a field of a store, and on into the figures of cubes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.mapping.spec import Catalogue, MappedField, MappedTable, MappingSpec
from warehouse.spec import Cube, Expression, Posting, Store, Warehouse


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a field comes from: the system, and its columns with the rule they are read by."""

    system: str
    said: str  # `EVER.EINZDAT | date`, with the tables' true names; or the query or file


@dataclass(frozen=True, slots=True)
class Step:
    """How a cube makes one of its columns of one store: the expression, and the condition of the posting."""

    store: str
    expression: str
    when: str = ""
    spread: bool = False
    fields: tuple[str, ...] = ()


def origins(catalogue: Catalogue, store: Store, field: str, speaks: Mapping[str, str]) -> Iterator[Origin]:
    """Yield where a field of a store comes from, per feed; `speaks` names the kind of each system."""
    posted = next((item for item in store.posted if item.name == field), None)
    if posted:
        day = f" on {posted.on}" if posted.on else " on the day it is activated"
        yield Origin("warehouse", f"{posted.dimension}.{posted.attribute} of {posted.by},{day}")
        return
    wanted = store.field(field)
    source = (wanted.source if wanted else "") or field
    for feed in store.feeds:
        if feed.query:
            yield Origin(feed.system, f"{feed.query}: {source}")
            continue
        for spec in catalogue.mappings.get((speaks.get(feed.system, feed.system), store.object), ()):
            if source in spec.constants:
                yield Origin(feed.system, f'"{spec.constants[source]}" of every {spec.tables[0].table}')
            period = next((entry.period for entry in spec.lists if entry.name == store.list and entry.period), None)
            if period and source in ("from", "until"):
                yield Origin(feed.system, with_tables(spec, store.list, str(period)))
            for line in _lines(spec, store.list):
                if line.name == source:
                    yield Origin(feed.system, with_tables(spec, store.list, str(line.pipe)))


def _lines(spec: MappingSpec, list_: str) -> Iterator[MappedField]:
    if not list_:
        yield from (*spec.fields, *spec.reads)
        return
    for entry in spec.lists:
        if entry.name == list_:
            yield from (*entry.fields, *entry.reads)
    yield from (*spec.fields, *spec.reads)


def with_tables(spec: MappingSpec, list_: str, pipe: str) -> str:
    """Return a pipe with the tables' names instead of their aliases."""
    entries = [entry for entry in spec.lists if entry.name == list_]
    tables: list[MappedTable] = [*spec.tables, *(table for entry in entries for table in entry.tables)]
    columns, bar, calls = pipe.partition("|")
    for table in tables:
        columns = " + ".join(
            part.replace(f"{table.alias}.", f"{table.table}.", 1) if part.startswith(f"{table.alias}.") else part
            for part in (part.strip() for part in columns.split("+"))
        )
    return f"{columns} {bar}{calls}".strip()


def steps(cube: Cube, column: str) -> Iterator[Step]:
    """Yield how each posting fills a dimension or figure of a cube."""
    for posting in cube.postings:
        expression = posting.dimensions.get(column) or posting.figures.get(column)
        if expression is not None:
            yield _step(posting, column, expression)


def _step(posting: Posting, column: str, expression: Expression) -> Step:
    spread = posting.spread is not None and (column in posting.spread.figures or expression.field.startswith("spread."))
    fields = [expression.field] if expression.field and not expression.field.startswith("spread.") else []
    return Step(
        posting.store,
        expression.text or expression.field or f'"{expression.literal}"',
        posting.when.text if posting.when else "",
        spread,
        tuple(fields),
    )


def used_by(warehouse: Warehouse, store: Store, field: str) -> Iterator[str]:
    """Yield the columns of cubes that are made of a store's field, as `cube.column`."""
    for cube in warehouse.cubes_of(store.name):
        columns = [*(item.name for item in cube.dimensions), *(item.name for item in cube.figures)]
        for column in columns:
            if any(step.store == store.name and field in step.fields for step in steps(cube, column)):
                yield f"{cube.name}.{column}"
