"""Views of what does not add up: balances at the end of months, and what is counted once."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse import tables
from warehouse.expression import condition_sql, dimension_sql, otherwise, quoted, shown
from warehouse.posting import source_sql
from warehouse.shape_tables import dimension_meaning, figure_meaning
from warehouse.spec import Balance, Cube, CubeDimension, Distinct, Type, Warehouse
from warehouse.tables import sql_type
from warehouse.view import FRESH, View
from warehouse.views_control import PUBLICATION_MONTH
from warehouse.views_cube import rows

THIS_MONTH = f"(SELECT {PUBLICATION_MONTH})"


def balance_views(warehouse: Warehouse, cube: Cube) -> Iterator[View]:
    """Yield a view for every balance of a cube: opening, movement and closing of each month."""
    for balance in cube.balances:
        yield _balance(warehouse, cube, balance)


def _balance(warehouse: Warehouse, cube: Cube, balance: Balance) -> View:
    opening, movement, closing = _names(cube, balance)
    columns = {
        balance.over: "First day of the month.",
        **{item.name: dimension_meaning(cube, item.name, warehouse) for item in _others(cube, balance)},
        opening: f"At the beginning of the month. {balance.meaning}",
        movement: f"Change in the month. {figure_meaning(cube, balance.of)}",
        closing: f"At the end of the month. {balance.meaning}",
    }
    about = (
        f"{balance.meaning.rstrip('.')}. One row per month and combination of the other dimensions, from its first "
        f"movement to the month of the publication, except where nothing is left. Add it up over the other "
        f"dimensions, never over {balance.over}. {FRESH}"
    )
    return View(f"{cube.name}_{balance.name}", balance_sql(cube, balance), about.lstrip(". "), columns)


def balance_sql(cube: Cube, balance: Balance) -> str:
    """Return the SELECT of a balance: movements by month, added up along each combination, and months in between.

    Balances of one cube have rows for the same months, so that they can be joined: a month is left out where all of
    them are 0 and nothing moved.  Movements of an unknown month are left out.
    """
    opening, movement, closing = map(quoted, _names(cube, balance))
    left, moved = _left(balance.of), _moved(balance.of)
    type_ = sql_type(next(item.type for item in cube.figures if item.name == balance.of), cube=True)
    shown_ = [f"{shown(quoted(item.name), item.type)} AS {quoted(item.name)}" for item in _others(cube, balance)]
    return f"""
SELECT "in month" AS {quoted(balance.over)}, {"".join(f"{column}, " for column in shown_)}
    (CASE WHEN "in month" = "from month" THEN {left} - {moved} ELSE {left} END)::{type_} AS {opening},
    (CASE WHEN "in month" = "from month" THEN {moved} ELSE 0 END)::{type_} AS {movement},
    {left}::{type_} AS {closing}
FROM (
    SELECT *, generate_series("from month"::timestamp, "until month"::timestamp, interval '1 month')::date AS "in month"
    FROM ({_stretches(cube, balance)}) AS stretches
) AS months"""


def _stretches(cube: Cube, balance: Balance) -> str:
    """Return the SELECT of stretches of months, from one movement of a combination until before its next one.

    Windows are sorted by a hash first: that takes half the time of sorting by a handful of texts.
    """
    names = [quoted(item.name) for item in _others(cube, balance)]
    alike = [item for item in cube.balances if (item.over, item.by) == (balance.over, balance.by)]
    figures = list(dict.fromkeys(item.of for item in alike))
    along = ", ".join([f"hash_record_extended(ROW({', '.join(names)}), 0)", *names]) if names else "true"
    sums = ", ".join(f"sum({quoted(name)}) AS {_moved(name)}" for name in figures)
    left = ", ".join(f"sum({_moved(name)}) OVER along AS {_left(name)}" for name in figures)
    nothing = " AND ".join(f"{_left(name)} = 0" for name in figures)
    keys = ", ".join([f'{_month(cube, balance.over)} AS "from month"', *names])
    return f"""
