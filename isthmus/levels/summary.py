"""The end of a run in words: what was read, written, held and why, how fast, and whether both sides agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from isthmus.levels.download import Desk
from isthmus.levels.package import Carried
from isthmus.levels.preview import Preview
from isthmus.levels.route import Route, flow_name
from isthmus.mapping.spec import Flow

COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "parked", "filtered", "warned")


def summary(desk: Desk, run: str) -> dict[str, Any]:
    """Sum up a run from the ledger: per flow, in total, the reasons, the warnings, the verdicts."""
    ledger = desk.ledger
    flows: dict[str, Counter[str]] = {}
    for package in ledger.packages.list(run):
        flows.setdefault(package.flow, Counter()).update(package.counts)
    order = [name for name in map(flow_name, desk.flows()) if name in flows]
    flows = {name: flows[name] for name in (*order, *(name for name in flows if name not in order))}
    reasons = [reason for flow in flows for reason in ledger.exceptions.counts(run, flow)]
    for flow, counts in flows.items():
        # what a source could not even read is held by the ledger alone: no package ever counted it
        held = sum(reason.rows for reason in reasons if (reason.flow, reason.kind) == (flow, "rejected"))
        counts["rejected"] = max(counts["rejected"], held)
    totals: Counter[str] = sum(flows.values(), Counter())
    begun = ledger.runs.get(run)
    took = ((begun.finished_at or desk.clock()) - begun.started_at).total_seconds()
    return {
        "run": run,
        "scenario": begun.scenario,
        "seconds": round(took, 1),
        "rows_per_second": round(totals["read"] / took) if took else 0,
        "flows": {name: {what: counts[what] for what in COUNTS} for name, counts in flows.items()},
        "totals": {what: totals[what] for what in COUNTS},
        "queued": totals["queued"],
        "reasons": [
            {
                "flow": r.flow,
                "kind": r.kind,
                "field": r.field,
                "code": r.code,
                "waits_for": r.waits_object,
                "rows": r.rows,
            }
            for r in reasons
        ],
        "warnings": warnings(desk, run),
        "reconciliation": {
            r.flow: {"verdict": r.verdict, **r.result} for r in reversed(ledger.reconciliations.list(run=run))
        },
    }


def warnings(desk: Desk, run: str) -> list[dict[str, Any]]:
    """Add up the warnings of a run over its packages: mapping rules, slices, expectations of the gate."""
    found: Counter[tuple[str, str, str]] = Counter()
    for result in desk.ledger.gate_results.list(run=run, limit=100_000):
        for item in result.result.get("warnings", ()):
            found[result.flow, item["field"], item["message"]] += item["rows"]
    return [{"flow": f, "field": name, "message": text, "rows": rows} for (f, name, text), rows in found.most_common()]


# --- for people ---------------------------------------------------------------------------------------------------


def print_progress(route: Route, carried: Carried, console: Console | None = None) -> None:
    """Print a line for a package that was carried."""
    counts = carried.counts
    shown = ", ".join(f"{counts[what]:,} {what}" for what in (*COUNTS, "queued") if counts.get(what))
    if shown:
        (console or Console()).print(f"  {route.object:<20} {shown}", highlight=False)


SHOWN = {
    "read": "read",
    "inserted": "new",
    "updated": "changed",
    "unchanged": "same",
    "rejected": "rejected",
    "parked": "parked",
    "filtered": "left out",
    "warned": "warned",
}  # what a count is called on a page


def print_summary(found: dict[str, Any], console: Console | None = None) -> None:
    """Print the summary of a run; it fits 100 columns."""
    console = console or Console()
    title = f"{found['scenario']}, run {found['run']}"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("object", no_wrap=True)
    for what in COUNTS:
        table.add_column(SHOWN[what], justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, counts in found["flows"].items():
        verdict = found["reconciliation"].get(name, {}).get("verdict", "")
        style = "green" if verdict == "agrees" else "bold red"
        table.add_row(object_of(name), *(number(counts[what]) for what in COUNTS), f"[{style}]{verdict}[/{style}]")
    table.add_section()
    table.add_row("total", *(number(found["totals"][what]) for what in COUNTS), "", style="bold")
    console.print(table)
    console.print(f"{found['rows_per_second']:,} rows/s, {found['seconds']} s from begin to end", highlight=False)
    if found["queued"]:
        said = "differ between two systems that are kept in step, so nothing was overwritten: the next `isthmus sync`"
        console.print(f"{found['queued']:,} rows {said} decides them field by field", highlight=False)
    _print_reasons(found, console)


def object_of(flow: str) -> str:
    """Return the object of a flow's name, as people write it.

    >>> object_of("point_of_delivery.isu.crm")
    'point of delivery'
    """
    return flow.partition(".")[0].replace("_", " ")


def _print_reasons(found: dict[str, Any], console: Console) -> None:
    held: dict[tuple[str, str, str], list[Any]] = {}
    for item in found["reasons"]:
        why = f"waits for its {object_of(item['waits_for'])}" if item["waits_for"] else item["code"].replace("_", " ")
        held.setdefault((item["flow"], item["kind"], why), []).append(item)
    if held:
        table = _reasons("Held, and why", "", "field")
        for (flow, kind, why), items in held.items():
            where = items[0]["field"] if len(items) == 1 else f"{len(items)} places"
            table.add_row(object_of(flow), why, kind, where, number(sum(item["rows"] for item in items)))
        console.print(table)
    if found["warnings"]:
        table = _reasons("Carried with a warning", "field")
        for item in found["warnings"]:
            table.add_row(object_of(item["flow"]), item["message"], item["field"], number(item["rows"]))
        console.print(table)


def _reasons(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("object", no_wrap=True)
    table.add_column("why", ratio=2)
    for name in columns:
        table.add_column(name, ratio=1 if name else None)
    table.add_column("rows", justify="right", no_wrap=True)
    return table


def print_preview(found: Preview, console: Console | None = None) -> None:
    """Print what a run would do."""
    console = console or Console()
    counts = found.counts
    new, changed, same = counts["inserted"], counts["updated"], counts["unchanged"]
    console.print(
        f"[bold]{found.flow}[/bold]: {counts['read']:,} read: {new:,} new, {changed:,} changed, {same:,} the same, "
        f"{counts['rejected']:,} rejected, {counts['parked']:,} parked, {counts['filtered']:,} left out",
        highlight=False,
    )
    for (state, name, message), rows in found.reasons.most_common():
        console.print(f"  {state}: {name}: {message} ({rows:,})", highlight=False)
    for (name, message), rows in found.warnings.most_common():
        console.print(f"  warning: {name}: {message} ({rows:,})", highlight=False)
    for row in found.differences:
        console.print(
            f"  {row['table']}.{row['column']}: {row['current']!r} would become {row['wanted']!r}", highlight=False
        )


def print_comparison(found: dict[str, Any], console: Console | None = None) -> None:
    """Print the verdict on a flow and its first differences."""
    console = console or Console()
    verdict = "agrees" if found["agrees"] else f"{found['rows_differing']:,} rows differ"
    if found["repaired"]:
        verdict += ", put right"
    held = f", {found['held']:,} held" if found["held"] else ""
    own = f", {found['only_there']:,} of them its own" if found["only_there"] else ""
    rows = f"{found['source_rows']:,} rows here, {found['target_rows']:,} there{own}{held}"
    console.print(f"[bold]{found['flow']}[/bold]: {verdict} ({rows})", highlight=False)
    for row in found["differences"]:
        console.print(
            f"  {row['key'] or row['target_key']}.{row['field']}: {row['source'] or 'nothing'} here, "
            f"{row['target'] or 'nothing'} there",
            highlight=False,
        )


def print_today(flow: Flow, rows: list[dict[str, str]], console: Console | None = None) -> None:
    """Print how one thing stands on both sides."""
    console = console or Console()
    if not rows:
        console.print(f"Neither {flow.source} nor {flow.target} holds it today, or its row is rejected or parked.")
        return
    table = Table(title="Today", title_justify="left", header_style="bold")
    for name in ("field", flow.source, flow.target, ""):
        table.add_column(name)
    for row in rows:
        table.add_row(row["field"], row["source"], row["target"], "" if row["source"] == row["target"] else "differs")
    console.print(table)


def number(value: int) -> str:
    """Write a count; nothing for zero, so that the eye finds what is there."""
    return f"{value:,}" if value else "·"
