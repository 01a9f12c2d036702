"""Two small landscapes carried from IS-U to CRM with the gate on: one with its defects, one without."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from isthmus.ledger import Ledger, migrate
from isthmus.levels.download import Desk, download
from isthmus.levels.download import now as machine_time
from isthmus.project import Project
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from landscape.create import create
from landscape.manifest import Manifest
from quality.across import run_checks

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = (
    "business_partner",
    "contract_account",
    "connection_object",
    "premise",
    "point_of_delivery",
    "installation",
    "device",
    "product",
    "contract",
)


@dataclass(frozen=True)
class Loaded:
    """A landscape after its first download and its checks."""

    manifest: Manifest
    project: Project
    ledger: Ledger
    run: str


@pytest.fixture(scope="session")
def defective(store: Place) -> Iterator[Loaded]:
    """A landscape with all defects, downloaded."""
    yield from _loaded(store, defects=True)


@pytest.fixture(scope="session")
def clean(store: Place) -> Iterator[Loaded]:
    """A landscape without defects, downloaded."""
    yield from _loaded(store, defects=False)


def _loaded(store: Place, defects: bool) -> Iterator[Loaded]:
    names = {part: f"quality_{part}_{uuid.uuid4().hex[:8]}" for part in ("isu", "crm", "ledger")}
    urls = {part: ensure_database(name, place=store) for part, name in names.items()}
    manifest = create(urls["isu"], urls["crm"], contracts=1500, seed=7, defects=defects)
    migrate(urls["ledger"])
    project = _reaching(Project.load(ROOT), urls)
    target = project.connector("crm")
    target.install_journal()  # type: ignore[attr-defined]
    target.close()
    with Ledger.open(urls["ledger"]) as ledger:
        desk = Desk(project, ledger, project.scenario("single_with_devices"), "test")
        run = download(desk, OBJECTS)
        run_checks(project, ledger, desk.scenario, run, machine_time().date())
        yield Loaded(manifest, project, ledger, run)
    for name in names.values():
        drop_database(name, place=store)


def _reaching(project: Project, urls: dict[str, str]) -> Project:
    """Return the project with its two systems at these databases, whatever the environment says."""
    systems = dict(project.systems)
    for name in ("isu", "crm"):
        systems[name] = replace(systems[name], connection="", options={"url": urls[name]})
    return replace(project, systems=systems)
