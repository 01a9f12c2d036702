"""`isthmus landscape`: create, show, live in and drop the demo landscape."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from isthmus.errors import ConfigError, SystemUnavailable

app = typer.Typer(help="A demo landscape: IS-U and CRM in two databases.", no_args_is_help=True, add_completion=False)
console = Console()


class Model(StrEnum):
    """Whether a point of delivery has one contract, or one for supply and one for grid usage."""

    single = "single"
    dual = "dual"


class YesNo(StrEnum):
    """A choice that is written out."""

    yes = "yes"
    no = "no"


IsuUrl = Annotated[str | None, typer.Option(help="Database of IS-U; without it, `isu` on the store's server.")]
CrmUrl = Annotated[str | None, typer.Option(help="Database of CRM; without it, `crm` on the store's server.")]


def _url(given: str | None, name: str) -> str:
    if given is not None:
        return given
    from isthmus.store import ensure_database

    return ensure_database(name)


@app.command()
def create(
    contracts: Annotated[int, typer.Option(min=1, help="Contracts of customers.")] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same landscape.")] = 1,
    model: Annotated[Model, typer.Option(help="Single or dual contract model.")] = Model.single,
    devices: Annotated[YesNo, typer.Option(help="Technical devices, or info records only.")] = YesNo.yes,
    defects: Annotated[YesNo, typer.Option(help="Plant the defects of real landscapes.")] = YesNo.yes,
    business: Annotated[
        YesNo, typer.Option(help="Bills line by line, readings, quotations, contacts: what a warehouse is fed with.")
    ] = YesNo.yes,
    isu_url: IsuUrl = None,
    crm_url: CrmUrl = None,
) -> None:
    """Create the landscape, in place of an older one."""
    from landscape.create import create as create_landscape

    with console.status("Creating IS-U and CRM ...") as status:
        manifest = _reached(
            lambda: create_landscape(
                _url(isu_url, "isu"),
                _url(crm_url, "crm"),
                contracts=contracts,
                seed=seed,
                model=model.value,
                devices=devices is YesNo.yes,
                defects=defects is YesNo.yes,
                business=business is YesNo.yes,
                progress=lambda table, rows: status.update(f"{table}: {rows:,} rows"),
            )
        )
    if isu_url is None and crm_url is None:
        _settle()
    planted = sum(found.count for found in manifest.planted)
    console.print(f"{sum(manifest.rows.values()):,} rows for {contracts:,} contracts, {planted:,} defects planted.")
    console.print("`isthmus landscape show` lists them.")


def _settle() -> None:
    """Write down how the systems are reached, and let the store's ledger forget the landscape that stood here."""
    from isthmus.home import private_folder
    from isthmus.ledger.migrate import forget
    from isthmus.store import ensure_database, store_url

    folder = private_folder() / "connections"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("isu", "crm"):
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(ensure_database(name) + "\n", encoding="utf-8")
    if not os.environ.get("ISTHMUS_DATABASE_URL"):
        forget(store_url("owner"))
        console.print("The store's ledger begins anew: it knows nothing of a landscape that stood here before.")


@app.command()
def show(
    isu_url: IsuUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what was created and which defects were planted."""
    from landscape.manifest import load

    manifest = _reached(lambda: load(_url(isu_url, "isu")))
    if manifest is None:
        raise ConfigError("no landscape stands in this database; create one with `isthmus landscape create`")
    if as_json:
        typer.echo(manifest.to_json())
        return
    kind = "technical devices" if manifest.devices else "device info records"
    console.print(f"{manifest.contracts:,} contracts, {manifest.model} model, {kind}, seed {manifest.seed}")
    table = Table("No", "Defect", "Planted", "Where", "Expected")
    for found in manifest.planted:
        where = f"{found.table}-{found.key}"
        table.add_row(str(found.number), found.name.replace("_", " "), f"{found.count:,}", where, found.expected)
    console.print(table)


@app.command()
def live(
    changes: Annotated[int, typer.Option(min=1, help="How many records change, about.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed on the same landscape does the same.")] = 1,
    during: Annotated[
        bool, typer.Option("--during", help="Only what happens in IS-U, as while CRM is being loaded.")
    ] = False,
    now: Annotated[str | None, typer.Option(help="The moment it happens, UTC; without it, now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest, with every key, as JSON.")] = False,
    isu_url: IsuUrl = None,
    crm_url: CrmUrl = None,
) -> None:
    """Play a day of business on both sides, and say what has to become of each change."""
    from landscape.live import live as play

    at = _moment(now)
    manifest = _reached(lambda: play(_url(isu_url, "isu"), _url(crm_url, "crm"), changes, seed, at, during=during))
    if as_json:
        typer.echo(manifest.to_json())
        return
    table = Table("Object", "What happened", "Times", "Expected")
    for played in manifest.played:
        silent = "" if played.stamped else ", without a stamp"
        said = f"{played.expected}{silent}"
        table.add_row(played.object.replace("_", " "), played.kind.replace("_", " "), f"{played.count:,}", said)
    console.print(table)
    console.print(f"{sum(played.count for played in manifest.played):,} records changed. `--json` names them.")


def _moment(text: str | None) -> datetime:
    """Return a moment in UTC; raises ConfigError for a text that is none."""
    try:
        at = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        raise ConfigError(f'--now is "{text}", expected a moment such as 2026-01-02T10:30') from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


@app.command()
def drop(isu_url: IsuUrl = None, crm_url: CrmUrl = None) -> None:
    """Remove the landscape's tables from both databases."""
    from landscape.create import drop as drop_landscape

    _reached(lambda: drop_landscape(_url(isu_url, "isu"), _url(crm_url, "crm")))
    console.print("The landscape is gone.")


def _reached(action: Any) -> Any:
    """Run an action on the databases; raises SystemUnavailable when one does not answer."""
    try:
        return action()
    except psycopg.OperationalError as error:
        raise SystemUnavailable(
            f"landscape: a database did not answer ({type(error).__name__}); check that the server runs: "
            "`isthmus store status`"
        ) from error
