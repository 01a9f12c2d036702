"""Expressions and conditions of postings as SQL text, and what stands for nothing in a cube.

The SQL speaks of a relation `r` that has a store's columns, and of `part`, one month of a spread record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from isthmus.errors import Finding, SpecError, did_you_mean
from isthmus.mapping.spec import Position, Predicate, Term
from warehouse.calendar import ZONE
from warehouse.spec import Call, Expression, Kind, Store, Type
from warehouse.tables import NOTHING, sql_type

SPREAD_MONTH = "spread.month"
NUMBERS: tuple[Kind, ...] = ("integer", "count", "decimal", "amount", "quantity")
SCALES: dict[Kind, int] = {"amount": 2, "quantity": 3}
HAS_OFFSET = re.compile(r"\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")

# Members for records that say nothing: dimensions are never null, so that every cell has a key.
OTHERWISE: dict[Kind, str] = {
    "text": f"'{NOTHING}'::text",
    "code": f"'{NOTHING}'::text",
    "date": "'0001-01-01'::date",
    "moment": "'0001-01-01 00:00:00+00'::timestamptz",
    "integer": "'-9223372036854775808'::bigint",
    "count": "'-9223372036854775808'::bigint",
    "boolean": "false",
}


@dataclass(frozen=True, slots=True)
class Value:
    """SQL text and what it gives; `kind` None: a posted attribute, whose column knows its type."""

    sql: str
    kind: Kind | None
    scale: int | None = None  # digits after the point, where it is a number


def quoted(name: str) -> str:
    """Return a name as an SQL identifier.

    >>> quoted("order")
    '"order"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL literal of unknown type.

    >>> literal("O'Hara")
    "'O''Hara'"
    """
    return "'" + text.replace("'", "''") + "'"


def otherwise(type_: Type) -> str:
    """Return the member of a dimension of this type for records that say nothing; numbers with a scale give 0."""
    return OTHERWISE.get(type_.kind, f"0::{sql_type(type_)}")


def shown(column: str, type_: Type) -> str:
    """Return how analysts see a dimension: nothing is null, but stays `#` in texts and codes, false in booleans."""
    if type_.kind in ("date", "moment", "integer", "count"):
        return f"nullif({column}, {otherwise(type_)})"
    return column


def scale(type_: Type) -> int:
    """Return the digits after the point of a number: 2 of an amount, 3 of a quantity, 0 of a count."""
    if type_.kind == "decimal":
        return int((type_.args[0] if type_.args else "").partition(".")[2] or 0)
    return SCALES.get(type_.kind, 0)


def dimension_sql(expression: Expression | None, type_: Type, store: Store) -> str:
    """Return SQL for a dimension of this type, never null: what the expression says, or the member for nothing."""
    if expression is None:
        return otherwise(type_)
    found = value(expression, store)
    text = type_.kind in ("text", "code")
    sql = found.sql if found.kind == type_.kind or (text and found.kind == "code") else _as(found, type_)
    sql = f"nullif({sql}, '')" if text and expression.literal is None else sql
    sql = f"CASE WHEN {condition_sql(expression.when, store)} THEN {sql} END" if expression.when else sql
    return f"coalesce({sql}, {otherwise(type_)})"


def figure_sql(expression: Expression, type_: Type, store: Store) -> str:
    """Return SQL for a figure of one record, 0 where the record says nothing, rounded to the figure's digits.

    Every record is rounded alone, so that what a before image takes away is what the record had brought.
    """
    found = value(expression, store)
    sql = f"({found.sql})::int" if found.kind == "boolean" else found.sql
    if found.scale is None or found.scale > scale(type_):
        sql = f"round(({sql})::numeric, {scale(type_)})"
    if expression.when:
        return f"CASE WHEN {condition_sql(expression.when, store)} THEN coalesce({sql}, 0) ELSE 0 END"
    return sql if expression.literal is not None else f"coalesce({sql}, 0)"


def value(expression: Expression, store: Store) -> Value:
    """Return what an expression takes of a record, without its `when`; null where the record says nothing."""
    if expression.literal is not None:
        found = _literal(expression.literal)
    elif expression.field == SPREAD_MONTH:
        found = Value("part.month", "date")
    else:
        found = field_sql(expression.field, store, expression.position)
    for call in expression.calls:
        found = _called(call, found, store)
    return Value(f"-({found.sql})", found.kind, found.scale) if expression.negative else found


def field_sql(name: str, store: Store, position: Position) -> Value:
    """Return a column of the store's tables: a field, a posted attribute or `source`; raises SpecError."""
    found = store.field(name)
    if found is not None:
        digits = scale(found.type) if found.type.kind in NUMBERS else None
        return Value(f"r.{quoted(name)}", found.type.kind, digits)
    if name == "source":
        return Value("r.source", "text")
    posted = [item.name for item in store.posted]
    if name in posted:
        return Value(f"r.{quoted(name)}", None)
    known = [*(item.name for item in store.fields), *posted, "source"]
    raise refused(position, f'store "{store.name}" has no field "{name}".{did_you_mean(name, known)}')


