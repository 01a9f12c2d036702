"""The layout of `.isthmus/store` and its upgrades: a newer Isthmus opens what an older one left behind."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import sql

from isthmus.errors import ConfigError
from isthmus.store import roles
from isthmus.store.binaries import MAJOR
from isthmus.store.place import Place

LAYOUT = 2


def refuse_newer(place: Place) -> None:
    """Raise ConfigError when a newer Isthmus wrote this store."""
    kept = _kept(place)
    if kept > LAYOUT:
        raise ConfigError(
            f"{place.folder}: written by a newer Isthmus (layout {kept}, this one knows {LAYOUT}); use that version"
        )


def refuse_other_major(place: Place) -> None:
    """Raise ConfigError when the data are of another major version of PostgreSQL than the binaries."""
    found = (place.data / "PG_VERSION").read_text(encoding="ascii").strip()
    if found != str(MAJOR):
        raise ConfigError(
            f"{place.data}: holds data of PostgreSQL {found}, the installed server is {MAJOR}; dump them with the "
            f"Isthmus that wrote them (pg_dumpall), remove {place.folder}, start the store and load the dump"
        )


def bring_up_to_date(place: Place, progress: Callable[[str], None]) -> None:
    """Create what is missing in a running server and run the upgrades since the layout that was kept.

    It changes nothing when layout and secrets are complete. Interrupted, it begins again at the next start.
    """
    kept = _kept(place)
    complete = all((place.folder / "secrets" / name).is_file() for name in roles.ROLES)
    if kept == LAYOUT and complete:
        return
    if 0 < kept < LAYOUT:
        progress(f"upgrading the store from layout {kept} to {LAYOUT}")
    passwords = {name: place.secret(name) for name in roles.ROLES}
    with connect(place, "postgres") as connection:
        roles.provision_server(connection, passwords)
    with connect(place, roles.ADMIN.database) as connection:
        roles.provision_rights(connection)
        for version in range(max(kept, 1), LAYOUT):
            UPGRADES[version](connection)
    place.write("layout", str(LAYOUT))


def connect(place: Place, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Open an autocommit connection of the superuser to one database of the running private server."""
    return psycopg.connect(
        host="127.0.0.1",
        port=int(place.read("port") or 0),
        user=roles.ADMIN.login,
        password=place.secret(roles.ADMIN.name),
        dbname=database,
        connect_timeout=30,
        autocommit=True,
    )


def _kept(place: Place) -> int:
    """Return the layout the store was written with, 0 for a store that is just being created."""
    return int(place.read("layout") or 0)


def _let_analyst_read_existing_tables(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """1 -> 2: the analyst is new; default rights reach tables created from now on, these reach the others."""
    schemas = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'"
    ).fetchall()
    for (schema,) in schemas:
        name = sql.Identifier(str(schema))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO isthmus_analyst").format(name))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO isthmus_analyst").format(name))


UPGRADES: dict[int, Callable[[psycopg.Connection[tuple[object, ...]]], None]] = {1: _let_analyst_read_existing_tables}
