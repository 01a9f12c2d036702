"""The tables of a project's systems, for the checks: what can be reached is asked, what cannot is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.connector import Connector, Table
from isthmus.errors import Finding, IsthmusError, SystemUnavailable
from isthmus.mapping.check_schema import check_against
from isthmus.mapping.check_sync import fields_from
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

    def connector(self, kind: str) -> Connector | None:
        """Return the opened connector of a kind of system, None if it does not answer."""
        return self._connector(kind)

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
        if not self.names[kind]:  # an inbox that is read empty has no tables to compare with
            connector.close()
            return None
        return connector


@dataclass(frozen=True, slots=True)
class Unseen:
    """A table of a synchronized object whose changes the feed of its system does not see by themselves."""

    object: str
    system: str
    table: str
    fields: tuple[str, ...]


def unseen(catalogue: Catalogue, project: Project) -> tuple[Unseen, ...]:
    """Return what feeds by date or timestamp miss; feeds by pointer or snapshot watch every table."""
    found: dict[tuple[str, str, str], Unseen] = {}
    flows = (flow for scenario in catalogue.scenarios.values() for flow in scenario.flows)
    for flow in (flow for flow in flows if flow.level == "synchronize"):
        for name in (flow.source, flow.target):
            system = project.systems.get(name)
            if system is None or system.feed in ("pointer", "snapshot"):
                continue
            for spec in catalogue.mappings.get((system.speaks, flow.object), ()):
                for table in (table for table in spec.tables if table.changed == "none"):
                    fields = tuple(fields_from(spec, table))
                    if fields:
                        missed = Unseen(flow.object, name, table.table, fields)
                        found.setdefault((flow.object, name, table.alias), missed)
    return tuple(found.values())


def check_live(catalogue: Catalogue, project: Project) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[str, ...]]:
    """Check a catalogue against the systems of a project; return findings, systems reached, systems not reached."""
    systems = Systems(project)
    try:
        findings = check_against(catalogue, systems.describe, systems.tables)
        findings = (*findings, *_unconditional(catalogue, systems))
        return findings, systems.reached, systems.silent
    finally:
        systems.close()


def _unconditional(catalogue: Catalogue, systems: Systems) -> list[Finding]:
    """Say where a synchronized flow writes to a system that cannot hold a write to what was read."""
    found = []
    for scenario in catalogue.scenarios.values():
        for flow in (flow for flow in scenario.flows if flow.level == "synchronize"):
            for name in (flow.source, flow.target):
                connector = systems.connector(name)
                if connector is not None and not connector.capabilities().conditional:
                    text = (
                        f"{name} cannot write on condition that nothing changed meanwhile, so {flow.object} cannot be "
                        "synchronized with it: work of others would be lost. Write level: replicate."
                    )
                    at = flow.position
                    found.append(Finding(at.file, at.line, at.column, text))
    return found
