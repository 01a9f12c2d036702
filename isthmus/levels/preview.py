"""Preview: read, map and compare a flow without writing anything, and say what a run would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pyarrow as pa

from isthmus.connector import KeyRange
from isthmus.ledger import Claimed, Ledger
from isthmus.levels.download import Desk, key_range
from isthmus.levels.package import Care, Carried, carry
from isthmus.levels.resolve import mapped, read_records
from isthmus.mapping.spec import Flow

SHOWN = 20


@dataclass(slots=True)
class Preview:
    """What a run would do: counts, the first differences (position, table, column, current, wanted), the reasons."""

    flow: str
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    differences: list[dict[str, str]] = field(default_factory=list)
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)


def preview(desk: Desk, flow: Flow, keys: Sequence[str] = (), limit: int = 0) -> Preview:
    """Carry every package (or the first ones, up to `limit` rows) of a flow as a dry run."""
    with desk.route(flow) as route:
        found = Preview(route.name)
        worker = desk.worker(flow)
        personal = {item.name for plan in route.reads for item in plan.fields if item.personal}
        hidden = {c.column.column for t in route.write.tables for c in t.columns if c.filling.name in personal}
        within = key_range(route, keys) if keys else None
        ledger = cast(Ledger, WithoutTrace(desk.ledger))
        for plan in route.reads:
            for part in route.source.partitions(plan.query, route.package_rows, within):
                package = mapped(route, read_records(route, plan, part), ledger)
                claimed = pretended(desk, route.name, plan.variant, part)
                _add(found, carry(route, claimed, package, ledger, worker.gate, Care(dry_run=True)), hidden)
                if limit and found.counts["read"] >= limit:
                    return found
    return found


def pretended(desk: Desk, flow: str, variant: str, part: KeyRange) -> Claimed:
    """Make a claim that the ledger knows nothing of."""
    none = timedelta(0)
    return Claimed("", "preview", flow, variant, 0, part, 1, desk.name, none, desk.clock())


def _add(found: Preview, carried: Carried, hidden: set[str]) -> None:
    found.counts.update(carried.counts)
    found.reasons.update(_reasons(carried.exceptions))
    if carried.warnings is not None:
        found.warnings.update(_warned(carried.warnings))
    if carried.outcome is not None and carried.outcome.differences is not None:
        found.differences += _shown(carried.outcome.differences, hidden, SHOWN - len(found.differences))


def _reasons(exceptions: pa.Table | None) -> Counter[tuple[str, str, str]]:
    if exceptions is None:
        return Counter()
    columns = (exceptions["state"].to_pylist(), exceptions["field"].to_pylist(), exceptions["message"].to_pylist())
    return Counter(zip(*columns, strict=True))


def _warned(warnings: pa.Table) -> Counter[tuple[str, str]]:
    return Counter(zip(warnings["field"].to_pylist(), warnings["message"].to_pylist(), strict=True))


def _shown(differences: pa.Table, hidden: set[str], room: int) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = differences.slice(0, max(0, room)).to_pylist()
    return [{**row, "current": "•••", "wanted": "•••"} if row["column"] in hidden else row for row in rows]


class WithoutTrace:
    """A ledger that reads but reserves no numbers: a preview leaves no trace."""

    def __init__(self, ledger: Ledger) -> None:
        self.keys = ledger.keys
        self.counters = self

    def reserve(self, name: str, number: int) -> int:
        """Hand out numbers that nobody keeps."""
        return 1
