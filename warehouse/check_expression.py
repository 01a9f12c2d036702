"""Checks of expressions: what a field becomes through functions, and whether that is what a cube takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from isthmus.errors import did_you_mean
from isthmus.mapping.check_codes import values_of
from isthmus.mapping.document import place
from isthmus.mapping.form import offered
from warehouse.check_scope import DAYS, TEXTS, Scope, shorter, unknown_code
from warehouse.expression import NUMBERS, scale
from warehouse.grammar import NO_EXPRESSION, SPREAD_MONTH, UNREAD
from warehouse.spec import Call, Expression, Kind, Type

MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Record:
    """What an expression may take: the columns of a store's record, and a spread's month."""

    store: str
    columns: Mapping[str, Type]
    spread: bool


@dataclass(frozen=True, slots=True)
class Function:
    """One function of expressions: what enters, what leaves, and what is wrong with its arguments."""

    takes: tuple[Kind, ...]
    gives: Type
    enters: str  # in words
    fault: Callable[[tuple[str, ...], Record], str]


def _no_argument(args: tuple[str, ...], record: Record) -> str:
    return f"it takes no argument, found {', '.join(args)}" if args else ""


def _minutes(args: tuple[str, ...], record: Record) -> str:
    fits = len(args) == 1 and args[0].isascii() and args[0].isdigit() and int(args[0][:5]) > 0
    return "" if fits and MINUTES % int(args[0]) == 0 else "it takes minutes that divide a day, such as slot(30)"


def _days(args: tuple[str, ...], record: Record) -> str:
    digits = args[0].lstrip("-") if len(args) == 1 else ""
    return "" if digits.isascii() and digits.isdigit() and len(digits) < 6 else "it takes a number of days: plus(1)"


def _limits(args: tuple[str, ...], record: Record) -> str:
    try:
        limits = [Decimal(arg) for arg in args]
    except InvalidOperation:
        limits = []
    rising = bool(limits) and all(low < high for low, high in pairwise(limits))
    return "" if rising and all(limit.is_finite() for limit in limits) else "it takes rising limits: band(10, 20, 50)"


def _other_day(args: tuple[str, ...], record: Record) -> str:
    if len(args) != 1:
        return "it takes the field of the later day: created_on | days_to(decided_on)"
    type_ = record.columns.get(args[0])
    if type_ is None:
        days = [name for name, known in record.columns.items() if known.kind in DAYS]
        return f'{record.store} has no field "{args[0]}".{did_you_mean(args[0], days) or offered(days)}'
    return "" if type_ is UNREAD or type_.kind in DAYS else f'"{args[0]}" is {type_}, and no date. Name a date'


_FIRST_DAY = Function(DAYS, Type("date"), "a date or moment", _no_argument)
FUNCTIONS: Mapping[str, Function] = {
    "day": Function(DAYS, Type("date"), "a moment", _no_argument),
    "week": _FIRST_DAY,
    "month": _FIRST_DAY,
    "quarter": _FIRST_DAY,
    "year": _FIRST_DAY,
    "weekday": Function(DAYS, Type("integer"), "a date or moment", _no_argument),
    "hour": Function(("moment",), Type("integer"), "a moment", _no_argument),
    "slot": Function(("moment",), Type("text", ("5",)), "a moment", _minutes),
    "plus": Function(DAYS, Type("date"), "a date", _days),
    "days_to": Function(DAYS, Type("integer"), "a date", _other_day),
    "band": Function(NUMBERS, Type("text"), "a number", _limits),
}


def given(expression: Expression, record: Record, scope: Scope) -> Type | None:
    """Return the type an expression gives; None for a literal, and where a mistake was noted or nothing is known."""
    if expression is NO_EXPRESSION:
        return None
    if expression.literal is not None:
        if expression.calls:
            message = (
                f"a literal goes through no function. Write what comes out, or begin with a field of {record.store}."
            )
            scope.add(expression.calls[0].position, message)
        return None
    type_ = _taken(expression, record, scope)
    for call in expression.calls:
        type_ = _called(call, type_, record, scope)
    if expression.negative and type_ is not None and type_.kind not in NUMBERS:
        scope.add(expression.position, f'"-" turns the sign of a number, but this is {type_}. Remove it.')
        return None
    return type_


def _taken(expression: Expression, record: Record, scope: Scope) -> Type | None:
    name = expression.field
    if name == SPREAD_MONTH:
        if not record.spread:
            message = f"{SPREAD_MONTH} is a month of a spread record, but this posting spreads none."
            scope.add(expression.position, f"{message} Add spread: {{from: …, until: …, figures: […]}}.")
        return Type("date") if record.spread else None
    type_ = record.columns.get(name)
    if type_ is None:
        hint = did_you_mean(name, record.columns) or _possible(expression, record)
        scope.add(place(name, expression.position), f'{record.store} has no field "{name}".{hint}')
    return None if type_ is UNREAD else type_


def _possible(expression: Expression, record: Record) -> str:
    """Return fields that could be meant: those the first function takes; a word alone may be a literal."""
    function = FUNCTIONS.get(expression.calls[0].name) if expression.calls else None
    if function is None:
        return f' If it is a literal, write it in quotes: "{expression.field}".'
    return offered(name for name, type_ in record.columns.items() if type_.kind in function.takes)


def _called(call: Call, entering: Type | None, record: Record, scope: Scope) -> Type | None:
    function = FUNCTIONS.get(call.name)
    if function is None:
        hint = did_you_mean(call.name, FUNCTIONS) or f" There are {', '.join(FUNCTIONS)}."
        scope.add(call.position, f'no function of expressions is called "{call.name}".{hint}')
        return None
    wrong = function.fault(call.args, record)
    if wrong:
        end = "" if wrong.endswith((".", "?")) else "."
        scope.add(place(call.args[0] if call.args else "", call.position), f'"{call.name}": {wrong}{end}')
    if entering is not None and entering.kind not in function.takes:
        scope.add(
            call.position, f'"{call.name}" takes {function.enters}, but {entering} enters.{_day_only(call, entering)}'
        )
        return None
    return function.gives


def _day_only(call: Call, entering: Type) -> str:
    return " A date has no time of day." if entering.kind == "date" and call.name in ("hour", "slot") else ""


# --- what a cube takes --------------------------------------------------------------------------------------------


def takes(wanted: Type, expression: Expression, record: Record, name: str, scope: Scope) -> None:
    """Check an expression, and that what it gives is what a dimension or figure of that type takes."""
    type_ = given(expression, record, scope)
    if wanted is UNREAD or expression is NO_EXPRESSION or unknown_code(wanted, scope):
        return
    if expression.literal is not None:
        wrong = _ambiguous(expression, record) or literal_fault(expression.literal, wanted, scope)
    else:
        wrong = "" if type_ is None else type_fault(type_, wanted)
    if wrong:
        at = expression.calls[-1].position if expression.calls else expression.position  # there its type is decided
        scope.add(at, f'"{name}" {wrong}')


def _ambiguous(expression: Expression, record: Record) -> str:
    """A word that YAML has in quotes is a literal; one that is a field as well was hardly meant so."""
    word = expression.literal or ""
    if word in record.columns and place(word) == expression.position:
        return f'is the literal "{word}" in quotes, but {record.store} has a field of that name. Remove the quotes.'
    return ""


def type_fault(type_: Type, wanted: Type) -> str:
    """Return why a value of one type cannot go into another, to be read after its name, or an empty text."""
    if wanted.kind in NUMBERS:
        return _number_fault(type_, wanted)
    same_kind = type_.kind == wanted.kind
    if shorter(type_, wanted) or (same_kind and wanted.kind == "code" and type_.args != wanted.args):
        return f"is {wanted}, but {type_} is given. Make it {type_}."
    possible = TEXTS if wanted.kind == "text" else DAYS if wanted.kind == "date" else (wanted.kind,)
    return "" if type_.kind in possible else f"is {wanted}, but {type_} is given. {_instead(type_, wanted)}"


def _number_fault(type_: Type, wanted: Type) -> str:
    possible: Mapping[Kind, tuple[Kind, ...]] = {
        "count": ("integer", "count", "boolean"),
        "integer": ("integer", "count", "boolean"),
        "decimal": ("integer", "count", "decimal"),
        "amount": ("amount", "decimal"),
        "quantity": ("quantity", "decimal", "integer"),
    }
    if type_.kind not in possible[wanted.kind]:
        return f"is {wanted}, but {type_} is given. {_instead(type_, wanted)}"
    if scale(type_) > scale(wanted):
        after = f"{scale(type_)} digits after the point; every record would be rounded"
        return f"is {wanted}, but {type_} is given, with {after}. Make it {type_}."
    return ""


def _instead(type_: Type, wanted: Type) -> str:
    if type_.kind in NUMBERS and wanted.kind == "text":
        return "A number becomes a text by its band: | band(10, 20, 50)."
    if type_.kind == "moment":
        return f"A moment has {'an hour: | hour' if wanted.kind == 'integer' else 'half hours: | slot(30)'}."
    if wanted.kind == "count" and type_.kind not in NUMBERS:
        return "To count records, write 1."
    if type_.kind in ("amount", "quantity"):
        return f"Make it {type_.kind}(…), with the {'currency' if type_.kind == 'amount' else 'unit'} as a dimension."
    if wanted.kind in NUMBERS:
        return "Take a number, or count records by 1."
    return f"Make it {type_}, or take another field."


def literal_fault(literal: str, wanted: Type, scope: Scope) -> str:
    """Return what is wrong with a literal for a type, to be read after its name, or an empty text."""
    if wanted.kind in NUMBERS:
        return _number_literal_fault(literal, wanted)
    if wanted.kind == "code":
        table = scope.catalogue.codes.get(wanted.args[0]) if scope.catalogue else None
        values = values_of(table) if table else [literal]
        hint = did_you_mean(literal, values) or offered(values)
        return "" if literal in values else f'is {wanted}, which has no value "{literal}".{hint}'
    if wanted.kind == "text" and shorter(Type("text", (str(len(literal)),)), wanted):
        return f'is {wanted}, but "{literal}" has {len(literal)} characters. Make it text({len(literal)}).'
    if wanted.kind == "date" and not _is_date(literal):
        return f'is date, and "{literal}" is none. Write one such as "2024-12-31".'
    if wanted.kind == "boolean" and literal not in ("yes", "no"):
        return f'is yes or no, not "{literal}". Write one of them in quotes.'
    return ""


def _number_literal_fault(literal: str, wanted: Type) -> str:
    try:
        exponent = Decimal(literal).as_tuple().exponent
    except InvalidOperation:
        return f'is {wanted}, which adds up numbers, and "{literal}" is none. Write 1 to count records.'
    after = -exponent if isinstance(exponent, int) else 0
    if after > scale(wanted):
        return f'is {wanted}, with {scale(wanted) or "no"} digits after the point, but "{literal}" has {after}.'
    return ""


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False
