"""The tables of a project's systems, for the checks: what can be reached is asked, what cannot is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.connector import Connector, Table
from isthmus.errors import Finding, IsthmusError, SystemUnavailable
from isthmus.mapping.check_schema import check_against
from isthmus.mapping.spec import Catalogue
from isthmus.project import Project


@dataclass(slots=True)
class Systems:
    """Opens each kind of system once; the first instance that speaks it answers for all of them."""

    project: Project
    open: dict[str, Connector | None] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def reached(self) -> tuple[str, ...]:
        """Return the kinds of system that answered."""
        return tuple(kind for kind, connector in self.open.items() if connector is not None)

    @property
    def silent(self) -> tuple[str, ...]:
        """Return the kinds of system that did not."""
        return tuple(kind for kind, connector in self.open.items() if connector is None)

    def tables(self, kind: str) -> Sequence[str]:
        """List the tables of a kind of system; empty when it does not answer."""
        self._connector(kind)
        return self.names.get(kind, [])

    def describe(self, kind: str, table: str) -> Table | None:
        """Describe a table, None if the system has none of that name; raises SystemUnavailable."""
        connector = self._connector(kind)
        if connector is None:
            raise SystemUnavailable(f"{kind} cannot be reached")
        if table.casefold() not in (name.casefold() for name in self.names[kind]):
            return None
        return connector.describe(table)

    def close(self) -> None:
        """Close what was opened."""
        for connector in self.open.values():
            if connector is not None:
                connector.close()

    def _connector(self, kind: str) -> Connector | None:
        if kind not in self.open:
            self.open[kind] = self._opened(kind)
        return self.open[kind]

    def _opened(self, kind: str) -> Connector | None:
        name = next((system.name for system in self.project.systems.values() if system.speaks == kind), None)
        if name is None:
            return None
        try:
            connector = self.project.connector(name)
            self.names[kind] = connector.discover()
        except IsthmusError:
            return None
        return connector


def check_live(catalogue: Catalogue, project: Project) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[str, ...]]:
    """Check a catalogue against the systems of a project; return findings, systems reached, systems not reached."""
    systems = Systems(project)
    try:
        findings = check_against(catalogue, systems.describe, systems.tables)
        return findings, systems.reached, systems.silent
    finally:
        systems.close()
