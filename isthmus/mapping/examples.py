"""Run the examples inside mappings: raw columns in, model fields out, compared with what the file says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from isthmus.errors import Finding, SpecError
from isthmus.mapping.bind import Setting
from isthmus.mapping.compile import compile_read
from isthmus.mapping.plan import BoundPipe, ListRecords, ReadList, ReadPlan, Records
from isthmus.mapping.scope import all_tables
from isthmus.mapping.spec import Catalogue, Example, MappingSpec, Position, Scalar

KEY = "(key)"  # stands in where an example does not name the key
NO_DAY = "99991230"  # slices are chosen by the source, which examples do without


@dataclass(frozen=True, slots=True)
class Compared:
    """One field of an example: what the file expects and what the mapping gives, both as text (None: nothing)."""

    field: str
    expected: Scalar
    found: Scalar
    ok: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one example; `faults` are the reasons of a row that could not be converted."""

    system: str
    object: str
    variant: str
    number: int
    position: Position
    fields: tuple[Compared, ...]
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether the example is true."""
        return not self.faults and all(field.ok for field in self.fields)

    @property
    def name(self) -> str:
        """Return what to call the example: `isu.device technical, example 1`."""
        variant = f" {self.variant}" if self.variant else ""
        return f"{self.system}.{self.object}{variant}, example {self.number}"


def run_examples(catalogue: Catalogue, object_: str = "") -> tuple[Outcome, ...]:
    """Run every example, or those of one object, in the order of the files."""
    found = []
    for (_, name), specs in catalogue.mappings.items():
        if object_ in ("", name):
            for spec in specs:
                found += [run_example(catalogue, spec, number) for number in range(1, len(spec.examples) + 1)]
    return tuple(found)


def run_example(catalogue: Catalogue, spec: MappingSpec, number: int) -> Outcome:
    """Run example `number` (from 1) of a mapping.

    Tables that belong to a switch take part; requirements and rules about fields that the example says nothing of
    are left out, so an example may be short.
    """
    example = spec.examples[number - 1]
    outcome = Outcome(spec.system, spec.object, spec.variant, number, example.position, ())
    try:
        plan = compile_read(catalogue, spec.system, spec.object, spec.variant, _all_on(spec))
        plan = _without_the_unsaid(plan, example)
        root = _batch(plan, spec, example)
        records = plan.apply(root, {entry.name: _list_batch(entry, plan, spec, example, root) for entry in plan.lists})
    except SpecError as error:
        return replace(outcome, faults=tuple(finding.message for finding in error.findings))
    faults = tuple(_fault(row) for row in records.rejects.to_pylist())
    return replace(outcome, fields=tuple(_compared(records, example)) if not faults else (), faults=faults)


def findings_of(outcomes: Iterable[Outcome]) -> tuple[Finding, ...]:
    """Return the untrue examples as findings at their place in the file."""
    found = []
    for outcome in outcomes:
        at = outcome.position
        wrong = [f'"{x.field}" is {shown(x.found)}, not {shown(x.expected)}' for x in outcome.fields if not x.ok]
        for message in (*wrong, *outcome.faults):
            text = f"this example is not true: {message}. Correct the example or the mapping."
            found.append(Finding(at.file, at.line, at.column, text))
    return tuple(found)


def shown(value: Scalar) -> str:
    """Return a value as it stands in a message."""
    return "null" if value is None else f'"{value}"'


def _all_on(spec: MappingSpec) -> Setting:
    parts = [spec.condition, *(table.condition for table in all_tables(spec)), *(x.condition for x in spec.lists)]
    return Setting({name: True for name in parts if name and not name.startswith("not ")}, NO_DAY)


def _without_the_unsaid(plan: ReadPlan, example: Example) -> ReadPlan:
    lists = tuple(
        replace(entry, fields=tuple(replace(item, required=False) for item in entry.fields)) for entry in plan.lists
    )
    return replace(
        plan,
        key=plan.key if set(plan.key.columns) <= {str(name) for name in example.given} else BoundPipe((KEY,), ()),
        fields=tuple(replace(item, required=False) for item in plan.fields),
        lists=lists,
        rejects=tuple(rule for rule in plan.rejects if all(name in example.gives for name in rule.fields)),
        warns=(),
    )


# --- raw rows -----------------------------------------------------------------------------------------------------


def _batch(plan: ReadPlan, spec: MappingSpec, example: Example) -> pa.RecordBatch:
    pipes = [plan.key, *(item.pipe for item in plan.fields), *plan.known_as.values()]
    types = _types([*pipes, *([plan.deleted] if plan.deleted else [])])
    absent = _absent(spec, example)
    names = [str(column) for column in plan.query.columns]
    arrays = [_array(name, types, example, name.rpartition(".")[0] in absent) for name in names]
    return pa.RecordBatch.from_arrays([*arrays, pa.array(["1"])], names=[*names, KEY])


def _list_batch(
    entry: ReadList, plan: ReadPlan, spec: MappingSpec, example: Example, root: pa.RecordBatch
) -> pa.RecordBatch:
    """Return the one entry an example describes, tied to its row; no entry where it names none of its columns."""
    pipes = [*(item.pipe for item in entry.fields), *([entry.period] if entry.period else [])]
    types = _types(pipes)
    named = {column for pipe in pipes for column in pipe.columns} & set(example.given)
    names = [str(column) for column in entry.query.columns]
    arrays = []
    for name in names:
        if name in entry.parent:
            arrays.append(root.column(plan.key_columns[entry.parent.index(name)]))
        else:
            arrays.append(_array(name, types, example, False))
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    return batch if named else batch.slice(0, 0)


def _types(pipes: Iterable[BoundPipe]) -> Mapping[str, pa.DataType]:
    """Return the raw type of each column: what the first function of its pipe writes."""
    known = [pipe for pipe in pipes if pipe.steps and pipe.steps[0].raw]
    return {name: type_ for pipe in known for name, type_ in zip(pipe.columns, pipe.steps[0].raw, strict=False)}


def _absent(spec: MappingSpec, example: Example) -> set[str]:
    """An optional table of which an example names no column has no row."""
    named = {column.rpartition(".")[0] for column in example.given}
    return {table.alias for table in spec.tables if table.optional and table.alias not in named}


def _array(name: str, types: Mapping[str, pa.DataType], example: Example, absent: bool) -> pa.Array:
    type_ = types.get(name, pa.string())
    given = next((value for column, value in example.given.items() if column.casefold() == name.casefold()), None)
    if absent:
        return pa.nulls(1, type_)
    text = given or ""
    if pa.types.is_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.array([bytes.fromhex(text) if _is_hex(text) else text.encode()], pa.binary())
    if pa.types.is_decimal(type_):
        return pa.array([text or None], pa.string()).cast(type_) if _is_number(text or "0") else pa.array([text])
    return pa.array([text], pa.string())


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and all(char in "0123456789abcdefABCDEF" for char in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.lstrip("+-").replace(".", "", 1).isdigit()


# --- comparison ---------------------------------------------------------------------------------------------------


def _fault(row: Mapping[str, Any]) -> str:
    value = f', found "{row["value"]}"' if row["value"] is not None else ""
    return f"{row['field']}: {row['message']}{value} ({row['code']})"


def _compared(records: Records, example: Example) -> Iterable[Compared]:
    for name, expected in example.gives.items():
        value = _value(records, str(name))
        yield Compared(str(name), expected, text_of(value), _equal(value, expected))


def _value(records: Records, name: str) -> object:
    list_, dot, inner = name.partition(".")
    batch: pa.RecordBatch = records.root
    if dot:
        entry: ListRecords | None = records.lists.get(list_)
        if entry is None:
            return None
        batch, name = entry.rows, inner
    values: list[object] = batch.column(name).to_pylist() if name in batch.schema.names else []
    return values[0] if values else None


def text_of(value: object) -> Scalar:
    """Return a model value as a mapping file writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _equal(value: object, expected: Scalar) -> bool:
    """Compare a value with the text of the file, which is read as the value's type."""
    if value is None or expected is None:
        return value is None and expected is None
    try:
        if isinstance(value, datetime):
            wanted = datetime.fromisoformat(expected)
            return _naive(value) == _naive(wanted)
        if isinstance(value, Decimal):
            return value == Decimal(expected)
        if isinstance(value, int) and not isinstance(value, bool):
            return value == int(expected)
    except (ValueError, ArithmeticError):
        return False
    return text_of(value) == expected


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
