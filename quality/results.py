"""What the gate said in a run, added up from the ledger: per flow its expectations and warnings over all packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.ledger import Ledger

EVERYTHING = 100_000
_WORSE = ("passed", "errored", "failed")


@dataclass(slots=True)
class Line:
    """One expectation over the packages of a flow that had something to say."""

    expectation: str
    about: str
    severity: str
    state: str = "passed"
    unexpected: int = 0
    checked: int = 0
    packages: int = 0
    details: dict[str, None] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Warned:
    """One warning of a mapping or of a check over the packages of a flow."""

    place: str
    code: str
    message: str
    rows: int = 0
    keys: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class FlowResults:
    """What was said of one flow; `packages` counts all of its packages, `told` those with something to say."""

    flow: str
    packages: int = 0
    rows: int = 0
    told: int = 0
    withheld: list[str] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)
    warnings: dict[tuple[str, str, str], Warned] = field(default_factory=dict)

    @property
    def object(self) -> str:
        """Return the object of the flow."""
        return self.flow.partition(".")[0]

    def count(self, state: str) -> int:
        """Return how many expectations ended in this state."""
        return sum(line.state == state for line in self.lines.values())


def results_of(ledger: Ledger, run: str) -> list[FlowResults]:
    """Add up a run's results, flows in the order in which they were planned."""
    flows: dict[str, FlowResults] = {}
    for package in ledger.packages.list(run):
        found = flows.setdefault(package.flow, FlowResults(package.flow))
        found.packages += 1
        found.rows += package.counts.get("read", 0)
    for result in reversed(ledger.gate_results.list(run=run, limit=EVERYTHING)):
        found = flows.setdefault(result.flow, FlowResults(result.flow))
        found.told += 1
        if result.verdict == "withheld":
            found.withheld.append(result.package)
        _add_lines(found, result.result.get("findings", ()))
        _add_warnings(found, result.result.get("warnings", ()))
    return list(flows.values())


def _add_lines(found: FlowResults, findings: Iterable[Mapping[str, Any]]) -> None:
    for item in findings:
        name = item["expectation"]
        line = found.lines.setdefault(name, Line(name, item["about"], item["severity"]))
        line.state = max(line.state, item["state"], key=_WORSE.index)
        line.unexpected += item["unexpected"]
        line.checked += item["checked"]
        line.packages += item["state"] != "passed"
        line.keys.update(dict.fromkeys(item["keys"]))
        if item["detail"]:
            line.details[item["detail"]] = None


def _add_warnings(found: FlowResults, warnings: Iterable[Mapping[str, Any]]) -> None:
    for item in warnings:
        name = item["field"], item["code"], item["message"]
        warned = found.warnings.setdefault(name, Warned(*name))
        warned.rows += item["rows"]
        warned.keys.update(dict.fromkeys(item.get("keys", ())))
