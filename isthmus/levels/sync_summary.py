"""The end of a synchronization in words: what travelled where, what is held, how far behind each flow is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from isthmus.levels.rounds import Round
from isthmus.levels.summary import number, object_of

if TYPE_CHECKING:
    from isthmus.levels.baseline import Forecast

OWN = ("put_right", "held", "refused", "parked", "rejected", "again", "unchanged")
SHOWN = {"put_right": "put right", "unchanged": "echo"}


def print_rounds(rounds: Sequence[Round], sides: Mapping[str, tuple[str, str]], console: Console | None = None) -> None:
    """Print a line for every flow; `sides` names source and target of each."""
    console = console or Console()
    systems = list(dict.fromkeys(sides.values()))
    for source, target in systems:
        mine = [found for found in rounds if sides[found.flow] == (source, target)]
        console.print(_table(mine, source, target))
    for found in rounds:
        if found.waits:
            console.print(f"  {found.flow} did not run: {found.waits}", highlight=False)
    held = sum(found.counts.get("conflicts", 0) for found in rounds)
    if held:
        console.print(
            f"  {held:,} conflicts of what was compared wait for a person: `isthmus conflicts list` shows all",
            highlight=False,
        )


def _table(rounds: Sequence[Round], source: str, target: str) -> Table:
    title = "In step (things, and in brackets the fields that travelled)"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = (SHOWN.get(what, what) for what in OWN)
    always = ("compared", f"to {target}", f"to {source}")
    names = ("polled", *always, "new", *shown, "lag")
    rows = [_cells(found) for found in rounds]
    told = [any(row[place] != "·" for row in rows) or name in always for place, name in enumerate(names)]
    table.add_column("object", no_wrap=True)
    for name in compress(names, told):  # what did not happen takes no room
        table.add_column(name, justify="right", no_wrap=True)
    for found, row in zip(rounds, rows, strict=True):
        table.add_row(object_of(found.flow), *compress(row, told))
    return table


def _cells(found: Round) -> tuple[str, ...]:
    counts = {**found.counts, "held": found.counts.get("conflicts", 0) - found.counts.get("refused", 0)}
    return (
        number(both(counts, "polled")),
        number(counts.get("things", 0)),
        travelled(counts, "target"),
        travelled(counts, "source"),
        number(both(counts, "created")),
        *(number(counts.get(what, 0)) for what in OWN),
        duration(found.lag_seconds),
    )


def both(counts: Mapping[str, int], what: str) -> int:
    """Add up a count of both sides."""
    return counts.get(f"{what}_source", 0) + counts.get(f"{what}_target", 0)


def travelled(counts: Mapping[str, int], side: str) -> str:
    """Write how many things, and fields of them, went to a side.

    >>> travelled({"updated_target": 3, "fields_to_target": 5}, "target"), travelled({}, "source")
    ('3 (5)', '·')
    """
    things, fields = counts.get(f"updated_{side}", 0), counts.get(f"fields_to_{side}", 0)
    return f"{things:,} ({fields:,})" if things or fields else "·"


def duration(seconds: float) -> str:
    """Write how long something waits.

    >>> duration(0), duration(42), duration(150), duration(7 * 3600), duration(3 * 86400)
    ('·', '42 s', '2 min', '7 h', '3 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * (1 if unit == "min" else 2):
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s" if seconds >= 1 else "·"


def print_forecast(found: Forecast, source: str, target: str, console: Console | None = None) -> None:
    """Print what a run would do to a flow, field by field."""
    console = console or Console()
    things = found.things
    said = {
        "compared": "on both sides",
        "create_target": f"would be made in {target}",
        "create_source": f"would be made in {source}",
        "vanished": "have vanished on one side",
        "not_comparable": "cannot be compared",
    }
    told = ", ".join(f"{things[name]:,} {text}" for name, text in said.items() if things.get(name))
    console.print(f"[bold]{found.flow}[/bold]: {told or 'nothing on either side'}", highlight=False)
    if not found.fields:
        console.print("  both sides agree in every field", highlight=False)
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("field", "owner", "if both changed"):
        table.add_column(name, no_wrap=True)
    for name in (f"to {target}", f"to {source}", "put right", "held", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("for example")
    for item in found.fields:
        owner = source if item.owner == "source" else target
        policy = f"only {owner} edits" if item.edits == "owner" else item.on_conflict
        counts = [item.counts.get(what, 0) for what in ("to_target", "to_source", "put_right", "held", "refused")]
        table.add_row(item.field, owner, policy, *map(number, counts), ", ".join(item.keys[:3]))
    console.print(table)
