"""The commands about quality: `isthmus quality check | show | run | page`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.errors import ConfigError, SpecError, did_you_mean
from isthmus.home import home
from isthmus.ledger import Ledger
from isthmus.project import Project
from quality.check import WHAT, read_checks
from quality.kinds import KINDS
from quality.suite import load_suites, read_suites

app = typer.Typer(help="The quality gate: suites, checks, results.", no_args_is_help=True, add_completion=False)

RunId = Annotated[str, typer.Argument(help="The run; without it the newest one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]


@app.command()
def check(as_json: Json = False) -> None:
    """Check suites and checks against the model; every mistake at once, with its line and column."""
    project = Project.load(home())
    suites, wrong = read_suites(project.folder)
    checks, wrong_too = read_checks(project.folder, project.catalogue)
    found = sorted({*wrong, *wrong_too})
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], ensure_ascii=False, indent=2))
    else:
        for item in found:
            typer.echo(str(item))
        lines = sum(len(suite.expectations) for suite in suites.values())
        told = f"{len(found)} findings" if found else "No findings"
        typer.echo(f"{told} in {len(suites)} suites with {lines} expectations, and {len(checks)} checks.")
    if found:
        raise typer.Exit(SpecError.exit_code)


@app.command()
def show(
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="An object, such as contract.")],
    as_json: Json = False,
) -> None:
    """Show what is expected of an object: its suite, and the checks across its rows."""
    project = Project.load(home())
    suites = load_suites(project.folder)
    checks = [item for item in read_checks(project.folder, project.catalogue)[0] if item.object == object_]
    suite = suites.get(object_)
    if suite is None and not checks:
        hint = did_you_mean(object_, suites) or f" There is one for {', '.join(suites)}."
        raise ConfigError(f'Nothing is expected of "{object_}".{hint}')
    if as_json:
        said: dict[str, Any] = {"suite": asdict(suite) if suite else None, "checks": [asdict(item) for item in checks]}
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2, default=str))
        return
    for line in suite.expectations if suite else ():
        share = f", {line.mostly:.0%} of the rows" if line.mostly < 1 else ""
        typer.echo(f"{line.severity:<9} {line.name}: {line.about}{share}  [{KINDS[line.kind].about}]")
    for item in checks:
        typer.echo(f"{item.severity:<9} {item.name}: {item.about}  [{WHAT[item.expect]}]")


@app.command()
def run(
    run_id: RunId = "",
    scenario: Annotated[str, typer.Option(help="The scenario; without it the run's own.")] = "",
    as_json: Json = False,
) -> None:
    """Run the checks across rows in the source, once, and keep what they find with a run."""
    from quality.across import run_checks

    project = Project.load(home())
    with _ledger() as ledger:
        begun = ledger.runs.get(_newest(ledger, run_id))
        of = project.scenario(scenario or begun.scenario)
        found = run_checks(project, ledger, of, begun.id, datetime.now(UTC).date())
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], ensure_ascii=False, indent=2))
        return
    for item in found:
        typer.echo(f"{item.state:<8} {item.expectation:<20} {item.unexpected:,} of {item.checked:,}: {item.about}")


@app.command()
def page(
    run_id: RunId = "",
    out: Annotated[Path | None, typer.Option(help="Where to write it; by default quality-RUN.html here.")] = None,
) -> None:
    """Write what the gate said in a run as one HTML page that needs nothing else."""
    from quality.page import page as page_of

    with _ledger() as ledger:
        name = _newest(ledger, run_id)
        text = page_of(ledger, name)
    path = out or Path(f"quality-{name}.html")
    path.write_text(text, encoding="utf-8")
    typer.echo(str(path))


@contextmanager
def _ledger() -> Iterator[Ledger]:
    from isthmus.store import store_url

    ledger = Ledger.open(store_url())
    try:
        yield ledger
    finally:
        ledger.close()


def _newest(ledger: Ledger, run_id: str) -> str:
    if run_id:
        return run_id
    newest = ledger.runs.list(1)
    if not newest:
        raise ConfigError("There is no run yet. Begin one with `isthmus load`.")
    return newest[0].id
