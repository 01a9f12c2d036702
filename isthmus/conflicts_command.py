"""`isthmus conflicts`: what two sides disagree on, and a person's word on it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from isthmus.ledger.values import Conflict
    from isthmus.levels.download import Desk
    from isthmus.levels.settle_conflicts import Told
    from isthmus.mapping.spec import Flow

app = typer.Typer(help="What two sides disagree on: list, show, resolve.", no_args_is_help=True)

ScenarioName = Annotated[str, typer.Option("--scenario", help="A scenario of mappings/scenarios.")]
FlowName = Annotated[str, typer.Option("--flow", help="A synchronized flow or object; none means all.")]
Kind = Annotated[str, typer.Option("--kind", help="both changed, refused, duplicate, vanished or disagrees.")]
FieldName = Annotated[str, typer.Option("--field", help="A field of the model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ShowValues = Annotated[
    bool, typer.Option("--show-values", help="Show personal values too; that you looked is kept in the trail.")
]
By = Annotated[str, typer.Option("--by", help="Who decides or looks.", default_factory=getpass.getuser)]


@app.command("list")
def list_(
    flow: FlowName = "",
    kind: Kind = "",
    field: FieldName = "",
    state: Annotated[str, typer.Option(help="open, decided, applied, superseded, closed, or all.")] = "open",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 50,
    scenario: ScenarioName = "",
    as_json: AsJson = False,
) -> None:
    """List conflicts, the oldest first; personal values are hidden."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.settle_conflicts import standing, tell

    with open_desk(scenario=scenario, gate="off") as desk:
        found = standing(desk, chosen(desk, flow), kind=kind, field=field, state=state, limit=limit)
        told = [tell(desk, one) for one in found]
        counts = {
            (count.flow, count.kind, count.field): count.conflicts
            for count in desk.ledger.conflicts.counts()
            if count.state == "open"
        }
    if as_json:
        typer.echo(as_text(told))
        return
    print_list(told)
    if state == "open" and sum(counts.values()) > len(told):
        typer.echo(f"{sum(counts.values()):,} wait in all.")


@app.command("show")
def show(
    number: Annotated[int, typer.Argument(help="The conflict's number.")],
    by: By,
    show_values: ShowValues = False,
    scenario: ScenarioName = "",
    as_json: AsJson = False,
) -> None:
    """Show one conflict: both values, what was agreed last, who changed what when, its age."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.settle_conflicts import saw, tell

    with open_desk(scenario=scenario, gate="off") as desk:
        conflict = desk.ledger.conflicts.show(number)
        if show_values:
            saw(desk, conflict, by)
        told = tell(desk, conflict, show_values)
    if as_json:
        typer.echo(json.dumps(asdict(told), indent=2))
    else:
        print_one(told)


@app.command("resolve")
def resolve(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of conflicts.")] = None,
    take: Annotated[str, typer.Option(help="Whose value: source or target, or the system's name; else a value.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who decides.")] = "",
    why: Annotated[str, typer.Option("--why", help="The reason, for those who look later.")] = "",
    every: Annotated[
        bool, typer.Option("--all", help="All open conflicts that --flow, --kind and --field name.")
    ] = False,
    flow: FlowName = "",
    kind: Kind = "",
    field: FieldName = "",
    apply_now: Annotated[
        bool, typer.Option("--apply", help="Run the flow now, not with the next synchronization.")
    ] = False,
    scenario: ScenarioName = "",
) -> None:
    """Decide conflicts; the next synchronization applies it, `--apply` does so now."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.settle_conflicts import apply, decide

    if not (take and by and why):
        raise ConfigError("a decision needs --take SIDE or VALUE, --by NAME and --why TEXT; nothing was decided")
    with open_desk(scenario=scenario, gate="off") as desk:
        found = asked(desk, numbers or [], every, flow, kind, field)
        decided = decide(desk, found, take, by, why)
        typer.echo(f"{decided:,} decided: {take}.")
        if apply_now:
            flows = sorted({one.flow for one in found})
            for done in apply(desk, flows):
                said = f"waits: {done.waits}" if done.waits else f"{done.changed:,} rows written"
                typer.echo(f"{done.flow}: {said}")


