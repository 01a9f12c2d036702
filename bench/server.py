"""The one PostgreSQL that every figure is taken on: a private store like a project's own, with its settings.

Source, target and ledger are databases of the same server, so the network is absent from every figure alike.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from isthmus import store
from isthmus.store.binaries import installed
from isthmus.store.place import Place

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".isthmus" / "bench"
# Two benchmarks at a time each need a server of their own: ISTHMUS_BENCH_HOME is the folder of another one.
PLACE = Place(Path(os.environ.get("ISTHMUS_BENCH_HOME") or FOLDER / "home") / ".isthmus" / "store")
SHOWN = (
    "server_version", "shared_buffers", "work_mem", "maintenance_work_mem", "effective_cache_size", "max_wal_size",
    "checkpoint_timeout", "wal_level", "wal_compression", "fsync", "synchronous_commit", "full_page_writes", "jit",
    "max_parallel_workers_per_gather", "autovacuum",
)  # fmt: skip


def start() -> int:
    """Start the server unless it runs and return the process id of its postmaster."""
    found = store.start(PLACE)
    assert found.pid is not None
    return found.pid


def stop() -> None:
    """Stop the server; its databases stay for the next call."""
    store.stop(PLACE)


def url(database: str, role: str = "engine") -> str:
    """Return the URL of a database for a role of the store."""
    return urlunsplit(urlsplit(store.store_url(role, PLACE))._replace(path=f"/{database}"))


def admin(database: str = "postgres") -> psycopg.Connection[Any]:
    """Open an autocommit connection of the superuser: for templates, checkpoints and figures, never for a load."""
    return psycopg.connect(url(database, "admin"), autocommit=True)


def exists(database: str) -> bool:
    """Tell whether a database is there."""
    with admin() as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None


def create(database: str) -> None:
    """Create an empty database as the store makes them, in place of an older one."""
    drop(database)
    store.ensure_database(database, place=PLACE)


def clone(template: str, database: str) -> None:
    """Make a database a copy of another one, in place of an older one."""
    drop(database)
    names = [sql.Identifier(name) for name in (database, template)]
    with admin() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER isthmus_engine TEMPLATE {} STRATEGY file_copy").format(*names)
        )


def drop(database: str) -> None:
    """Drop a database and end its sessions; one that is not there is no error."""
    with admin() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def checkpoint() -> None:
    """Write out everything that runs before left behind, so that none pays for another."""
    with admin() as connection:
        connection.execute("CHECKPOINT")


def settings() -> dict[str, str]:
    """Return the settings that figures depend on."""
    with admin() as connection:
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", [list(SHOWN)]
        ).fetchall()
    found = dict(rows)
    return {name: found[name] for name in SHOWN if name in found}


def wal_position() -> str:
    """Return where the write-ahead log stands."""
    with admin() as connection:
        row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    return str(row[0]) if row else ""


def waldump() -> str:
    """Return the program that reads the write-ahead log."""
    return installed().program("pg_waldump")
