"""The ledger on the command line: its shape, how flows stand, what is held back, a row's story, control."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from isthmus.errors import ConfigError, did_you_mean
from isthmus.ledger.blackouts import covers
from isthmus.ledger.ledger import Ledger
from isthmus.ledger.migrate import forget as forget_ledger
from isthmus.ledger.migrate import migrate as migrate_ledger
from isthmus.ledger.story import object_of, story
from isthmus.ledger.values import Blackout, RowException
from isthmus.store import store_url

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
STATES = {"p": "pending", "c": "confirmed", "r": "retired"}

FlowName = Annotated[str, typer.Argument(help="A flow (contract.isu.crm), or an object for all its flows.")]
AnyFlow = Annotated[str, typer.Argument(help="A flow or an object; none means all.")]
Limit = Annotated[int, typer.Option(help="At most so many rows.")]
By = Annotated[str, typer.Option(help="Who decides.", default_factory=getpass.getuser)]
Why = Annotated[str, typer.Option(help="The reason, for those who look later.")]

ledger_app = typer.Typer(help="The ledger itself: bring it up to date, look at it.", no_args_is_help=True)
flows_app = typer.Typer(help="Pause, drain, resume or throttle flows, and keep them still.", no_args_is_help=True)


@ledger_app.command("migrate")
def migrate() -> None:
    """Create the ledger in the store, or bring it to the shape this Isthmus expects."""
    typer.echo(f"The ledger is at revision {migrate_ledger(store_url('owner'))}.")


@ledger_app.command("status")
def ledger_status(limit: Limit = 10) -> None:
    """Show the newest runs, what the key map holds and which approvals wait."""
    with open_ledger() as ledger:
        runs, held, waiting = ledger.runs.list(limit), ledger.keys.estimate(), ledger.approvals.waiting()
    rows = [[run.id, run.scenario, run.kind, run.state, _time(run.started_at), _time(run.finished_at)] for run in runs]
    show("Runs", ["run", "scenario", "kind", "state", "started", "finished"], rows)
    show("Keys", ["object", "system", "about"], [[object, system, f"{rows:,}"] for object, system, rows in held])
    asked = [[wait.run, wait.flow, wait.what, f"{wait.share:.1%}", _time(wait.asked_at)] for wait in waiting]
    show("Waiting for approval", ["run", "flow", "what", "share", "asked"], asked)


@ledger_app.command("prune")
def prune(days: Annotated[int, typer.Option(help="Keep what is younger than so many days.", min=1)] = 400) -> None:
    """Forget old events, finished runs and resolved exceptions; keys and open exceptions stay."""
    with open_ledger() as ledger:
        gone = ledger.prune(ledger.database.now() - timedelta(days=days))
    typer.echo(", ".join(f"{count} {what}" for what, count in gone.items()) + " removed.")


@ledger_app.command("forget")
def forget(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Begin with an empty ledger, because the systems were exchanged or made anew: keys and decisions are lost."""
    if not yes:
        typer.confirm("The key map, runs and decisions of this ledger are lost for good. Go on?", abort=True)
    forget_ledger(store_url("owner"))
    typer.echo("The ledger is empty.")


def status() -> None:
    """Show each flow: state, watermark, last run, rows held back."""
    with open_ledger() as ledger:
        flows = ledger.flows.list()
        held: dict[tuple[str, str], int] = {}
        for reason in ledger.exceptions.counts():
            held[reason.flow, reason.kind] = held.get((reason.flow, reason.kind), 0) + reason.rows
    rows = []
    for flow in flows:
        state = f"paused by {flow.paused_by}: {flow.paused_why}" if flow.paused else flow.state
        state = f"{state}, draining" if flow.draining else state
        ways = both_ways([flow.flow])
        counts = [f"{sum(held.get((way, kind), 0) for way in ways):,}" for kind in ("rejected", "parked")]
        rows.append([flow.flow, state, flow.watermark or "", flow.last_run or "", *counts])
    show("Flows", ["flow", "state", "watermark", "last run", "rejected", "parked"], rows)


def rejected(flow: AnyFlow = "", limit: Limit = 50) -> None:
    """List rejected rows: key, field, reason; what is personal is masked."""
    rows = [
        [held.flow, held.key, held.field, held.code, held.message, held.value or "", str(held.times)]
        for held in _held(flow, "rejected", limit)
    ]
    show("Rejected rows", ["flow", "key", "field", "code", "reason", "value", "times"], rows)


