"""`isthmus demo`: a landscape, the initial download through Airflow, what came of it, and a second run that writes
nothing.  Everything is set up on the way; what stands already is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from isthmus.errors import DataError
from isthmus.ledger import migrate
from isthmus.levels.download import open_desk
from isthmus.levels.orchestrate import give_up
from isthmus.levels.summary import number, print_summary, summary
from isthmus.project import Project
from isthmus.store import store_url
from monitor import grounds, verdict
from monitor.airflow_home import AirflowHome
from monitor.follow import follow
from monitor.runner import Runner

CONTRACTS, SEED = 20_000, 1


def demo(
    contracts: Annotated[int | None, typer.Option(min=1, help=f"Contracts of customers; {CONTRACTS:,} if new.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same landscape.")] = None,
    scenario: Annotated[str, typer.Option(help="A scenario of mappings/scenarios.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw the private store away and begin anew.")] = False,
) -> None:
    """Load a small IS-U landscape into CRM through Airflow, twice, and show what happened."""
    show(Console(highlight=False), contracts, seed, scenario, fresh)


def show(console: Console, contracts: int | None, seed: int | None, scenario: str, fresh: bool) -> None:
    """Do what `demo` promises, on any console; raises DataError when something is not as promised."""
    project = Project.load()
    scenario = project.scenario(scenario).name
    console.rule("[bold]Isthmus: from IS-U into CRM", align="left")
    with console.status("Starting the store ...") as status:
        if fresh:
            grounds.clear(console.print)
        grounds.start_store(status.update)
        connections = grounds.ensure_databases(project.folder)
        migrate(store_url("owner"))
    airflow = AirflowHome.of_project()
    with Runner.start(airflow) as runner:
        runner.prepare({s.pool: s.seats for s in project.systems.values()}, connections)
        with console.status("Creating IS-U and CRM ...") as status:
            wanted = grounds.wanted(project.scenario(scenario), contracts, seed)
            manifest = grounds.stand(connections, wanted, console.print, status.update)
        with console.status("Airflow is getting ready ..."):
            runner.wait_ready()
        first = run(console, runner, scenario, "The initial download")
        print_summary(first, console)
        promises = [verdict.of_reconciliation(first)]
        with open_desk(scenario=scenario, gate="off") as desk:
            promises.append(verdict.of_defects(console, manifest, desk.ledger, first["run"]))
        if verdict.written(first):
            second = run(console, runner, scenario, "The same again: nothing may be written")
            promises.append(verdict.of_second_run(second))
        else:
            console.print("Everything stood there already, so this was the second run: it wrote nothing.")
    verdict.tell(console, promises)
    look_next(console, first, runner)
    if not all(promise.kept for promise in promises):
        raise DataError("the demo did not end as promised; the lines marked with ✗ say where")


def run(console: Console, runner: Runner, scenario: str, title: str) -> dict[str, Any]:
    """Run the DAG once, show how far it is, and return its summary; raises DataError when it failed."""
    console.print()
    console.rule(f"[bold]{title}", align="left")
    with open_desk(scenario=scenario, gate="off") as desk:
        begun = runner.begin({"scenario": scenario, "mode": "full"})
        try:
            ended = follow(console, desk, runner, begun)
        except KeyboardInterrupt:
            give_up(begun, "stopped by hand")
            raise
        if ended["result"] != "success":
            failed = "\n".join(f"  {task}: {why}" for task, why in ended["failed"].items())
            raise DataError(f"the run {begun} failed in Airflow:\n{failed}\nAirflow's own log: {runner.log}")
        return summary(desk, begun)


def look_next(console: Console, found: dict[str, Any], runner: Runner) -> None:
    """Print where to look next."""
    held = found["totals"]["rejected"] + found["totals"]["parked"]
    console.print("\n[bold]Where to look next[/bold]")
    for command, about in (
        ("isthmus rejected", f"what was refused and why ({number(found['totals']['rejected'])})"),
        ("isthmus parked", f"what waits, for what, since when ({number(found['totals']['parked'])})"),
        ("isthmus trace contract 1", "the story of one row; any number of the lists will do"),
        ("isthmus reconcile contract", "compare both sides again, field by field"),
        ("isthmus landscape show", "the defects that were planted"),
        ("isthmus mappings show contract isu crm", "the rules it was carried by"),
        ("make up", "the same DAG in Airflow's pages, ready to click"),
    ):
        if held or command not in ("isthmus rejected", "isthmus parked"):
            console.print(f"  [cyan]{command:<40}[/cyan] {about}")
    console.print(f"  [dim]Airflow's log of these runs: {runner.log}[/dim]")
