"""`isthmus sync`: bring the synchronized flows in step once, take over what stands on both sides, or only look."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.errors import ConflictError

if TYPE_CHECKING:
    from isthmus.levels.baseline import Forecast
    from isthmus.levels.download import Desk
    from isthmus.levels.rounds import Round
    from isthmus.mapping.spec import Flow


def sync(
    objects: Annotated[list[str] | None, typer.Argument(help="Synchronized objects; none means all.")] = None,
    scenario: Annotated[str, typer.Option("--scenario", help="A scenario of mappings/scenarios.")] = "",
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Compare everything once: take over what stands on both sides.")
    ] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Write nothing: say field by field who would win.")
    ] = False,
    restored: Annotated[
        str, typer.Option("--restored", help="A system that was set back to an older copy: all travels to it.")
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who asks; kept with a baseline and with --restored.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Carry what changed on either side to the other, field by field; conflicts are held for a person."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.rounds import synchronized

    with open_desk(scenario=scenario, gate="off") as desk:
        flows = synchronized(desk, objects or ())
        if what_if:
            look(desk, flows, baseline, as_json)
        else:
            run(desk, flows, baseline or bool(restored), by, as_json, restored)


def run(desk: Desk, flows: list[Flow], baseline: bool, by: str, as_json: bool, restored: str = "") -> None:
    """Run the flows in their order; one that a person has to look at does not stop the others."""
    from isthmus.levels.rounds import Round, keep_in_step
    from isthmus.levels.route import flow_name
    from isthmus.levels.sync_summary import print_rounds
    from isthmus.levels.take_over import take_over

    rounds: list[Round] = []
    held: list[ConflictError] = []
    for flow in flows:
        try:
            rounds.append(take_over(desk, flow, by, restored) if baseline else keep_in_step(desk, flow))
        except ConflictError as error:
            held.append(error)
            rounds.append(Round(flow_name(flow), waits=str(error)))
    if as_json:
        typer.echo(json.dumps([found.as_json() for found in rounds], indent=2))
    else:
        print_rounds(rounds, {flow_name(flow): (flow.source, flow.target) for flow in flows})
    if held:
        raise held[0]


def look(desk: Desk, flows: list[Flow], baseline: bool, as_json: bool) -> None:
    """Say what a run, or a baseline, would do to every thing, and who would win where the sides differ."""
    from isthmus.levels.baseline import forecast
    from isthmus.levels.sync_summary import print_forecast

    found: list[Forecast] = []
    for flow in flows:
        found.append(forecast(desk, flow, whole=baseline))
        if not as_json:
            print_forecast(found[-1], flow.source, flow.target)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], indent=2))
