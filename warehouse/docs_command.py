"""`isthmus warehouse docs`: write the data dictionary, with lineage, into `docs/warehouse`."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.errors import SpecError
from isthmus.home import home
from isthmus.mapping.documents import stale_pages, write_pages
from isthmus.project import Project
from warehouse.dictionary import PLACE, documents
from warehouse.load_spec import load_warehouse


def docs(
    compare: Annotated[bool, typer.Option("--check", help="Write nothing; say what is out of date.")] = False,
) -> None:
    """Write the data dictionary: every view, its grain, units and meaning, and where each figure comes from."""
    project = Project.load(home())
    pages = documents(project, load_warehouse(project.folder, project.catalogue))
    touched = (stale_pages if compare else write_pages)(pages, project.folder / "docs", PLACE)
    if not touched:
        typer.echo("The dictionary is up to date.")
        return
    typer.echo("\n".join(f"{'out of date' if compare else 'written'}: docs/{name}" for name in touched))
    if compare:
        typer.echo("\nRun `isthmus warehouse docs` and commit what it writes.", err=True)
        raise typer.Exit(SpecError.exit_code)
