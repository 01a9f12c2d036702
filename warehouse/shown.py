"""How the commands of the warehouse speak: tables, JSON, times, what a run of them is called."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer

from isthmus.ledger.command import show
from warehouse.depot import Depot, open_depot
from warehouse.orchestrate import Step

FILE = re.compile(r"\S+/\S+")  # a note that is the name of a file, no more
Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
By = Annotated[str, typer.Option(help="Who decides.", default_factory=getpass.getuser)]
Why = Annotated[str, typer.Option(help="The reason, for those who look later.")]
Stores = Annotated[list[str] | None, typer.Argument(metavar="[STORE]...", help="Stores; none means all.")]
Scenario = Annotated[str, typer.Option(help="The scenario whose roles say which system is the back office.")]


@contextmanager
def at_depot(scenario: str = "", gate: str = "") -> Iterator[Depot]:
    """Open a depot for a command."""
    with open_depot(scenario=scenario, gate=gate) as depot:
        yield depot


def steps(found: Sequence[Step], as_json: bool) -> None:
    """Print what became of every store; stores of which nothing is to be told are one line."""
    if as_json:
        typer.echo(json.dumps([step.as_json() for step in found], indent=2))
        return
    told = [step for step in found if step.requests or step.notes or step.wrong]
    rows = [
        [
            step.store,
            _numbers(step.requests),
            number(step.records),
            number(step.held),
            number(step.changed),
            _said(step),
        ]
        for step in told
    ]
    columns = ["store", "requests", "records", "held", "changed", ""]
    if rows:
        show("Loaded", columns, rows)
    quiet = len(found) - len(told)
    if quiet:
        typer.echo(f"{quiet} of {len(found)} stores: nothing has changed." if told else "Nothing has changed.")


def _said(step: Step) -> str:
    """Return what there is to tell; of files that were taken only how many, and why a load failed stands below."""
    files = [said for said in step.notes if FILE.fullmatch(said)]
    taken = [f"{len(files)} files"] if len(files) > 1 else files
    return "; ".join(["failed"] * bool(step.wrong) + taken + [said for said in step.notes if said not in files])


def _numbers(requests: Sequence[int]) -> str:
    shown = " ".join(map(str, requests[:6]))
    return f"{shown} ... {requests[-1]}" if len(requests) > 6 else shown


def number(value: int) -> str:
    """Return a count as people read it."""
    return f"{value:,}" if value else "·"


def moment(at: datetime | None) -> str:
    """Return a time as people read it, in the zone of the store."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print rows as a table, or as JSON with everything they have."""
    if as_json:
        typer.echo(json.dumps([{name: _plain(value) for name, value in row.items()} for row in rows], indent=2))
        return
    show(title, [name.replace("_", " ") for name in columns], [[_cell(row[name]) for name in columns] for row in rows])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str | int | bool | None):
        return value
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, Sequence) else str(value)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)
