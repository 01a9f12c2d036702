"""Postings that cut records into calendar months: what is said of a record once, and what of each of its months.

A yearly bill falls into thirteen months, so everything that is the record's own is computed before it is cut, and
shares are counted in whole numbers of the last digit: that takes a tenth of the time that decimals take.
"""

from __future__ import annotations

from warehouse.expression import (
    SPREAD_MONTH,
    condition_sql,
    dimension_sql,
    field_sql,
    figure_sql,
    otherwise,
    quoted,
    refused,
    scale,
    value,
)
from warehouse.spec import Call, Cube, Expression, Figure, Posting, Spread, Store, Type
from warehouse.tables import sql_type

# Spreading over more days than this is an open end, not a period: such a record is posted with its first month.
LONGEST_SPREAD = 36525
# Up to here (in the last digit) a share is exact in 64 bits, whatever the days; above, decimals count it.
MOST_UNITS = 10**13

# The months of a record as `part`: month, days up to its end, days before it, days of all, is it the first.
PARTS = """
CROSS JOIN LATERAL (
    SELECT step::date AS month,
        (least(r."the last", (step + interval '1 month')::date - 1) - r."the first" + 1)::bigint AS until,
        (greatest(r."the first", step::date) - r."the first")::bigint AS before,
        (r."the last" - r."the first" + 1)::bigint AS days,
        step::date <= r."the first" AS first
    FROM generate_series(date_trunc('month', r."the first"::timestamp), r."the last"::timestamp, interval '1 month')
        AS step
    OFFSET 0
) AS part"""


def spread_columns(cube: Cube, posting: Posting, store: Store) -> tuple[list[str], list[str], list[str]]:
    """Return the columns of a record before it is cut, the cube's dimensions, and the sums of its figures."""
    own, keys = ["r.*"] if _asks_records(posting) else [], []
    for dimension in cube.dimensions:
        expression = posting.dimensions.get(dimension.name)
        said = dimension_sql(expression, dimension.type, store)
        if expression is not None and expression.field == SPREAD_MONTH:
            keys.append(said)
        else:
            own.append(f"{said} AS {_named(dimension.name)}")
            keys.append(f"r.{_named(dimension.name)}")
    sums = []
    for figure in cube.figures:
        if figure.name not in posting.figures:
            sums.append(f"0::{sql_type(figure.type, cube=True)}")
            continue
        own += _amounts(posting, figure, store)
        sums.append(_sum(posting, figure))
    return own, keys, sums


def spread_source(posting: Posting, store: Store, relation: str, own: list[str]) -> str:
    """Return the FROM of a posting that is cut into months: records with their `own` columns as `r`, months as `part`.

    `OFFSET 0` keeps PostgreSQL from computing a record's columns anew for each of its months.
    """
    assert posting.spread is not None
    first, last = period(posting.spread, store)
    where = f"\n    WHERE {condition_sql(posting.when, store)}" if posting.when else ""
    columns = ",\n        ".join([*own, f'{first} AS "the first"', f'{last} AS "the last"'])
    return f"(\n    SELECT {columns}\n    FROM {relation} AS r{where}\n    OFFSET 0\n) AS r{PARTS}"


def period(spread: Spread, store: Store) -> tuple[str, str]:
    """Return SQL for the first and last day of a record.

    Where one end is missing, before the other or a lifetime away, everything falls into the month of the first.
    """
    first, last = (_day(name, store, spread) for name in (spread.first, spread.last))
    begin = f"coalesce({first}, {last}, {otherwise(Type('date'))})"
    end = f"CASE WHEN {last} >= {first} AND {last} - {first} < {LONGEST_SPREAD} THEN {last} ELSE {begin} END"
    return begin, end


def share(amount: str, type_: Type) -> str:
    """Return a month's share: what is due up to its last day less what was due before its first day.

    Both are rounded, and what is due up to the last day of all is the whole: so the parts sum up to the last digit.
    """
    due = f"round(({amount})::numeric * {{}} / part.days, {scale(type_)})"
    return f"{due.format('part.until')} - {due.format('part.before')}"


def _asks_records(posting: Posting) -> bool:
    """Tell whether a dimension made of the month depends on the record as well."""
    return any(item.field == SPREAD_MONTH and (item.when or item.calls) for item in posting.dimensions.values())


def _amounts(posting: Posting, figure: Figure, store: Store) -> list[str]:
    """Return what a record brings to a figure: of a shared one twice its units, or the amount if that is too large."""
    assert posting.spread is not None
    amount = figure_sql(posting.figures[figure.name], figure.type, store)
    if figure.name not in posting.spread.figures:
        return [f"{amount} AS {_named(figure.name)}"]
    digit = 10 ** scale(figure.type)
    fits = f"abs({amount}) < {MOST_UNITS // digit}"
    return [
        f"CASE WHEN {fits} THEN (({amount}) * {2 * digit})::bigint END AS {_units(figure.name)}",
        f"CASE WHEN NOT {fits} THEN {amount} END AS {_named(figure.name)}",
    ]


def _sum(posting: Posting, figure: Figure) -> str:
    """Return the sum of one figure over the months of the records of a cell, before images taken away."""
    assert posting.spread is not None
    type_, named = sql_type(figure.type, cube=True), f"r.{_named(figure.name)}"
    if figure.name not in posting.spread.figures:
        return f"sum(CASE WHEN part.first THEN r.sign * {named} ELSE 0 END)::{type_}"
    units = f"r.{_units(figure.name)}"
    half = f"CASE WHEN {units} < 0 THEN -part.days ELSE part.days END"
    due = f"({units} * {{}} + {half}) / (2 * part.days)"
    counted = f"CASE WHEN {units} = 0 THEN 0 ELSE {due.format('part.until')} - {due.format('part.before')} END"
    large = f"CASE WHEN {named} IS NOT NULL THEN r.sign * ({share(named, figure.type)}) END"
    digit = "1" if not scale(figure.type) else f"0.{'0' * (scale(figure.type) - 1)}1"
    return f"(coalesce(sum(r.sign * {counted}), 0) * {digit} + coalesce(sum({large}), 0))::{type_}"


def _named(name: str) -> str:
    """Return the name of a column of the cube beside a record's own; no field can be called so."""
    return quoted(f"cell {name}")


def _units(name: str) -> str:
    return quoted(f"units {name}")


def _day(name: str, store: Store, spread: Spread) -> str:
    if field_sql(name, store, spread.position).kind not in ("date", "moment", None):
        raise refused(spread.position, f'"{name}" is no date, so a record cannot be spread over its months.')
    return value(Expression(field=name, calls=(Call("day"),), position=spread.position), store).sql