def parked(flow: AnyFlow = "", limit: Limit = 50) -> None:
    """List parked rows and what each waits for."""
    rows = [
        [held.flow, held.key, f"{held.waits_object or ''} {held.waits_key or ''}", held.state, _time(held.first_seen)]
        for held in _held(flow, "parked", limit)
    ]
    show("Parked rows", ["flow", "key", "waits for", "state", "since"], rows)


def trace(
    object: Annotated[str, typer.Argument(help="An object of the model, e.g. contract.")],
    key: Annotated[str, typer.Argument(help="Its key in any system, as people write it, e.g. 4711.")],
) -> None:
    """Tell one row's story: its keys, the packages that covered it, its faults, what people did."""
    with open_ledger() as ledger:
        told = story(ledger, object, key)
    if told.is_empty:
        typer.echo(f"The ledger has never met {object} {key}: it was not read yet, or is spelt otherwise.")
    sides = [
        [side["system"], side["client"], side["key"], STATES[side["state"]], str(side["id"]), side["run"] or ""]
        for side in told.sides
    ]
    show(f"{object} {key}", ["system", "client", "key", "state", "Isthmus id", "since run"], sides)
    covered = [
        [package.run, package.id, package.state, str(package.epoch), _time(package.finished_at), package.message]
        for package in told.packages
    ]
    show("Packages whose range covers it", ["run", "package", "state", "epoch", "finished", "reason"], covered)
    faults = [
        [held.flow, held.kind, held.state, held.field, held.message, _time(held.first_seen), _time(held.last_seen)]
        for held in told.exceptions
    ]
    show("Faults", ["flow", "kind", "state", "field", "reason", "first", "last"], faults)
    trail = [[_time(event.at), event.who, event.what, event.flow or "", str(event.details)] for event in told.events]
    show("Trail", ["when", "who", "what", "flow", "details"], trail)


@flows_app.command("pause")
def pause(flow: FlowName, by: By, why: Why) -> None:
    """Stop a flow from starting new packages; those at work finish."""
    with open_ledger() as ledger:
        for name in named(ledger, flow):
            ledger.flows.pause(name, by, why)
            typer.echo(f"{name} is paused.")


@flows_app.command("resume")
def resume(flow: FlowName, by: By, why: Why = "") -> None:
    """Let a paused or draining flow go on."""
    with open_ledger() as ledger:
        for name in named(ledger, flow):
            ledger.flows.resume(name, by, why)
            typer.echo(f"{name} goes on.")


@flows_app.command("drain")
def drain(flow: FlowName, by: By, why: Why) -> None:
    """Let a flow finish what is queued and take nothing new, until it is resumed."""
    with open_ledger() as ledger:
        for name in named(ledger, flow):
            ledger.flows.drain(name, by, why)
            typer.echo(f"{name} finishes what is queued and takes nothing new.")


@flows_app.command("blackout")
def blackout(
    flow: Annotated[str, typer.Argument(help="A flow or an object; * means every flow.")],
    by: By,
    why: Why,
    begins: Annotated[str, typer.Option("--from", help="18:00, or 2026-03-31T18:00 for once.")] = "",
    ends: Annotated[str, typer.Option("--until", help="06:00 (next day if earlier), or 2026-04-01T06:00.")] = "",
    days: Annotated[str, typer.Option(help="Days on which it begins, e.g. mon,fri; every day if left out.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone of these times.")] = "UTC",
) -> None:
    """Keep a flow still in a window: every week by times of day, or once from and until."""
    with open_ledger() as ledger:
        for name in [flow] if flow == "*" else named(ledger, flow):
            number = ledger.flows.black_out(_window(name, why, by, begins, ends, days, zone))
            typer.echo(f"Blackout {number}: {name} keeps still. End it with `isthmus flows lift {number}`.")


@flows_app.command("lift")
def lift(
    number: Annotated[int, typer.Argument(help="The number of a blackout.")],
    by: By,
    why: Why = "",
) -> None:
    """End a blackout before its time."""
    with open_ledger() as ledger:
        lifted = ledger.flows.lift(number, by, why)
    typer.echo(f"Blackout {number} of {lifted.flow} is lifted.")


