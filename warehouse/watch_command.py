"""`isthmus warehouse watch`: let a system record the changes of everything the warehouse reads of it."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from isthmus.connector import Pointers
from isthmus.errors import ConfigError
from isthmus.home import home
from isthmus.levels.download import now
from isthmus.project import Project
from warehouse.load_spec import load_warehouse
from warehouse.shown import Scenario
from warehouse.watch import watched_by


def watch(
    system: Annotated[str, typer.Argument(help="A system of isthmus.yaml.")],
    script: Annotated[bool, typer.Option("--script", help="Print the SQL for a DBA to run; change nothing.")] = False,
    scenario: Scenario = "",
) -> None:
    """Let a system record which rows are touched, so that deltas see every change, deletes too.

    Without it they are found by date or stamp, as the mappings say; rows that are deleted are not seen then.
    """
    project = Project.load(home())
    warehouse = load_warehouse(project.folder, project.catalogue)
    watched = watched_by(project, project.scenario(scenario), warehouse, project.system(system).name, now().date())
    with closing(project.connector(system)) as connector:
        if not isinstance(connector, Pointers):
            raise ConfigError(f"{system} keeps no change pointers; its changes are found by date, or by full loads")
        if script:
            typer.echo(connector.feed_script(watched), nl=False)
            return
        connector.install_feed(watched)
        typer.echo(f"{system} records the changes of {len(connector.show_feed(watched))} tables.")
