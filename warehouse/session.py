"""A session at the warehouse's database, and what to tell a person whose tables are not what the files say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from isthmus.errors import ConfigError, SystemUnavailable
from isthmus.store import store_url
from isthmus.store.url import unreachable
from warehouse.statement import Connection


@contextmanager
def connected(role: str = "engine") -> Iterator[Connection]:
    """Connect to the store in autocommit; raises SystemUnavailable when it does not answer."""
    url = store_url(role)
    try:
        connection = psycopg.connect(
            url, autocommit=True, prepare_threshold=None, application_name="isthmus warehouse", options="-c jit=off"
        )
    except psycopg.OperationalError as error:
        raise SystemUnavailable(unreachable(url)) from error
    with connection:
        yield connection


def refuse_unmade(connection: Connection) -> None:
    """Raise ConfigError where the warehouse's tables were never made."""
    found = connection.execute("SELECT to_regclass('warehouse.requests') IS NOT NULL").fetchone()
    if not (found and found[0]):
        raise ConfigError("the warehouse has no tables yet; `isthmus warehouse apply` makes them")


@contextmanager
def as_applied() -> Iterator[None]:
    """Raise ConfigError where the files name a table or a column that was not made yet."""
    try:
        yield
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as wrong:
        raise ConfigError(
            f"the tables are not what the files say: {wrong.diag.message_primary}. `isthmus warehouse plan` shows what "
            "differs, `isthmus warehouse apply` makes it so"
        ) from wrong
