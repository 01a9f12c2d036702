"""The demo's last chapter: the warehouse filled, a day of business added, figures shown, promises checked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from isthmus.levels.summary import number
from isthmus.project import Project
from isthmus.store import store_url
from landscape.live_billing import play_billing
from landscape.live_commerce import play_commerce
from landscape.manifest import Manifest
from monitor import stock
from monitor.verdict import Promise
from warehouse import orchestrate
from warehouse.depot import open_depot
from warehouse.query import ask, load_queries, query_named

BILLS, EVENTS = 200, 120  # of the demo's day
SHOWN = 9  # stores whose loads are listed, those with the most records
_LOADED = """
SELECT store, count(*), sum(records)::bigint, sum(changed)::bigint FROM warehouse.requests
WHERE run = %s AND state NOT IN ('FAILED', 'DELETED') GROUP BY store ORDER BY sum(records) DESC, store
"""
_BILLED = """
SELECT division, sum(energy)::bigint AS energy, min(unit) FILTER (WHERE energy <> 0) AS unit, sum(net) AS net, currency
FROM analysis.billing_by_posting
WHERE posting_month > (SELECT max(posting_month) FROM analysis.billing_by_posting) - interval '12 months'
GROUP BY division, currency HAVING count(DISTINCT unit) FILTER (WHERE energy <> 0) = 1 ORDER BY sum(net) DESC
"""


@dataclass
class Chapter:
    """What was seen of the runs of `bw_aggregation`: their ids, and how many seconds each took."""

    project: Project
    manifest: Manifest
    scenario: str
    runs: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def play(self, urls: Mapping[str, str], days: int) -> str:
        """Play a day of what is carried nowhere: bills, quotations, contacts, telephony; say in words what happened."""
        now = stock.today(self.manifest) + timedelta(days=days)
        bills = play_billing(urls["isu"], bills=min(BILLS, self.manifest.contracts), seed=days, now=now)
        events = play_commerce(urls["crm"], changes=EVENTS, seed=days, now=now)
        calls = stock.deliver_calls(self.project, self.manifest, days=3, after=1 + days, broken=("cut",))
        moved = sum(len(one.numbers) for one in events.happened)
        return (
            f"{len(bills.billed):,} bills were made and {len(bills.reversed):,} reversed, {moved:,} quotations, "
            f"opportunities and contacts moved, and {len(calls)} files of telephony came, one of them cut on its way."
        )


def show_loaded(console: Console, chapter: Chapter) -> int:
    """Print what the last run loaded, the largest stores by name, and return how many requests it made."""
    found = _asked("engine", _LOADED, chapter.runs[-1])
    requests = sum(int(row[1]) for row in found)
    if not found:
        return 0
    title = f"Aggregated in {chapter.seconds[-1]:.0f} s: {requests} requests of {len(found)} stores"
    table = _table(title, "store", "requests", "records", "changed")
    for store, *counts in found[:SHOWN]:
        table.add_row(store.replace("_", " "), *(number(int(count)) for count in counts))
    if len(found) > SHOWN:
        rest = [sum(int(row[place]) for row in found[SHOWN:]) for place in (1, 2, 3)]
        table.add_row(f"{len(found) - SHOWN} others", *map(number, rest), style="dim")
    console.print(table)
    return requests


def show_refused(console: Console) -> None:
    """Print which files of the inbox were refused and why."""
    refused = "SELECT name, because FROM warehouse.files WHERE state = 'refused' ORDER BY at"
    for name, because in _asked("engine", refused):
        console.print(f"[yellow]{name} was refused:[/yellow] {because}")
    console.print()


def show_figures(console: Console, chapter: Chapter) -> None:
    """Print a handful of figures as an analyst reads them: the role that only reads, from the last publication."""
    glance = query_named(load_queries(chapter.project.folder), "headline")
    with psycopg.connect(store_url("analyst")) as connection:
        rows = ask(connection, glance).rows.to_pylist()
        billed = connection.execute(_BILLED.encode()).fetchall()
    table = _table("What analysts see", "", "figure", "")
    for row in rows:
        table.add_row(row["label"], f"{row['value']:,.2f}".removesuffix(".00"), row["unit"])
    table.add_section()
    for division, energy, unit, net, currency in billed:
        table.add_row(f"{division}, billed within 12 months", f"{energy:,}", unit)
        table.add_row("", f"{net:,.2f}", currency)
    console.print(table)


def promises(chapter: Chapter, again: int) -> list[Promise]:
    """Return what the chapter promises: cubes are what active data adds up to, and the same again changes nothing."""
    with open_depot(chapter.project, chapter.scenario, gate="off") as depot:
        began = time.monotonic()
        proof = orchestrate.verify(depot)
        seconds = time.monotonic() - began
    cells = sum(count for count, _ in proof.cubes.values())
    said = f"{len(proof.cubes)} cubes, {cells:,} cells recomputed in {seconds:.0f} s, {len(proof.differing)} differ"
    return [
        Promise("Every cube is what active data adds up to", not proof.differing, said),
        Promise("Aggregating again changes nothing", not again, f"{again} requests in {chapter.seconds[-1]:.0f} s"),
    ]


def _asked(role: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(store_url(role)) as connection:
        return connection.execute(statement.encode(), values or None).fetchall()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table
