"""Views of cubes: totals and published facts as one, alone or with what shared dimensions say now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warehouse import tables
from warehouse.expression import quoted, shown
from warehouse.grammar import Formula, read_formula
from warehouse.shape_tables import dimension_meaning, figure_meaning, meaning_of
from warehouse.spec import Calculated, Cube, Warehouse
from warehouse.tables import VIEWS, sql_type
from warehouse.view import FRESH, View
from warehouse.views_control import PUBLISHED, READABLE

RECORDS = "Records in the cell, each counted once."


def cube_view(warehouse: Warehouse, cube: Cube) -> View:
    """Return the view `analysis.<cube>`: one row a cell, with calculated figures."""
    columns = {item.name: dimension_meaning(cube, item.name, warehouse) for item in cube.dimensions}
    columns |= {figure.name: figure_meaning(cube, figure.name) for figure in cube.figures}
    columns |= {item.name: _calculated_meaning(item) for item in cube.calculated}
    dimensions = [f"{shown(quoted(item.name), item.type)} AS {quoted(item.name)}" for item in cube.dimensions]
    rates = [f"{formula_sql(item)} AS {quoted(item.name)}" for item in cube.calculated]
    listed = ", ".join([*dimensions, *(quoted(figure.name) for figure in cube.figures), *rates, "records"])
    about = f"{cube.about} One row per {', '.join(item.name for item in cube.dimensions)}. {FRESH}"
    return View(cube.name, f"SELECT {listed}\nFROM ({cells(cube)}) AS cells", about, columns | {"records": RECORDS})


def facts_view(warehouse: Warehouse, cube: Cube) -> View:
    """Return the view `analysis.<cube>_facts`: what the cube is added up from, without the adding up."""
    columns = {item.name: dimension_meaning(cube, item.name, warehouse) for item in cube.dimensions}
    columns |= {figure.name: figure_meaning(cube, figure.name) for figure in cube.figures}
    dimensions = [f"{shown(quoted(item.name), item.type)} AS {quoted(item.name)}" for item in cube.dimensions]
    listed = ", ".join([*dimensions, *(quoted(figure.name) for figure in cube.figures), "records"])
    about = (
        f"{cube.about} As rolled up: a cell may lie in several rows, which may cancel out. "
        f"Sums are those of {cube.name}, in a fraction of the time where there are many cells. {FRESH}"
    )
    return View(
        f"{cube.name}_facts", f"SELECT {listed}\nFROM ({rows(cube)}) AS facts", about, columns | {"records": RECORDS}
    )


def _calculated_meaning(item: Calculated) -> str:
    unit = f" Unit: {item.unit}." if item.unit else ""
    return f"{item.meaning.rstrip('.')}. {item.formula}; after grouping compute it anew from sums.{unit}".lstrip(". ")


def cells(cube: Cube) -> str:
    """Return SQL that unites totals with the facts of published requests: one row a cell, without empty ones.

    Facts are added up by the digest of their cell and take the dimensions from one row of it: grouping hundreds of
    thousands of cells by a dozen texts takes seconds.
    """
    figures = [*((figure.name, sql_type(figure.type, cube=True)) for figure in cube.figures), ("records", "bigint")]
    both = {name: f"coalesce(t.{quoted(name)}, 0) + coalesce(f.{quoted(name)}, 0)" for name, _ in figures}
    names = [quoted(item.name) for item in cube.dimensions]
    sums = ", ".join(f"sum({quoted(name)})::{type_} AS {quoted(name)}" for name, type_ in figures)
    listed = [f"coalesce(t.{name}, f.{name}) AS {name}" for name in names]
    listed += [f"{sql} AS {quoted(name)}" for name, sql in both.items()]
    there = " OR ".join(f"{both[name]} <> 0" for name, _ in reversed(figures))
    return f"""
