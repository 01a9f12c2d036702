"""Checks of postings: what a record of a store adds to a cube."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.mapping.document import place
from isthmus.mapping.form import listed
from warehouse import check_condition
from warehouse.check_expression import Record, takes
from warehouse.check_scope import DAYS, NO_DIMENSIONS, TEXTS, Scope
from warehouse.expression import NUMBERS
from warehouse.grammar import NO_EXPRESSION, SPREAD_MONTH, UNREAD
from warehouse.spec import Cube, Expression, Figure, Posting, Spread, Store


def check(cube: Cube, posting: Posting, scope: Scope) -> None:
    """Check one posting of a cube."""
    _names_are_known(cube, posting, scope)
    if not posting.store or not scope.file("stores", posting.store, "there is no store", posting.position):
        return
    store = scope.warehouse.stores.get(posting.store)
    if store is None or not store.fields:
        return
    record = Record(store.name, scope.columns(store), posting.spread is not None)
    if posting.when is not None:
        check_condition.check(posting.when, record, scope)
    types = {item.name: item.type for item in cube.dimensions if item.type.kind not in NO_DIMENSIONS}
    types |= {item.name: item.type for item in cube.figures if item.type.kind in NUMBERS}
    for name, expression in (*posting.dimensions.items(), *posting.figures.items()):
        takes(types.get(name, UNREAD), expression, record, name, scope)
        if expression.when is not None:
            check_condition.check(expression.when, record, scope)
    for figure in cube.figures:
        _stands_with_its_unit(figure, posting, store, scope)
    if posting.spread is not None:
        _spread_is_sound(posting.spread, cube, posting, record, scope)


def _names_are_known(cube: Cube, posting: Posting, scope: Scope) -> None:
    dimensions, figures = [item.name for item in cube.dimensions], [item.name for item in cube.figures]
    for said, own, others, what, other in (
        (posting.dimensions, dimensions, figures, "dimension", "figure"),
        (posting.figures, figures, dimensions, "figure", "dimension"),
    ):
        for name in said:
            if name in others and name not in own:
                message = f'"{name}" is a {other} of {cube.name}, so it stands under "{other}s". Move it there.'
                scope.add(place(name, posting.position), message)
            elif own:
                scope.known(name, own, f"{cube.name} has no {what}", posting.position)
    if not posting.figures and posting.store:
        message = 'this posting has no "figures", so it would add nothing. Add what a record counts: figures: {…: 1}.'
        scope.add(posting.position, message)


def _stands_with_its_unit(figure: Figure, posting: Posting, store: Store, scope: Scope) -> None:
    """An amount goes into the cell of its own currency, a quantity into that of its own unit."""
    expression = posting.figures.get(figure.name)
    if expression is None or expression is NO_EXPRESSION or figure.type.kind not in ("amount", "quantity"):
        return
    unit = figure.type.args[0]
    what = "currency" if figure.type.kind == "amount" else "unit"
    said = posting.dimensions.get(unit)
    field = store.field(expression.field)
    named = store.field(field.type.args[0]) if field and field.type.kind == figure.type.kind else None
    own = named.name if named and named.type.kind in TEXTS else ""
    if said is None:
        message = f'"{figure.name}" is posted without its {what}. Add it under "dimensions": {unit}: {own or "…"}.'
        scope.add(place(figure.name, expression.position), message)
    elif own and said is not NO_EXPRESSION and _plain(said) not in ("", own):
        message = f'"{expression.field}" is in the {what} "{own}", but the record is posted under "{_plain(said)}".'
        scope.add(said.position, f"{message} Write {unit}: {own}.")


def _plain(expression: Expression) -> str:
    """Return the field an expression takes as it is, or an empty text: of others nobody can tell."""
    return "" if expression.calls or expression.literal is not None else expression.field


def _spread_is_sound(spread: Spread, cube: Cube, posting: Posting, record: Record, scope: Scope) -> None:
    for word in (spread.first, spread.last):
        if word and scope.known(word, record.columns, f"{record.store} has no field", spread.position):
            type_ = record.columns[word]
            if type_ is not UNREAD and type_.kind not in DAYS:
                message = f'"{word}" is {type_}, and no day to spread from or until. Name a date.'
                scope.add(place(word, spread.position), message)
    if spread.first and spread.first == spread.last:
        message = (
            f'a record is spread from its first day until its last, but both are "{spread.first}". Name the other.'
        )
        scope.add(place(spread.last, spread.position), message)
    figures = {figure.name: figure for figure in cube.figures}
    for word in spread.figures:
        _is_shared_out(word, figures, posting, cube, spread, scope)
    said = posting.dimensions.values()
    if said and not any(item.field == SPREAD_MONTH or item is NO_EXPRESSION for item in said):
        message = f"no dimension takes {SPREAD_MONTH}, so spreading would not show. Add a date dimension with it."
        scope.add(spread.position, message)


def _is_shared_out(
    word: str, figures: Mapping[str, Figure], posting: Posting, cube: Cube, spread: Spread, scope: Scope
) -> None:
    at = place(word, spread.position)
    if not scope.known(word, figures, f"{cube.name} has no figure", spread.position):
        return
    if word not in posting.figures:
        message = (
            f'"{word}" is shared out, but this posting does not post it. It posts {listed(posting.figures, "and")}.'
        )
        scope.add(at, message)
    elif figures[word].type.kind == "count":
        message = f'"{word}" is a count, and one of something is not cut into months. Remove it from the spread:'
        scope.add(at, f"{message} it counts in the first month.")
