"""Rules of the business: changes that the back office must refuse, such as one inside a billed period."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Canonical
from isthmus.mapping.bind import Setting
from isthmus.mapping.conditions import fields_of, holds
from isthmus.mapping.spec import Catalogue, Predicate, Refusal

WAS = "was."  # before a field: its value in the back office, before the change
TODAY = "$today"
PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class RefuseRule:
    """A compiled rule: where one of `fields` would change and `mask` holds, the change of these fields is refused.

    `names` are the columns the condition speaks of, `because` the message: texts and, between them, columns.
    """

    fields: tuple[str, ...]
    names: tuple[str, ...]
    mask: Canonical  # RecordBatch -> BooleanArray
    because: tuple[str, ...]


def refusals(catalogue: Catalogue, object_: str, given: Setting) -> tuple[RefuseRule, ...]:
    """Compile the `refuse` rules of an object for a day."""
    return tuple(_compiled(rule, given.today) for rule in catalogue.models[object_].refuses)


def refused(
    rules: Sequence[RefuseRule], wanted: pa.RecordBatch, standing: pa.RecordBatch
) -> list[tuple[tuple[str, ...], pa.BooleanArray, pa.StringArray]]:
    """Say which changes are refused: per rule that holds somewhere its fields, the rows, and the message of each.

    `wanted` are the values the back office would get, `standing` those it has, aligned, in one key space.  A field
    that `wanted` does not have stays as it is; messages are null where nothing is refused.
    """
    found = []
    for rule in rules:
        batch = _side_by_side(rule, wanted, standing)
        mask = pc.and_(_changed(rule.fields, wanted, standing), rule.mask(batch))
        if pc.any(mask).as_py():
            found.append((rule.fields, mask, pc.if_else(mask, _message(rule, batch), pa.scalar(None, pa.string()))))
    return found


def places(text: str) -> tuple[str, ...]:
    """Return the fields that a message names in braces."""
    return tuple(PLACE.findall(text))


def _compiled(rule: Refusal, today: str) -> RefuseRule:
    day = f"{today[:4]}-{today[4:6]}-{today[6:]}"
    when = _dated(rule.when, day)
    return RefuseRule(rule.fields, fields_of(when), partial(holds, when), tuple(PLACE.split(rule.because)))


def _dated(predicate: Predicate, day: str) -> Predicate:
    """Put the day in the place of `$today`."""
    term = predicate.term
    if term is not None and term.right == TODAY:
        term = replace(term, right=day)
    return replace(predicate, parts=tuple(_dated(part, day) for part in predicate.parts), term=term)


def _side_by_side(rule: RefuseRule, wanted: pa.RecordBatch, standing: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns that a rule speaks of; what neither side has is nothing."""
    columns = {}
    for name in dict.fromkeys([*rule.names, *rule.because[1::2]]):
        field = name.removeprefix(WAS)
        sides = (standing,) if name.startswith(WAS) else (wanted, standing)
        side = next((batch for batch in sides if field in batch.schema.names), None)
        columns[name] = pa.nulls(standing.num_rows, _type(field, wanted)) if side is None else side.column(field)
    return pa.RecordBatch.from_pydict(columns)


def _type(field: str, batch: pa.RecordBatch) -> pa.DataType:
    return batch.schema.field(field).type if field in batch.schema.names else pa.string()


def _changed(fields: Sequence[str], wanted: pa.RecordBatch, standing: pa.RecordBatch) -> pa.BooleanArray:
    """Tell in which rows one of the fields would change; nothing equals nothing."""
    total = pa.repeat(pa.scalar(False), standing.num_rows)
    for name in fields:
        if name in wanted.schema.names and name in standing.schema.names:
            left, right = wanted.column(name), standing.column(name)
            differs = pc.fill_null(pc.not_equal(left, right), pc.xor(pc.is_null(left), pc.is_null(right)))
            total = pc.or_(total, differs)
    return total


def _message(rule: RefuseRule, batch: pa.RecordBatch) -> pa.StringArray:
    parts = []
    for number, text in enumerate(rule.because):
        part = pc.fill_null(pc.cast(batch.column(text), pa.string()), "nothing") if number % 2 else pa.scalar(text)
        parts.append(part)
    texts = pc.binary_join_element_wise(*parts, "")
    return pa.repeat(texts, batch.num_rows) if isinstance(texts, pa.Scalar) else texts
