"""The composed mapping sheet: source column, rule, model field, rule, target column, and who owns the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from isthmus.errors import ConfigError, did_you_mean
from isthmus.mapping.check_pipes import typed
from isthmus.mapping.spec import Catalogue, Field, ListField, MappedField, MappedList, MappingSpec, Model, Pipe

HEADINGS = ("source column", "rule", "field", "type", "owner", "conflict", "rule", "target column")
POLICY = HEADINGS.index("conflict")


@dataclass(frozen=True, slots=True)
class Side:
    """How one system speaks a field: columns and rule, one of each per way it is said (a variant, a copy)."""

    columns: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    def labelled(self, texts: Sequence[str]) -> str:
        """Return texts on a line each, the variant before those that differ by variant."""
        labels = [f"{name}: " if name else "" for name in self.variants]
        return "\n".join(f"{label}{text}" for label, text in zip(labels, texts, strict=True) if text)


@dataclass(frozen=True, slots=True)
class Row:
    """One model field between two systems."""

    field: str
    type: str
    owner: str
    meaning: str
    required: bool
    personal: bool
    source: Side
    target: Side
    policy: str = ""  # who decides where both sides changed it, of an object that is synchronized

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the texts under `HEADINGS`."""
        source, target = self.source, self.target
        return (
            source.labelled(source.columns),
            "\n".join(source.rules),
            self.field,
            self.type,
            self.owner.replace("_", " "),
            self.policy,
            "\n".join(target.rules),
            target.labelled(target.columns),
        )


@dataclass(frozen=True, slots=True)
class Sheet:
    """An object between two systems; the fields that only one side speaks, and what the target fills by itself."""

    object: str
    about: str
    source: str
    target: str
    rows: tuple[Row, ...]
    unread: tuple[str, ...]  # the source has no line for them
    unwritten: tuple[str, ...]  # the source reads them, the target has no line for them
    filled: tuple[tuple[str, str], ...]  # (column, what fills it)


def compose(catalogue: Catalogue, object_: str, source: str, target: str) -> Sheet:
    """Put the mappings of two systems side by side; raises ConfigError for names the catalogue does not have."""
    model = catalogue.models.get(object_)
    if model is None:
        raise _unknown(f'The model has no object "{object_}".', object_, catalogue.models)
    reading, writing = (_specs(catalogue, system, object_) for system in (source, target))
    rows = tuple(_rows(model, reading, writing))
    if _synchronized(catalogue, object_, source, target):
        rows = tuple(replace(row, policy=_policy(model.field(row.field))) for row in rows)
    return Sheet(
        object=object_,
        about=model.about,
        source=source,
        target=target,
        rows=tuple(row for row in rows if row.source.columns or row.target.columns),
        unread=tuple(row.field for row in rows if not row.source.columns),
        unwritten=tuple(row.field for row in rows if row.source.columns and not row.target.columns),
        filled=tuple(_first_said(item for spec in writing for item in _filled(spec)).items()),
    )


def _synchronized(catalogue: Catalogue, object_: str, source: str, target: str) -> bool:
    flows = [flow for scenario in catalogue.scenarios.values() for flow in scenario.flows if flow.object == object_]
    return any(flow.level == "synchronize" and {flow.source, flow.target} == {source, target} for flow in flows)


def _policy(field: Field | None) -> str:
    """Say who decides where both sides changed a field: the owner, the newer change, a person; or who alone edits."""
    if field is None:
        return ""
    said = {"owner": "owner decides", "newest": "newest wins", "hold": "a person decides"}[str(field.on_conflict)]
    return "owner alone edits" if field.edits == "owner" else said


