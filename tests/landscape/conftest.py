"""Landscapes that the tests of this folder share and only read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from landscape import Manifest, create

CONTRACTS = 1000


@dataclass(frozen=True)
class Standing:
    """A landscape with its two databases."""

    isu: str = field(repr=False)
    crm: str = field(repr=False)
    manifest: Manifest = field(repr=False)

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.isu) as connection:
            return connection.execute(statement, values).fetchall()

    def ask_crm(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.crm) as connection:
            return connection.execute(statement, values).fetchall()

    def count(self, statement: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM ({statement}) AS found")[0][0])


@contextmanager
def databases(place: Place) -> Iterator[tuple[str, str]]:
    names = [f"landscape_{uuid.uuid4().hex[:10]}_{system}" for system in ("isu", "crm")]
    try:
        yield ensure_database(names[0], place=place), ensure_database(names[1], place=place)
    finally:
        for name in names:
            drop_database(name, place=place)


def standing(place: Place, **options: Any) -> Iterator[Standing]:
    with databases(place) as (isu, crm):
        yield Standing(isu, crm, create(isu, crm, **{"contracts": CONTRACTS, "seed": 7, **options}))


@pytest.fixture
def two_databases(store: Place) -> Iterator[tuple[str, str]]:
    """Two empty databases for a landscape of a test's own."""
    with databases(store) as urls:
        yield urls


@pytest.fixture(scope="session")
def clean(store: Place) -> Iterator[Standing]:
    yield from standing(store, defects=False)


@pytest.fixture(scope="session")
def clean_dual(store: Place) -> Iterator[Standing]:
    yield from standing(store, defects=False, model="dual", devices=False)


@pytest.fixture(scope="session")
def damaged(store: Place) -> Iterator[Standing]:
    yield from standing(store)


@pytest.fixture(scope="session")
def damaged_dual(store: Place) -> Iterator[Standing]:
    yield from standing(store, model="dual", devices=False)
