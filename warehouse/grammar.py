"""Lines of the warehouse's files: types, expressions, formulas, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args

from isthmus.errors import did_you_mean
from isthmus.mapping.document import Text, Word
from isthmus.mapping.grammar import MAX_NESTING, NAME, Line, Misread
from isthmus.mapping.load_model import is_precision
from isthmus.mapping.predicate import take_predicate
from isthmus.mapping.spec import NOWHERE, Position
from warehouse.spec import Call, Expression, Kind, Type

SPREAD_MONTH = "spread.month"
UNREAD = Type("text", ("",))  # of a type that could not be read: fits everything
NO_EXPRESSION = Expression()  # of a line that could not be read: checks pass over it
KINDS: tuple[Kind, ...] = get_args(Kind)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?![\w.])")
NEEDS = {
    "code": "its code table: code(division)",
    "decimal": "its digits: decimal(13.2)",
    "amount": "the name of its currency: amount(currency)",
    "quantity": "the name of its unit: quantity(unit)",
}
OF_MAPPINGS = {"ref": "text", "time": "text(8)"}  # types of the model that the warehouse keeps as another

Sign = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True)
class Formula:
    """One node of a calculated figure: a `number`, a `figure`, or two parts joined by an operator.

    A sign in front is `0 - part`.
    """

    operator: Literal["number", "figure", "+", "-", "*", "/"]
    word: str = ""
    parts: tuple[Formula, ...] = ()
    position: Position = NOWHERE

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the figures it names, each as often as it stands there."""
        own = (self.word,) if self.operator == "figure" else ()
        return (*own, *(name for part in self.parts for name in part.figures))


# --- types --------------------------------------------------------------------------------------------------------


def read_type(source: Text | str) -> Type:
    """Read `text(12)`, `amount(currency)`, `date` ...; raises Misread."""
    line = Line.of(source)
    name, args = _call(line, "a type")
    if not line.done:
        raise line.expected("the end of the type")
    wrong = _wrong_type(name, args)
    if wrong:
        raise Misread(args[0].position if args and name in (*NEEDS, "text") else name.position, wrong)
    return Type(cast(Kind, str(name)), args)


def _wrong_type(name: str, args: tuple[Word, ...]) -> str:
    if name in OF_MAPPINGS:
        return (
            f'the warehouse has no type "{name}"; what the model calls so is kept as text. Write {OF_MAPPINGS[name]}.'
        )
    if name not in KINDS:
        hint = did_you_mean(name, KINDS) or f" Types are {', '.join(KINDS)}."
        return f'there is no type "{name}".{hint}'
    if name == "text":
        fits = not args or (len(args) == 1 and args[0].isascii() and args[0].isdigit() and int(args[0][:9]) > 0)
        return "" if fits else f'"{", ".join(args)}" is no length. Write a whole number of characters: text(40).'
    if name not in NEEDS:
        return f'"{name}" takes no arguments. Write "{name}".' if args else ""
    if len(args) != 1:
        return f'"{name}" needs {NEEDS[name]}.'
    if name == "decimal" and not is_precision(args[0]):
        return f'"{args[0]}" is no number of digits. Write all digits and those after the point: decimal(13.2).'
    return ""


# --- expressions --------------------------------------------------------------------------------------------------


def read_expression(source: Text | str) -> Expression:
    """Read `field | f(arg) when condition`, `-field`, `1`, or a literal in quotes; raises Misread.

    A value that YAML has in quotes and that is one plain word or phrase is a literal, so `currency: "EUR"` is.
    """
    line = Line.of(source)
    start = line.here
    if isinstance(source, Text) and _is_quoted_literal(source):
        return Expression(literal=source.word, text=f'"{source.value}"', position=start)
    negative = bool(line.sign("-"))
    field, literal = _subject(line)
    calls = tuple(_calls(line))
    when = take_predicate(line) if line.keyword("when") else None
    if not line.done:
        raise line.expected('"|", "when" or the end of the line')
    if negative and literal is not None:
        literal, negative = Word(f"-{literal}", start), False
    return Expression(field, literal, calls, when, negative, line.text.strip(), start)


def _is_quoted_literal(source: Text) -> bool:
    """Tell a literal from an expression that had to be quoted because of its commas or signs."""
    value = source.value
    signs = any(sign in value for sign in "|()\"'$") or value.strip().startswith("-") or value.strip() == SPREAD_MONTH
    return not source.plain and bool(value.strip()) and not signs and " when " not in value


def _subject(line: Line) -> tuple[Word, Word | None]:
    literal = line.quoted()
    if literal is None:
        literal = line.word(NUMBER)
    if literal is not None:
        return Word(""), literal
    field = line.word()
    if field is None:
        raise line.expected("a field, a number or a literal in quotes")
    if line.sign("."):
        part = line.word()
        if f"{field}.{part}" != SPREAD_MONTH:
            hint = f"a field of the store stands alone, without a dot. Only {SPREAD_MONTH} has one."
            raise Misread(field.position, f'"{field}.{part or ""}" is not known here; {hint}')
        field = Word(SPREAD_MONTH, field.position)
    if line.sign("("):
        hint = f"Write the field first: field | {field}(...)."
        raise Misread(field.position, f'a function comes after a field and "|". {hint}')
    return field, None


def _calls(line: Line) -> Iterator[Call]:
    while line.sign("|"):
        name, args = _call(line, "the name of a function")
        yield Call(name, args, name.position)


def _call(line: Line, what: str) -> tuple[Word, tuple[Word, ...]]:
    name = line.word(NAME)
    if name is None:
        raise line.expected(what)
    return name, line.arguments(name)


# --- formulas -----------------------------------------------------------------------------------------------------


def read_formula(source: Text | str) -> Formula:
    """Read figures and numbers joined by + - * / and parentheses; raises Misread."""
    line = Line.of(source)
    found = _sum(line, 0)
    if not line.done:
        raise line.expected('"+", "-", "*", "/" or the end of the formula')
    return found


def _sum(line: Line, depth: int) -> Formula:
    left = _product(line, depth)
    while sign := line.sign("+", "-"):
        left = Formula(cast(Sign, sign), "", (left, _product(line, depth)), left.position)
    return left


def _product(line: Line, depth: int) -> Formula:
    left = _factor(line, depth)
    while sign := line.sign("*", "/"):
        left = Formula(cast(Sign, sign), "", (left, _factor(line, depth)), left.position)
    return left


def _factor(line: Line, depth: int) -> Formula:
    at = line.here
    if depth > MAX_NESTING:
        raise Misread(at, f"this formula nests deeper than {MAX_NESTING} levels. Make it simpler.")
    if line.sign("-"):
        return Formula("-", "", (Formula("number", "0", (), at), _factor(line, depth + 1)), at)
    if line.sign("("):
        inner = _sum(line, depth + 1)
        if not line.sign(")"):
            raise line.expected('")"')
        return inner
    number = line.word(NUMBER)
    if number is not None:
        return Formula("number", number, (), at)
    figure = line.word()
    if figure is None:
        raise line.expected('a figure, a number or "("')
    if line.sign("("):
        raise Misread(at, f'a formula has no functions, so "{figure}(" is not known. Use figures, + - * / and ( ).')
    return Formula("figure", figure, (), at)
