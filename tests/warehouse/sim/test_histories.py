"""Random histories of requests against the real engine: after every step everything is as the oracle says.

`ISTHMUS_WAREHOUSE_HISTORIES` sets how many are played, `ISTHMUS_WAREHOUSE_HISTORIES_FROM` the first seed.
"""

from __future__ import annotations

import os
from collections import Counter

import psycopg
import pytest

from tests.conftest import POSTGRES, missing
from tests.warehouse.engine import Stage, standing
from tests.warehouse.sim.play import Play

HISTORIES = int(os.environ.get("ISTHMUS_WAREHOUSE_HISTORIES", "30"))
FIRST = int(os.environ.get("ISTHMUS_WAREHOUSE_HISTORIES_FROM", "0"))
STEPS = 120


@pytest.mark.parametrize("number", range(HISTORIES))
def test_after_every_step_everything_is_as_the_requests_say(bare: Stage, number: int) -> None:
    played = Play(bare, FIRST + number).run(STEPS)
    print(f"{len(played.requests)} requests: {dict(Counter(played.tried))}")


@pytest.mark.service
def test_histories_hold_on_a_server_of_its_own_too() -> None:
    """The same on the PostgreSQL that answers, with its own version, settings and collation."""
    name = f"isthmus_warehouse_{os.getpid()}"
    try:
        with psycopg.connect(POSTGRES, connect_timeout=3, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    except psycopg.OperationalError:
        missing("postgres", "no PostgreSQL at 127.0.0.1:5432 for user postgres")
    try:
        with standing(f"{POSTGRES.rpartition('/')[0]}/{name}") as stage:
            Play(stage, 77).run(STEPS // 2)
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
