"""The `isthmus` command.  Each subcommand is loaded when it is asked for, so that every call starts fast.

Other packages join by the entry point group `isthmus.commands`: the name is the subcommand, the value a typer app.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from isthmus import __version__
from isthmus.errors import ConfigError, IsthmusError

GROUP = "isthmus.commands"
# These work in a bare checkout too, where nothing was installed yet.
BUILT_IN = {"doctor": "isthmus.doctor:app", "store": "isthmus.store.commands:app"}


@dataclass(frozen=True, slots=True)
class Unusable:
    """A subcommand that cannot be loaded; `because` says which distribution brought it and what is wrong."""

    name: str
    because: str


@functools.cache
def known_commands() -> dict[str, EntryPoint]:
    """Return every subcommand by name; the engine's own come before another package's of the same name."""
    found = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_distribution(point) != "isthmus", point.value)):
        found.setdefault(point.name, point)
    return dict(sorted(found.items()))


def load_command(name: str) -> Any | Unusable:
    """Import one subcommand and return its typer command, or why it cannot be used."""
    point = known_commands()[name]
    try:
        loaded = point.load()
        return typer.main.get_command(loaded if isinstance(loaded, typer.Typer) else _single(loaded))
    except Exception as error:  # whatever a stranger's module raises, the other commands work on
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Unusable(name, f"{point.value} of the package {_distribution(point)} cannot be loaded: {reason}")


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "isthmus"


def _single(function: Callable[..., object]) -> typer.Typer:
    if not callable(function):
        raise TypeError(f"expected a typer app or a function, found {type(function).__name__}")
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return app


def _placeholder(broken: Unusable) -> Any:
    def explain() -> None:
        raise ConfigError(
            f"isthmus {broken.name}: {broken.because}. Install that package again or remove it; "
            "the other commands work without it"
        )

    explain.__doc__ = f"(unusable) {broken.because}"
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(explain)
    return typer.main.get_command(app)


class Commands(TyperGroup):
    """A group that knows its subcommands by name and imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all subcommands."""
        return list(known_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one subcommand, or None for an unknown name."""
        if cmd_name not in self.commands and cmd_name in known_commands():
            loaded = load_command(cmd_name)
            self.commands[cmd_name] = _placeholder(loaded) if isinstance(loaded, Unusable) else loaded
            self.commands[cmd_name].name = cmd_name
        return self.commands.get(cmd_name)


app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def isthmus(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Isthmus carries data between SAP IS-U and CRM. Begin with `isthmus doctor`."""
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; an IsthmusError becomes its text and its exit code, any other error is a bug and shows."""
    try:
        app(prog_name="isthmus")
    except IsthmusError as error:
        sys.stderr.write(f"isthmus: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
