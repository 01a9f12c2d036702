"""Checks of conditions: they speak of a store's fields, and literals fit."""

from __future__ import annotations

from isthmus.errors import did_you_mean
from isthmus.mapping.check_rules import ORDERED, literal_fault, terms_of
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from isthmus.mapping.scope import Scope as MappingScope
from isthmus.mapping.spec import Catalogue, Field, Predicate, Term
from warehouse.check_expression import Record
from warehouse.check_scope import Scope
from warehouse.expression import NUMBERS
from warehouse.grammar import UNREAD
from warehouse.spec import Type

NO_MODEL = Catalogue({}, {}, {}, {}, {})


def check(predicate: Predicate, record: Record, scope: Scope) -> None:
    """Check every comparison of a condition."""
    for term, part in terms_of(predicate):
        known = [_is_field(name, term, part, record, scope) for name in (term.left, term.right_field) if name]
        if all(known):
            _comparison_fits(term, part, record, scope)


def _is_field(name: str, term: Term, part: Predicate, record: Record, scope: Scope) -> bool:
    if name in record.columns:
        return True
    hint = did_you_mean(name, record.columns)
    if not hint and term.right_field == name:
        hint = f' If it is a literal, write it in quotes: "{name}".'
    message = f'{record.store} has no field "{name}".{hint or offered(record.columns)}'
    scope.add(place(name, part.position), message)
    return False


def _comparison_fits(term: Term, part: Predicate, record: Record, scope: Scope) -> None:
    left, right = record.columns[term.left], record.columns.get(term.right_field)
    if UNREAD in (left, right):
        return
    if term.operator in ORDERED and left.kind in ("code", "boolean"):
        message = f'"{term.left}" is {left}, which has no order. Compare it with =, <> or in (...).'
        scope.add(place(term.left, part.position), message)
    elif right is not None and not _alike(left, right):
        message = f'"{term.left}" is {left} and "{term.right_field}" is {right}; they cannot be compared.'
        scope.add(place(term.right_field, part.position), f"{message} Compare fields of one type.")
    elif right is None:
        _literals_fit(term, part, left, scope)


def _alike(left: Type, right: Type) -> bool:
    if left.kind in NUMBERS and right.kind in NUMBERS:
        return True
    return left.kind == right.kind and (left.kind != "code" or left.args == right.args)


def _literals_fit(term: Term, part: Predicate, left: Type, scope: Scope) -> None:
    literals = term.right if isinstance(term.right, tuple) else (term.right,) if term.right is not None else ()
    for literal in literals:
        if literal.startswith("$"):
            message = f'"{literal}" changes from day to day, but a record must always add up to the same.'
            wrong = f"{message} Compare with a field or a literal."
        else:
            field = _as_model_field(term.left, left)
            wrong = literal_fault(literal, field, _mapping_scope(scope))
        if wrong:
            scope.add(place(literal, part.position), wrong)


def _as_model_field(name: str, type_: Type) -> Field:
    """Return a field of the warehouse as one of the model: conditions are the same language there."""
    if type_.kind in NUMBERS:
        return Field(name, "integer" if type_.kind in ("integer", "count") else "decimal")
    return Field(name, type_.kind, type_.args)  # type: ignore[arg-type]  # text, code, date, moment, boolean: in both


def _mapping_scope(scope: Scope) -> MappingScope:
    return MappingScope(scope.catalogue or NO_MODEL, scope.findings, frozenset(), frozenset())
