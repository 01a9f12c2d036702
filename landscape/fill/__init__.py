"""What fills the tables: for each table a function from a world and a chunk of it to columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec

from landscape.columns import Columns
from landscape.fill import billing, bills, contracts, customizing, devices, facts, partners, segments, technical
from landscape.plan import Chunk
from landscape.world import World

Filler = Callable[[World, Chunk], Iterator[Columns]]


def isu_fillers(world: World, business: bool = False) -> Mapping[str, Filler]:
    """Return the fillers of IS-U's mass tables; technical devices and info records exclude one another.

    With `business` contracts are billed line by line, and what the business leaves behind is there as well.
    """
    own = devices.TECHNICAL if world.devices else devices.INFO_RECORDS
    usual = {**partners.TABLES, **technical.TABLES, **devices.TABLES, **own, **contracts.TABLES, **bills.TABLES}
    return {**usual, **billing.TABLES, **facts.TABLES, **segments.TABLES} if business else usual


def crm_fillers(world: World) -> Mapping[str, Filler]:
    """Return the fillers of what the front office does: quotations, opportunities, contacts."""
    if find_spec("landscape.fill.commerce") is None:
        return {}
    found: Mapping[str, Filler] = import_module("landscape.fill.commerce").crm_fillers(world)
    return found


def isu_customizing() -> Mapping[str, Columns]:
    """Return IS-U's customizing tables."""
    return customizing.isu()


def crm_customizing(world: World) -> Mapping[str, Columns]:
    """Return CRM's customizing tables and its sellable products."""
    return customizing.crm(world)
