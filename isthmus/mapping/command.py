"""The commands about mappings: `isthmus check`, `isthmus mappings`, `isthmus docs`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.errors import ConfigError, Finding, SpecError, did_you_mean
from isthmus.home import MARKER, home
from isthmus.mapping import documents, examples, sheet
from isthmus.mapping.load import load_catalogue, read_catalogue
from isthmus.mapping.spec import Catalogue

Folder = Annotated[Path | None, typer.Option(help="The project folder; by default the one you are in.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]

mappings = typer.Typer(help="Look at mappings: list, show, test.", no_args_is_help=True, add_completion=False)


def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Only what stands in these files or folders.")] = None,
    offline: Annotated[bool, typer.Option(help="Do not ask the systems for their tables.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Check the model, mappings, code tables and scenarios; every mistake at once, with its line and column."""
    root = (folder or home()).resolve()
    catalogue, found = read_catalogue(root)
    reached: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    if not found:
        found = examples.findings_of(examples.run_examples(catalogue))
    if not offline and (root / MARKER).is_file():
        live, reached, silent = _live(catalogue, root)
        found = tuple(sorted({*found, *live}))
    found = _under(found, paths or [], root)
    if as_json:
        _print_json({"findings": [asdict(item) for item in found], "asked": reached, "not_reached": silent})
    else:
        _print_findings(found, catalogue, reached, silent)
        _print_unseen(catalogue, root)
    if found:
        raise typer.Exit(SpecError.exit_code)


def _live(catalogue: Catalogue, root: Path) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[str, ...]]:
    from isthmus.mapping.live import check_live
    from isthmus.project import Project

    return check_live(catalogue, Project.load(root))


def _under(found: Iterable[Finding], paths: Sequence[Path], root: Path) -> tuple[Finding, ...]:
    wanted = [path.resolve() for path in paths]
    for path in wanted:
        if not path.exists():
            raise ConfigError(f"There is no {path}. Name a file or folder of the project {root}.")
    if not wanted:
        return tuple(found)
    return tuple(item for item in found if any((root / item.file).resolve().is_relative_to(path) for path in wanted))


def _print_findings(
    found: Sequence[Finding], catalogue: Catalogue, reached: Sequence[str], silent: Sequence[str]
) -> None:
    for item in found:
        typer.echo(str(item))
    if found:
        files = len({item.file for item in found})
        typer.echo(f"\n{_count(len(found), 'finding')} in {_count(files, 'file')}.")
    else:
        mapped = _count(len(catalogue.mappings), "mapping")
        typer.echo(f"No findings in {_count(len(catalogue.models), 'object')}, {mapped} and their examples.")
    if reached:
        typer.echo(f"Columns were compared with the tables of {', '.join(reached)}.")
    if silent:
        typer.echo(f"Columns were not compared with {', '.join(silent)}, which cannot be reached or holds no table.")


def _print_unseen(catalogue: Catalogue, root: Path) -> None:
    """Name the tables whose changes are accepted to be missed (`changed: none`) in what is synchronized."""
    from isthmus.mapping.live import unseen
    from isthmus.project import Project

    found = unseen(catalogue, Project.load(root)) if (root / MARKER).is_file() else ()
    for object_, system in dict.fromkeys((item.object, item.system) for item in found):
        missed = [item for item in found if (item.object, item.system) == (object_, system)]
        tables = ", ".join(f"{item.table} ({', '.join(item.fields)})" for item in missed)
        typer.echo(f"{object_} in {system}: changes in these tables alone are not seen by a feed by date: {tables}.")
    if found:
        typer.echo(
            'Feeds by pointer or snapshot see them: `isthmus feed install SYSTEM`, or "feed: snapshot" in isthmus.yaml.'
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@mappings.command("list")
def list_(folder: Folder = None, as_json: Json = False) -> None:
    """List the objects of the model and the systems that speak them."""
    catalogue = load_catalogue(folder or home())
    rows = []
    for name in catalogue.order(tuple(catalogue.models)):
        systems = [system for system, object_ in catalogue.mappings if object_ == name]
        flows = [f"{a} -> {b}" for a, b in documents.routes(catalogue, name) if a != b]
        rows.append((name, systems, flows, catalogue.models[name].about))
    if as_json:
        _print_json([dict(zip(("object", "systems", "flows", "about"), row, strict=True)) for row in rows])
        return
    cells = [(name, ", ".join(systems), ", ".join(flows), about) for name, systems, flows, about in rows]
    typer.echo("\n".join(sheet.table(("object", "spoken by", "flows", "what it is"), cells)))


@mappings.command()
def show(object_: str, source: str, target: str, folder: Folder = None, as_json: Json = False) -> None:
    """Show an object between two systems: source column, rule, model field, rule, target column."""
    composed = sheet.compose(load_catalogue(folder or home()), object_, source, target)
    if as_json:
        _print_json(asdict(composed))
    else:
        typer.echo(sheet.text(composed))


@mappings.command()
def test(
    object_: Annotated[str, typer.Argument(help="Only this object.")] = "",
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Run the examples inside the mappings and compare what they give with what they say."""
    catalogue = load_catalogue(folder or home())
    if object_ and object_ not in catalogue.models:
        known = did_you_mean(object_, catalogue.models) or f" Known: {', '.join(catalogue.models)}."
        raise ConfigError(f'The model has no object "{object_}".{known}')
    outcomes = examples.run_examples(catalogue, object_)
    if as_json:
        _print_json([{**asdict(outcome), "ok": outcome.ok} for outcome in outcomes])
    else:
        _print_outcomes(outcomes)
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(SpecError.exit_code)


def _print_outcomes(outcomes: Sequence[examples.Outcome]) -> None:
    for outcome in outcomes:
        typer.echo(f"{'ok   ' if outcome.ok else 'WRONG'}  {outcome.name}")
        if outcome.ok:
            continue
        typer.echo(f"       {outcome.position.file}:{outcome.position.line}:{outcome.position.column}")
        for fault in outcome.faults:
            typer.echo(f"       {fault}")
        wrong = [(item.field, examples.shown(item.expected), examples.shown(item.found)) for item in _wrong(outcome)]
        for line in sheet.table(("field", "expected", "found"), wrong) if wrong else ():
            typer.echo(f"       {line}")
    good = sum(outcome.ok for outcome in outcomes)
    typer.echo(f"\n{_count(len(outcomes), 'example')}, {good} true, {len(outcomes) - good} wrong.")


def _wrong(outcome: examples.Outcome) -> list[examples.Compared]:
    return [item for item in outcome.fields if not item.ok]


def docs(
    compare: Annotated[bool, typer.Option("--check", help="Write nothing; say what is out of date.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Write the mapping sheets and the list of functions into `docs/`."""
    root = folder or home()
    catalogue = load_catalogue(root)
    touched = (documents.out_of_date if compare else documents.write_documents)(catalogue, root / "docs")
    if as_json:
        _print_json({"out_of_date" if compare else "written": touched})
    elif not touched:
        typer.echo("The documents are up to date.")
    else:
        typer.echo("\n".join(f"{'out of date' if compare else 'written'}: docs/{name}" for name in touched))
    if compare and touched:
        typer.echo("\nRun `isthmus docs` and commit what it writes.", err=True)
        raise typer.Exit(SpecError.exit_code)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
