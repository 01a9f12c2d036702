"""Houses to load: landscapes and loaded systems are made once a session and copied for every test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from psycopg import sql

from isthmus.ledger import migrate
from isthmus.store import drop_database, ensure_database, layout
from isthmus.store.place import Place
from landscape.create import create
from landscape.manifest import Manifest
from tests.flows.house import OBJECTS, House, household

CONTRACTS = 1_200
SEED = 5
PARTS = ("isu", "crm", "ledger")
Copies = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture(scope="session")
def copies(store: Place) -> Iterator[Copies]:
    """Copy databases; all copies are dropped at the end of the session."""
    made: list[str] = []

    def copy(urls: dict[str, str]) -> dict[str, str]:
        found = {}
        with closing(layout.connect(store, "postgres")) as admin:
            for part, url in urls.items():
                name, source = f"flows_{uuid.uuid4().hex[:10]}_{part}", urlsplit(url).path[1:]
                made.append(name)
                copied = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
                    *map(sql.Identifier, (name, source, urlsplit(url).username or ""))
                )
                admin.execute(copied)
                found[part] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        return found

    yield copy
    for name in made:
        drop_database(name, place=store)


@pytest.fixture(scope="session")
def landscapes(store: Place) -> Iterator[Callable[[bool], tuple[dict[str, str], Manifest]]]:
    """A landscape with or without defects and an empty ledger, made when first asked for; never loaded itself."""
    made: dict[bool, tuple[dict[str, str], Manifest]] = {}
    names: list[str] = []

    def landscape(defects: bool) -> tuple[dict[str, str], Manifest]:
        if defects not in made:
            fresh = {part: f"flows_{uuid.uuid4().hex[:10]}_{part}" for part in PARTS}
            names.extend(fresh.values())
            urls = {part: ensure_database(name, place=store) for part, name in fresh.items()}
            migrate(urls["ledger"])
            made[defects] = urls, create(urls["isu"], urls["crm"], contracts=CONTRACTS, seed=SEED, defects=defects)
        return made[defects]

    yield landscape
    for name in names:
        drop_database(name, place=store)


@pytest.fixture(params=["schema", "none"])
def journal(request: pytest.FixtureRequest) -> str:
    """Where CRM keeps receipts: in tables of ours, or nowhere."""
    return str(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try both journals, but where a module says with which ones its tests are worth their time."""
    for item in list(items):
        called = getattr(item, "callspec", None)
        worth = getattr(getattr(item, "module", None), "JOURNALS", None)
        if called and worth and called.params.get("journal", worth[0]) not in worth:
            items.remove(item)


Build = Callable[..., House]
Begin = Callable[[House], object]


@pytest.fixture(scope="session")
def templates(
    copies: Copies,
    landscapes: Callable[[bool], tuple[dict[str, str], Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., House]:
    """Houses as tests find them, empty, loaded or with more behind them; each is made once."""
    made: dict[tuple[str, bool, tuple[str, ...], Begin | None], House] = {}

    def template(journal: str, defects: bool, loaded: tuple[str, ...], begin: Begin | None = None) -> House:
        asked = journal, defects, loaded, begin
        if asked not in made:
            urls, manifest = landscapes(defects)
            fresh, folder = copies(urls), tmp_path_factory.mktemp("template")
            with (
                pytest.MonkeyPatch.context() as patch,
                household(folder, fresh, journal, manifest, patch) as house,
            ):
                if journal == "schema":
                    with closing(house.project.connector("crm")) as target:
                        target.install_journal()  # type: ignore[attr-defined]
                if begin:
                    begin(house)
                if loaded:
                    house.load(loaded, run="first")
            made[asked] = house
        return made[asked]

    return template


@pytest.fixture
def build(
    templates: Callable[..., House],
    copies: Copies,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: Place,
) -> Iterator[Build]:
    """Make houses of a test's own: `begin` is what happened in it first, `loaded` what came across then."""
    names: list[str] = []
    with ExitStack() as open_houses:

        def make(
            journal: str = "schema", defects: bool = True, loaded: tuple[str, ...] = (), begin: Begin | None = None
        ) -> House:
            like = templates(journal, defects, loaded, begin)
            own = copies(like.urls)
            names.extend(urlsplit(url).path[1:] for url in own.values())
            folder = tmp_path / f"house{len(names)}"
            return open_houses.enter_context(household(folder, own, journal, like.manifest, monkeypatch, like))

        yield make
    for name in names:
        drop_database(name, place=store)


@pytest.fixture
def house(build: Build, journal: str) -> House:
    """A landscape with all defects, nothing loaded yet."""
    return build(journal)


@pytest.fixture
def loaded(build: Build, journal: str) -> House:
    """A landscape with all defects after its first download, run `first`."""
    return build(journal, loaded=OBJECTS)


@pytest.fixture
def clean(build: Build) -> House:
    """A landscape without defects after its first download, with a journal in CRM."""
    return build("schema", defects=False, loaded=OBJECTS)


__all__ = ["Build"]
