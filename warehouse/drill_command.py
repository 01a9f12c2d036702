"""`isthmus warehouse drill`: what a cell of a cube is made of."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from isthmus.errors import ConfigError, did_you_mean
from isthmus.home import home
from isthmus.project import Project
from warehouse.drill import LIMIT, Traced
from warehouse.drill import drill as traced_in
from warehouse.load_spec import load_warehouse
from warehouse.query_command import parameters
from warehouse.session import as_applied, connected


def drill(
    cube: Annotated[str, typer.Argument(help="A cube, such as billing.")],
    cell: Annotated[list[str] | None, typer.Argument(metavar="DIMENSION=VALUE...", help="The cell.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many images at most, the newest first.")] = LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for another program.")] = False,
) -> None:
    """Show what a cell is made of: images of the change log, the records that arrived, the source documents."""
    project = Project.load(home())
    warehouse = load_warehouse(project.folder, project.catalogue)
    if cube not in warehouse.cubes:
        hint = did_you_mean(cube, warehouse.cubes) or f" There are {', '.join(warehouse.cubes)}."
        raise ConfigError(f'There is no cube "{cube}".{hint}')
    speaks = {name: system.speaks for name, system in project.systems.items()}
    with as_applied(), connected("analyst") as connection:
        found = traced_in(
            connection, warehouse, project.catalogue, warehouse.cubes[cube], parameters(cell or []), speaks, limit
        )
    if as_json:
        typer.echo(json.dumps([row(item) for item in found], ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), found, limit)


def row(item: Traced) -> dict[str, object]:
    """Return an image as JSON takes it: numbers as text, so that no digit is lost."""
    return {
        "request": item.request,
        "mode": item.mode,
        "at": item.at.isoformat(),
        "store": item.store,
        "image": item.image,
        "package": item.package,
        "record": item.record,
        "document": item.document,
        "figures": {name: str(value) for name, value in item.figures.items()},
    }


IMAGES = {"N": "new", "": "after", "X": "before", "R": "gone"}


def show(console: Console, found: list[Traced], limit: int) -> None:
    """Print images as a table, and the sum of what they posted."""
    table = Table(box=None, pad_edge=False)
    for name in ("request", "image", "source document", "arrived as", "figures"):
        table.add_column(name)
    for item in found:
        arrived = f"{item.package}/{item.record}" if item.package else ""
        figures = ", ".join(f"{name} {value:,}" for name, value in item.figures.items())
        table.add_row(f"{item.request} {item.mode}", IMAGES[item.image], item.document, arrived, figures)
    console.print(table)
    totals: dict[str, object] = {}
    for item in found:
        for name, value in item.figures.items():
            totals[name] = totals.get(name, 0) + value  # type: ignore[operator]
    shown = " of the newest" if len(found) == limit else ""
    said = ", ".join(f"{name} {value:,}" for name, value in totals.items())
    console.print(f"\n[dim]{len(found):,} images{shown}; together {said or 'nothing'}[/dim]", soft_wrap=True)
