"""A connection of its own for every test, in an empty database or for SELECTs alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from isthmus.store import drop_database, ensure_database, layout
from isthmus.store.place import Place
from tests.warehouse.engine import MORNING, Stage, emptied, house, standing
from warehouse import shape
from warehouse.statement import Connection

PARTNER = {"number": "P1", "segment": "A", "region": "north", "seq": "1"}
LINE = {
    "document": "D1", "line": 1, "partner": "P1", "kind": "energy", "posted_on": date(2024, 2, 10), "unit": "KWH",
    "period_from": date(2023, 1, 1), "period_to": date(2023, 12, 31), "quantity": Decimal("100.001"),
    "amount": Decimal("33.33"), "currency": "EUR", "reversed": False, "seq": "1",
}  # fmt: skip


def serve(stage: Stage) -> None:
    """Bring a partner and two lines all the way."""
    stage.bring("partner", "crm", [PARTNER])
    stage.bring("line", "isu", [LINE, {**LINE, "document": "D2", "kind": "flat"}])


@pytest.fixture
def fresh(fresh_database: str) -> Iterator[Connection]:
    """A connection to a new empty database, in autocommit."""
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def calculator(store: Place) -> Iterator[Connection]:
    """A connection for SELECTs that read no table, in a session that is far from the business's zone."""
    url = ensure_database("warehouse_calculator", place=store)
    with psycopg.connect(url, autocommit=True, options="-c timezone=America/New_York") as connection:
        yield connection
    drop_database("warehouse_calculator", place=store)


@pytest.fixture(scope="module")
def served(store: Place) -> Iterator[str]:
    """The URL of a database with the house's warehouse applied, a partner and two lines in it, all published."""
    url = ensure_database("warehouse_served", place=store)
    built = house()
    with psycopg.connect(url, autocommit=True) as connection:
        shape.apply(connection, built, MORNING)
        serve(Stage(connection, built))
    yield url
    drop_database("warehouse_served", place=store)


@pytest.fixture
def stage(store: Place, served: str) -> Iterator[Stage]:
    """A copy of that database for one test."""
    name = f"warehouse_{uuid.uuid4().hex[:12]}"
    with layout.connect(store, "postgres") as administrator:
        administrator.execute(f"CREATE DATABASE {name} TEMPLATE warehouse_served OWNER isthmus_engine".encode())
    with psycopg.connect(urlunsplit(urlsplit(served)._replace(path=f"/{name}")), autocommit=True) as connection:
        yield Stage(connection, house(), loads=2)
    drop_database(name, place=store)


@pytest.fixture(scope="module")
def tables(store: Place) -> Iterator[Stage]:
    """The house's warehouse in a database that the tests of one file share."""
    name = f"warehouse_{uuid.uuid4().hex[:12]}"
    with standing(ensure_database(name, place=store)) as stage:
        yield stage
    drop_database(name, place=store)


@pytest.fixture
def bare(tables: Stage) -> Stage:
    """The same, with nothing in it: much faster than a database for every test."""
    return emptied(tables)
