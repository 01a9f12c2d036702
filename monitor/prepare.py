"""Make Airflow's metadata ready: tables at the newest revision, pools and connections as the project says.

Imports Airflow, so the demo and the launcher run it in a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping


def prepare(pools: Mapping[str, int], connections: Mapping[str, str]) -> bool:
    """Migrate the metadata where needed and seed pools (name: seats) and connections (name: URL).

    A pool that is there keeps the seats that operations gave it; a connection made here follows its URL, one that
    somebody wrote stays. Returns whether the tables were created or changed.
    """
    changed = migrated()
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        for name, seats in pools.items():
            if session.query(Pool).filter(Pool.pool == name).first() is None:
                about = f"Tasks that may read from {name} at the same time"
                session.add(Pool(pool=name, slots=seats, description=about, include_deferred=False))
        for name, url in connections.items():
            known = session.query(Connection).filter(Connection.conn_id == name).first()
            if known is None or known.description == SEEDED:
                session.merge(_connection(known.id if known else None, name, url))
    return changed


SEEDED = "Written by Isthmus from .isthmus/connections; change this text and it stays as you edit it."


def _connection(number: int | None, name: str, url: str) -> object:
    from urllib.parse import unquote, urlsplit

    from airflow.models.connection import Connection

    parts = urlsplit(url)
    made = Connection(
        conn_id=name,
        conn_type=parts.scheme,
        description=SEEDED,
        host=parts.hostname,
        port=parts.port,
        login=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        schema=parts.path.strip("/"),
    )
    if number is not None:
        made.id = number
    return made


def migrated() -> bool:
    """Create or upgrade Airflow's tables unless they are current, and return whether there was anything to do."""
    from airflow.utils import db

    try:
        db.check_migrations(1)  # type: ignore[no-untyped-call]
    except TimeoutError:
        db.initdb()
        return True
    return False


if __name__ == "__main__":
    said = json.load(sys.stdin)
    prepare(said["pools"], said["connections"])
