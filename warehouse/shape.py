"""Plan and apply: bring the tables and views of the warehouse to what the files say, without losing a row.

Whatever is added is planned first and applied in one transaction.  Columns, stores and cubes that are named no longer
are kept; what cannot be done without loss is refused with what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import psycopg
from psycopg import sql

from isthmus.errors import ConfigError, ConflictError
from isthmus.store.roles import ROLES
from warehouse import control, tables
from warehouse.calendar import days
from warehouse.control import Connection
from warehouse.locks import lock_cubes, lock_stores
from warehouse.shape_compare import NEW_EXPRESSIONS, Standing, cube_steps, gone, hashes, store_steps
from warehouse.shape_standing import applied, has_rows, standing
from warehouse.shape_steps import Step, digest
from warehouse.shape_views import view_hashes, view_steps
from warehouse.spec import Warehouse
from warehouse.tables import SCHEMA, VIEWS
from warehouse.verify import rebuild

LOCK = 0x15744D06
OLDEST_SERVER = 150000
__all__ = ["Step", "apply", "plan"]

GRANTS = {
    "engine": (
        f"GRANT USAGE ON SCHEMA {SCHEMA}, {VIEWS} TO {{}}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON ALL TABLES IN SCHEMA {SCHEMA} TO {{}}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {{}}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {VIEWS} TO {{}}",
    ),
    "analyst": (f"GRANT USAGE ON SCHEMA {VIEWS} TO {{}}", f"GRANT SELECT ON ALL TABLES IN SCHEMA {VIEWS} TO {{}}"),
}


def plan(connection: Connection, warehouse: Warehouse) -> list[Step]:
    """Return what has to be done, in order; nothing is changed.  A plan without changes means: everything stands."""
    refuse_old_server(connection)
    found = _found(connection, warehouse)
    steps = [*_control_steps(connection, found)]
    for store in warehouse.stores.values():
        steps += store_steps(warehouse, store, found)
    for cube in warehouse.cubes.values():
        steps += cube_steps(warehouse, cube, found)
    steps += _still_waiting(connection, warehouse, found, steps)
    moved = ("widen",) if found.server >= NEW_EXPRESSIONS else ("widen", "rekey")
    tables_moved = {step.target for step in steps if step.kind in moved}
    shown = list(view_steps(connection, warehouse, found.applied, tables_moved))
    before = [step for step in shown if step.kind == "drop"]
    return [*before, *steps, *(step for step in shown if step.kind != "drop"), *gone(warehouse, found)]


def apply(connection: Connection, warehouse: Warehouse, now: datetime) -> list[Step]:
    """Do what the plan says, in one transaction, and return its steps; a second time there is nothing to do.

    Waits for another migrator and for activations that run.  Raises ConflictError, with everything that is refused,
    before anything is changed.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        lock_stores(connection, warehouse.stores)
        lock_cubes(connection, warehouse.cubes)
        steps = plan(connection, warehouse)
        refused = [step.text for step in steps if step.kind == "refuse"]
        if refused:
            raise ConflictError("\n".join(refused))
        if any(step.changes for step in steps):
            _run(connection, steps, now)
            _rebuild(connection, warehouse, now)
            _remember(connection, warehouse, now)
            grant(connection)
    return steps


