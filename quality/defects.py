"""What became of each planted defect of a demo landscape: expected, found, how often, by which rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import Ledger
from quality.results import FlowResults, results_of

Outcome = Literal["rejected", "parked", "repaired", "warned", "harmless"]


class Defect(Protocol):
    """What a landscape's manifest says of one kind of defect."""

    @property
    def number(self) -> int:
        """Return its number, 1 to 24."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def expected(self) -> Outcome:
        """Return what should become of it."""

    @property
    def count(self) -> int:
        """Return how many were planted."""

    @property
    def keys(self) -> Sequence[str]:
        """Return the keys of some of those planted, as IS-U spells them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a defect shows: the object it shows at, its outcome, the kind of trace it leaves, and how that is named.

    Traces: `check` (of quality/checks.yaml), `warn` (field of a mapping's warning), `code` (its code), `held`
    (a field and reason of rejected or parked rows), `written` (rows of the target put right), `passed` (the keys
    arrived), `unread` (no flow carries the table).
    """

    object: str
    outcome: Outcome
    trace: Literal["check", "warn", "code", "held", "written", "passed", "unread"]
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Say in words by which rule the defect is found."""
        named = ", ".join(self.names)
        return {
            "check": f"check {named}",
            "warn": f"warning on {named}",
            "code": f"warning: {named}",
            "held": f"{self.outcome}: {' '.join(part for part in self.names if part)}",
            "written": "put right in the target",
            "passed": f"{self.object} arrives as it is",
            "unread": "not part of the download",
        }[self.trace]


RULES: Mapping[int, Rule] = {
    1: Rule("point_of_delivery", "parked", "held", ("premise", "missing parent")),
    2: Rule("business_partner", "warned", "check", ("duplicate_partner",)),
    3: Rule("point_of_delivery", "warned", "code", ("slices overlap", "slices gap")),
    4: Rule("contract", "rejected", "held", ("ends_on starts_on", "reject rule")),
    5: Rule("contract", "repaired", "check", ("contract_unpadded",)),
    6: Rule("connection_object", "repaired", "check", ("house_lower_case",)),
    7: Rule("point_of_delivery", "warned", "check", ("external_id_reused",)),
    8: Rule("contract_account", "warned", "warn", ("number",)),
    9: Rule("contract", "harmless", "passed"),
    10: Rule("contract", "warned", "warn", ("move_in_reversed",)),
    11: Rule("contract", "warned", "warn", ("billed_until ends_on",)),
    12: Rule("contract", "harmless", "passed"),
    13: Rule("device", "harmless", "passed"),
    14: Rule("meter_reading", "harmless", "unread"),
    15: Rule("connection_object", "warned", "warn", ("street_code street_known",)),
    16: Rule("business_partner", "harmless", "passed"),
    17: Rule("contract", "harmless", "passed"),
    18: Rule("billing_document", "harmless", "unread"),
    19: Rule("business_partner", "harmless", "passed"),
    20: Rule("installation", "warned", "check", ("half_a_pair",)),
    21: Rule("device", "warned", "warn", ("status installed",)),
    22: Rule("contract", "repaired", "written"),
    23: Rule("contract", "rejected", "held", ("key", "key map disagrees")),
    24: Rule("point_of_delivery", "repaired", "check", ("open_slice_end",)),
}


@dataclass(frozen=True, slots=True)
class Accounted:
    """One kind of defect: planted and expected, found and how."""

    number: int
    name: str
    planted: int
    expected: Outcome
    outcome: Outcome
    found: int
    rule: str

    @property
    def agrees(self) -> bool:
        """Tell whether each one planted was found, and nothing more; a rejection is more than a warning."""
        stricter = self.expected == "warned" and self.outcome in ("rejected", "parked", "repaired")
        return self.found == self.planted and (self.outcome == self.expected or stricter)


def account_for(planted: Iterable[Defect], ledger: Ledger, run: str, system: str = "isu") -> list[Accounted]:
    """Account for the defects of a landscape in its first full download, in the order of their numbers.

    Needs the run's download and its checks (`isthmus quality run`).
    """
    flows = {found.object: found for found in results_of(ledger, run) if found.flow.split(".")[1] == system}
    rows = []
    for defect in planted:
        rule = RULES[defect.number]
        found = _found(rule, defect, flows.get(rule.object), ledger, run, system)
        rows.append(
            Accounted(defect.number, defect.name, defect.count, defect.expected, rule.outcome, found, rule.text)
        )
    return rows


def _found(rule: Rule, defect: Defect, flow: FlowResults | None, ledger: Ledger, run: str, system: str) -> int:
    if rule.trace == "unread":
        return defect.count if flow is None else 0
    if flow is None:
        return 0
    if rule.trace == "check":
        return sum(line.unexpected for name, line in flow.lines.items() if name in rule.names)
    if rule.trace == "warn":
        return sum(
            warned.rows
            for warned in flow.warnings.values()
            if warned.code == "warn rule" and warned.place in rule.names
        )
    if rule.trace == "code":
        return sum(warned.rows for warned in flow.warnings.values() if warned.code in rule.names)
    if rule.trace == "held":
        return sum(
            reason.rows
            for reason in ledger.exceptions.counts(run, flow.flow)
            if (reason.field, reason.code) == rule.names and reason.kind == rule.outcome
        )
    if rule.trace == "written":
        return sum(package.counts.get("updated", 0) for package in ledger.packages.list(run, flow.flow))
    keys = pa.array([_canonical(key) for key in defect.keys], pa.string())
    arrived = int(pc.sum(ledger.keys.known(rule.object, system, keys)).as_py() or 0)
    return defect.count - (len(defect.keys) - arrived)


def _canonical(key: str) -> str:
    """Return a numeric key of IS-U without its zeros, as the key map has it."""
    return (key.lstrip("0") or key) if key.isdigit() else key
