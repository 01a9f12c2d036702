"""Show how far a run is while it works: a live table on a terminal, a line per object elsewhere."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from isthmus.ledger.values import Progress
from isthmus.levels.download import Desk
from isthmus.levels.route import flow_name
from isthmus.levels.summary import number, object_of
from monitor.runner import Runner

LOOK = 0.4  # seconds between two looks into the ledger
ENOUGH = 5_000  # rows; below, the clock is too coarse for a rate
COLUMNS = ("", "object", "packages", "read", "new", "changed", "same", "rejected", "parked", "rows/s")


@dataclass(slots=True)
class Watch:
    """When a flow's first package was planned and its last one done, by our own clock in seconds."""

    began: float
    ended: float = 0.0

    def seconds(self, now: float) -> float:
        """Return how long the flow has been at work."""
        return max((self.ended or now) - self.began, LOOK)


def follow(console: Console, desk: Desk, runner: Runner, run: str) -> dict[str, Any]:
    """Follow a run in the ledger until Airflow says how it ended, and return that answer."""
    names = [flow_name(flow) for flow in desk.flows()]
    watches: dict[str, Watch] = {}
    told: set[str] = set()
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    if live:
        live.start()
    try:
        while True:
            ended = None
            with contextlib.suppress(queue.Empty):
                ended = runner.hear(LOOK)
            found = {progress.flow: progress for progress in desk.ledger.packages.progress(run)}
            _clock(found.values(), watches)
            if live:
                live.update(_table(names, found, watches))
            else:
                _lines(console, names, found, watches, told)
            if ended:
                return ended
    finally:
        if live:
            live.stop()


def _clock(found: Iterable[Progress], watches: dict[str, Watch]) -> None:
    now = time.monotonic()
    for progress in found:
        watch = watches.setdefault(progress.flow, Watch(now))
        if progress.done == progress.packages:
            watch.ended = watch.ended or now
        else:
            watch.ended = 0.0


def _table(names: list[str], found: dict[str, Progress], watches: dict[str, Watch]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("", "object") else "right", no_wrap=True)
    for name in names:
        progress = found.get(name)
        if progress is None:
            table.add_row("[dim]·[/dim]", f"[dim]{object_of(name)}[/dim]", *[""] * 8)
            continue
        done = progress.done == progress.packages
        mark = "[red]✗[/red]" if progress.failed else "[green]✓[/green]" if done else "[yellow]▸[/yellow]"
        table.add_row(mark, object_of(name), *_cells(progress, watches[name]))
    return table


def _cells(progress: Progress, watch: Watch) -> list[str]:
    seconds = watch.seconds(time.monotonic())
    rate = progress.rows_read / seconds if progress.rows_read >= ENOUGH else 0
    counts = (
        progress.rows_read, progress.rows_inserted, progress.rows_updated, progress.rows_unchanged,
        progress.rows_rejected, progress.rows_parked, round(rate),
    )  # fmt: skip
    return [f"{progress.done}/{progress.packages}", *map(number, counts)]


def _lines(
    console: Console, names: list[str], found: dict[str, Progress], watches: dict[str, Watch], told: set[str]
) -> None:
    for name in names:
        progress = found.get(name)
        if progress and progress.done == progress.packages and name not in told:
            told.add(name)
            cells = _cells(progress, watches[name])
            shown = [f"{cell} {what}" for what, cell in zip(COLUMNS[3:], cells[1:], strict=True) if cell != "·"]
            console.print(f"  {object_of(name):<20} {', '.join(shown)}")
