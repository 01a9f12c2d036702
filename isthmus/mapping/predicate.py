"""Conditions: fields, comparisons, quoted literals, `is blank`, `is set`, `in`, `and`, `or`, `not`, parentheses."""

from __future__ import annotations

import re
from typing import Literal, cast

from isthmus.mapping.document import Text, Word
from isthmus.mapping.grammar import ARGUMENT, MAX_NESTING, Line, Misread
from isthmus.mapping.spec import Predicate, Term

SIGNS = ("<>", "<=", ">=", "=", "<", ">")
OTHER_SIGNS = {"==": "=", "!=": "<>", "&&": "and", "||": "or"}
LOOKS_LITERAL = re.compile(r"[-+]?\d[\w.:-]*")
KEYWORDS = ("and", "or", "not", "is", "in")
Comparison = Literal["=", "<>", "<", "<=", ">", ">="]


def read_predicate(source: Text | str) -> Predicate:
    """Read a condition; raises Misread."""
    return take_predicate(Line.of(source))


def take_predicate(line: Line) -> Predicate:
    """Take the rest of a line as a condition; raises Misread."""
    found = _either(line, 0)
    if not line.done:
        raise line.expected('"and", "or" or the end of the condition')
    return found


def _either(line: Line, depth: int) -> Predicate:
    return _joined(line, depth, "or")


def _joined(line: Line, depth: int, word: Literal["and", "or"]) -> Predicate:
    start, begin = line.here, line.offset
    parts = [_part(line, depth, word)]
    while line.keyword(word):
        parts.append(_part(line, depth, word))
    text = line.text[begin : line.offset].strip()
    return parts[0] if len(parts) == 1 else Predicate(word, tuple(parts), None, text, start)


def _part(line: Line, depth: int, word: str) -> Predicate:
    return _joined(line, depth, "and") if word == "or" else _negated(line, depth)


def _negated(line: Line, depth: int) -> Predicate:
    if depth > MAX_NESTING:
        raise Misread(line.here, f"this condition nests deeper than {MAX_NESTING} levels. Make it simpler.")
    start, begin = line.here, line.offset
    if line.keyword("not"):
        part = _negated(line, depth + 1)
        return Predicate("not", (part,), None, line.text[begin : line.offset].strip(), start)
    if line.sign("("):
        inner = _either(line, depth + 1)
        if not line.sign(")"):
            raise line.expected('"and", "or" or ")"')
        return inner
    term = _term(line)
    return Predicate("term", (), term, line.text[begin : line.offset].strip(), start)


def _term(line: Line) -> Term:
    if (literal := line.quoted()) is not None:
        raise Misread(literal.position, "a comparison starts with a field. Put the literal on the right side.")
    left = _field(line)
    if line.keyword("is", "blank"):
        return Term(left, "is blank")
    if line.keyword("is", "set"):
        return Term(left, "is set")
    if line.keyword("is", "not"):
        raise Misread(left.position, f'there is no "is not". Write "{left} is set", "{left} is blank" or "not …".')
    if line.keyword("not", "in"):
        return Term(left, "not in", _literals(line))
    if line.keyword("in"):
        return Term(left, "in", _literals(line))
    at = line.here
    for wrong, right in OTHER_SIGNS.items():
        if line.sign(wrong):
            raise Misread(at, f'"{wrong}" is not known here. Write "{right}".')
    operator = line.sign(*SIGNS)
    if not operator:
        raise line.expected("a comparison (=, <>, <, <=, >, >=, in, is blank, is set)")
    return _compared(line, left, cast(Comparison, operator))


def _compared(line: Line, left: Word, operator: Comparison) -> Term:
    literal = line.quoted()
    if literal is not None:
        return Term(left, operator, literal)
    number = line.word(LOOKS_LITERAL)
    if number is not None:
        raise Misread(number.position, f'a literal stands in quotes. Write "{number}" with them.')
    at = line.here
    if line.sign("$"):
        return Term(left, operator, Word("$" + _field(line), at))
    return Term(left, operator, None, _field(line))


def _literals(line: Line) -> tuple[str, ...]:
    if not line.sign("("):
        raise line.expected('"(" of a list such as ("01", "02")')
    found: list[str] = []
    while not line.sign(")"):
        literal = line.quoted()
        if literal is None:
            bare = line.word(ARGUMENT)
            if bare is not None:
                raise Misread(bare.position, f'a literal stands in quotes. Write "{bare}" with them.')
            raise line.expected('a literal in quotes or ")"')
        found.append(literal)
        line.sign(",")
    return tuple(found)


def _field(line: Line) -> Word:
    word = line.word()
    if word is None or word.lower() in KEYWORDS:
        if word is not None:
            raise Misread(word.position, f'a field or a column is expected here, but found "{word}".')
        raise line.expected("a field or a column")
    parts = [word]
    while line.sign("."):
        part = line.word()
        if part is None:
            raise line.expected("the name of a column")
        parts.append(part)
    return Word(".".join(parts), word.position)