def refuse_old_server(connection: Connection) -> None:
    """Raise ConfigError when the server is older than the warehouse needs."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise ConfigError(
            f"the warehouse needs PostgreSQL 15 or newer, this server is {version // 10000}; "
            "upgrade it, or unset ISTHMUS_DATABASE_URL to use the private one"
        )


def grant(connection: Connection) -> None:
    """Let the engine read and write and analysts read, where those roles exist beside the owner."""
    for name, statements in GRANTS.items():
        login = ROLES[name].login
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login]).fetchone():
            for statement in statements:
                connection.execute(sql.SQL(statement).format(sql.Identifier(login)))


# --- the plan -----------------------------------------------------------------------------------------------------


def _found(connection: Connection, warehouse: Warehouse) -> Standing:
    stands = standing(connection)
    sources = (tables.active(store) for store in warehouse.stores.values())
    filled = frozenset(name for name in sources if name in stands and has_rows(connection, name))
    return Standing(stands, applied(connection), filled, connection.info.server_version)


def _control_steps(connection: Connection, found: Standing) -> Iterator[Step]:
    texts = control.statements()
    missing = control.missing(connection)
    if missing or found.applied.get(("control", SCHEMA)) != digest(texts):
        what = f"create {', '.join(missing)}" if missing else "bring the control tables up to date"
        yield Step("control", SCHEMA, what, texts)
    if ("calendar", SCHEMA) not in found.applied:
        first, last = next(days()), list(days())[-1]
        yield Step("control", f"{SCHEMA}.calendar", f"write the days from {first[0]} to {last[0]}")


def _still_waiting(
    connection: Connection, warehouse: Warehouse, found: Standing, steps: Sequence[Step]
) -> Iterator[Step]:
    """Yield the rebuilds that an earlier apply left to do."""
    planned = {step.target for step in steps if step.kind == "rebuild"}
    if f"{SCHEMA}.backfills" not in found.tables:
        return
    for waiting in control.waiting(connection, "cube"):
        if waiting.name in warehouse.cubes and waiting.name not in planned:
            yield Step("rebuild", waiting.name, f"add {waiting.name} up anew: {waiting.because}")


# --- doing it -----------------------------------------------------------------------------------------------------


def _run(connection: Connection, steps: Sequence[Step], now: datetime) -> None:
    for step in steps:
        for statement in step.statements:
            _execute(connection, step, statement)
        if step.target == f"{SCHEMA}.calendar":
            _write_days(connection)
        elif step.kind in ("load", "rebuild"):
            kind: control.Waiting = "store" if step.kind == "load" else "cube"
            control.mark(connection, kind, step.target, step.text, now)


def _execute(connection: Connection, step: Step, statement: str) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        raise ConflictError(
            f"{step.target}: {step.text}: something else was built upon it ({error.diag.message_detail}); "
            "drop that first and create it again afterwards"
        ) from error
    except psycopg.errors.InvalidTableDefinition as error:
        raise ConflictError(
            f"{step.target}: {step.text}: the one that stands has other columns ({error.diag.message_primary}); "
            f"drop it (DROP VIEW {step.target} CASCADE) and apply again"
        ) from error


def _write_days(connection: Connection) -> None:
    connection.execute(f"TRUNCATE {SCHEMA}.calendar")
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {SCHEMA}.calendar (day, workday, holiday) FROM STDIN") as copy,
    ):
        for row in days():
            copy.write_row(row)


def _rebuild(connection: Connection, warehouse: Warehouse, now: datetime) -> None:
    """Add cubes up anew that wait for it."""
    for waiting in control.waiting(connection, "cube"):
        if waiting.name in warehouse.cubes:
            rebuild(connection, warehouse, warehouse.cubes[waiting.name], now)


def _remember(connection: Connection, warehouse: Warehouse, now: datetime) -> None:
    """Keep the digests of everything that stands now.

    What a cube that is named no longer posts is forgotten: named again, it is added up anew.
    """
    said = {("control", SCHEMA): digest(control.statements()), ("calendar", SCHEMA): ""}
    said |= hashes(warehouse) | view_hashes(warehouse)
    rows = [(kind, name, hash_, now) for (kind, name), hash_ in sorted(said.items())]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {SCHEMA}.shapes (kind, name, hash, applied_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (kind, name) DO UPDATE SET hash = excluded.hash, applied_at = excluded.applied_at"
            " WHERE shapes.hash <> excluded.hash",
            rows,
        )
    posting = [name for kind, name in said if kind == "postings"]
    connection.execute(f"DELETE FROM {SCHEMA}.shapes WHERE kind = 'postings' AND name <> ALL (%s)", [posting])
