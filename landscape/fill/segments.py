"""The business of serving customers: which segment each of them is served in, their partner type."""

from __future__ import annotations

from collections.abc import Iterator

from landscape.columns import Columns, when
from landscape.fill import partners
from landscape.plan import Chunk
from landscape.world import World


def _but000(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("partner", chunk)
    key_account = world.draw.chance("segment.key", ids, 0.2)
    segment = when(partners.organisations(world, ids), when(key_account, "KEYA", "BUSI"), "RESI")
    for customers in partners.TABLES["BUT000"](world, chunk):
        yield {**customers, "BPKIND": segment}


TABLES = {"BUT000": _but000}
