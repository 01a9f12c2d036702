"""What the warehouse reads of a system, so that the system can record which rows of it are touched."""

from __future__ import annotations

from datetime import date

from isthmus.connector import Watched
from isthmus.levels.watch import feed_of
from isthmus.mapping.spec import Scenario
from isthmus.project import Project
from warehouse.spec import Warehouse


def watched_by(project: Project, scenario: Scenario, warehouse: Warehouse, system: str, today: date) -> list[Watched]:
    """Return every table of a system that stores with after images read, each with the way to its object."""
    objects = dict.fromkeys(
        store.object for store in warehouse.stores.values() if (feed := store.feed(system)) and feed.mode == "after"
    )
    return [table for name in objects for table in feed_of(project, scenario, system, name, today).watched]