def _first_said(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    said: dict[str, str] = {}
    for column, content in items:
        said.setdefault(column, content)
    return said


def _specs(catalogue: Catalogue, system: str, object_: str) -> tuple[MappingSpec, ...]:
    specs = catalogue.mappings.get((system, object_))
    if specs is None:
        systems = [speaker for speaker, name in catalogue.mappings if name == object_]
        hint = f" {object_} is mapped by: {', '.join(systems) or 'nobody'}."
        raise _unknown(f'"{system}" has no mapping of "{object_}".{hint}', system, systems)
    return specs


def _unknown(message: str, name: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(message + did_you_mean(name, known))


def _rows(model: Model, reading: Sequence[MappingSpec], writing: Sequence[MappingSpec]) -> Iterator[Row]:
    for field in model.fields:
        source = _side(reading, [_line(field.name, (*spec.fields, *spec.reads)) for spec in reading], field.name)
        target = _side(writing, [_line(field.name, (*spec.fields, *spec.copies)) for spec in writing], field.name)
        yield _row(field, "", source, target)
    for entry in model.lists:
        yield from _list_rows(entry, reading, writing)


def _list_rows(entry: ListField, reading: Sequence[MappingSpec], writing: Sequence[MappingSpec]) -> Iterator[Row]:
    sources, targets = _lists(entry.name, reading), _lists(entry.name, writing)
    if entry.history:
        source = _side(reading, [_period(item) for item in sources])
        target = _side(writing, [_period(item) for item in targets])
        yield Row(f"{entry.name}.from/until", "period", "", "", False, False, source, target)
    for field in entry.fields:
        read = [_line(field.name, (*item.fields, *item.reads)) if item else () for item in sources]
        written = [_line(field.name, item.fields) if item else () for item in targets]
        yield _row(field, f"{entry.name}.", _side(reading, read), _side(writing, written))


def _row(field: Field, under: str, source: Side, target: Side) -> Row:
    name = f"{under}{field.name}"
    return Row(name, typed(field), field.owner, field.meaning, field.required, field.personal, source, target)


def _lists(name: str, specs: Sequence[MappingSpec]) -> list[MappedList | None]:
    return [next((entry for entry in spec.lists if entry.name == name), None) for spec in specs]


def _period(entry: MappedList | None) -> tuple[Pipe, ...]:
    return (entry.period,) if entry and entry.period else ()


def _line(name: str, lines: Iterable[MappedField]) -> tuple[Pipe, ...]:
    return tuple(line.pipe for line in lines if line.name == name)


def _side(specs: Sequence[MappingSpec], found: Sequence[Sequence[Pipe]], name: str = "") -> Side:
    """Collect how a field is said; a variant is named only where the variants differ."""
    said: dict[tuple[str, str], list[str]] = {}
    for spec, pipes in zip(specs, found, strict=True):
        for pipe in pipes:
            columns = " + ".join(f"{alias}.{column}" for alias, column in pipe.columns)
            said.setdefault((columns, " | ".join(map(str, pipe.calls))), []).append(spec.variant)
        if not pipes and name in spec.constants:
            said.setdefault((f'always "{spec.constants[name]}"', ""), []).append(spec.variant)
    everywhere = len(specs)
    return Side(
        columns=tuple(columns for columns, _ in said),
        rules=tuple(rule for _, rule in said),
        variants=tuple("" if len(names) == everywhere else ", ".join(names) for names in said.values()),
    )


def _filled(spec: MappingSpec) -> Iterator[tuple[str, str]]:
    yield from ((column, f"made by {call} for a new row") for column, call in spec.make.items())
    for entry in spec.lists:
        yield from ((column, f"made by {call} for a new row") for column, call in entry.make.items())
    for table in (*spec.tables, *(table for entry in spec.lists for table in entry.tables)):
        if not table.lookup:
            yield from ((f"{table.alias}.{column}", f'always "{value}"') for column, value in table.fixed.items())
            initial = table.initial.items()
            yield from ((f"{table.alias}.{column}", f'"{value}" in a new row') for column, value in initial)
            ties = table.ties
            yield from ((f"{table.alias}.{t.column}", f"as {t.other_alias}.{t.other_column}") for t in ties)


# --- text ---------------------------------------------------------------------------------------------------------


def text(sheet: Sheet) -> str:
    """Lay a sheet out in columns for a terminal."""
    lines = [f"{sheet.object}: {sheet.source} -> {sheet.target}", sheet.about, ""]
    lines += table(*_laid(sheet))
    if sheet.filled:
        lines += ["", f"filled in {sheet.target} besides:"]
        lines += table(("column", "content"), sheet.filled)
    lines += [f"\n{said}: {', '.join(names)}" for said, names in _gaps(sheet)]
    return "\n".join(lines)


def _laid(sheet: Sheet) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and cells; what nobody decides, because the object goes one way, has no column."""
    every = (f"{sheet.source} column", *HEADINGS[1:-1], f"{sheet.target} column")
    shown = [n for n in range(len(every)) if n != POLICY or any(row.policy for row in sheet.rows)]
    return tuple(every[n] for n in shown), [tuple(row.cells[n] for n in shown) for row in sheet.rows]


def _gaps(sheet: Sheet) -> list[tuple[str, tuple[str, ...]]]:
    gaps = [(f"{sheet.source} does not speak", sheet.unread)]
    if sheet.target != sheet.source:
        gaps.append((f"{sheet.target} does not keep", sheet.unwritten))
    return [(said, names) for said, names in gaps if names]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align cells under headings; a cell may have several lines."""
    tall = [[cell.split("\n") for cell in row] for row in rows]
    flat: list[list[str]] = [list(headings), ["-" * len(heading) for heading in headings]]
    for row in tall:
        height = max(len(cell) for cell in row)
        flat += [[cell[line] if line < len(cell) else "" for cell in row] for line in range(height)]
    widths = [max(len(row[column]) for row in flat) for column in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in flat]


def markdown(sheet: Sheet, level: int = 2) -> str:
    """Write a sheet as a Markdown section."""
    lines = [f"{'#' * level} {sheet.source} to {sheet.target}", ""]
    headings, rows = _laid(sheet)
    lines += _markdown_table(headings, rows, code=(0, 1, 2, 3, len(headings) - 2, len(headings) - 1))
    if sheet.filled:
        lines += ["", f"Filled in {sheet.target} besides:", ""]
        lines += _markdown_table(("column", "content"), sheet.filled, code=(0,))
    for said, names in _gaps(sheet):
        lines += ["", f"{said[0].upper()}{said[1:]}: {', '.join(f'`{name}`' for name in names)}."]
    return "\n".join(lines) + "\n"


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], code: Sequence[int]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for row in rows:
        cells = [_cell(cell, index in code) for index, cell in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cell(text_: str, code: bool) -> str:
    parts = [part.replace("|", "\\|") for part in text_.split("\n") if part]
    return "<br>".join(f"`{part}`" if code else part for part in parts)
