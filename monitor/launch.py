"""`isthmus up`: the real Airflow on this machine, API server first, until Ctrl-C; then nothing of it is left.

The store stays: it belongs to nobody (`isthmus store stop`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from isthmus.errors import ConfigError, SystemUnavailable
from isthmus.ledger import migrate
from isthmus.project import Project, connection_url
from isthmus.store import store_url
from monitor import grounds
from monitor.airflow_home import AirflowHome, child_environment
from monitor.api import Api
from monitor.ports import held_ports
from monitor.processes import Component, end_left_over, forget, record, running_launcher, stop_all
from monitor.runner import tail

# Started in this order, stopped from the end; a task that begins before the API server answers would fail.
FIRST, OTHERS = "api-server", ("dag-processor", "triggerer", "scheduler")
PATIENCE = 180.0  # seconds for a component to become healthy, on a slow machine
DAG = "initial_download"
DAGS = (DAG, "contract_sync", "conflict_review", "bw_aggregation")


def up(
    check: Annotated[bool, typer.Option("--check", help="Start everything, see that it is healthy, stop.")] = False,
    seconds: Annotated[float, typer.Option("--for", help="Stop by itself after so many seconds.")] = 0,
) -> None:
    """Start Airflow with everything in it, until Ctrl-C."""
    console = Console(highlight=False)
    with interrupted() as stop, ExitStack() as defer:
        airflow = AirflowHome.of_project()
        refuse_company(airflow, console)
        with console.status("Getting ready ...") as status:
            ports = defer.enter_context(held_ports(airflow.ports_file))
            environment = prepare(airflow, ports, console, status.update)
            servers = Servers(airflow, environment, Api(f"http://127.0.0.1:{ports['api']}"), stop)
            defer.callback(servers.stop, console)
            servers.start(status.update)
        if stop.is_set():
            return
        welcome(console, airflow, servers.api)
        if not check:
            servers.watch(seconds)


@contextmanager
def interrupted() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, also where a shell without a terminal had them ignored."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refuse_company(airflow: AirflowHome, console: Console) -> None:
    """Raise ConfigError when another launcher runs here; end what a killed one left behind."""
    pid = running_launcher(airflow)
    if pid:
        raise ConfigError(f"Airflow runs already in this project (process {pid}); stop that one with Ctrl-C first")
    left = end_left_over(airflow)
    if left:
        console.print(f"Ended {left} processes of a launcher that was killed.")


def prepare(airflow: AirflowHome, ports: Mapping[str, int], console: Console, say: grounds.Say) -> dict[str, str]:
    """Start the store, migrate ledger and metadata, seed pools and connections; without systems, make the demo's."""
    project = Project.load()
    grounds.start_store(say)
    migrate(store_url("owner"))
    if not grounds.systems_are_yours(project.folder):
        say("Looking for IS-U and CRM ...")
        urls = grounds.ensure_databases(project.folder)
        grounds.stand(urls, grounds.Wanted(), console.print, say)
    environment = child_environment(airflow.environment(ports))
    say("Airflow's metadata is being brought up to date ...")
    seed(airflow, project, environment)
    return environment


def seed(airflow: AirflowHome, project: Project, environment: dict[str, str]) -> None:
    """Run `monitor.prepare` in a process of its own; raises ConfigError with the end of its log when it fails."""
    connections = {}
    for system in project.systems.values():
        if system.connection:
            try:
                connections[system.connection] = connection_url(system.connection, project.folder)
            except ConfigError:
                continue  # begin of the DAG says which places it tried
    wanted = {"pools": {s.pool: s.seats for s in project.systems.values()}, "connections": connections}
    airflow.logs.mkdir(parents=True, exist_ok=True)
    log = airflow.logs / "prepare.log"
    with log.open("w", encoding="utf-8") as noise:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "monitor.prepare"],
            input=json.dumps(wanted), text=True, env=environment, stdout=noise, stderr=noise, check=False,
        )  # fmt: skip
    if done.returncode:
        raise ConfigError(f"Airflow's metadata could not be made ready; {log} ends with:\n{tail(log)}")


