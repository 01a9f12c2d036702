"""What records post into a cube, as SQL: the same text serves roll-up, rebuild and verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from warehouse.expression import condition_sql, dimension_sql, figure_sql, quoted
from warehouse.spec import Cube, Figure, Posting, Store
from warehouse.spread import PARTS, period, share, spread_columns, spread_source
from warehouse.tables import sql_type


def cube_sql(cube: Cube, stores: Mapping[str, Store], relation: Callable[[Store], str], *, request: bool) -> str:
    """Return the cells that all postings of a cube make together; columns as in `posting_sql`.

    `relation` names for each store what its records are taken from; stores it returns '' for post nothing.
    """
    named = [(posting, stores[posting.store]) for posting in cube.postings]
    parts = [posting_sql(cube, p, store, relation(store), request=request) for p, store in named if relation(store)]
    return added_up(cube, "\nUNION ALL\n".join(parts), request=request) if len(parts) > 1 else "".join(parts)


def added_up(cube: Cube, cells: str, *, request: bool) -> str:
    """Return SQL that adds up cells (a SELECT with the columns of `posting_sql`) and leaves out those that are zero."""
    keys = ["request_id"] if request else []
    keys += [quoted(dimension.name) for dimension in cube.dimensions]
    sums = [f"sum({quoted(figure.name)})::{sql_type(figure.type, cube=True)}" for figure in cube.figures]
    named = [f"{total} AS {quoted(figure.name)}" for total, figure in zip(sums, cube.figures, strict=True)]
    return _grouped([*keys, *named], ["sum(records)::bigint", *sums], f"({cells}) AS cells", len(keys))


def posting_sql(cube: Cube, posting: Posting, store: Store, relation: str, *, request: bool) -> str:
    """Return a SELECT of the cells that one posting makes of a relation's records.

    `relation` is a table or a SELECT in parentheses with the store's columns and `sign` (+1, -1).  Columns are the
    cube's dimensions, its figures and `records`, with `request` also request_id before them.  Values come summed up,
    one row a cell, cells without records and figures are left out.
    """
    first = ["r.request_id"] if request else []
    if posting.spread:
        own, keys, sums = spread_columns(cube, posting, store)
        count = "sum(CASE WHEN part.first THEN r.sign ELSE 0 END)"
        source = spread_source(posting, store, relation, ["r.sign", *first, *own])
    else:
        keys = [dimension_sql(posting.dimensions.get(item.name), item.type, store) for item in cube.dimensions]
        sums = [_sum(posting, figure, store) for figure in cube.figures]
        count = "sum(r.sign)"
        source = f"{relation} AS r" + (f"\nWHERE {condition_sql(posting.when, store)}" if posting.when else "")
    members = [f"{said} AS {quoted(item.name)}" for said, item in zip(keys, cube.dimensions, strict=True)]
    named = [f"{total} AS {quoted(figure.name)}" for total, figure in zip(sums, cube.figures, strict=True)]
    return _grouped([*first, *members, *named], [f"{count}::bigint", *sums], source, len(first) + len(keys))


def source_sql(posting: Posting, store: Store, relation: str) -> str:
    """Return the FROM of a posting: the relation's records as `r`, of a spread record each month as `part`."""
    if not posting.spread:
        return f"{relation} AS r"
    first, last = period(posting.spread, store)
    return f'(SELECT r.*, {first} AS "the first", {last} AS "the last" FROM {relation} AS r) AS r{PARTS}'


def amount_sql(posting: Posting, figure: Figure, store: Store) -> str:
    """Return what one record, or one month of it, posts into a figure, before its sign."""
    expression = posting.figures.get(figure.name)
    if expression is None:
        return "0"
    amount = figure_sql(expression, figure.type, store)
    if posting.spread is None:
        return amount
    if figure.name in posting.spread.figures:
        return share(amount, figure.type)
    return f"CASE WHEN part.first THEN {amount} ELSE 0 END"


def _grouped(columns: list[str], sums: list[str], source: str, keys: int) -> str:
    """Return a grouped SELECT of columns and the count `sums[0]`, where any of the sums is not zero."""
    listed = ",\n    ".join([*columns, f"{sums[0]} AS records"])
    group = f"\nGROUP BY {', '.join(str(number + 1) for number in range(keys))}" if keys else ""
    return f"SELECT\n    {listed}\nFROM {source}{group}\nHAVING {' OR '.join(f'{total} <> 0' for total in sums)}"


def _sum(posting: Posting, figure: Figure, store: Store) -> str:
    """Return the sum of one figure over the records of a cell, before images taken away."""
    type_ = sql_type(figure.type, cube=True)
    if figure.name not in posting.figures:
        return f"0::{type_}"
    return f"sum(r.sign * ({amount_sql(posting, figure, store)}))::{type_}"