@flows_app.command("blackouts")
def list_blackouts(flow: AnyFlow = "") -> None:
    """List the blackouts that stand or are to come, and which of them are on."""
    with open_ledger() as ledger:
        now = ledger.database.now()
        names: Sequence[str | None] = named(ledger, flow) if flow else [None]
        found = {window.number: window for name in names for window in ledger.flows.blackouts(name)}
    rows = [
        [str(number), window.flow, _when(window), window.reason, window.made_by, "on" if covers(window, now) else ""]
        for number, window in sorted(found.items())
    ]
    show("Blackouts", ["number", "flow", "when", "why", "by", "now"], rows)


@flows_app.command("throttle")
def throttle(
    flow: FlowName,
    by: By,
    why: Why,
    rows: Annotated[int, typer.Option(help="Rows per second; 0 takes the limit away.", min=0)],
) -> None:
    """Limit how many rows per second a flow may carry."""
    with open_ledger() as ledger:
        for name in named(ledger, flow):
            ledger.flows.throttle(name, rows or None, by, why)
            typer.echo(f"{name}: {f'at most {rows:,} rows per second' if rows else 'no limit'}.")


def open_ledger() -> Ledger:
    """Open the ledger of the store; raises ConfigError or SystemUnavailable saying what to do."""
    return Ledger.open(store_url())


def named(ledger: Ledger, name: str) -> list[str]:
    """Return the flows a person means by a flow's name or an object's; raises ConfigError naming the nearest."""
    known = sorted({*(flow.flow for flow in ledger.flows.list()), *ledger.packages.flows()})
    meant = [flow for flow in known if name in (flow, object_of(flow))]
    if not meant:
        raise ConfigError(
            f'The ledger knows no flow or object "{name}".{did_you_mean(name, known)} '
            f"Known: {', '.join(known) or 'none, nothing has run yet'}."
        )
    return meant


def both_ways(flows: Sequence[str]) -> list[str]:
    """Return flows and the ways back, under which a synchronized flow tells what did not reach its source."""
    back = [f"{object_of(flow)}.{'.'.join(reversed(flow.split('.')[1:]))}" for flow in flows]
    return sorted({*flows, *back})


def _held(flow: str, kind: str, limit: int) -> list[RowException]:
    with open_ledger() as ledger:
        names: Sequence[str | None] = both_ways(named(ledger, flow)) if flow else [None]
        found = [
            held for name in names for held in ledger.exceptions.list(name, limit=limit, kind=kind, open_only=True)
        ]
    return found[:limit]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or that there is nothing; wide where the output is no terminal, so that no key is cut."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 200))
    if not rows:
        console.print(f"{title}: none", highlight=False)
        return
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)


def _window(flow: str, why: str, by: str, begins: str, ends: str, days: str, zone: str) -> Blackout:
    """Return the window that a person's words mean; raises ConfigError saying what was expected."""
    try:
        weekdays = tuple(sorted(DAYS.index(day.strip().lower()[:3]) + 1 for day in days.split(",") if day.strip()))
        if ":" in begins and "-" not in begins:
            return Blackout(flow, why, by, weekdays, time.fromisoformat(begins), time.fromisoformat(ends), zone)
        once = [datetime.fromisoformat(end) if end else None for end in (begins, ends)]
        starts_at, ends_at = (end.replace(tzinfo=end.tzinfo or ZoneInfo(zone)) if end else None for end in once)
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(
            f"a blackout from {begins or 'now'} until {ends or '(no end)'} on {days or 'every day'} in {zone} says no "
            "time; expected --from 18:00 --until 06:00 --days mon,fri, or --from 2026-03-31T18:00 --until ..., "
            "and a zone like Europe/Berlin"
        ) from error
    return Blackout(flow, why, by, weekdays, zone=zone, starts_at=starts_at, ends_at=ends_at)


def _when(window: Blackout) -> str:
    once = [
        f"from {_time(window.starts_at)}" * bool(window.starts_at),
        f"until {_time(window.ends_at)}" * bool(window.ends_at),
    ]
    if window.from_time is None or window.until_time is None:
        return " ".join(filter(None, once))
    days = ",".join(DAYS[day - 1] for day in window.weekdays) or "every day"
    return " ".join(filter(None, [f"{days} {window.from_time:%H:%M}-{window.until_time:%H:%M} {window.zone}", *once]))


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