SELECT *, CASE
    WHEN {nothing} THEN "from month" ELSE coalesce(("next month" - interval '1 month')::date, {THIS_MONTH})
END AS "until month"
FROM (
    SELECT *, {left}, lead("from month") OVER along AS "next month" FROM (
        SELECT {keys}, {sums}
        FROM ({rows(cube)}) AS cells
        WHERE {quoted(balance.over)} <> {otherwise(Type("date"))}
        GROUP BY {", ".join(str(number + 1) for number in range(len(names) + 1))}
        HAVING {" OR ".join(f"sum({quoted(name)}) <> 0" for name in figures)}
    ) AS moved WHERE "from month" <= {THIS_MONTH}
    WINDOW along AS (PARTITION BY {along} ORDER BY "from month")
) AS left_over"""


def _others(cube: Cube, balance: Balance) -> list[CubeDimension]:
    """Return the dimensions a balance has besides the month."""
    others = [item for item in cube.dimensions if item.name != balance.over]
    return [item for item in others if item.name in balance.by] if balance.by else others


def _names(cube: Cube, balance: Balance) -> list[str]:
    """Return the names of opening, movement and closing; where a dimension is called so, with the figure's behind."""
    taken = {balance.over, *(item.name for item in _others(cube, balance))}
    return [name if name not in taken else f"{name}_{balance.of}" for name in ("opening", "movement", "closing")]


def _moved(figure: str) -> str:
    return quoted(f"moved {figure}")


def _left(figure: str) -> str:
    return quoted(f"left {figure}")


def _month(cube: Cube, over: str) -> str:
    """Return the month of the dimension a balance runs along; most are months already."""
    if all(_is_month(cube, number, over) for number in range(len(cube.postings))):
        return quoted(over)
    return f"date_trunc('month', {quoted(over)}::timestamp)::date"


def _is_month(cube: Cube, number: int, over: str) -> bool:
    expression = cube.postings[number].dimensions.get(over)
    if expression is None or not expression.calls:
        return expression is None or expression.field == "spread.month"
    return expression.calls[-1].name in ("month", "quarter", "year")


# --- distinct counts ----------------------------------------------------------------------------------------------


def distinct_views(warehouse: Warehouse, cube: Cube) -> Iterator[View]:
    """Yield a view for every distinct count of a cube: what is counted, once per combination of dimensions."""
    for distinct in cube.distincts:
        yield _distinct(warehouse, cube, distinct)


def _distinct(warehouse: Warehouse, cube: Cube, distinct: Distinct) -> View:
    posting = cube.postings[0]
    store = warehouse.stores[posting.store]
    filled = [item for item in cube.dimensions if item.name in posting.dimensions]
    counted = distinct.count if distinct.count not in {item.name for item in filled} else distinct.name
    listed = [_dimension(item, cube, warehouse) for item in filled]
    where = ["NOT r.deleted", f"r.{quoted(distinct.count)} IS NOT NULL"]
    where += [condition_sql(posting.when, store)] if posting.when else []
    select = (
        f"SELECT DISTINCT {', '.join([*listed, f'r.{quoted(distinct.count)} AS {quoted(counted)}'])}\n"
        f"FROM {source_sql(posting, store, tables.active(store))}\nWHERE {' AND '.join(where)}"
    )
    about = (
        f"{distinct.meaning.rstrip('.')}. One row per combination of dimensions and {counted}, from the live records "
        f"of {store.name}: count(DISTINCT {counted}) is right for every grouping, sums of such counts are not. {FRESH}"
    )
    columns = {item.name: dimension_meaning(cube, item.name, warehouse) for item in filled}
    meaning = f"What is counted once: {store.name}.{distinct.count}."
    return View(f"{cube.name}_{distinct.name}", select, about.lstrip(". "), columns | {counted: meaning})


def _dimension(item: CubeDimension, cube: Cube, warehouse: Warehouse) -> str:
    posting = cube.postings[0]
    sql = dimension_sql(posting.dimensions[item.name], item.type, warehouse.stores[posting.store])
    return f"{shown(f'({sql})', item.type)} AS {quoted(item.name)}"
