"""Checks of cubes: dimensions, additive figures with their units, and what views make of them."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.errors import did_you_mean
from isthmus.mapping.document import Text, place
from isthmus.mapping.form import offered
from warehouse import check_posting
from warehouse.check_dimension import key_type, refers
from warehouse.check_scope import NO_DIMENSIONS, TEXTS, Scope
from warehouse.check_store import code_table
from warehouse.expression import NUMBERS
from warehouse.grammar import UNREAD, Formula, read_formula
from warehouse.spec import Balance, Calculated, Cube, CubeDimension, Distinct, Figure, Type

OF_BALANCES = ("opening", "movement", "closing")  # columns of their views


def check(cube: Cube, scope: Scope) -> None:
    """Check a cube and everything that is posted to it."""
    for dimension in cube.dimensions:
        _dimension_tells_cells_apart(dimension, scope)
    for figure in cube.figures:
        _figure_adds_up(figure, cube, scope)
    for posting in cube.postings:
        check_posting.check(cube, posting, scope)
    _everything_is_posted(cube, scope)
    for calculated in cube.calculated:
        _formula_is_sound(calculated, cube, scope)
    for balance in cube.balances:
        _balance_is_sound(balance, cube, scope)
    for distinct in cube.distincts:
        _count_is_a_field(distinct, cube, scope)


def _dimension_tells_cells_apart(dimension: CubeDimension, scope: Scope) -> None:
    type_ = dimension.type
    code_table(type_, scope)
    if type_.kind in NO_DIMENSIONS:
        message = f'"{dimension.name}" is {type_}, which says how much and tells no cells apart.'
        scope.add(dimension.position, f"{message} Make it a figure, an integer, or a text by band(10, 20, 50).")
    if not dimension.dimension:
        return
    if not scope.file("dimensions", dimension.dimension, "there is no dimension", dimension.position):
        return
    key = key_type(dimension.dimension, scope)
    if type_ is not UNREAD and not refers(type_, key):
        message = f'"{dimension.name}" is {type_}, but the key of the dimension {dimension.dimension} is {key}.'
        scope.add(dimension.position, f"{message} Make it {key}.")


def _figure_adds_up(figure: Figure, cube: Cube, scope: Scope) -> None:
    if figure.type is UNREAD:
        return
    if figure.type.kind not in NUMBERS:
        message = f'"{figure.name}" is {figure.type}, which cannot be added up.'
        todo = "Make it a dimension, or count it under distinct" if figure.type.kind in TEXTS else "Make it a dimension"
        scope.add(figure.position, f"{message} {todo}. Figures are count, integer, decimal, amount or quantity.")
    if figure.type.kind not in ("amount", "quantity"):
        return
    what = "currency" if figure.type.kind == "amount" else "unit"
    word = figure.type.args[0]
    dimensions = {dimension.name: dimension.type for dimension in cube.dimensions}
    if word not in dimensions:
        sums = "currencies are never added together" if what == "currency" else "units are never added together"
        hint = did_you_mean(word, dimensions) or f" Add a dimension {word}: text(5), and post it."
        message = f'"{figure.name}" is in the {what} "{word}", which is no dimension of {cube.name}; {sums}.{hint}'
        scope.add(place(word, figure.position), message)
    elif dimensions[word].kind not in TEXTS:
        message = f'"{word}" is {dimensions[word]}, and no {what}. Name a dimension of type text or code.'
        scope.add(place(word, figure.position), message)


def _everything_is_posted(cube: Cube, scope: Scope) -> None:
    posted = {name for posting in cube.postings for name in (*posting.dimensions, *posting.figures)}
    if not cube.postings:
        return
    dimensions = [(item.name, item.position, "dimension") for item in cube.dimensions]
    for name, at, what in (*dimensions, *((item.name, item.position, "figure") for item in cube.figures)):
        if name not in posted and not _is_misspelled(name, posted, cube):
            scope.add(at, f'no posting fills the {what} "{name}". Add it to a posting, or remove it.')


def _is_misspelled(name: str, posted: set[str], cube: Cube) -> bool:
    """Tell whether a posting means this name but spells it otherwise, which is said there."""
    own = {item.name for item in cube.dimensions} | {item.name for item in cube.figures}
    return f'"{name}"' in "".join(did_you_mean(other, own) for other in posted - own)


# --- figures of views ---------------------------------------------------------------------------------------------


def _formula_is_sound(calculated: Calculated, cube: Cube, scope: Scope) -> None:
    if not calculated.formula:
        return
    at = place(calculated.formula, calculated.position)
    formula = read_formula(Text(calculated.formula, at, True, calculated.formula))
    figures = {figure.name: figure.type for figure in cube.figures}
    for word in formula.figures:
        if word not in figures:
            scope.add(place(word, at), f"{_no_such_figure(word, calculated, cube)}")
    if all(word in figures for word in formula.figures):
        _measure(formula, figures, scope)


def _no_such_figure(word: str, calculated: Calculated, cube: Cube) -> str:
    figures = [figure.name for figure in cube.figures]
    if word in [item.name for item in cube.calculated]:
        return f'"{word}" is calculated itself; a formula is made of figures. Write its formula in parentheses here.'
    if word in [item.name for item in cube.balances]:
        return f'"{word}" is a balance, which stands in a view of its own. Calculate with figures.'
    if word in [item.name for item in cube.dimensions]:
        return f'"{word}" is a dimension, and no number to calculate with.{did_you_mean(word, figures)}'
    return f'{cube.name} has no figure "{word}".{did_you_mean(word, figures) or offered(figures)}'


def _measure(formula: Formula, figures: Mapping[str, Type], scope: Scope) -> str | None:
    """Return what a formula measures ('' for plain numbers), None for what has no name; note sums of unlikes."""
    if formula.operator == "number":
        return ""
    if formula.operator == "figure":
        type_ = figures[formula.word]
        return str(type_) if type_.kind in ("amount", "quantity") else ""
    left, right = (_measure(part, figures, scope) for part in formula.parts)
    if formula.operator in ("*", "/"):
        return "" if left == right == "" else left if right == "" else None
    zero = formula.parts[0].operator == "number" and formula.parts[0].word == "0"
    if None not in (left, right) and left != right and not zero:
        sign = "added to" if formula.operator == "+" else "subtracted from"
        message = f"{right or 'a plain number'} cannot be {sign} {left or 'a plain number'}."
        scope.add(formula.parts[1].position, f"{message} Add like to like, or divide first.")
        return None
    return right if zero else left


def _balance_is_sound(balance: Balance, cube: Cube, scope: Scope) -> None:
    figures = [figure.name for figure in cube.figures]
    days = [item.name for item in cube.dimensions if item.type.kind == "date"]
    if balance.of and figures:
        scope.known(balance.of, figures, f"{cube.name} has no figure", balance.position)
    over = next((item for item in cube.dimensions if item.name == balance.over), None)
    if over is not None and over.type is not UNREAD and over.type.kind != "date":
        message = (
            f'"{balance.over}" is {over.type}; a balance is drawn over days or months. Name a dimension of type date.'
        )
        scope.add(place(balance.over, balance.position), message)
    elif over is None and balance.over:
        scope.known(balance.over, days, f"{cube.name} has no dimension of type date called", balance.position)
    _balance_view_is_sound(balance, cube, scope)


def _balance_view_is_sound(balance: Balance, cube: Cube, scope: Scope) -> None:
    """A balance's view has the dimensions of `by` (or all): its unit among them, none called like its own columns."""
    others = {item.name: item.position for item in cube.dimensions if item.name != balance.over}
    for name in balance.by:
        scope.known(name, others, f"{cube.name} has no other dimension", balance.position)
    for name in balance.by or others:
        if name in OF_BALANCES and name in others:
            message = f'"{name}" is what the view of "{balance.name}" shows of a month.'
            scope.add(others[name], f"{message} Give the dimension another name, or leave it out of by.")
    figure = next((item for item in cube.figures if item.name == balance.of), None)
    unit = figure.type.args[0] if figure and figure.type.kind in ("amount", "quantity") else ""
    if balance.by and unit in others and unit not in balance.by:
        message = f'"{balance.name}" would add up every {unit}, because {unit} is not among "by". Add it there.'
        scope.add(place(balance.by[0], balance.position), message)


def _count_is_a_field(distinct: Distinct, cube: Cube, scope: Scope) -> None:
    store = scope.warehouse.stores.get(cube.postings[0].store) if cube.postings else None
    if distinct.count and store is not None and store.fields:
        scope.known(distinct.count, scope.columns(store), f"{store.name} has no field", distinct.position)
