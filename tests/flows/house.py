"""A project of a test's own: two systems copied from a template, a ledger, a clock that only the test moves."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from isthmus.ledger import Ledger
from isthmus.levels.download import Desk, download
from isthmus.levels.package import Carried
from isthmus.levels.route import Route
from isthmus.project import Project
from landscape.manifest import Manifest

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
SCENARIO = "single_with_devices"
MORNING = datetime(2026, 1, 2, 8, tzinfo=UTC)
CLIENT = "100"
NUMBERS = {"crmd_orderadm_h": ("object_id",)}  # given out once: a row that vanished gets another one
Rows = list[tuple[Any, ...]]


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = MORNING) -> None:
        self.time = at

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **by: float) -> None:
        self.time += timedelta(**by)


@dataclass(frozen=True)
class House:
    """Two systems, a ledger and a project folder; everything a test asks or tells goes by SQL, not by the engine."""

    folder: Path
    urls: dict[str, str] = field(repr=False)
    journal: str
    manifest: Manifest = field(repr=False)
    clock: HandClock = field(default_factory=HandClock)
    sessions: dict[str, psycopg.Connection[Any]] = field(default_factory=dict, repr=False)

    @property
    def project(self) -> Project:
        return Project.load(self.folder)

    def ask(self, system: str, statement: str, *values: Any) -> Rows:
        return self.session(system).execute(statement, values).fetchall()

    def one(self, system: str, statement: str, *values: Any) -> Any:
        (row,) = self.ask(system, statement, *values)
        return row[0]

    def tell(self, system: str, statement: str, *values: Any) -> int:
        with psycopg.connect(self.urls[system]) as connection:  # its end is when the server counts what it wrote
            return connection.execute(statement, values).rowcount

    def session(self, system: str) -> psycopg.Connection[Any]:
        """Return the session with a system that all questions of this house share, each in a transaction of its own."""
        url = self.urls[system]
        if url not in self.sessions or self.sessions[url].closed:
            self.sessions[url] = psycopg.connect(url, autocommit=True)
        return self.sessions[url]

    @contextmanager
    def desk(
        self,
        name: str = "",
        report: Callable[[Route, Carried], None] = lambda route, carried: None,
        sleep: Callable[[float], None] = lambda seconds: None,
    ) -> Iterator[Desk]:
        project = self.project
        with Ledger.open(self.urls["ledger"], self.clock) as ledger:
            scenario = project.scenario(SCENARIO)
            yield Desk(
                project,
                ledger,
                scenario,
                name or f"{socket.gethostname()}:{os.getpid()}",
                self.clock,
                report,
                sleep,
                gate="off",
            )

    def load(self, objects: Sequence[str] = OBJECTS, **options: Any) -> str:
        with self.desk() as desk:
            return download(desk, objects, **options)

    def counts(self, run: str) -> dict[str, dict[str, int]]:
        """Add up what the ledger's packages say of a run, by object."""
        rows = self.ask(
            "ledger",
            "SELECT split_part(flow, '.', 1), c.key, sum(c.value::int) FROM ledger.packages,"
            " jsonb_each_text(counts::jsonb) c WHERE run = %s GROUP BY 1, 2",
            run,
        )
        found: dict[str, dict[str, int]] = {}
        for name, what, rows_ in rows:
            found.setdefault(name, {})[what] = int(rows_)
        return found

    def totals(self, run: str) -> dict[str, int]:
        """Add up the counts of a run over all objects."""
        found: dict[str, int] = {}
        for counts in self.counts(run).values():
            for what, rows in counts.items():
                found[what] = found.get(what, 0) + rows
        return found

    def exceptions(self, object_: str, kind: str = "") -> dict[str, str]:
        """Return open exceptions of an object: key and code."""
        return dict(
            self.ask(
                "ledger",
                "SELECT key, code FROM ledger.exceptions WHERE flow LIKE %s AND state <> 'resolved' AND kind LIKE %s",
                f"{object_}.%",
                kind or "%",
            )
        )

    def tables(self) -> list[str]:
        return [row[0] for row in self.ask("crm", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]

    def packages(self, run: str) -> dict[str, int]:
        """Count the packages of a run by their state."""
        return dict(self.ask("ledger", "SELECT state, count(*) FROM ledger.packages WHERE run = %s GROUP BY 1", run))

    def content(self, without: Mapping[str, Sequence[str]] | None = None) -> dict[str, tuple[int, Any]]:
        """Return rows and an order-free checksum of every CRM table; `without` names columns to leave out."""
        found = {}
        for table in self.tables():
            left_out = (without or {}).get(table, ())
            row = "to_jsonb(t)" + "".join(f" - '{column}'" for column in left_out)
            sums = f"SELECT count(*), coalesce(sum(hashtextextended(({row})::text, 7)), 0) FROM {table} t"
            (found[table],) = self.ask("crm", sums)
        return found

    def touched(self) -> dict[str, tuple[int, int, int]]:
        """Return how often rows of every CRM table were inserted, updated and deleted since ever."""
        statement = (
            "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'public'"
        )
        return {row[0]: row[1:] for row in self.ask("crm", statement)}

    def move(self, system: str, url: str) -> None:
        """Put another database in the place of a system."""
        os.environ[f"ISTHMUS_CONNECTION_{system.upper()}"] = url  # the fixture's patch puts the old value back
        self.urls[system] = url

    def ledger_rows(self) -> dict[str, int]:
        names = self.ask("ledger", "SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'")
        return {name: self.one("ledger", f"SELECT count(*) FROM ledger.{name}") for (name,) in names}


@contextmanager
def household(
    folder: Path,
    urls: dict[str, str],
    journal: str,
    manifest: Manifest,
    patch: pytest.MonkeyPatch,
    like: House | None = None,
) -> Iterator[House]:
    """Make a project folder and point the environment to its systems; its scenario goes one way unless a test asks.

    A house `like` another one has its mappings, and its clock shows the same time.
    """
    mappings = folder / "mappings"
    if like is not None:
        shutil.copytree(like.folder / "mappings", mappings)
    elif not mappings.exists():
        shutil.copytree(ROOT / "mappings", mappings)
        one_way = (mappings / "scenarios/one_way.yaml").read_text(encoding="utf-8")
        said = one_way.replace("scenario: one_way", f"scenario: {SCENARIO}")
        (mappings / f"scenarios/{SCENARIO}.yaml").write_text(said, encoding="utf-8")
    (folder / "isthmus.yaml").write_text(
        f"""systems:
  isu: {{connector: sql, speaks: isu, connection: isu, client: "{CLIENT}"}}
  crm: {{connector: sql, speaks: crm, connection: crm, client: "{CLIENT}", journal: {journal}}}
  nem: {{connector: files, speaks: nem, path: {ROOT}/tests/data/nem12, format: nem12}}
scenario: {SCENARIO}
package_rows: 400
gate: off
""",
        encoding="utf-8",
    )
    for system in ("isu", "crm"):
        patch.setenv(f"ISTHMUS_CONNECTION_{system.upper()}", urls[system])
    patch.setenv("ISTHMUS_DATABASE_URL", urls["ledger"])
    patch.setenv("ISTHMUS_HOME", str(folder))
    house = House(folder, urls, journal, manifest, HandClock(like.clock.time if like else MORNING))
    try:
        yield house
    finally:
        for session in house.sessions.values():
            session.close()


def edit(house: House, file: str, old: str, new: str) -> Path:
    """Give a house mappings of its own and change one text in them."""
    mappings = house.folder / "mappings"
    if mappings.is_symlink():
        mappings.unlink()
        shutil.copytree(ROOT / "mappings", mappings)
    path = mappings / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path
