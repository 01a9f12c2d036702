"""Bring a ledger's tables to the shape this code expects: one migrator at a time, never backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from isthmus.errors import ConfigError
from isthmus.ledger.database import check_server, connect, unavailable

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0004"  # the newest file in migrations/versions; a test holds the two together
LOCK = 0x15744D05


def migrate(url: str) -> str:
    """Create the ledger or bring it up to date, and return its revision.

    Waits for another migrator to finish. Raises ConfigError when the ledger is newer than this code,
    SystemUnavailable when the server does not answer.
    """
    from alembic import command  # not before it is needed: every other process only looks at the revision

    engine = connect(url)
    try:
        with unavailable(engine), engine.begin() as connection:
            check_server(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            refuse_newer(connection)
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS ledger"))
            command.upgrade(_config(connection), HEAD)
    finally:
        engine.dispose()
    return HEAD


def forget(url: str) -> None:
    """Begin with an empty ledger: keys, runs, exceptions and decisions are gone for good; raises as `migrate` does."""
    engine = connect(url)
    try:
        with unavailable(engine), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            connection.execute(text("DROP SCHEMA IF EXISTS ledger CASCADE"))
    finally:
        engine.dispose()
    migrate(url)


def revision(connection: Connection) -> str | None:
    """Return the revision of the ledger in this database, None where there is none."""
    if connection.scalar(text("SELECT to_regclass('ledger.alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM ledger.alembic_version"))
    return found


def refuse_newer(connection: Connection) -> None:
    """Raise ConfigError when a newer Isthmus has already changed this ledger."""
    found = revision(connection)
    if found is not None and found > HEAD:
        raise ConfigError(
            f"this ledger is at revision {found}, this Isthmus knows revisions up to {HEAD}; "
            "upgrade Isthmus on this machine to at least the version that migrated the ledger"
        )


def check_current(connection: Connection) -> None:
    """Raise ConfigError unless the ledger has exactly the shape this code expects."""
    check_server(connection)
    refuse_newer(connection)
    found = revision(connection)
    if found != HEAD:
        state = "there is no ledger in this database" if found is None else f"this ledger is at revision {found}"
        raise ConfigError(f"{state}, expected revision {HEAD}; run `isthmus ledger migrate`")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "isthmus.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
