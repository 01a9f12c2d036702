"""What the demo promises, and whether it was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from isthmus.ledger import Ledger
from isthmus.levels.summary import number, object_of
from landscape.manifest import Manifest
from quality.defects import Accounted, account_for


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, whether it was kept, and how that shows."""

    said: str
    kept: bool
    found: str


def written(found: dict[str, Any]) -> int:
    """Return the rows a run wrote."""
    return int(found["totals"]["inserted"] + found["totals"]["updated"])


def of_reconciliation(found: dict[str, Any]) -> Promise:
    """Both sides agree, held rows left out."""
    verdicts = {name: result["verdict"] for name, result in found["reconciliation"].items()}
    differ = [object_of(name) for name, verdict in verdicts.items() if verdict != "agrees"]
    said = f"{len(verdicts)} objects compared field by field"
    return Promise(
        "IS-U and CRM agree", bool(verdicts) and not differ, f"they differ in {', '.join(differ)}" if differ else said
    )


def of_second_run(found: dict[str, Any]) -> Promise:
    """A second run writes nothing."""
    wrote = written(found)
    said = f"{found['totals']['read']:,} rows read, {wrote:,} written, in {found['seconds']} s"
    return Promise("A second run writes nothing", not wrote, said)


def of_defects(console: Console, manifest: Manifest, ledger: Ledger, run: str) -> Promise:
    """Every planted defect is rejected, parked, repaired or reported, as often as the manifest says; shows the list."""
    found = accounted(manifest, ledger, run)
    title = "Planted defects, and what became of them"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("", "defect", "planted", "found", "became", "by"):
        table.add_column(name, justify="right" if name in ("planted", "found") else "left", no_wrap=name != "by")
    for item in found:
        mark = "[green]✓[/green]" if item.agrees else "[bold red]✗[/bold red]"
        name = item.name.replace("_", " ")
        table.add_row(mark, name, number(item.planted), number(item.found), item.outcome, item.rule)
    console.print(table)
    wrong = [f"{item.name.replace('_', ' ')} ({item.found:,} of {item.planted:,})" for item in found if not item.agrees]
    planted = sum(item.planted for item in found)
    said = f"{planted:,} defects of {len(found)} kinds accounted for" if found else "a clean landscape, none planted"
    return Promise("Every planted defect is found", not wrong, f"not so: {', '.join(wrong)}" if wrong else said)


def accounted(manifest: Manifest, ledger: Ledger, run: str) -> list[Accounted]:
    """Account for the defects in a run, and where a row was put right once and for all, in the first download.

    The ledger keeps a held row with the run that held it last, and what was written with the run that wrote it.
    """
    now = account_for(manifest.planted, ledger, run)
    first = first_download(ledger, ledger.runs.get(run).scenario)
    if first in ("", run):
        return now
    before = account_for(manifest.planted, ledger, first)
    return [item if item.agrees else then for item, then in zip(now, before, strict=True)]


def first_download(ledger: Ledger, scenario: str) -> str:
    """Return the oldest full run that wrote something: the one in which the planted defects met the gate."""
    for run in reversed(ledger.runs.list(1_000)):
        wrote = run.summary.get("inserted", 0) and run.state == "done"
        if wrote and (run.kind, run.mode, run.scenario) == ("initial_download", "full", scenario):
            return run.id
    return ""


def tell(console: Console, promises: list[Promise]) -> None:
    """Print the promises."""
    console.print()
    for promise in promises:
        mark = "[green]✓[/green]" if promise.kept else "[bold red]✗[/bold red]"
        console.print(f" {mark} {promise.said}: {promise.found}")
