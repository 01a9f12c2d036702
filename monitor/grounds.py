"""The grounds the demo stands on: the store, two databases, their connections, a landscape in them.

What is somebody else's is never touched: connections that lead elsewhere and databases that are no landscape.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from isthmus import store
from isthmus.connector import Pointers
from isthmus.errors import ConfigError
from isthmus.levels.download import now
from isthmus.levels.watch import watched_in
from isthmus.mapping.spec import Scenario
from isthmus.project import Project
from isthmus.store.url import VARIABLE, masked
from landscape.manifest import Manifest
from landscape.manifest import load as load_manifest
from monitor import stock
from monitor.airflow_home import AirflowHome, write_secret
from monitor.processes import running_launcher

SYSTEMS = ("isu", "crm")
CONTRACTS, SEED = 20_000, 1
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The landscape that was asked for; None means whatever stands there."""

    contracts: int | None = None
    seed: int | None = None
    dual: bool | None = None
    devices: bool | None = None


def wanted(scenario: Scenario, contracts: int | None, seed: int | None) -> Wanted:
    """Return the landscape a scenario needs."""
    return Wanted(contracts, seed, scenario.switches.get("dual", False), scenario.switches.get("devices", True))


def clear(say: Say) -> None:
    """Throw the private store away with all that is in it.

    Raises ConfigError when the store is not a private one, or Airflow works in it.
    """
    if os.environ.get(VARIABLE):
        raise ConfigError(f"{VARIABLE} names a store of your own; --fresh throws only the private one away")
    pid = running_launcher(AirflowHome.of_project())
    if pid:
        raise ConfigError(f"`isthmus up` is running (process {pid}) and works in this store; stop it with Ctrl-C first")
    store.remove()
    say("The old store is thrown away.")


def start_store(say: Say) -> None:
    """Start the private store, unless the environment names another."""
    if not os.environ.get(VARIABLE):

        def tell(text: str) -> None:
            say(f"Starting the store: {text} ...")

        store.start(progress=tell)


def ensure_databases(folder: Path) -> dict[str, str]:
    """Create the databases of IS-U and CRM, write down how they are reached, and return their URLs.

    Raises ConfigError when a connection of that name leads elsewhere: the demo loads its own landscape only.
    """
    for name in SYSTEMS:
        for where, found in configured(name, folder).items():
            if _elsewhere(name, found):
                raise ConfigError(
                    f"{where} leads to {masked(found)}, not to the demo's database {name}. The demo writes into its "
                    "own CRM only: work in another folder (ISTHMUS_HOME), or take that connection away"
                )
    urls = {name: store.ensure_database(name) for name in SYSTEMS}
    for name, url in urls.items():
        write_secret(folder / ".isthmus" / "connections" / name, url)
    return urls


def systems_are_yours(folder: Path) -> bool:
    """Tell whether somebody said how to reach a system of the demo's names: then the systems are theirs."""
    return any(_elsewhere(name, found) for name in SYSTEMS for found in configured(name, folder).values())


def configured(name: str, folder: Path) -> dict[str, str]:
    """Return every URL that is given for a connection, by the place it is given in."""
    variables = (f"ISTHMUS_CONNECTION_{name.upper()}", f"AIRFLOW_CONN_{name.upper()}")
    found = {variable: os.environ[variable] for variable in variables if os.environ.get(variable)}
    file = folder / ".isthmus" / "connections" / name
    if file.is_file():
        found[str(file)] = file.read_text(encoding="utf-8").strip()
    return found


def _elsewhere(name: str, found: str) -> bool:
    """Port and password change with the store; host, user and database tell whose a URL is."""
    theirs, own = urlsplit(found), urlsplit(store.store_url())
    return (theirs.hostname, theirs.username, theirs.path) != (own.hostname, own.username, f"/{name}")


def stand(urls: Mapping[str, str], asked: Wanted, say: Say, progress: Say, scenario: str = "") -> Manifest:
    """Create the landscape, or keep the one that stands; CRM gets the journal and both change pointers either way.

    Raises ConfigError when another landscape stands than was asked for, or the databases hold something else.
    """
    kept = load_manifest(urls["isu"])
    if kept:
        refuse_other(kept, asked)
        say(f"Keeping the landscape that stands (`isthmus demo --fresh` makes a new one):\n{described(kept)}.")
    else:
        _refuse_foreign(urls)
        kept = _create(urls, asked, progress)
        stock.deliver_calls(Project.load(), kept)
        planted = sum(found.count for found in kept.planted)
        say(f"Created {described(kept)}:\n{sum(kept.rows.values()):,} rows in IS-U, {planted:,} defects among them.")
    project = Project.load()
    for name in SYSTEMS:
        _install(project, name, project.scenario(scenario))
    stock.furnish(project, project.scenario(scenario), SYSTEMS)
    return kept


def _install(project: Project, name: str, scenario: Scenario) -> None:
    """Give a system what Isthmus keeps in it: pointers to what changes, and CRM the journal of what was written."""
    system = project.connector(name)
    try:
        if name == "crm":
            install = getattr(system, "install_journal")  # noqa: B009  only connectors with a journal have it
            install()
        if isinstance(system, Pointers):
            system.install_feed(watched_in(project, scenario, name, now().date()))
    finally:
        system.close()


def _create(urls: Mapping[str, str], asked: Wanted, progress: Say) -> Manifest:
    from landscape.create import create

    def tell(table: str, rows: int) -> None:
        progress(f"Creating IS-U and CRM: {table}, {rows:,} rows ...")

    return create(
        urls["isu"],
        urls["crm"],
        contracts=CONTRACTS if asked.contracts is None else asked.contracts,
        seed=SEED if asked.seed is None else asked.seed,
        model="dual" if asked.dual else "single",
        devices=asked.devices is not False,
        business=True,
        progress=tell,
    )


def described(found: Manifest) -> str:
    """Return a landscape in words."""
    kind = "technical devices" if found.devices else "device info records"
    return f"{found.contracts:,} contracts, {found.model} model, {kind}, seed {found.seed}"


def refuse_other(kept: Manifest, asked: Wanted) -> None:
    """Raise ConfigError when another landscape stands than the one that was asked for."""
    pairs = (
        (asked.contracts, kept.contracts),
        (asked.seed, kept.seed),
        (asked.dual, kept.model == "dual"),
        (asked.devices, kept.devices),
    )
    if any(want is not None and want != have for want, have in pairs):
        raise ConfigError(
            f"another landscape stands there ({described(kept)}), and CRM and ledger know it; "
            "add --fresh to throw it away and make the one you asked for"
        )


def _refuse_foreign(urls: Mapping[str, str]) -> None:
    """Databases on a server of your own may be anybody's; creating a landscape drops tables of its names."""
    if not os.environ.get(VARIABLE):
        return
    for name, url in urls.items():
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        if found and found[0]:
            raise ConfigError(
                f"the database {name} at {masked(url)} holds tables that are no landscape; empty it first"
            )
