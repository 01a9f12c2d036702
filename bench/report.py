"""Results as Markdown: medians with their range, ratios of medians of the same call, targets beside them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import measure, server
from bench.measure import Cost

PACKAGES = ("pyarrow", "psycopg", "adbc-driver-postgresql", "pgpq", "sqlalchemy", "great-expectations", "duckdb")
HEAD = "| what | wall s (range) | client CPU s | server CPU s | peak MB | WAL MB | rows/s | ratio | target |"


def machine() -> str:
    """Describe the machine, the versions and the server's settings."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    settings = ", ".join(f"{name} {value}" for name, value in server.settings().items())
    return (
        f"{os.cpu_count()} cores, {memory} GB, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}; {packages}.\n\nServer (one for source, target and ledger): {settings}.\n"
    )


def line(name: str, costs: Sequence[Cost], rows: int = 0, base: Sequence[Cost] = (), target: str = "") -> str:
    """Write one line of the table; the ratio is of medians of wall time against `base`."""
    wall = measure.median([cost.wall for cost in costs])
    middle = {
        part: measure.median([getattr(cost, part) for cost in costs])
        for part in ("client_cpu", "server_cpu", "peak_mb", "wal")
    }
    ratio = f"{wall / measure.median([cost.wall for cost in base]):.2f}" if base else ""
    rate = f"{rows / wall:,.0f}" if rows and wall else ""
    cells = [
        name, measure.spread([cost.wall for cost in costs]), f"{middle['client_cpu']:.1f}",
        f"{middle['server_cpu']:.1f}", f"{middle['peak_mb']:.0f}", f"{middle['wal'] / 1e6:.0f}", rate, ratio, target,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table(lines: Sequence[str]) -> str:
    """Put lines under their head."""
    return "\n".join([HEAD, "|" + "---|" * (HEAD.count("|") - 1), *lines]) + "\n"


def load_of(costs: Sequence[Cost]) -> str:
    """Say how busy the machine was."""
    loads = [cost.load for cost in costs]
    return f"Load average at the start of runs: {min(loads):.1f} to {max(loads):.1f}."


def prices(costs: Sequence[Cost], base: float) -> str:
    """List what each part of the engine's work took, as medians, and its share of the limit."""
    names = sorted({name for cost in costs for name in cost.said["prices"]})
    lines = ["| part | s | of the limit |", "|---|---|---|"]
    ledger = [sum(v for k, v in cost.said["prices"].items() if k.startswith("ledger")) for cost in costs]
    for name in names:
        took = measure.median([cost.said["prices"].get(name, 0.0) for cost in costs])
        lines.append(f"| {name} | {took:.2f} | {took / base:.2f} |")
    lines.append(
        f"| **ledger in sum** (target 0.3) | {measure.median(ledger):.2f} | {measure.median(ledger) / base:.2f} |"
    )
    for name in ("ledger client", "ledger server"):
        took = measure.median([cost.said["cpu"][name] for cost in costs])
        lines.append(f"| CPU of the {name} | {took:.2f} | {took / base:.2f} |")
    return "\n".join(lines) + "\n"


def keep(name: str, text: str, costs: dict[str, Sequence[Cost]]) -> Path:
    """Keep a result as Markdown and its runs as JSON under `.isthmus/bench/results`; return the file."""
    folder = server.FOLDER / "results"
    folder.mkdir(parents=True, exist_ok=True)
    now = stamp()
    raw: dict[str, Any] = {key: [vars(cost) for cost in runs] for key, runs in costs.items()}
    (folder / f"{now}-{name}.json").write_text(json.dumps(raw, indent=1, default=str), encoding="utf-8")
    file = folder / f"{now}-{name}.md"
    file.write_text(text, encoding="utf-8")
    return file


def stamp() -> str:
    """Return this second, as results are named by."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
