"""`isthmus demo`: a landscape, the initial download through Airflow, the same again, then a day of business on both
sides that a synchronization carries across, and a next one that writes nothing; at last the warehouse of it all.

Everything is set up on the way; what stands already is kept.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
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
from landscape.live_day import kept
from landscape.manifest import Manifest
from monitor import aggregation, both_ways, grounds, stock, verdict
from monitor.airflow_home import AirflowHome
from monitor.both_ways import Business
from monitor.follow import follow
from monitor.runner import Runner

REFUSED = 4  # the planted defect `ends before it starts`, which the mapping rejects


def demo(
    contracts: Annotated[
        int | None, typer.Option(min=1, help=f"Contracts of customers; {grounds.CONTRACTS:,} if new.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same landscape.")] = None,
    scenario: Annotated[str, typer.Option(help="A scenario of mappings/scenarios.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw the private store away and begin anew.")] = False,
) -> None:
    """Load a small IS-U landscape into CRM through Airflow, keep both in step, fill the warehouse, show it."""
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
            manifest = grounds.stand(connections, wanted, console.print, status.update, scenario)
            business = Business(connections)
        with console.status("Airflow is getting ready ..."):
            runner.wait_ready()
        first = run(console, runner, scenario, "The initial download")
        print_summary(first, console)
        promises = [verdict.of_reconciliation(first)]
        with open_desk(scenario=scenario, gate="off") as desk:
            promises.append(verdict.of_defects(console, manifest, desk.ledger, first["run"]))
        if verdict.written(first):
            title = "The same again, while IS-U goes on working: nothing may be written"
            second = run(console, runner, scenario, title, business.meanwhile)
            promises.append(verdict.of_second_run(second))
        else:
            console.print("Everything stood there already, so this was the second run: it wrote nothing.")
        promises += both(console, runner, scenario, business)
        lacking = stock.missing(project)
        if not lacking:
            promises += aggregated(console, runner, aggregation.Chapter(project, manifest, scenario), connections)
        else:
            console.print(f"The warehouse is left out: {lacking}.\n")
    verdict.tell(console, promises)
    look_next(console, first, manifest, runner.log)
    if not all(promise.kept for promise in promises):
        raise DataError("the demo did not end as promised; the lines marked with ✗ say where")


def both(console: Console, runner: Runner, scenario: str, business: Business) -> list[verdict.Promise]:
    """Play the day, keep both sides in step twice, and say what became of it; raises DataError when a run failed."""
    console.print()
    console.rule("[bold]A day of business on both sides", align="left")
    with console.status("People are at work ..."):
        business.rest()
    with business.watched() as witness, open_desk(scenario=scenario, gate="off") as desk:
        console.print(
            f"{business.changes:,} partners, accounts and contracts were changed in IS-U, in CRM or in both. Change "
            "pointers tell of them, also where nobody stamped the change. Airflow runs contract_sync:\n"
        )
        began = time.monotonic()
        first = both_ways.rounds_of(desk, synchronize(console, runner, scenario))
        both_ways.show_rounds(console, first, time.monotonic() - began)
        both_ways.show_held(console, desk, command())
        # What was made in CRM has a number only now; the second run brings it to IS-U, where nothing more can follow.
        again = both_ways.rounds_of(desk, synchronize(console, runner, scenario))
        late = both_ways.written(again)
        if late:
            again = both_ways.rounds_of(desk, synchronize(console, runner, scenario))
        with console.status("A witness looks at both sides ..."):
            agreement = both_ways.agreement(witness, desk)
            fared = witness.account(business.days, both_ways.owners(desk))
    both_ways.show_day(console, fared)
    both_ways.show_agreement(console, agreement)
    return both_ways.promises(fared, agreement, first, again, late)


def aggregated(
    console: Console, runner: Runner, chapter: aggregation.Chapter, urls: dict[str, str]
) -> list[verdict.Promise]:
    """Fill the warehouse, add a day, aggregate once more for nothing, and show what analysts see of it."""
    console.print()
    console.rule("[bold]The warehouse: what analysts see", align="left")
    aggregate(console, runner, chapter)
    aggregation.show_loaded(console, chapter)
    with console.status("Business goes on ..."):
        console.print(f"{chapter.play(urls, len(kept(urls['isu'])))}\n")
    aggregate(console, runner, chapter)
    aggregation.show_loaded(console, chapter)
    aggregation.show_refused(console)
    aggregate(console, runner, chapter)
    again = aggregation.show_loaded(console, chapter)
    aggregation.show_figures(console, chapter)
    with console.status("Every cube is recomputed ..."):
        return aggregation.promises(chapter, again)


def aggregate(console: Console, runner: Runner, chapter: aggregation.Chapter) -> None:
    """Run `bw_aggregation` once; raises DataError when it failed."""
    began = time.monotonic()
    with console.status("The warehouse is brought up to date ..."):
        begun = runner.begin({"scenario": chapter.scenario, "verify": "no"}, dag="bw_aggregation")
        ended = runner.ended()
    refuse_failed(ended, begun, runner)
    chapter.runs.append(begun)
    chapter.seconds.append(time.monotonic() - began)


def synchronize(console: Console, runner: Runner, scenario: str) -> str:
    """Run `contract_sync` once and return its id; raises DataError when it failed."""
    with console.status("Both sides are being brought in step ..."):
        begun = runner.begin({"scenario": scenario}, dag="contract_sync")
        ended = runner.ended()
    refuse_failed(ended, begun, runner)
    return begun


def refuse_failed(ended: dict[str, Any], begun: str, runner: Runner) -> None:
    """Raise DataError with the tasks that failed and why."""
    if ended["result"] != "success":
        failed = "\n".join(f"  {task}: {why}" for task, why in ended["failed"].items())
        raise DataError(f"the run {begun} failed in Airflow:\n{failed}\nAirflow's own log: {runner.log}")


def run(
    console: Console, runner: Runner, scenario: str, title: str, meanwhile: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Run the download once, show how far it is, and return its summary; raises DataError when it failed.

    `meanwhile` is done while it runs.
    """
    console.print()
    console.rule(f"[bold]{title}", align="left")
    with open_desk(scenario=scenario, gate="off") as desk:
        begun = runner.begin({"scenario": scenario, "mode": "full"})
        try:
            meanwhile()
            ended = follow(console, desk, runner, begun)
        except KeyboardInterrupt:
            give_up(begun, "stopped by hand")
            raise
        refuse_failed(ended, begun, runner)
        return summary(desk, begun)


