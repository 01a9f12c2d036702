"""`isthmus store`: start, look at, stop and remove the private PostgreSQL."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from isthmus.errors import ConfigError

app = typer.Typer(help="The PostgreSQL that Isthmus lives in.", no_args_is_help=True, add_completion=False)


def say(text: str) -> None:
    """Show progress without disturbing what a command prints."""
    sys.stderr.write(f"{text}\n")


@app.command()
def start() -> None:
    """Start the private PostgreSQL unless it runs, and wait until it answers."""
    from isthmus import store
    from isthmus.store.url import VARIABLE

    if os.environ.get(VARIABLE):
        typer.echo(f"{VARIABLE} is set: your own PostgreSQL is the store, the private one is not started")
        return
    found = store.start(progress=say)
    typer.echo(f"the store runs on 127.0.0.1:{found.port} (process {found.pid}, data in {found.data})")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Tell what the private PostgreSQL is doing; exit code 0 when it runs, else 1."""
    from isthmus import store

    found = store.status()
    if as_json:
        facts = {"state": found.state, "pid": found.pid, "port": found.port, "data": str(found.data)}
        typer.echo(json.dumps({**facts, "log": str(found.log)}))
    else:
        running = f" on 127.0.0.1:{found.port}, process {found.pid}" if found.pid else ""
        typer.echo(f"{found.state}{running}\ndata  {found.data}\nlog   {found.log}")
    raise typer.Exit(0 if found.state == "running" else 1)


@app.command()
def stop() -> None:
    """Stop the private PostgreSQL; sessions that are open are ended."""
    from isthmus import store

    typer.echo("the store is stopped" if store.stop(progress=say) else "the store was not running")


@app.command()
def remove(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the private PostgreSQL and delete its data for good."""
    from isthmus import store

    found = store.status()
    if found.state == "absent":
        typer.echo("there is no private store")
        return
    if not yes and not typer.confirm(f"Delete everything in {found.data}?"):
        raise ConfigError("the store was not removed")
    store.remove(progress=say)
    typer.echo("the store is removed")


@app.command()
def url(
    role: Annotated[str, typer.Option(help="owner, engine, analyst, airflow or admin.")] = "engine",
    show_secret: Annotated[bool, typer.Option("--show-secret", help="Print the password as well.")] = False,
) -> None:
    """Print the URL to connect with, for psql or any SQL tool."""
    from isthmus import store
    from isthmus.store.url import masked

    found = store.store_url(role)
    typer.echo(found if show_secret else masked(found))
