"""A world to synchronize: the real engine on two tiny PostgreSQL systems, with its clock and crash points in hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from isthmus.connector import Connector, FeedKind
from isthmus.ledger import Ledger, migrate
from isthmus.levels import synchronize
from isthmus.levels.baseline import baseline
from isthmus.levels.download import Desk
from isthmus.levels.watch import watched_in
from isthmus.project import Project
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from tests.sim import landscape

Kinds = tuple[FeedKind, FeedKind]
MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
OBJECTS = ("partner", "deal")
SYSTEMS = ("back", "front")
KEPT = ("alembic_version", "image_fields", "image_shapes")  # what tables of images look like stays
Hook = Callable[[str], None]


class Died(BaseException):
    """Stands for the death of the process: nothing of the engine may catch it."""


class Clock:
    """A clock that only the simulation moves, backwards too."""

    def __init__(self) -> None:
        self.time = MORNING

    def __call__(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


class Rooms(Project):
    """A project that keeps its connectors open: a history needs dozens of runs."""

    def connector(self, name: str) -> Connector:
        kept: dict[str, Connector] = self.__dict__.setdefault("kept", {})
        if name not in kept:
            kept[name] = super().connector(name)
            kept[name].close = lambda: None  # type: ignore[method-assign]
        return kept[name]

    def leave(self) -> None:
        """Close them after all."""
        for connector in self.__dict__.pop("kept", {}).values():
            type(connector).close(connector)


@dataclass
class World:
    """Two systems, a ledger, a clock; `hook` is called wherever the engine passes a point between durable steps."""

    urls: Mapping[str, str]
    agents: dict[str, psycopg.Connection[Any]]
    ledger: Ledger
    clock: Clock
    projects: Mapping[Kinds, Rooms]
    kinds: Kinds = ("date", "timestamp")
    hook: Hook | None = None
    runs: int = 0
    histories: int = 0

    @property
    def project(self) -> Rooms:
        return self.projects[self.kinds]

    def desk(self, name: str) -> Desk:
        return Desk(self.project, self.ledger, self.project.scenario(), name, self.clock, gate="off")

    def kind(self, system: str) -> FeedKind:
        return self.kinds[SYSTEMS.index(system)]

    def passing(self, point: str) -> None:
        if self.hook is not None:
            self.hook(point)

    def take_over(self) -> None:
        """Begin: both sides are compared once and what they agree on is remembered."""
        for name in OBJECTS:
            desk = self.desk("first")
            baseline(desk, desk.flow(name))

    def sync(self, worker: str = "worker", objects: Sequence[str] = OBJECTS) -> dict[str, dict[str, int]]:
        """Run the flows once, parents first unless said otherwise."""
        self.runs += 1
        desk = self.desk(worker)
        return {name: synchronize.sync_flow(desk, desk.flow(name)) for name in objects}

    def tell(self, system: str, statement: str, *values: Any) -> int:
        return self.agents[system].execute(statement, values).rowcount

    def ask(self, system: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.agents[system].execute(statement, values).fetchall()

    def reset(self, kinds: Kinds) -> None:
        """Forget everything: rows of both systems, pointers, the ledger's content."""
        self.kinds, self.hook, self.clock.time = kinds, None, MORNING
        for system in SYSTEMS:
            names = (*landscape.NAMES[system], "isthmus.change_pointer", "audit")
            self.tell(system, ";".join(f"DELETE FROM {name}" for name in names))
        filled = [name for (name,) in self.ask("ledger", CONTENT) if name not in KEPT]
        self.tell("ledger", ";".join(f"DELETE FROM ledger.{name}" for name in filled))


CONTENT = """
SELECT relname FROM pg_class c WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'
    AND pg_relation_size(c.oid) > 0 ORDER BY 1
"""


@contextmanager
def opened(store: Place, every: Sequence[Kinds], patch: pytest.MonkeyPatch, name: str) -> Iterator[World]:
    """Make the databases and project folders of a world."""
    with ExitStack() as stack:
        urls = {}
        for part in (*SYSTEMS, "ledger"):
            urls[part] = ensure_database(f"{name}_{part}", place=store)
            stack.callback(drop_database, f"{name}_{part}", place=store)
        yield stack.enter_context(built(urls, every, patch))


@contextmanager
def built(urls: Mapping[str, str], every: Sequence[Kinds], patch: pytest.MonkeyPatch) -> Iterator[World]:
    """Build a world in three empty databases."""
    with ExitStack() as stack:
        migrate(urls["ledger"])
        agents = {part: stack.enter_context(agent(url)) for part, url in urls.items()}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-sim-")))
        projects: dict[Kinds, Rooms] = {}
        for system in SYSTEMS:
            agents[system].execute(landscape.tables(system))
            patch.setenv(f"ISTHMUS_CONNECTION_{system.upper()}", urls[system])
        for kinds in every:
            place = folder / "-".join(kinds)
            landscape.lay_out(place, kinds)
            projects[kinds] = rooms = cast(Rooms, Rooms.load(place))
            stack.callback(rooms.leave)
        clock = Clock()
        ledger = stack.enter_context(Ledger.open(urls["ledger"], clock))
        world = World(urls, agents, ledger, clock, projects, every[0])
        install_pointers(world)
        patch.setattr(synchronize, "passing", world.passing)
        yield world


@contextmanager
def agent(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, application_name="agent") as connection:
        yield connection


def install_pointers(world: World) -> None:
    """Let both systems record change pointers, whatever feed a history reads."""
    project = world.project
    for system in SYSTEMS:
        watched = watched_in(project, project.scenario(), system, world.clock().date())
        project.connector(system).install_feed(watched)  # type: ignore[attr-defined]
