"""The project: which systems there are, how they are reached, and what the content folders say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from isthmus.connector import Connector, FeedKind, Table, connect
from isthmus.errors import ConfigError, IsthmusError, did_you_mean
from isthmus.home import MARKER, home
from isthmus.mapping.spec import Catalogue, Scenario

SETTINGS = ("connector", "speaks", "connection", "client", "pool", "seats", "feed")
FEEDS: tuple[FeedKind, ...] = get_args(FeedKind)


@dataclass(frozen=True, slots=True)
class System:
    """One system as `isthmus.yaml` names it: an instance (`isu_north`) of a kind that mappings speak of (`isu`)."""

    name: str
    connector: str
    speaks: str
    connection: str = ""
    client: str = ""
    pool: str = ""  # how Airflow calls the seats at this system; the system's own name unless said
    seats: int = 4  # how many tasks may read from it at the same time
    options: Mapping[str, Any] = field(default_factory=dict)
    feed: FeedKind | None = None  # how its changes are found; unless said, pointers where installed, else as mapped


@dataclass(frozen=True)
class Project:
    """The folder with `isthmus.yaml`, `mappings/` and `quality/`, read once."""

    folder: Path
    systems: Mapping[str, System]
    scenario_name: str
    package_rows: int
    gate: str
    alerts: Mapping[str, Any] = field(default_factory=dict)  # as the file says it; levels/alerts.py reads it
    review: Mapping[str, Any] = field(default_factory=dict)  # show_values: whether reviews show personal values

    @classmethod
    def load(cls, folder: Path | None = None) -> Project:
        """Read `isthmus.yaml`; raises ConfigError saying where it was looked for or what is wrong in it."""
        folder = folder or home()
        file = folder / MARKER
        if not file.is_file():
            raise ConfigError(f"There is no {MARKER} in {folder}. Go to a project folder or set ISTHMUS_HOME to one.")
        # BaseLoader keeps every scalar as text: client "100" and zeros in front survive
        said = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or {}
        known = ("systems", "scenario", "package_rows", "gate", "alerts", "review")
        for name in said:
            if name not in known:
                raise ConfigError(f'{file.name}: "{name}" is not a setting.{did_you_mean(name, known)}')
        systems = {name: _system(name, options) for name, options in (said.get("systems") or {}).items()}
        return cls(
            folder,
            systems,
            os.environ.get("ISTHMUS_SCENARIO") or said.get("scenario", ""),
            int(said.get("package_rows", 15_000)),
            said.get("gate", "great_expectations"),
            said.get("alerts") or {},
            said.get("review") or {},
        )

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return everything the mappings say; raises SpecError with all findings."""
        from isthmus.mapping.load import load_catalogue

        return load_catalogue(self.folder / "mappings")

    def scenario(self, name: str = "") -> Scenario:
        """Return a scenario by name, or the project's own."""
        name = name or self.scenario_name
        known = self.catalogue.scenarios
        if name not in known:
            raise ConfigError(f'There is no scenario "{name}".{did_you_mean(name, known)} Known: {", ".join(known)}.')
        return known[name]

    def system(self, name: str) -> System:
        """Return a system by name; raises ConfigError with the nearest one."""
        if name not in self.systems:
            known = ", ".join(self.systems)
            raise ConfigError(f'{MARKER} names no system "{name}".{did_you_mean(name, self.systems)} Known: {known}.')
        return self.systems[name]

    def connector(self, name: str) -> Connector:
        """Open a system; the caller closes it."""
        system = self.system(name)
        settings: dict[str, Any] = dict(system.options)
        if system.connection:
            settings["url"] = connection_url(system.connection, self.folder)
        if system.client:
            settings["client"] = system.client
        if "path" in settings:
            settings["path"] = str(self.folder / settings["path"])
        return connect(system.connector, settings)

    def describe(self, name: str, table: str) -> Table | None:
        """Describe a table of a system for the checker; None when the system cannot be reached or lacks it."""
        try:
            connector = self.connector(name)
        except IsthmusError:
            return None
        try:
            return connector.describe(table)
        except IsthmusError:
            return None
        finally:
            connector.close()


def _system(name: str, options: Any) -> System:
    if not isinstance(options, dict) or "connector" not in options:
        raise ConfigError(
            f'{MARKER}: system "{name}" needs at least `connector:`, the kind of interface it is spoken to by.'
        )
    rest = {key: value for key, value in options.items() if key not in SETTINGS}
    return System(
        name,
        options["connector"],
        options.get("speaks", name),
        options.get("connection", ""),
        options.get("client", ""),
        options.get("pool", name),
        _seats(name, options.get("seats", "4")),
        rest,
        _feed(name, options.get("feed", "")),
    )


def _feed(name: str, said: Any) -> FeedKind | None:
    if said and said not in FEEDS:
        raise ConfigError(
            f'{MARKER}: system "{name}" has feed: {said}, expected {", ".join(FEEDS)}.{did_you_mean(str(said), FEEDS)}'
        )
    return cast("FeedKind", said) if said else None


def _seats(name: str, said: Any) -> int:
    if not str(said).isdigit() or int(said) < 1:
        raise ConfigError(f'{MARKER}: system "{name}" has seats: {said}, expected a whole number from 1.')
    return int(said)


def connection_url(name: str, folder: Path) -> str:
    """Return the URL of a named connection: environment, Airflow's environment, or a generated file, in this order."""
    variables = (f"ISTHMUS_CONNECTION_{name.upper()}", f"AIRFLOW_CONN_{name.upper()}")
    for variable in variables:
        if os.environ.get(variable):
            return os.environ[variable]
    file = folder / ".isthmus" / "connections" / name
    if file.is_file():
        return file.read_text(encoding="utf-8").strip()
    raise ConfigError(
        f'Nothing says how to reach "{name}". Tried: {", ".join(variables)} in the environment, '
        f".isthmus/connections/{name} in the project. `isthmus landscape create` makes the demo's."
    )