def condition_sql(predicate: Predicate, store: Store) -> str:
    """Return a condition as SQL that is true or false, never null: a comparison with nothing is false."""
    if predicate.operator == "term":
        assert predicate.term is not None
        return _term(predicate.term, store, predicate.position)
    parts = [condition_sql(part, store) for part in predicate.parts]
    if predicate.operator == "not":
        return f"(NOT {parts[0]})"
    return f"({f' {predicate.operator.upper()} '.join(parts)})"


def refused(position: Position, message: str) -> SpecError:
    """Return the error for one mistake at a position."""
    return SpecError([Finding(position.file, position.line, position.column, message)])


def _term(term: Term, store: Store, position: Position) -> str:
    left = field_sql(term.left, store, position)
    if term.operator in ("is blank", "is set"):
        return f"({left.sql} IS {'NULL' if term.operator == 'is blank' else 'NOT NULL'})"
    if term.operator in ("in", "not in"):
        members = ", ".join(_compared(text, left) for text in term.right or ())
        return f"(({left.sql} {term.operator.upper()} ({members})) IS TRUE)" if members else "false"
    right = field_sql(term.right_field, store, position).sql if term.right_field else _compared(str(term.right), left)
    return f"(({left.sql} {term.operator} {right}) IS TRUE)"


def _compared(text: str, left: Value) -> str:
    """Return a literal for a comparison: PostgreSQL reads it as the type of the column it stands beside."""
    if left.kind == "moment":
        return f"{literal(text if HAS_OFFSET.search(text) else f'{text} {ZONE}')}::timestamptz"
    return literal(text)


def _literal(text: str) -> Value:
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return Value(text, "decimal", len(text.partition(".")[2]))
    return Value(f"{literal(text)}::text", "text")


def _as(found: Value, type_: Type) -> str:
    """Cast to the type of a dimension; a moment gives the day it is in the business's zone."""
    if type_.kind == "date":
        return _day(found)
    return f"({found.sql})::{sql_type(type_)}"


def day_sql(sql: str, kind: Kind | None) -> str:
    """Return SQL for the day of a date, or of a moment in the business's zone."""
    return f"({sql} AT TIME ZONE '{ZONE}')::date" if kind == "moment" else f"({sql})::date"


def _day(found: Value) -> str:
    return day_sql(found.sql, found.kind)


def _local(found: Value) -> str:
    """Return a moment as the time of day people read on the clock."""
    return f"({found.sql} AT TIME ZONE '{ZONE}')" if found.kind == "moment" else f"({found.sql})::timestamp"


def _called(call: Call, found: Value, store: Store) -> Value:
    day = _day(found)
    match call.name:
        case "month" | "quarter" | "year" | "week":
            return Value(f"date_trunc('{call.name}', ({day})::timestamp)::date", "date")
        case "day":
            return Value(day, "date")
        case "slot":
            width = f"make_interval(mins => {int(call.args[0])})"
            binned = f"date_bin({width}, {_local(found)}, '2000-01-01'::timestamp)"
            return Value(f"to_char({binned}, 'HH24:MI')", "text")
        case "hour":
            return Value(f"extract(hour FROM {_local(found)})::bigint", "integer", 0)
        case "weekday":
            return Value(f"extract(isodow FROM {day})::bigint", "integer", 0)
        case "plus":
            return Value(f"({day} + {int(call.args[0])})", "date")
        case "days_to":
            until = _day(field_sql(call.args[0], store, call.position))
            return Value(f"({until} - {day})::bigint", "integer", 0)
        case "band":
            return Value(_band(found.sql, call.args), "text")
    raise refused(call.position, f'no function of expressions is called "{call.name}".')


def _band(sql: str, limits: tuple[str, ...]) -> str:
    """Return the band a number is in: `< 10`, `10 - 20` (from 10, below 20), `>= 20`."""
    for limit in limits:
        float(limit)  # a number, or ValueError: it stands in SQL as it is
    below = [f"WHEN {sql} < {limits[0]} THEN '< {limits[0]}'"]
    between = [f"WHEN {sql} < {high} THEN '{low} - {high}'" for low, high in pairwise(limits)]
    above = [f"WHEN {sql} >= {limits[-1]} THEN '>= {limits[-1]}'"]
    return f"CASE {' '.join([*below, *between, *above])} END"
