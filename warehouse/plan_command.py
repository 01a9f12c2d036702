"""`isthmus warehouse plan` and `apply`: what the files ask of the database, and doing it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from isthmus.errors import ConflictError
from isthmus.home import home
from isthmus.project import Project
from warehouse import shape
from warehouse.load_spec import load_warehouse
from warehouse.session import connected
from warehouse.shape_steps import Step
from warehouse.spec import Warehouse

Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
MARKS = {"keep": "=", "describe": "=", "refuse": "!", "drop": "-"}


def plan_command(as_json: Json = False) -> None:
    """Show what `apply` would do, step by step; nothing is changed."""
    with connected("owner") as connection:
        steps = shape.plan(connection, _warehouse())
    show(steps, as_json)
    if any(step.kind == "refuse" for step in steps):
        raise typer.Exit(ConflictError.exit_code)


def apply_command(as_json: Json = False) -> None:
    """Create what the files ask for and change what stands, losing nothing; a second time there is nothing to do."""
    with connected("owner") as connection:
        steps = shape.apply(connection, _warehouse(), datetime.now(UTC))
    show(steps, as_json)


def show(steps: Sequence[Step], as_json: bool) -> None:
    """Print the steps of a plan and how many there are; views and comments, which are many, by number alone."""
    if as_json:
        said = [{"kind": step.kind, "target": step.target, "text": step.text} for step in steps]
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2))
        return
    views = sum(step.kind == "view" for step in steps)
    comments = [step for step in steps if step.kind == "describe" and step.text.startswith("describe ")]
    for step in steps:
        if step.kind != "view" and step not in comments:
            typer.echo(f"{MARKS.get(step.kind, '+')} {step.text}")
    if comments:
        typer.echo(f"+ describe the tables of {len(comments)} stores and cubes")
    if views:
        typer.echo(f"+ create or replace {views} views of schema analysis")
    changes = sum(step.changes for step in steps)
    typer.echo(f"{changes} step{'' if changes == 1 else 's'}." if changes else "Everything stands as the files say.")


def _warehouse() -> Warehouse:
    project = Project.load(home())
    return load_warehouse(project.folder, project.catalogue)
