"""Which views have to be created or replaced, and how they are replaced when their columns change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from warehouse.control import Connection
from warehouse.expression import quoted
from warehouse.shape_steps import Step, digest, too_long
from warehouse.spec import Warehouse
from warehouse.tables import VIEWS
from warehouse.view import View
from warehouse.views import views
from warehouse.views_control import publication_statements

FUNCTION = f"{VIEWS}.publication"
Pair = tuple[str, str]  # a view and what it shows, each with its schema
BUILT_UPON = """
SELECT DISTINCT m.nspname || '.' || v.relname, n.nspname || '.' || t.relname
FROM pg_rewrite AS r
JOIN pg_class AS v ON v.oid = r.ev_class
JOIN pg_namespace AS m ON m.oid = v.relnamespace
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS t ON t.oid = d.refobjid AND t.oid <> v.oid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
ORDER BY 1, 2"""


def view_hashes(warehouse: Warehouse) -> dict[tuple[str, str], str]:
    """Return the digests of the views that the files ask for, by ("view", name)."""
    found = {("view", view.name): digest(view.statements) for view in views(warehouse)}
    return found | {("view", FUNCTION): digest(publication_statements())}


def view_steps(
    connection: Connection, warehouse: Warehouse, applied: Mapping[tuple[str, str], str], moved: Collection[str]
) -> Iterator[Step]:
    """Yield the views that differ from what was applied last or are not there, after those that make way.

    PostgreSQL replaces a view only by one with the same columns, or more behind them: new columns go behind the others,
    so that what people built upon a view stays.  A view makes way, with those upon it, where it loses a column or
    shows one of the tables in `moved`, whose columns change.
    """
    wanted, built, stands = view_hashes(warehouse), views(warehouse), _standing(connection)
    yield from _called_alike(built)
    differ = {name for (_, name), hash_ in wanted.items() if applied.get(("view", name)) != hash_ or name not in stands}
    lost = {view.name for view in built if view.name in differ and set(stands.get(view.name, ())) - set(view.columns)}
    pairs = connection.execute(BUILT_UPON).fetchall() if lost or moved else []
    dropped = _upon(pairs, lost, moved)
    if dropped:
        yield from _upon_by_others(pairs, dropped, {name for kind, name in applied if kind == "view"})
        yield _make_way(sorted(dropped))
    if FUNCTION in differ:
        yield Step("view", FUNCTION, f"create {FUNCTION}()", publication_statements())
    for view in built:
        if refusal := too_long(view.name):
            yield refusal
        elif view.name in differ or view.name in dropped:
            there = () if view.name in dropped else stands.get(view.name, ())
            verb = "replace" if there else "create"
            yield Step("view", view.qualified, f"{verb} {VIEWS}.{view.name}", view.behind(there).statements)
    for kind, name in sorted(applied):
        if kind == "view" and name in stands and (kind, name) not in wanted:
            yield Step("keep", f"{VIEWS}.{name}", f"{VIEWS}.{name} is named no longer: it is kept")


def _make_way(dropped: list[str]) -> Step:
    listed = ", ".join(f"{VIEWS}.{quoted(name)}" for name in dropped)
    text = f"let {', '.join(dropped)} of {VIEWS} make way for other columns"
    return Step("drop", VIEWS, text, (f"DROP VIEW {listed}",))


def _upon(pairs: Collection[Pair], lost: Collection[str], moved: Collection[str]) -> set[str]:
    """Return the views of `analysis` that show one of some views or tables, those views included."""
    found, added = set(lost), True
    while added:
        shown = {f"{VIEWS}.{name}" for name in found} | set(moved)
        upon = {view.removeprefix(f"{VIEWS}.") for view, relation in pairs if relation in shown and _is_here(view)}
        added = bool(upon - found)
        found |= upon
    return found


def _upon_by_others(pairs: Collection[Pair], dropped: Collection[str], ours: Collection[str]) -> Iterator[Step]:
    """Yield a refusal for each view that somebody else built upon one that has to make way: it is not torn down."""
    shown = {f"{VIEWS}.{name}" for name in dropped}
    for view, relation in pairs:
        if relation in shown and not (_is_here(view) and view.removeprefix(f"{VIEWS}.") in ours):
            text = f"{view} depends on view {relation}, which has to make way: drop {view}, apply, and create it again"
            yield Step("refuse", view, text)


def _is_here(view: str) -> bool:
    return view.startswith(f"{VIEWS}.")


def _called_alike(built: tuple[View, ...]) -> Iterator[Step]:
    for name, group in groupby(sorted(view.name for view in built)):
        if len(list(group)) > 1:
            yield Step("refuse", f"{VIEWS}.{name}", f"two views would be called {VIEWS}.{name}; rename one of the two")


def _standing(connection: Connection) -> dict[str, list[str]]:
    """Return the columns of the views that stand, and the function that says which publication is read."""
    found = connection.execute(
        "SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class AS c"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'v' GROUP BY c.relname",
        [VIEWS],
    )
    stands = {name: columns for name, columns in found}
    there = connection.execute("SELECT to_regprocedure(%s)", [f"{FUNCTION}()"]).fetchone()
    return stands | ({FUNCTION: []} if there and there[0] else {})
