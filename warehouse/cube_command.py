"""`isthmus warehouse verify | rebuild | compress`: cubes against their recomputation, and their upkeep."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.errors import ConfigError, DataError, did_you_mean
from warehouse import orchestrate
from warehouse import verify as verifying
from warehouse.compress import KEEP_DAYS
from warehouse.depot import Depot
from warehouse.shown import Json, at_depot, print_rows

Cubes = Annotated[list[str] | None, typer.Argument(metavar="[CUBE]...", help="Cubes; none means all.")]


def verify(cubes: Cubes = None, as_json: Json = False) -> None:
    """Compare cubes with what active data adds up to, cell by cell, to the last digit; a difference is an error."""
    with at_depot() as depot:
        proof = orchestrate.verify(depot, known(depot, cubes or ()))
    rows = [{"cube": name, "cells": cells, "differing": wrong} for name, (cells, wrong) in proof.cubes.items()]
    print_rows("Verified", ["cube", "cells", "differing"], rows, as_json)
    if proof.differing:
        raise DataError(
            f"not what active data adds up to: {', '.join(proof.differing)}. `isthmus warehouse rebuild CUBE` makes a "
            "cube anew; whatever wrote into its tables beside the warehouse should be found first"
        )


def rebuild(
    cubes: Annotated[list[str], typer.Argument(metavar="CUBE...", help="Cubes.")], as_json: Json = False
) -> None:
    """Make cubes anew from active data; requests that were added up are part of the totals afterwards."""
    rows = []
    with at_depot() as depot:
        for name in known(depot, cubes):
            cells = verifying.rebuild(depot.connection, depot.warehouse, depot.warehouse.cubes[name], depot.clock())
            rows.append({"cube": name, "cells": cells})
    print_rows("Rebuilt", ["cube", "cells"], rows, as_json)


def compress(
    days: Annotated[int, typer.Option(min=0, help="Only what was published at least so many days ago.")] = KEEP_DAYS,
    up_to: Annotated[int | None, typer.Option(help="Up to this request instead, whatever its age.")] = None,
    as_json: Json = False,
) -> None:
    """Add published requests up into each cube's totals; they can be reversed afterwards, no longer deleted."""
    with at_depot() as depot:
        found = orchestrate.compress(depot, days=days, up_to=up_to)
    rows = [{"cube": name, "requests": count} for name, count in found.items() if count]
    print_rows("Compressed", ["cube", "requests"], rows, as_json)


def known(depot: Depot, names: list[str] | tuple[str, ...]) -> list[str]:
    """Return cubes by name; raises ConfigError with the nearest one."""
    for name in names:
        if name not in depot.warehouse.cubes:
            hint = did_you_mean(name, depot.warehouse.cubes)
            raise ConfigError(f'There is no cube "{name}".{hint} Known: {", ".join(depot.warehouse.cubes)}.')
    return list(names)
