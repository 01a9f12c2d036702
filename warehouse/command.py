"""The commands about the warehouse: `isthmus warehouse plan | apply | load | ...`."""

from __future__ import annotations

import typer

from warehouse import cube_command, load_command, request_command
from warehouse.check_command import check
from warehouse.docs_command import docs
from warehouse.drill_command import drill
from warehouse.plan_command import apply_command, plan_command
from warehouse.watch_command import watch

app = typer.Typer(help="The warehouse: stores, cubes, requests.", no_args_is_help=True, add_completion=False)
app.command()(check)
app.command("plan")(plan_command)
app.command("apply")(apply_command)
app.command()(watch)
app.command()(load_command.load)
app.command()(load_command.status)
app.command("requests")(request_command.list_requests)
app.command("held")(request_command.list_held)
app.command()(request_command.correct)
app.command()(request_command.resubmit)
app.command()(request_command.dismiss)
app.command()(request_command.delete)
app.command()(request_command.reverse)
app.command()(load_command.publish)
app.command()(cube_command.compress)
app.command()(cube_command.verify)
app.command()(cube_command.rebuild)
app.command()(drill)
app.command()(docs)


@app.callback()
def warehouse() -> None:
    """The warehouse: stores, cubes, requests."""
