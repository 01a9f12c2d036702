"""What fills the tables: for each table a function from a world and a chunk of it to columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from landscape.columns import Columns
from landscape.fill import contracts, customizing, devices, partners, technical
from landscape.plan import Chunk
from landscape.world import World

Filler = Callable[[World, Chunk], Iterator[Columns]]


def isu_fillers(world: World) -> Mapping[str, Filler]:
    """Return the fillers of IS-U's mass tables; technical devices and info records exclude one another."""
    own = devices.TECHNICAL if world.devices else devices.INFO_RECORDS
    return {**partners.TABLES, **technical.TABLES, **devices.TABLES, **own, **contracts.TABLES}


def isu_customizing() -> Mapping[str, Columns]:
    """Return IS-U's customizing tables."""
    return customizing.isu()


def crm_customizing(world: World) -> Mapping[str, Columns]:
    """Return CRM's customizing tables and its sellable products."""
    return customizing.crm(world)
