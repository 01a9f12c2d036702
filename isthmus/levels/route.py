"""A route is a flow made ready to run: its plans compiled, its two systems opened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from isthmus.connector import Connector, Rejects
from isthmus.errors import did_you_mean
from isthmus.mapping.bind import refuse, switched
from isthmus.mapping.compile import compile_read, setting, specs_of
from isthmus.mapping.compile_write import compile_write
from isthmus.mapping.plan import ReadPlan, WritePlan
from isthmus.mapping.policy import FieldPolicy, policies
from isthmus.mapping.spec import Catalogue, Flow, Scenario
from isthmus.project import Project


@dataclass(frozen=True)
class Route:
    """One flow with everything it needs; `back` reads the target, for comparison and numbers that exist.

    `audit` is `back` with the columns that repeat a field, where nobody but this flow writes the target.
    `name` is `object.source.target`: what the ledger, the pages and the commands call the flow.
    """

    name: str
    flow: Flow
    reads: tuple[ReadPlan, ...]
    write: WritePlan
    back: ReadPlan
    audit: ReadPlan
    source: Connector
    target: Connector
    source_client: str
    target_client: str
    mapping_hash: str
    package_rows: int
    fresh: bool = False
    image: tuple[FieldPolicy, ...] = ()  # fields that a synchronized flow agrees on by writing the target

    @property
    def object(self) -> str:
        """Return the object this route carries."""
        return self.flow.object


def flow_name(flow: Flow) -> str:
    """Return the name of a flow everywhere: `contract.isu.crm`."""
    return f"{flow.object}.{flow.source}.{flow.target}"


def flows_in_order(project: Project, scenario: Scenario, objects: tuple[str, ...] = ()) -> list[Flow]:
    """Return the scenario's flows in force, parents before children; `objects` narrows them."""
    given = setting(scenario.switches)
    flows = [flow for flow in scenario.flows if switched(flow.condition, given)]
    known = [flow.object for flow in flows]
    for name in objects:
        if name not in known:
            raise refuse(
                scenario.position, f'scenario "{scenario.name}" has no flow for "{name}".{did_you_mean(name, known)}'
            )
    order = project.catalogue.order(tuple(dict.fromkeys(known)))
    return [flow for name in order for flow in flows if flow.object == name and (not objects or name in objects)]


@contextmanager
def opened(project: Project, scenario: Scenario, flow: Flow, today: date) -> Iterator[Route]:
    """Open both systems of a flow and compile it; both are closed at the end."""
    source, target = project.connector(flow.source), project.connector(flow.target)
    try:
        yield compile_route(project, scenario, flow, source, target, today)
    finally:
        source.close()
        target.close()


class Kept:
    """Keeps the systems of a run open between its steps and each flow compiled; safe for threads.

    A connector is lent to one step at a time, so steps beside each other have sessions of their own.  One whose
    step failed is closed: what its sessions hold is not known.
    """

    def __init__(self) -> None:
        self._idle: dict[str, list[Connector]] = {}
        self._compiled: dict[tuple[str, date], Route] = {}

    @contextmanager
    def route(self, project: Project, scenario: Scenario, flow: Flow, today: date) -> Iterator[Route]:
        """Lend both systems of a flow, compiled."""
        with self._lent(project, flow.source) as source, self._lent(project, flow.target) as target:
            name = flow_name(flow), today
            known = self._compiled.get(name)
            if known is None or known.flow != flow:
                self._compiled[name] = known = compile_route(project, scenario, flow, source, target, today)
            yield replace(known, source=source, target=target)

    def close(self) -> None:
        """Close every system."""
        for connector in (connector for idle in self._idle.values() for connector in idle):
            connector.close()
        self._idle = {}

    @contextmanager
    def _lent(self, project: Project, name: str) -> Iterator[Connector]:
        idle = self._idle.setdefault(name, [])
        try:
            connector = idle.pop()
        except IndexError:
            connector = project.connector(name)
        try:
            yield connector
        except BaseException:
            connector.close()
            raise
        if isinstance(connector, Rejects):  # it remembers what it could not read, for this step alone
            connector.close()
        else:
            idle.append(connector)


def compile_route(
    project: Project, scenario: Scenario, flow: Flow, source: Connector, target: Connector, today: date
) -> Route:
    """Compose the source's mapping with the target's; raises SpecError where they do not fit."""
    catalogue = project.catalogue
    given = setting(scenario.switches, today)
    speaks = project.system(flow.source).speaks, project.system(flow.target).speaks
    specs = specs_of(catalogue, speaks[0], flow.object, given)
    reads = tuple(compile_read(catalogue, speaks[0], flow.object, spec.variant, given) for spec in specs)
    back = specs_of(catalogue, speaks[1], flow.object, given)
    write = compile_write(catalogue, speaks[1], flow.object, target.describe, reads, given)
    texts = "".join(spec.text_hash for spec in (*specs, *back)) + repr(sorted(scenario.switches.items()))
    texts += said_elsewhere(catalogue, speaks)
    back_plan, audit = (
        compile_read(catalogue, speaks[1], flow.object, back[0].variant, given, copies)
        for copies in (False, flow.level == "replicate")
    )
    return Route(
        name=flow_name(flow),
        flow=flow,
        reads=reads,
        write=write,
        back=back_plan,
        audit=audit,
        source=source,
        target=target,
        source_client=project.system(flow.source).client,
        target_client=project.system(flow.target).client,
        mapping_hash=hashlib.sha256(texts.encode()).hexdigest()[:16],
        package_rows=flow.package_rows or project.package_rows,
        image=agreed_by_writing(project, scenario, flow, reads, back_plan),
    )


def said_elsewhere(catalogue: Catalogue, systems: tuple[str, ...]) -> str:
    """Return what mappings depend on outside their own files: code tables, and the values of both systems."""
    codes = [(name, sorted(table.systems.items()), table.otherwise) for name, table in sorted(catalogue.codes.items())]
    values = [(settings.values, settings.codes) for name in systems if (settings := catalogue.systems.get(name))]
    return repr((codes, values))


def agreed_by_writing(
    project: Project, scenario: Scenario, flow: Flow, reads: tuple[ReadPlan, ...], back: ReadPlan
) -> tuple[FieldPolicy, ...]:
    """Return the fields whose values both sides hold once the target is written; none for a one-way flow."""
    if flow.level != "synchronize" or len(reads) != 1:
        return ()
    return tuple(
        policy for policy in policies(project.catalogue, scenario, flow, reads[0], back) if policy.writes_target
    )
