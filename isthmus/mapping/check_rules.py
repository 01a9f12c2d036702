"""Checks of conditions: fields are read, literals fit their fields, `where` can be asked of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation

from isthmus.errors import did_you_mean
from isthmus.mapping.check_codes import values_of
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from isthmus.mapping.scope import Scope, misnamed, read_names
from isthmus.mapping.spec import Field, MappingSpec, Model, Predicate, Rule, Term

ORDERED = ("<", "<=", ">", ">=")


def check(spec: MappingSpec, scope: Scope) -> None:
    """Check `reject`, `warn` and `where`."""
    model = scope.catalogue.models.get(spec.object)
    if model is not None:
        for rule in (*spec.rejects, *spec.warns):
            _rule_speaks_of_what_is_read(rule, spec, model, scope)
    if spec.where is not None:
        _where_is_simple(spec.where, spec, scope)


def terms_of(predicate: Predicate) -> Iterator[tuple[Term, Predicate]]:
    """Yield every comparison of a condition with the part it stands in."""
    if predicate.term is not None:
        yield predicate.term, predicate
    for part in predicate.parts:
        yield from terms_of(part)


def _rule_speaks_of_what_is_read(rule: Rule, spec: MappingSpec, model: Model, scope: Scope) -> None:
    for term, part in terms_of(rule.when):
        known = [_is_read(name, part, spec, model, scope) for name in (term.left, term.right_field) if name]
        left = model.field(term.left)
        if not all(known) or left is None:
            continue
        comparison_fits(term, left, model.field(term.right_field) if term.right_field else None, part, scope)


def comparison_fits(term: Term, left: Field, right: Field | None, part: Predicate, scope: Scope) -> None:
    """Check that a comparison makes sense for the types of its fields, or for its field and its literals."""
    if term.operator in ORDERED and left.type in ("code", "boolean", "ref"):
        message = f'"{term.left}" is {left.type}, which has no order. Compare it with =, <> or in (...).'
        scope.add(place(term.left, part.position), message)
    elif term.right_field:
        _same_kind(term, left, right, part, scope)
    else:
        _literals_fit(term, left, part, scope)


def _is_read(name: str, part: Predicate, spec: MappingSpec, model: Model, scope: Scope) -> bool:
    names = [field.name for field in model.fields]
    at = place(name, part.position)
    if name not in names:
        right = part.term is not None and part.term.right_field == name
        hint = did_you_mean(name, names)
        quotes = f' If it is a literal, write it in quotes: "{name}".' if right and not hint else ""
        scope.add(at, f'{model.object} has no field "{name}".{quotes or hint or offered(names)}')
        return False
    if name not in read_names(spec) and not misnamed(spec, model):
        message = f'{spec.system} does not read "{name}", so this rule cannot use it. Map it, or remove the rule.'
        scope.add(at, message)
        return False
    return True


def _same_kind(term: Term, left: Field, right: Field | None, part: Predicate, scope: Scope) -> None:
    if right is not None and (left.type, left.type in ("code", "ref") and left.args) != (
        right.type,
        right.type in ("code", "ref") and right.args,
    ):
        message = f'"{left.name}" is {left.type} and "{right.name}" is {right.type}; they cannot be compared.'
        scope.add(place(term.right_field, part.position), f"{message} Compare fields of one type.")


def _literals_fit(term: Term, field: Field, part: Predicate, scope: Scope) -> None:
    literals = term.right if isinstance(term.right, tuple) else (term.right,)
    for literal in literals:
        wrong = literal_fault(literal, field, scope) if literal is not None else ""
        if wrong:
            scope.add(place(literal or "", part.position), wrong)


def literal_fault(literal: str, field: Field, scope: Scope) -> str:
    """Return what is wrong with a literal for a field, or an empty text."""
    if field.type == "code" and field.args:
        table = scope.catalogue.codes.get(field.args[0])
        if table is None or literal in (values := values_of(table)):
            return ""
        hint = did_you_mean(literal, values) or offered(values)
        return f'code table {table.name} has no value "{literal}".{hint}'
    if field.type == "boolean":
        return "" if literal in ("yes", "no") else f'"{field.name}" is yes or no, not "{literal}".'
    readers: dict[str, tuple[Callable[[str], object], str]] = {
        "date": (date.fromisoformat, "a date such as 2024-12-31"),
        "moment": (datetime.fromisoformat, "a moment such as 2024-12-31 23:00:00"),
        "time": (time.fromisoformat, "a time such as 12:30:00"),
        "integer": (int, "a whole number"),
        "decimal": (Decimal, "a number such as 12.50"),
    }
    if field.type not in readers:
        return ""
    read, wanted = readers[field.type]
    try:
        read(literal)
    except (ValueError, InvalidOperation):
        return f'"{field.name}" is {wanted}, not "{literal}". Write one in quotes.'
    return ""


def _where_is_simple(where: Predicate, spec: MappingSpec, scope: Scope) -> None:
    """The source applies `where`, and every source can join comparisons by `and`."""
    if where.operator == "and":
        for part in where.parts:
            _where_is_simple(part, spec, scope)
        return
    term = where.term
    if term is None or term.operator == "not in":
        message = '"where" is asked of the source, which takes comparisons joined by "and" only.'
        scope.add(where.position, f'{message} Move this part to a "reject" rule.')
        return
    aliases = [table.alias for table in spec.tables]
    for name in (term.left, term.right_field):
        alias, dot, column = name.rpartition(".")
        at = place(name, where.position)
        if name and not dot:
            scope.add(at, f'"where" speaks of columns, so say which table "{column}" belongs to. Write ALIAS.{column}.')
        elif name:
            scope.known(alias, aliases, "there is no table", at) if alias in aliases else _no_table(
                name, alias, scope, aliases
            )


def _no_table(name: str, alias: str, scope: Scope, aliases: list[str]) -> None:
    hint = did_you_mean(alias, aliases) or offered(aliases)
    scope.add(place(name), f'there is no table "{alias}".{hint}')
