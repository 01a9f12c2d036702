"""The verbs of the levels: load, plan, reconcile, guard, delta.  Thin: they open a desk and print what came of it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from isthmus.errors import DataError

Objects = Annotated[list[str] | None, typer.Argument(help="Objects of the scenario; none means all.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help="A scenario of mappings/scenarios.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
First = Annotated[str, typer.Option("--from", help="First key, as people write it.")]
Last = Annotated[str, typer.Option("--to", help="Last key.")]


def load(
    objects: Objects = None,
    scenario: ScenarioName = "",
    first: First = "",
    last: Last = "",
    run: Annotated[str, typer.Option(help="Go on with this run instead of beginning one.")] = "",
    gate: Annotated[str, typer.Option(help="great_expectations, or off.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run the initial download in this process, without Airflow: same engine, same rows."""
    from isthmus.levels.download import download, open_desk
    from isthmus.levels.summary import print_progress, print_summary, summary

    with open_desk(scenario=scenario, gate=gate, report=lambda route, carried: print_progress(route, carried)) as desk:
        keys = (first, last) if first or last else ()
        done = download(desk, objects or (), "request" if keys else "full", keys, run)
        found = summary(desk, done)
    if as_json:
        typer.echo(json.dumps(found, default=str, indent=2))
    else:
        print_summary(found)


def plan(
    flow: Annotated[str, typer.Argument(help="An object (contract) or a flow (contract.isu.crm).")],
    scenario: ScenarioName = "",
    first: First = "",
    last: Last = "",
    limit: Annotated[int, typer.Option(help="Stop after about this many rows.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read and map a flow without writing: what would be new, changed, the same, rejected, parked."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.preview import preview
    from isthmus.levels.summary import print_preview

    with open_desk(scenario=scenario, gate="off") as desk:
        found = preview(desk, desk.flow(flow), (first, last) if first or last else (), limit)
    if as_json:
        shown = {"counts": found.counts, "differences": found.differences, "reasons": _listed(found.reasons)}
        typer.echo(json.dumps({"flow": found.flow, **shown, "warnings": _listed(found.warnings)}, indent=2))
    else:
        print_preview(found)


def reconcile(
    flows: Objects = None,
    scenario: ScenarioName = "",
    repair: Annotated[bool, typer.Option("--repair", help="Send the rows that differ again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --repair: only say what would be sent.")] = False,
    cap: Annotated[float, typer.Option(help="Largest share of rows a repair may touch.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Compare both sides of the flows field by field; --repair sends what differs in the owner's direction."""
    _compare(flows, scenario, repair, dry_run, cap, as_json, guard=False)


def guard(
    flows: Objects = None,
    scenario: ScenarioName = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be put right.")] = False,
    cap: Annotated[float, typer.Option(help="Largest share of rows that may be put right.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Find edits made in the target to view-only data; flows with `guard: repair` are put right."""
    _compare(flows, scenario, True, dry_run, cap, as_json, guard=True)


def delta(objects: Objects = None, scenario: ScenarioName = "", as_json: AsJson = False) -> None:
    """Carry what changed in the source since the last load or delta, as the source's feed tells it."""
    from isthmus.levels.delta import delta_flow
    from isthmus.levels.download import open_desk
    from isthmus.levels.summary import print_progress

    totals = {}
    with open_desk(scenario=scenario, gate="off", report=lambda route, carried: print_progress(route, carried)) as desk:
        for flow in desk.flows(objects or ()):
            if flow.level == "synchronize" and not objects:
                continue  # `isthmus sync` carries those, both ways
            totals[flow.object] = dict(delta_flow(desk, flow).counts)
    typer.echo(json.dumps(totals, indent=2) if as_json else "\n".join(f"{k}: {v}" for k, v in totals.items()))


def trace(
    object: Annotated[str, typer.Argument(help="An object of the model, e.g. contract.")],
    key: Annotated[str, typer.Argument(help="Its key, as people write it, e.g. 4711.")],
    scenario: ScenarioName = "",
) -> None:
    """Tell one row's story: its keys, packages, faults, what people did, and how it stands on both sides today."""
    from isthmus.ledger import command
    from isthmus.levels.download import open_desk
    from isthmus.levels.summary import print_today
    from isthmus.levels.today import today

    command.trace(object, key)
    with open_desk(scenario=scenario, gate="off") as desk:
        for flow in desk.flows((object,)):
            print_today(flow, today(desk, flow, key))


def approve(
    run: Annotated[str, typer.Argument(help="The run that is held.")],
    flow: Annotated[str, typer.Argument(help="The flow, e.g. contract.isu.crm.")],
    by: Annotated[str, typer.Option("--by", help="Who approves.")],
) -> None:
    """Approve a change larger than the flow's mass-change share; the run may then go on."""
    from isthmus.levels.download import open_desk
    from isthmus.levels.limits import MASS_CHANGE

    with open_desk(gate="off") as desk:
        desk.ledger.approvals.approve(run, flow, MASS_CHANGE, by)
    typer.echo(f"{flow} of run {run} may change as many rows as it needs. Run it again with --run {run}.")


def _compare(
    flows: list[str] | None, scenario: str, repair: bool, dry_run: bool, cap: float, as_json: bool, guard: bool
) -> None:
    from isthmus.levels.download import open_desk
    from isthmus.levels.repair import compare_flow
    from isthmus.levels.summary import print_comparison

    found: list[dict[str, Any]] = []
    with open_desk(scenario=scenario, gate="off") as desk:
        chosen = [desk.flow(name) for name in flows] if flows else desk.flows()
        for flow in chosen:
            if guard and flow.level == "synchronize":
                continue  # an edit travels, or is put right as it comes
            found.append(compare_flow(desk, flow, repair=repair, dry_run=dry_run, cap=cap, guard=guard))
            if not as_json:
                print_comparison(found[-1])
    if as_json:
        typer.echo(json.dumps(found, default=str, indent=2))
    left = [item["flow"] for item in found if not item["agrees"] and not item["repaired"]]
    if left:
        raise DataError(
            f"The systems differ in {', '.join(left)}. `isthmus reconcile {left[0]} --repair` sends those rows again."
        )


def _listed(counter: Any) -> list[dict[str, Any]]:
    return [{"what": list(what), "rows": rows} for what, rows in counter.most_common()]
