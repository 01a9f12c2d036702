"""A house with a warehouse: a landscape, a ledger, stores of its own, and a clock that only the test moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from isthmus.levels.watch import feed_of, watched_in
from isthmus.store import drop_database
from isthmus.store.place import Place
from landscape.manifest import Manifest
from tests.flows.conftest import Copies, copies, landscapes, templates
from tests.flows.house import OBJECTS, SCENARIO, House, household
from warehouse import shape
from warehouse.depot import Depot, open_depot
from warehouse.load_spec import load_warehouse
from warehouse.session import connected

CONTENT = Path(__file__).parent / "content"
Open = Callable[..., AbstractContextManager[Depot]]


TELEPHONY = """  tel: {connector: files, speaks: tel, path: telephony/inbox, format: csv, encoding: utf-8,
        key: [INTERVAL_START, QUEUE, AGENT, DIRECTION]}
"""


Made = tuple[dict[str, str], Manifest]


def furnish(house: House) -> None:
    """Give a house a warehouse, its tables, and pointers to what changes in IS-U and CRM."""
    declare(house)
    apply(house)
    project = house.project
    scenario = project.scenario(SCENARIO)
    for system in ("isu", "crm"):
        with closing(project.connector(system)) as connector:
            watched = watched_in(project, scenario, system, house.clock().date())
            watched += feed_of(project, scenario, system, "contract", house.clock().date()).watched
            connector.install_feed(watched)  # type: ignore[attr-defined]


def declare(house: House) -> None:
    """Give a house the files of a warehouse, and a telephone system."""
    shutil.copytree(CONTENT, house.folder / "warehouse", dirs_exist_ok=True)
    file = house.folder / "isthmus.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("scenario:", f"{TELEPHONY}scenario:", 1), encoding="utf-8")


def apply(house: House) -> None:
    """Bring the tables to what the files say."""
    with connected("owner") as connection:
        shape.apply(connection, load_warehouse(house.folder, house.project.catalogue), house.clock())


@contextmanager
def depot_of(house: House, **options: Any) -> Iterator[Depot]:
    """Open a depot at a house; its gate is off unless a test says otherwise."""
    with open_depot(house.project, SCENARIO, **{"gate": "off", "clock": house.clock, **options}) as depot:
        yield depot


@pytest.fixture(scope="session")
def furnished(templates: Callable[..., House], copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Databases of a landscape after its first download, with a warehouse; made once and copied for every test."""
    like = templates("schema", False, OBJECTS)
    own = copies(like.urls)
    with (
        pytest.MonkeyPatch.context() as patch,
        household(tmp_path_factory.mktemp("furnished"), own, "schema", like.manifest, patch) as house,
    ):
        furnish(house)
    return own, like.manifest


@pytest.fixture
def stocked(
    furnished: Made, copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Place
) -> Iterator[House]:
    """A landscape after its first download, with a warehouse that nothing was loaded into; its CRM is only read."""
    urls, manifest = furnished
    own = copies({part: url for part, url in urls.items() if part != "crm"})
    with household(tmp_path, {**urls, **own}, "schema", manifest, monkeypatch) as house:
        declare(house)
        yield house
    drop(own, store)


@pytest.fixture
def own_crm(stocked: House, furnished: Made, copies: Copies, store: Place) -> Iterator[House]:
    """The same house with a CRM of its own, to be changed."""
    own = copies({"crm": furnished[0]["crm"]})
    stocked.move("crm", own["crm"])
    yield stocked
    drop(own, store)


@pytest.fixture(scope="session")
def bare(landscapes: Callable[[bool], Made], copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A ledger with a warehouse of which nobody has loaded anything."""
    urls, manifest = landscapes(False)
    own = copies({"ledger": urls["ledger"]})
    with (
        pytest.MonkeyPatch.context() as patch,
        household(tmp_path_factory.mktemp("bare"), {**urls, **own}, "none", manifest, patch) as house,
    ):
        declare(house)
        apply(house)
    return {**urls, **own}, manifest


@pytest.fixture
def lone(bare: Made, copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Place) -> Iterator[House]:
    """A house with a ledger and a warehouse; its systems are those of all other tests, not to be changed."""
    urls, manifest = bare
    own = copies({"ledger": urls["ledger"]})
    with household(tmp_path, {**urls, **own}, "none", manifest, monkeypatch) as house:
        declare(house)
        yield house
    drop(own, store)


def drop(urls: dict[str, str], store: Place) -> None:
    """Drop databases that a test had for itself."""
    for url in urls.values():
        drop_database(urlsplit(url).path[1:], place=store)


@pytest.fixture
def empty(lone: House) -> Iterator[Depot]:
    """A depot at such a house."""
    with depot_of(lone) as found:
        yield found


@pytest.fixture
def depot(stocked: House) -> Iterator[Depot]:
    """A depot at such a house."""
    with depot_of(stocked) as found:
        yield found


def rows(depot: Depot, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the store."""
    return depot.connection.execute(statement.encode(), values or None).fetchall()


def live(depot: Depot, store: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Return what holds in a store, in order."""
    return rows(depot, f"SELECT {columns} FROM warehouse.active_{store} WHERE NOT deleted ORDER BY 1")


__all__ = ["copies", "landscapes", "templates"]
