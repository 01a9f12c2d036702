"""`isthmus warehouse load`, `publish`, `status`: bring stores up to date and show how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, cast

import typer

from isthmus.errors import ConfigError, DataError
from warehouse import orchestrate
from warehouse.feed import Month, month_of
from warehouse.orchestrate import Step
from warehouse.order import in_order
from warehouse.shown import Json, Scenario, Stores, at_depot, print_rows, steps
from warehouse.standing import cubes_standing, stores_standing
from warehouse.tables import Mode


class How(StrEnum):
    """How a load reads."""

    USUAL = "usual"
    INIT = "init"
    INIT_NODATA = "init-nodata"
    DELTA = "delta"
    REPEAT = "repeat"
    FULL = "full"
    REPAIR_FULL = "repair-full"

    @property
    def mode(self) -> Mode | None:
        """Return the mode of the request."""
        return None if self is How.USUAL else cast(Mode, self.value.upper().replace("-", "_"))


def load(
    stores: Stores = None,
    mode: Annotated[
        How,
        typer.Option(
            case_sensitive=False,
            help="usual: everything the first time, then what changed; repair-full: the differences.",
        ),
    ] = How.USUAL,
    month: Annotated[str, typer.Option(help="Repair this month alone, such as 2025-12.")] = "",
    by_field: Annotated[str, typer.Option("--of", help="The date field that --month means, if not the usual.")] = "",
    keep_back: Annotated[bool, typer.Option("--keep-back", help="Do not publish what was loaded.")] = False,
    scenario: Scenario = "",
    as_json: Json = False,
) -> None:
    """Load stores, check, activate and roll up, in the order they depend on each other; then publish at once.

    Running it again goes on with whatever was broken off, and changes nothing that is there already.
    """
    with at_depot(scenario) as depot:
        chosen = in_order(depot.warehouse, depot.project.folder, [depot.store(name).name for name in stores or ()])
        meant: Month | None = None
        if month:
            if not stores or len(chosen) != 1:
                raise ConfigError(
                    "a month is repaired of one store at a time: isthmus warehouse load STORE --month ..."
                )
            meant = month_of(chosen[0], month, depot.warehouse, by_field)
        found = orchestrate.bring_up(depot, chosen, mode=mode.mode, month=meant)
        if not keep_back:
            orchestrate.publish(depot)
    steps(found, as_json)
    failed(found)


def failed(found: Sequence[Step]) -> None:
    """Raise DataError with the stores that could not be loaded, those with the same reason together."""
    stores: dict[str, list[str]] = {}
    for step in found:
        if step.wrong:
            stores.setdefault(step.wrong, []).append(step.store)
    if stores:
        count = sum(map(len, stores.values()))
        rest = ", the others were" if count < len(found) else ""
        told = "\n".join(f"{', '.join(names)}: {wrong}" for wrong, names in stores.items())
        raise DataError(f"{count} of {len(found)} stores could not be loaded{rest}:\n{told}")


def publish(as_json: Json = False) -> None:
    """Show everything that is rolled up to analysts, at once."""
    with at_depot() as depot:
        number = orchestrate.publish(depot)
        asked = "SELECT publication, at, requests FROM warehouse.publications WHERE publication = %s"
        row = depot.connection.execute(asked, [number]).fetchone()
    found = [dict(zip(("publication", "at", "requests"), row, strict=True))] if row else []
    print_rows("Publication", ["publication", "at", "requests"], found, as_json)


def status(as_json: Json = False) -> None:
    """Show every store and cube: how many records, how fresh, what waits and what is held."""
    import json

    with at_depot() as depot:
        stores, cubes = stores_standing(depot), cubes_standing(depot)
    if as_json:
        typer.echo(json.dumps({"stores": stores, "cubes": cubes}, indent=2, default=str))
        return
    columns = ["store", "sources", "records", "read_up_to", "waiting", "held", "files", "refused_files"]
    print_rows("Stores", columns, stores, False)
    print_rows("Cubes", ["cube", "cells", "not_compressed", "verified", "differing"], cubes, False)
