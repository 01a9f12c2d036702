"""Checks of `refuse` rules: fields exist, literals fit them, messages give away nothing personal."""

from __future__ import annotations

from isthmus.errors import did_you_mean
from isthmus.mapping.check_rules import comparison_fits, terms_of
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from isthmus.mapping.refuse import TODAY, WAS, places
from isthmus.mapping.scope import Scope
from isthmus.mapping.spec import Field, Model, Position, Predicate, Refusal, Term


def check(model: Model, scope: Scope) -> None:
    """Check the rules of one object."""
    for rule in model.refuses:
        for name in rule.fields:
            _known(name, model, rule.position, scope, before="")
        for term, part in terms_of(rule.when):
            _term_is_sound(term, part, model, scope)
        _message_is_sound(rule, model, scope)


def _term_is_sound(term: Term, part: Predicate, model: Model, scope: Scope) -> None:
    sides = [_known(name, model, part.position, scope) for name in (term.left, term.right_field) if name]
    left = sides[0]
    if left is None or None in sides:
        return
    if term.right == TODAY:
        if left.type != "date":
            at = place(term.right, part.position)
            scope.add(at, f'"{TODAY}" is a day, but "{term.left}" is {left.type}. Compare it with a date.')
        return
    comparison_fits(term, left, sides[-1] if term.right_field else None, part, scope)


def _known(name: str, model: Model, at: Position, scope: Scope, before: str = WAS) -> Field | None:
    """Return the field of a name, `was.` before it or not; say so where there is none."""
    field = model.field(name.removeprefix(before))
    if field is None:
        prefix = before if before and name.startswith(before) else ""
        names = [f"{prefix}{item.name}" for item in model.fields]
        near = did_you_mean(name, names) or offered(names)
        hint = f' Before the point stands "{WAS[:-1]}" or nothing.' if "." in name and not prefix else near
        scope.add(place(name, at), f'{model.object} has no field "{name}".{hint}')
    return field


def _message_is_sound(rule: Refusal, model: Model, scope: Scope) -> None:
    for name in places(rule.because):
        field = _known(name, model, place(rule.because, rule.position), scope)
        if field is not None and field.personal:
            message = f'"{name}" is personal data, which no message shows. Name another field, or none.'
            scope.add(place(rule.because, rule.position), message)