def look_next(console: Console, found: dict[str, Any], manifest: Manifest, log: Path) -> None:
    """Print where to look next, with commands that can be copied as they are."""
    program, totals = command(), found["totals"]
    refused = [key.lstrip("0") for planted in manifest.planted if planted.number == REFUSED for key in planted.keys]
    console.print("\n[bold]Where to look next[/bold]")
    for said, about in (
        (f"{program} rejected", f"what was refused and why ({number(totals['rejected'])})"),
        (f"{program} parked", f"what waits, for what, since when ({number(totals['parked'])})"),
        (f"{program} trace contract {refused[0]}" if refused else "", "the story of a contract that was refused"),
        (f"{program} reconcile contract", "compare both sides again, field by field"),
        (f"{program} sync", "carry what changed on either side since to the other"),
        (f"{program} conflicts list", "what both sides changed and a person decides"),
        (f"{program} landscape show", "the defects that were planted"),
        (f"{program} mappings show contract isu crm", "the rules a contract is carried by"),
        (f"{program} query", "what analysts ask, and the answers"),
        (f"{program} report", "one page of pictures"),
        (f"{program} warehouse status", "stores and cubes, and what waits"),
        ("make up", "the DAGs in Airflow's pages, ready to click"),
    ):
        if said:
            console.print(f"  [cyan]{said:<50}[/cyan] {about}", soft_wrap=True)
    console.print(f"  [dim]Airflow's log of these runs: {os.path.relpath(log)}[/dim]", soft_wrap=True)


def command() -> str:
    """Return how `isthmus` is called from here: `make` sets a path of its own, the shell may know none."""
    program = Path(sys.executable).with_name("isthmus")
    near = os.path.relpath(program)
    return near if program.is_file() and not near.startswith("..") else "isthmus"
