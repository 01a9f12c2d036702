"""Facts that the business leaves behind: why contracts ended, why meters were read, what rates calculate with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from landscape.codes import CLIENT
from landscape.columns import OPEN, Columns, choose, dats, decimals, when
from landscape.fill import contracts, devices, technical
from landscape.fill.billing_lines import trade, yearly
from landscape.plan import Chunk
from landscape.world import World

LOSSES, _LOSS_WEIGHTS = ("01", "02", "03", "04", "05", "06"), (0.42, 0.25, 0.13, 0.07, 0.05, 0.08)
_REASONS, _REASON_WEIGHTS = ("01", "02", "09", "10"), (0.85, 0.06, 0.05, 0.04)


def _ever(world: World, chunk: Chunk) -> Iterator[Columns]:
    """Yield contracts with the reason why they end, where they do."""
    ids = world.plan.ids("contract", chunk)
    _, end = world.tenancy(ids)
    reason = choose(LOSSES, world.draw.pick("loss", ids, _LOSS_WEIGHTS))
    for content in contracts.TABLES["EVER"](world, chunk):
        yield {**content, "SSWTCREASON": when(end < OPEN, reason, "")}


def _eablg(world: World, chunk: Chunk) -> Iterator[Columns]:
    """Yield the orders of readings; those of grid usage are the same ones, so only supply orders them."""
    for found, turn in devices.readings(world, chunk):
        usual = choose(_REASONS, world.draw.pick("reason", found.logical * 7 + turn, _REASON_WEIGHTS))
        yield {
            "MANDT": CLIENT,
            "ABLBELNR": devices.document(found, turn),
            "ANLAGE": world.installation(found.fleet.place),
            "ABLESGR": when(turn == 0, "21", usual),
            "ABLEINH": technical.reading_unit(world, found.fleet.place),
            "ADATSOLL": dats(devices.read_on(world, found, turn)),
        }


def _ettifn(world: World, chunk: Chunk) -> Iterator[Columns]:
    """Yield, besides connected loads and discounts, the use of a year as it was guessed and is known, and profiles.

    A load profile is a word instead of a number; only electricity has one.
    """
    yield from technical.TABLES["ETTIFN"](world, chunk)
    ids = world.plan.ids("installation", chunk)
    since, used = world.commissioned(ids), yearly(world, ids)
    known = world.now - 200 - world.draw.below("use.known", ids, 365)
    fact = {"MANDT": CLIENT, "ANLAGE": world.installation(ids), "OPERAND": "ANNUAL_USE", "ABLFDNR": "0001"}
    yield {**fact, "AB": dats(since), "BIS": dats(known - 1), "WERT1": decimals(used * 9 // 10, 16, 3)}
    yield {**fact, "AB": dats(known), "BIS": dats(np.full(len(ids), OPEN)), "WERT1": decimals(used, 16, 3)}
    places = ids[world.division(world.plan.pod_of(ids)) == 0]
    yield {
        **fact,
        "ANLAGE": world.installation(places),
        "OPERAND": "PROFILE",
        "AB": dats(world.commissioned(places)),
        "BIS": dats(np.full(len(places), OPEN)),
        "STRING1": when(trade(world, places), "G0", "H0"),
    }


TABLES = {"EVER": _ever, "EABLG": _eablg, "ETTIFN": _ettifn}
