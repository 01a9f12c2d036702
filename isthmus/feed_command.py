"""`isthmus feed`: let a system record which rows are touched, look at it, take it away again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from isthmus.connector import Pointers, Recorded, Watched
from isthmus.errors import ConfigError

app = typer.Typer(help="Change pointers: which rows of a system were touched.", no_args_is_help=True)

System = Annotated[str, typer.Argument(help="A system of isthmus.yaml.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help="The scenario whose flows say what is watched.")]


@app.command()
def script(system: System, scenario: ScenarioName = "") -> None:
    """Print the SQL that records changes, for a DBA to run; running it again changes nothing."""
    with _opened(system, scenario) as (connector, watched):
        typer.echo(connector.feed_script(watched), nl=False)


@app.command()
def install(system: System, scenario: ScenarioName = "") -> None:
    """Make triggers and the table of pointers in a system; what is there already stays as it is."""
    with _opened(system, scenario) as (connector, watched):
        connector.install_feed(watched)
        tables = connector.show_feed(watched)
        typer.echo(f"{system} records the changes of {len(tables)} tables.")
        _hint(system)
        _unindexed(tables)


@app.command()
def show(
    system: System,
    scenario: ScenarioName = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Tell which tables are recorded, how many pointers wait, and which flows read them."""
    from isthmus.ledger.command import open_ledger

    with _opened(system, scenario) as (connector, watched):
        tables = connector.show_feed(watched)
    with open_ledger() as ledger:
        cursors = ledger.feeds.of_system(system)
    kinds = {flow: json.loads(cursor)["kind"] for flow, cursor in cursors.items()}
    if as_json:
        typer.echo(json.dumps({"tables": [asdict(table) for table in tables], "flows": kinds}, indent=2))
        return
    for table in tables:
        typer.echo(f"{table.table:<40} {table.state:<16} {table.pointers:>10,} pointers  {', '.join(table.columns)}")
    for flow, kind in kinds.items():
        typer.echo(f"{flow:<40} reads by {kind}")
    _unindexed(tables)


@app.command()
def remove(system: System, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Take triggers and pointers away; flows that read them compare everything once when they find another feed."""
    if not yes:
        typer.confirm(f"Changes in {system} are not recorded any more from then on. Go on?", abort=True)
    with _connector(system) as connector:
        tables = connector.remove_feed()
    typer.echo(f"{len(tables)} tables of {system} are not recorded any more." if tables else "Nothing was installed.")


@app.command()
def prune(system: System) -> None:
    """Remove pointers that every flow has read; those that a flow still needs stay."""
    from isthmus.ledger.command import open_ledger

    with open_ledger() as ledger:
        cursors = list(ledger.feeds.of_system(system).values())
    with _connector(system) as connector:
        gone = connector.prune_feed(cursors)
    typer.echo(f"{gone:,} pointers of {system} removed.")


@contextmanager
def _connector(system: str) -> Iterator[Pointers]:
    from isthmus.project import Project

    opened = Project.load().connector(system)
    try:
        if not isinstance(opened, Pointers):
            raise ConfigError(
                f'The connector of "{system}" keeps no change pointers: they need PostgreSQL. '
                "`feed: date`, `timestamp` or `snapshot` in isthmus.yaml installs nothing."
            )
        yield opened
    finally:
        opened.close()


@contextmanager
def _opened(system: str, scenario: str) -> Iterator[tuple[Pointers, list[Watched]]]:
    from isthmus.levels.download import now
    from isthmus.levels.watch import watched_in
    from isthmus.project import Project

    project = Project.load()
    chosen = project.scenario(scenario)
    watched = watched_in(project, chosen, system, now().date())
    if not watched:
        raise ConfigError(
            f'No flow of the scenario "{chosen.name}" reads the changes of {system}: it is no source there, '
            "and nothing is kept in step with it."
        )
    with _connector(system) as connector:
        yield connector, watched


def _hint(system: str) -> None:
    from isthmus.home import MARKER
    from isthmus.project import Project

    said = Project.load().system(system).feed
    if said not in (None, "pointer"):
        typer.echo(f"{MARKER} says `feed: {said}` under {system}; take that line out, or no flow reads them.")


def _unindexed(tables: list[Recorded]) -> None:
    for table in tables:
        for tie in table.unindexed:
            typer.echo(f"No index finds {tie}: each change in {table.table} scans that table. An index makes it cheap.")
