"""Which database is asked, in which order: the environment first, then the private server."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from isthmus.errors import ConfigError, SystemUnavailable
from isthmus.store import layout, roles
from isthmus.store.place import Place, private_place

VARIABLE = "ISTHMUS_DATABASE_URL"
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def store_url(role: str = "engine", place: Place | None = None) -> str:
    """Return the URL of the store for a role: `postgresql://login:secret@host:port/database`.

    `ISTHMUS_DATABASE_URL_<ROLE>` comes first, then `ISTHMUS_DATABASE_URL` (not for Airflow, which needs a database
    of its own), then the private server, running or not. With a `place` only its private server is asked. Raises
    ConfigError with the places tried.
    """
    known = roles.role_named(role)
    named = None if place else _named(role)
    if named:
        return named
    place = place or private_place()
    port = place.read("port")
    if port is None or place.read("layout") is None:
        tried = ", ".join(f"{name} is not set" for name in _variables(role))
        raise ConfigError(
            f"no store: {tried}, and no private server was ever started in {place.folder}; "
            "run `isthmus store start`, or set ISTHMUS_DATABASE_URL to a PostgreSQL (15 or newer) of your own"
        )
    secret = place.read(f"secrets/{role}")
    if secret is None:
        raise ConfigError(f"{place.folder}/secrets/{role} is missing; `isthmus store start` issues a new one")
    return f"postgresql://{known.login}:{quote(secret, safe='')}@127.0.0.1:{port}/{known.database}"


def ensure_database(name: str, owner_role: str = "engine", place: Place | None = None) -> str:
    """Create a database beside the store's unless it exists, and return its URL for its owner.

    With `ISTHMUS_DATABASE_URL` it is created on that server, which must allow it. Raises ConfigError for a name that
    is not plain lower case, SystemUnavailable when the server does not answer.
    """
    url = store_url(owner_role, place)
    with _administrator(name, owner_role, place) as connection:
        roles.ensure_database(connection, name, _login(url, connection))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(name: str, place: Place | None = None) -> None:
    """Drop a database that `ensure_database` created, ending its sessions; one that is not there is no error.

    Raises ConfigError for the store's own databases.
    """
    if name in {role.database for role in roles.ROLES.values()} | {"postgres", "template0", "template1"}:
        raise ConfigError(f"database {name} belongs to the store itself and is not dropped")
    with _administrator(name, "engine", place) as connection:
        connection.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
        )


def _administrator(name: str, role: str, place: Place | None) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as whoever may create databases: the named URL's user, or the private server's superuser."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"database name {name!r}: expected a lower-case letter, then letters, digits or _")
    url = store_url(role, place)
    try:
        if place is None and _named(role):
            return psycopg.connect(url, autocommit=True)
        return layout.connect(place or private_place(), "postgres")
    except psycopg.OperationalError as error:
        raise SystemUnavailable(unreachable(url)) from error


def _variables(role: str) -> list[str]:
    return [f"{VARIABLE}_{role.upper()}", *([VARIABLE] if role != "airflow" else [])]


def _named(role: str) -> str | None:
    """Return the URL that the environment names for a role."""
    return next((os.environ[name] for name in _variables(role) if os.environ.get(name)), None)


def _login(url: str, connection: psycopg.Connection[tuple[object, ...]]) -> str:
    return urlsplit(url).username or connection.info.user


def unreachable(url: str) -> str:
    """Return what to tell a person whose store does not answer; the URL's password is left out."""
    parts = urlsplit(url)
    where = f"{parts.hostname or 'local socket'}:{parts.port or 5432}"
    cure = f"check {VARIABLE} and that server" if _named("engine") == url else "run `isthmus store start`"
    return f"the store at {where} does not answer; {cure}"


def masked(url: str) -> str:
    """Return a URL with its password replaced by `***`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))
