"""The depot: where one caller works at the warehouse: project, ledger, what the files say, a connection, a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from isthmus.connector import Connector
from isthmus.errors import ConfigError, did_you_mean
from isthmus.gate import Gate, open_gate
from isthmus.ledger import Ledger
from isthmus.levels.download import now
from isthmus.mapping.spec import Scenario
from isthmus.project import Project
from isthmus.store import store_url
from warehouse.load_spec import load_warehouse
from warehouse.session import as_applied, connected, refuse_unmade
from warehouse.spec import Store, Warehouse
from warehouse.statement import Connection

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Depot:
    """Everything that loading, checking and activating need.

    `connection` is the engine's, in autocommit: every step is a transaction of its own.  `run` is what requests name
    as the run that opened them, `gate` the kind of quality gate ('' for the project's).
    """

    project: Project
    scenario: Scenario
    ledger: Ledger = field(repr=False)
    warehouse: Warehouse = field(repr=False)
    connection: Connection = field(repr=False)
    clock: Clock = now
    run: str = ""
    gate: str = ""
    kept: dict[str, Connector] | None = field(default=None, repr=False)  # systems that stay open between loads

    @contextmanager
    def keeping(self) -> Iterator[Depot]:
        """Give the same depot, but systems stay open until the end of the block."""
        kept: dict[str, Connector] = {}
        try:
            yield replace(self, kept=kept)
        finally:
            _close(kept)

    def let_go(self) -> None:
        """Close the systems that are kept open: after a failure nobody knows what their sessions hold."""
        _close(self.kept or {})

    def system(self, name: str) -> Connector | None:
        """Return a system that is kept open, opened now if need be; None where none are kept."""
        if self.kept is not None and name not in self.kept:
            self.kept[name] = self.project.connector(name)
        return None if self.kept is None else self.kept[name]

    @property
    def today(self) -> date:
        """Return the day that changes count from."""
        return self.clock().date()

    def store(self, name: str) -> Store:
        """Return a store by name; raises ConfigError with the nearest one."""
        known = self.warehouse.stores
        if name not in known:
            raise ConfigError(f'There is no store "{name}".{did_you_mean(name, known)} Known: {", ".join(known)}.')
        return known[name]

    def open_gate(self) -> Gate:
        """Open the quality gate; its library is imported by the first records that are checked."""
        return open_gate(self.project.folder, self.gate or self.project.gate)


def _close(kept: dict[str, Connector]) -> None:
    while kept:
        kept.popitem()[1].close()


@contextmanager
def open_depot(
    project: Project | None = None, scenario: str = "", *, run: str = "", gate: str = "", clock: Clock = now
) -> Iterator[Depot]:
    """Open the project, its ledger and its warehouse; raises ConfigError, SpecError, SystemUnavailable."""
    project = project or Project.load()
    warehouse = load_warehouse(project.folder, project.catalogue)
    with depot_at(project, warehouse, scenario, run=run, gate=gate, clock=clock) as depot:
        yield depot


@contextmanager
def depot_at(
    project: Project,
    warehouse: Warehouse,
    scenario: str = "",
    *,
    run: str = "",
    gate: str = "",
    clock: Clock = now,
) -> Iterator[Depot]:
    """Open a depot for files that are read already."""
    with Ledger.open(store_url(), clock=clock) as ledger, connected() as connection:
        refuse_unmade(connection)
        with as_applied():
            yield Depot(project, project.scenario(scenario), ledger, warehouse, connection, clock, run, gate)


def has_warehouse(folder: Path) -> bool:
    """Tell whether a project says anything of a warehouse."""
    return (folder / "warehouse" / "stores").is_dir()
