"""What the demo's warehouse stands on: its tables, pointers to what changes, and files of the telephone system."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from isthmus.connector import Pointers
from isthmus.levels.download import now
from isthmus.mapping.spec import Scenario
from isthmus.project import Project
from landscape.manifest import Manifest
from landscape.telephony import Broken, Delivery, write
from warehouse import shape
from warehouse.depot import has_warehouse
from warehouse.load_spec import load_warehouse
from warehouse.session import connected
from warehouse.watch import watched_by

DAYS = 30  # of telephony that are delivered with a new landscape
TELEPHONY = "tel"


def missing(project: Project) -> str:
    """Say what a warehouse would need that is not there: its files, or a landscape with business; "" for nothing."""
    if not has_warehouse(project.folder):
        return f"{project.folder.name} has no folder warehouse/ with stores"
    with closing(project.connector("isu")) as isu:
        if any(table.casefold() == "dberchz1" for table in isu.discover()):
            return ""
    return "the landscape that stands has no bills, quotations and contacts; `isthmus demo --fresh` makes one that has"


def furnish(project: Project, scenario: Scenario, systems: Sequence[str]) -> None:
    """Bring the warehouse's tables to what its files say and let systems record what it reads of them."""
    if missing(project):
        return
    warehouse = load_warehouse(project.folder, project.catalogue)
    with connected("owner") as connection:
        shape.apply(connection, warehouse, now())
    for name in systems:
        with closing(project.connector(name)) as system:
            if isinstance(system, Pointers):
                system.install_feed(watched_by(project, scenario, warehouse, name, now().date()))


def deliver_calls(
    project: Project, manifest: Manifest, days: int = DAYS, after: int = 0, broken: Sequence[Broken] = ()
) -> tuple[Delivery, ...]:
    """Let the telephone system deliver its last days, up to so many days after the landscape's own."""
    if TELEPHONY not in project.systems:
        return ()
    inbox = project.folder / Path(str(project.system(TELEPHONY).options["path"]))
    until = today(manifest) + timedelta(days=after)
    return write(inbox, contracts=manifest.contracts, days=days, seed=manifest.seed, now=until, broken=broken)


def today(manifest: Manifest) -> datetime:
    """Return the afternoon of the day the landscape was made for."""
    return datetime.fromisoformat(manifest.today).replace(hour=15, tzinfo=UTC)
