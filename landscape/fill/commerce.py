"""CRM's documents of sales and service: quotations, opportunities and contacts share most of their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from landscape.columns import Columns
from landscape.fill import Filler, contacts, opportunities, quotations
from landscape.plan import Chunk
from landscape.world import World

PARTS = (quotations.TABLES, opportunities.TABLES, contacts.TABLES)


def crm_fillers(world: World) -> Mapping[str, Filler]:
    """Return the fillers of CRM's mass tables, for all kinds of document at once."""
    names = dict.fromkeys(name for tables in PARTS for name in tables)
    return {name: partial(_every, name) for name in names}


def _every(name: str, world: World, chunk: Chunk) -> Iterator[Columns]:
    for tables in PARTS:
        if name in tables:
            yield from tables[name](world, chunk)
