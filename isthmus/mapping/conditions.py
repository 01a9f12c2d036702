"""Evaluate a closed predicate on the columns of a batch: a boolean mask, comparisons with null are false."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.spec import Predicate, Term

COMPARE: dict[str, Callable[[pa.Array, pa.Array], pa.Array]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def holds(predicate: Predicate, batch: pa.RecordBatch) -> pa.BooleanArray:
    """Return for every row of `batch` whether the predicate holds."""
    if predicate.operator == "term":
        assert predicate.term is not None
        return _term(predicate.term, batch)
    masks = [holds(part, batch) for part in predicate.parts]
    if predicate.operator == "not":
        return pc.invert(masks[0])
    combine = pc.and_ if predicate.operator == "and" else pc.or_
    result = masks[0]
    for mask in masks[1:]:
        result = combine(result, mask)
    return result


def fields_of(predicate: Predicate) -> tuple[str, ...]:
    """Return the names a predicate speaks of, in order of appearance."""
    if predicate.term is not None:
        names = (predicate.term.left, predicate.term.right_field)
        return tuple(name for name in names if name)
    return tuple(dict.fromkeys(name for part in predicate.parts for name in fields_of(part)))


def _term(term: Term, batch: pa.RecordBatch) -> pa.BooleanArray:
    left = batch.column(term.left)
    if term.operator in ("is blank", "is set"):
        blank = pc.is_null(left)
        return blank if term.operator == "is blank" else pc.invert(blank)
    if term.operator in ("in", "not in"):
        values = pa.array(list(term.right or ()), pa.string()).cast(left.type)
        inside = pc.is_in(left, values)
        return inside if term.operator == "in" else pc.and_(pc.invert(inside), pc.is_valid(left))
    right = batch.column(term.right_field) if term.right_field else literal(str(term.right), left.type)
    return pc.fill_null(COMPARE[term.operator](left, right), False)


def literal(text: str, type_: pa.DataType) -> pa.Scalar:
    """Read a literal of a predicate as the type of the field it is compared with."""
    if pa.types.is_boolean(type_):
        return pa.scalar(text in ("true", "yes"), type_)
    return pc.cast(pa.scalar(text), type_)
