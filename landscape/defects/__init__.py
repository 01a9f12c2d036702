"""The 24 defects of real landscapes, each planted by one small function after the tables are filled."""

from __future__ import annotations

from landscape.defects import contracts, crm, history, keys
from landscape.defects.site import CATALOGUE, Site
from landscape.manifest import KEYS_KEPT, Planted
from landscape.rows import Connection
from landscape.world import World

__all__ = ["CATALOGUE", "contracts", "crm", "history", "keys", "plant"]


def plant(world: World, isu: Connection, crm: Connection) -> tuple[Planted, ...]:
    """Plant every defect and return what was planted, in the order of their numbers."""
    site = Site(world, isu, crm)
    planted = []
    for defect in sorted(CATALOGUE, key=lambda defect: defect.number):
        found = sorted(defect.planter(site))
        kept = tuple(found[:KEYS_KEPT])
        planted.append(
            Planted(
                number=defect.number,
                name=defect.name,
                about=defect.about,
                system="isu",
                table=defect.table,
                key=defect.key,
                expected=defect.expected,
                count=len(found),
                keys=kept,
            )
        )
    return tuple(planted)