SELECT {", ".join(listed)}
FROM {tables.totals(cube)} AS t
FULL JOIN (
    SELECT g.cell, {"".join(f"one.{name}, " for name in names)}{", ".join(f"g.{quoted(name)}" for name, _ in figures)}
    FROM (
        SELECT cell, min(request_id) AS request_id, {sums}
        FROM {tables.facts(cube)} WHERE request_id IN ({PUBLISHED}) GROUP BY cell
    ) AS g
    JOIN {tables.facts(cube)} AS one ON one.cell = g.cell AND one.request_id = g.request_id
) AS f ON f.cell = t.cell
WHERE {READABLE} AND (f.cell IS NULL OR {there})"""


def rows(cube: Cube) -> str:
    """Return SQL of totals and published facts as they lie, a cell in several rows: enough for whoever adds them up."""
    names = [*(item.name for item in cube.dimensions), *(figure.name for figure in cube.figures), "records"]
    listed = ", ".join(map(quoted, names))
    return (
        f"SELECT {listed} FROM {tables.totals(cube)} WHERE {READABLE} UNION ALL "
        f"SELECT {listed} FROM {tables.facts(cube)} WHERE request_id IN ({PUBLISHED})"
    )


# --- calculated figures -------------------------------------------------------------------------------------------


def formula_sql(item: Calculated) -> str:
    """Return a calculated figure as SQL; a division by 0 gives null."""
    return _part(read_formula(item.formula))


def _part(formula: Formula) -> str:
    if formula.operator == "number":
        return f"{formula.word}::numeric"
    if formula.operator == "figure":
        return f"{quoted(formula.word)}::numeric"
    left, right = map(_part, formula.parts)
    return f"({left} {formula.operator} {f'nullif({right}, 0)' if formula.operator == '/' else right})"


# --- with what dimensions say now ---------------------------------------------------------------------------------


def named_view(warehouse: Warehouse, cube: Cube, view_of: Callable[[str], str]) -> View | None:
    """Return the view `analysis.<cube>_named`, or None where a cube has no shared dimensions.

    `view_of` returns the name of a dimension's view.  Attributes are called `<dimension of the cube>_<attribute>`.
    """
    plain = cube_view(warehouse, cube)
    taken = set(plain.columns)
    columns, listed, joins = dict(plain.columns), [f"c.{quoted(name)}" for name in plain.columns], []
    for number, (name, shared) in enumerate(_shared(warehouse, cube)):
        dimension = warehouse.dimensions[shared]
        key = quoted(dimension.key)
        joins.append(f"LEFT JOIN {VIEWS}.{quoted(view_of(shared))} AS d{number} ON d{number}.{key} = c.{quoted(name)}")
        for attribute, meaning in attributes(warehouse, shared):
            called = f"{name}_{attribute}" if f"{name}_{attribute}" not in taken else f"{name}_{attribute}_now"
            taken.add(called)
            listed.append(f"d{number}.{quoted(attribute)} AS {quoted(called)}")
            columns[called] = f"{meaning} Of the {shared} as it is now."
    if not joins:
        return None
    select = f"SELECT {', '.join(listed)}\nFROM {plain.qualified} AS c\n" + "\n".join(joins)
    about = f"{plain.about} With attributes of shared dimensions as they are now."
    return View(f"{cube.name}_named", select, about, columns)


def _shared(warehouse: Warehouse, cube: Cube) -> Iterator[tuple[str, str]]:
    for item in cube.dimensions:
        if item.dimension in warehouse.dimensions:
            yield item.name, item.dimension


def attributes(warehouse: Warehouse, dimension: str) -> Iterator[tuple[str, str]]:
    """Yield the text and the attributes of a dimension, each with its meaning; posted ones of its store included."""
    found = warehouse.dimensions[dimension]
    store = warehouse.stores[found.store]
    for name in dict.fromkeys(filter(None, (found.text, *found.attributes))):
        field = store.field(name)
        yield name, meaning_of(field, store) if field else f"As posted in {store.name}."
