"""Which contracts were billed for which days, and the billing documents that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from landscape import codes
from landscape.codes import CLIENT
from landscape.columns import NONE, Columns, Days, choose, dats, padded
from landscape.draw import Ids
from landscape.plan import Chunk
from landscape.world import World

YEAR = 365
RANGE = 10_000_000_000  # numbers of one kind of document


@dataclass(frozen=True, slots=True)
class Bills:
    """Bills of one kind: a number, a contract (of a customer) and a period each.

    `side` is 0 for supply and 1 for grid usage. `back` counts periods from the last full year, which is 1; the days
    after it have 0. `reversed` is NONE while a bill counts.
    """

    number: Ids
    contract: Ids
    since: Days
    until: Days
    posted: Days
    reversed: Days
    side: int
    back: int
    process: str
    simulated: bool = False

    @property
    def key(self) -> Ids:
        """Return a number for each contract and period, the same on both sides and for every document of it."""
        return self.contract * 4 + self.back


def valid(world: World, chunk: Chunk) -> Iterator[Bills]:
    """Yield the bills that count: of the last two years of each contract, and of the days up to a move-out."""
    ids = world.plan.ids("contract", chunk)
    start, end = world.tenancy(ids)
    years = (np.minimum(end, world.now - 10) - start + 1) // YEAR
    for back in (2, 1):
        some = years >= back
        since = (start + (years - back) * YEAR)[some]
        yield from _of(world, ids[some], since, since + YEAR - 1, "01", back)
    ended = (end < world.now) & (start + years * YEAR <= end)
    yield from _of(world, ids[ended], (start + years * YEAR)[ended], end[ended], "03", 0)


def _of(world: World, ids: Ids, since: Days, until: Days, process: str, back: int) -> Iterator[Bills]:
    for side in world.sides:
        number = (side * 3 + back + 1) * RANGE + ids
        yield Bills(number, ids, since, until, until + 3, np.full(len(ids), NONE), side, back, process)


def document(world: World, bills: Bills) -> Columns:
    """Return the billing documents, as they are when they are made."""
    account = world.plan.account_of(bills.contract)
    division = world.division(world.plan.pod_of(world.plan.installation_of(bills.contract)))
    return {
        "MANDT": CLIENT,
        "BELNR": padded(bills.number, 12),
        "BUKRS": "1000",
        "SPARTE": choose(codes.DIVISIONS, division),
        "GPARTNER": world.partner(world.plan.partner_of(account)),
        "VKONT": world.account(account),
        "VERTRAG": world.contract(bills.contract, bills.side),
        "BEGABRPE": dats(bills.since),
        "ENDABRPE": dats(bills.until),
        "ABRDATS": dats(bills.until),
        "ADATSOLL": dats(bills.until),
        "BELEGDAT": dats(bills.posted),
        "ABRVORG": bills.process,
        "KOFIZ": "01",
        "PORTION": padded(1 + world.draw.below("portion", bills.contract, 240), 4, "PORT"),
        "ERDAT": dats(bills.posted),
        "ERNAM": "BATCH",
    }


def _erch(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills in valid(world, chunk):
        yield document(world, bills)


TABLES = {"ERCH": _erch}