@app.command("history")
def history(
    key: Annotated[str, typer.Argument(help="A thing's key in either system, as people write it.")],
    flow: FlowName = "",
    scenario: ScenarioName = "",
    as_json: AsJson = False,
) -> None:
    """Tell every conflict a thing ever had, and who decided what."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.settle_conflicts import history as history_of
    from isthmus.levels.settle_conflicts import tell

    with open_desk(scenario=scenario, gate="off") as desk:
        told = [tell(desk, one) for one in history_of(desk, key, chosen(desk, flow))]
    if as_json:
        typer.echo(as_text(told))
    else:
        print_list(told, ended=True)


def chosen(desk: Desk, flow: str) -> list[Flow]:
    """Return the synchronized flows that are meant; raises ConfigError for another name."""
    from isthmus.levels.rounds import synchronized

    return synchronized(desk, [flow] if flow else [])


def asked(desk: Desk, numbers: Sequence[int], every: bool, flow: str, kind: str, field: str) -> list[Conflict]:
    """Return the conflicts that a person means by numbers, or by `--all`; raises ConfigError for neither or both."""
    from isthmus.levels.settle_conflicts import waiting

    if bool(numbers) == every:
        raise ConfigError("say which conflicts: their numbers, or --all with --field, --kind or --flow")
    if not every:
        return [desk.ledger.conflicts.show(number) for number in numbers]
    if not (flow or kind or field):
        raise ConfigError("--all needs --field, --kind or --flow, so that nobody decides everything by accident")
    found = waiting(desk, chosen(desk, flow), kind, field)
    if not found:
        raise ConfigError("no open conflict is meant by that; `isthmus conflicts list` shows what waits")
    return found


def as_text(told: Sequence[Told]) -> str:
    """Spell conflicts as JSON."""
    return json.dumps([asdict(one) for one in told], indent=2)


def print_list(told: Sequence[Told], ended: bool = False) -> None:
    """Print a line for each conflict."""
    from isthmus.ledger.command import show as print_table
    from isthmus.levels.sync_summary import duration

    systems = list(dict.fromkeys(system for one in told for system in one.values))
    rows = [
        [
            str(one.number), one.object.replace("_", " "), one.key, one.field, one.kind,
            *(cell(one.values.get(system)) for system in systems), cell(one.base), duration(one.age_seconds),
            *([one.state, one.decision] if ended or one.state != "open" else [one.state, ""]),
        ]
        for one in told
    ]  # fmt: skip
    columns = ["number", "object", "key", "field", "kind", *systems, "agreed", "age", "state", "decision"]
    print_table("Conflicts", columns, rows)


def print_one(one: Told) -> None:
    """Print everything about a conflict."""
    from isthmus.ledger.command import show as print_table
    from isthmus.levels.sync_summary import duration

    print_table(
        f"Conflict {one.number}: {one.object.replace('_', ' ')} {one.key}, {one.field or 'the whole record'}",
        ["", "key", "value", "changed"],
        [
            *([system, one.keys[system], cell(value), one.changed[system]] for system, value in one.values.items()),
            ["agreed last", "", cell(one.base), ""],
        ],
    )
    score = f", alike by {one.score:.0%}" if one.score is not None else ""
    typer.echo(f"{one.kind}{score}: {one.because}")
    typer.echo(f"{one.state} since {duration(one.age_seconds)}, seen {one.times} times")
    if one.decision:
        typer.echo(f"decided: {one.decision}")


def cell(value: str | None) -> str:
    """Write a value; what is not there is said so."""
    return "(nothing)" if value is None else value
