"""`isthmus warehouse check`: every mistake in the warehouse's files at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from isthmus.errors import SpecError
from isthmus.home import home
from isthmus.project import Project
from warehouse.load_spec import read_warehouse

Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]


def check(as_json: Json = False) -> None:
    """Check stores, dimensions and cubes against the model; every mistake at once, with its line and column."""
    project = Project.load(home())
    warehouse, found = read_warehouse(project.folder, project.catalogue)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], ensure_ascii=False, indent=2))
    else:
        for item in found:
            typer.echo(str(item))
        told = f"{len(found)} finding{'' if len(found) == 1 else 's'}" if found else "No findings"
        counts = (("store", warehouse.stores), ("dimension", warehouse.dimensions), ("cube", warehouse.cubes))
        said = ", ".join(f"{len(values)} {name}{'' if len(values) == 1 else 's'}" for name, values in counts)
        typer.echo(f"{told} in {said}.")
    if found:
        raise typer.Exit(SpecError.exit_code)
