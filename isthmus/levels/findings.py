"""What is kept of a package besides its rows: what the gate and the warn rules said, what could not even be read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pyarrow as pa

from isthmus.connector import Rejects
from isthmus.ledger import Claimed, Ledger
from isthmus.levels.package import Carried
from isthmus.levels.route import Route

SHOWN_KEYS = 20


def remember(route: Route, claimed: Claimed, carried: Carried, ledger: Ledger) -> None:
    """Keep what the gate and the warn rules said of a package; nothing is kept where there is nothing to say.

    What was said last time in the same words is not kept again: the package refers to it.
    """
    findings = [asdict(finding) for finding in carried.verdict.findings]
    warned = warnings_of(carried)
    if not warned and all(finding["state"] == "passed" for finding in findings):
        return
    verdict = "withheld" if carried.verdict.withheld else "warned"
    said = {"findings": findings, "warnings": warned}
    ledger.gate_results.keep(route.name, verdict, said, claimed.run, claimed.id)


def warnings_of(carried: Carried) -> list[dict[str, Any]]:
    """Group the warnings of a package: field, code, message, how many rows, some of their keys."""
    if carried.warnings is None or not len(carried.warnings):
        return []
    by = carried.warnings.group_by(["field", "code", "message"], use_threads=False).aggregate(
        [("key", "list"), ("key", "count")]
    )
    return [
        {
            "field": row["field"],
            "code": row["code"],
            "message": row["message"],
            "rows": row["key_count"],
            "keys": row["key_list"][:SHOWN_KEYS],
        }
        for row in by.to_pylist()
    ]


def unreadable(route: Route, run: str, ledger: Ledger) -> None:
    """Keep what the source could not read at all, each record by name and reason; its neighbours went on."""
    if not isinstance(route.source, Rejects):
        return
    table = route.source.rejected()
    if len(table):
        said = {name: table[name] for name in ("key", "code", "message")}
        kinds = {"state": pa.repeat(pa.scalar("rejected"), len(table)), "field": table["file"]}
        ledger.exceptions.put(route.name, pa.table({**said, **kinds}), run)
