"""The lines of a mapping: pipes, ties, column lists and function calls."""

from __future__ import annotations

from isthmus.errors import Finding, SpecError
from isthmus.mapping.document import Text, Word
from isthmus.mapping.grammar import Line, Misread
from isthmus.mapping.spec import Call, Pipe, Tie


def read_pipe(source: Text | str, alias: str = "") -> Pipe:
    """Read `ALIAS.COL [+ ALIAS.COL] | f | g(arg)`; where an alias is given, columns stand without one.

    Raises Misread.
    """
    line = Line.of(source)
    start = line.here
    columns = [read_column(line, alias)]
    while line.sign("+"):
        columns.append(read_column(line, alias))
    calls = []
    while line.sign("|"):
        calls.append(_call(line))
    if not line.done:
        raise line.expected('"+", "|" or the end of the line' if not calls else '"|" or the end of the line')
    return Pipe(tuple(columns), tuple(calls), start)


def pipe_of(text: str, alias: str = "") -> Pipe:
    """Read a pipe that stands in no file, e.g. a table's `changed`; raises SpecError."""
    try:
        return read_pipe(text, alias)
    except Misread as error:
        raise SpecError([Finding("", 1, error.position.column, error.message)]) from error


def read_call(source: Text | str) -> Call:
    """Read a single function call such as `next(order)`; raises Misread."""
    line = Line.of(source)
    call = _call(line)
    if not line.done:
        raise line.expected("the end of the line")
    return call


def read_columns(source: Text | str) -> tuple[str, ...]:
    """Read `COL + COL`, columns of one table without its alias; raises Misread."""
    line = Line.of(source)
    columns = [_name(line, "a column")]
    while line.sign("+"):
        columns.append(_name(line, "a column"))
    if line.sign("|"):
        raise Misread(line.here, 'functions do not stand here. Write the columns only; functions belong to "period".')
    if not line.done:
        raise line.expected('"+" or the end of the line')
    return tuple(columns)


def read_ties(source: Text | str) -> tuple[Tie, ...]:
    """Read `COL = ALIAS.COL and COL = ALIAS.COL`; raises Misread."""
    line = Line.of(source)
    ties = [_tie(line)]
    while line.keyword("and"):
        ties.append(_tie(line))
    if not line.done:
        raise line.expected('"and" or the end of the line')
    return tuple(ties)


def read_column(line: Line, alias: str = "") -> tuple[str, str]:
    """Take `ALIAS.COL` (or `list.ALIAS.COL`) from a line; `COL` where the alias is known."""
    first = _name(line, "a column" if alias else "a column such as ALIAS.COLUMN")
    parts = [first]
    while line.sign("."):
        parts.append(_name(line, "the name of a column"))
    if alias:
        if len(parts) > 1:
            raise Misread(first.position, f'a column of this table is named without "{parts[0]}." here. Remove it.')
        return alias, first
    if len(parts) == 1:
        raise Misread(first.position, f'"{first}" does not say which table it belongs to. Write ALIAS.{first}.')
    if len(parts) > 3:
        raise Misread(first.position, f'"{".".join(parts)}" has too many dots. Write ALIAS.COLUMN.')
    return Word(".".join(parts[:-1]), first.position), parts[-1]


def _name(line: Line, what: str) -> Word:
    word = line.word()
    if word is None:
        raise line.expected(what)
    return word


def _call(line: Line) -> Call:
    name = line.word()
    if name is None:
        raise line.expected("the name of a function")
    return Call(name, line.arguments(name), name.position)


def _tie(line: Line) -> Tie:
    column = _name(line, "a column of this table")
    if line.sign("."):
        raise Misread(column.position, f'the column left of "=" belongs to this table. Write it without "{column}.".')
    if not line.sign("="):
        raise line.expected('"="')
    literal = line.quoted()
    if literal is not None:
        raise Misread(
            literal.position, f'a tie joins two columns. For a constant write fixed: {{{column}: "{literal}"}}.'
        )
    alias, other = read_column(line)
    return Tie(column, alias, other)