@dataclass
class Servers:
    """The components, their API, and the event that says it is time to stop."""

    airflow: AirflowHome
    environment: dict[str, str]
    api: Api
    stopping: threading.Event

    def __post_init__(self) -> None:
        self.components: list[Component] = []

    def start(self, say: grounds.Say) -> None:
        """Start the API server, wait for it, then the others, and wait until every one is healthy."""
        say("Airflow's API server is starting ...")
        self._start(FIRST)
        self._wait(self.api.answers, FIRST)
        say("Airflow's API server is warming up ...")
        if not self.stopping.is_set():
            self.api.warm()
        for name in OTHERS:
            if not self.stopping.is_set():
                self._start(name)
        for name in OTHERS:
            say(f"Airflow's {name} is starting ...")
            self._wait(partial(self.api.healthy, name.replace("-", "_")), name)
        say("Airflow is reading the DAGs ...")
        password = self.airflow.passwords()["admin"]
        for dag in (dag for dag in DAGS if (self.airflow.dags / f"{dag}.py").is_file()):
            self._wait(partial(self.api.knows, dag, "admin", password), "dag-processor")

    def _start(self, name: str) -> None:
        log = self.airflow.logs / f"{name}.log"
        self.components.append(Component.start(name, log, self.environment))
        record(self.airflow, self.api.url, self.components)

    def _wait(self, ready: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.stopping.is_set() and not ready():
            self.refuse_dead()
            if time.monotonic() > deadline:
                raise SystemUnavailable(f"Airflow's {name} is not healthy after {PATIENCE:.0f} s; {self._end_of(name)}")
            self.stopping.wait(0.3)

    def watch(self, seconds: float = 0) -> None:
        """Wait until it is time to stop; raises SystemUnavailable when a component ends by itself."""
        deadline = time.monotonic() + seconds if seconds else None
        while not self.stopping.wait(1.0) and (deadline is None or time.monotonic() < deadline):
            self.refuse_dead()
            for component in self.components:
                component.look()

    def refuse_dead(self) -> None:
        """Raise SystemUnavailable when a component has ended by itself."""
        for component in self.components:
            if component.ended is not None:
                code = component.ended
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                raise SystemUnavailable(f"Airflow's {component.name} {how}; {self._end_of(component.name)}")

    def _end_of(self, name: str) -> str:
        log = self.airflow.logs / f"{name}.log"
        return f"{log} ends with:\n{tail(log) if log.is_file() else '(nothing)'}"

    def stop(self, console: Console) -> None:
        """Stop all components in order and leave nothing running."""
        if not self.components:
            return
        console.print("Stopping Airflow ...")
        stop_all(list(reversed(self.components)))
        forget(self.airflow)
        console.print("Airflow is stopped. The store stays; `isthmus store stop` stops it.")


def welcome(console: Console, airflow: AirflowHome, api: Api) -> None:
    """Print where to go, as whom, and what to click."""
    shown = os.path.relpath(airflow.passwords_file)
    console.print(f"\n[bold]Airflow runs:[/bold] {api.url}")
    console.print(f"  users      {', '.join(airflow.passwords())}; their passwords are in {shown}")
    console.print(f"  next click {api.url}/dags/{DAG} and there [bold]Trigger[/bold]")
    console.print(
        "  then       contract_sync keeps both sides in step by itself, conflict_review asks about conflicts,"
    )
    console.print("             bw_aggregation brings the warehouse up to date when something changed")
    console.print(f"  logs       {os.path.relpath(airflow.logs)}")
    for file, why in api.import_errors("admin", airflow.passwords()["admin"]).items():
        console.print(f"  [red]{file} cannot be read:[/red] {why.strip().splitlines()[-1]}")
    console.print("  Ctrl-C stops Airflow; the store stays.\n")
