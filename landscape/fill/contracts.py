"""Utility contracts, the products they had, and move-ins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from landscape import codes, columns
from landscape.codes import CLIENT
from landscape.columns import NONE, OPEN, Columns, choose, dats, padded, when
from landscape.draw import Ids
from landscape.plan import Chunk
from landscape.world import World


def _division(world: World, contracts: Ids) -> Ids:
    return world.division(world.plan.pod_of(world.plan.installation_of(contracts)))


def _ever(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, draw = world.plan.ids("contract", chunk), world.draw
    start, end = world.tenancy(ids)
    over = end < OPEN
    place = world.plan.installation_of(ids)
    created = np.minimum(start + draw.below("signed", ids, 20), world.now - 1)
    touched = world.changed("contract", ids, created)
    changed = np.where(end < world.now, np.maximum(touched, np.minimum(end + 1, world.now)), touched)
    for side in world.sides:
        yield {
            "MANDT": CLIENT,
            "VERTRAG": world.contract(ids, side),
            "BUKRS": "1000",
            "SPARTE": choose(codes.DIVISIONS, _division(world, ids)),
            "KOFIZ": when(draw.chance("contract.kofiz", ids, 0.12), "02", "01"),
            "PORTION": padded(1 + draw.below("portion", ids, 240), 4, "PORT"),
            "ABSLANFO": "X",
            "ABSZYK": "01",
            "GEMFAKT": choose(("1", "2", "3"), draw.pick("gemfakt", ids, (0.15, 0.8, 0.05))),
            "ABRSPERR": when(draw.chance("abrsperr", ids, 0.01), choose(("01", "02"), ids % 2), ""),
            "VBEZ": when(draw.chance("vbez", ids, 0.2), "Contract with individual terms", ""),
            "VBEGINN": dats(start),
            "VENDE": dats(np.where(over, end, NONE)),
            "KUENDDAT": dats(np.where(over, end - 30, NONE)),
            "KFRIST": "030",
            "KUENPER": "1",
            "VREFER": when(draw.chance("vrefer", ids, 0.25), padded(ids, 9, "LEGACY-"), ""),
            "ANLAGE": world.installation(place, side),
            "VKONTO": world.account(world.plan.account_of(ids)),
            "EINZDAT": dats(start),
            "AUSZDAT": dats(end),
            "FAKTURIERT": "X",
            "BILLFINIT": when(end < world.now, "X", ""),
            "LOEVM": when((end < world.now) & draw.chance("contract.loevm", ids, 0.03), "X", ""),
            "ERDAT": dats(created),
            "ERNAM": "MIGRATION",
            "AEDAT": dats(changed),
            "AENAM": when(changed > NONE, "AGENT01", ""),
        }


def _everh(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("contract", chunk)
    first, last = world.tenancy(ids)
    place = world.plan.installation_of(ids)
    second, third = world.slices(place)
    bounds = ((np.full(len(ids), NONE), second), (second, third), (third, np.full(len(ids), OPEN + 1)))
    number = np.zeros(len(ids), dtype=np.int64)
    dummy = world.draw.chance("dummy", ids, 0.02)
    guids = columns.guid(world.draw, "product", np.arange(len(codes.PRODUCTS + codes.DUMMIES)))
    names = [*codes.PRODUCTS, *codes.DUMMIES]
    for order, (since, until) in enumerate(bounds):
        start, end = np.maximum(first, since), np.minimum(last, until - 1)
        there = (since < OPEN) & (start <= end)
        number += there
        division = _division(world, ids)
        for side in world.sides:
            usual = world.rate(place, order) if side == 0 else len(codes.RATES) + division
            product = np.where(dummy, len(codes.PRODUCTS) + side * 4 + division, usual)[there]
            yield {
                "MANDT": CLIENT,
                "VERTRAG": world.contract(ids[there], side),
                "BIS": dats(np.where(end >= OPEN - 1, OPEN, end)[there]),
                "NUM": padded(number[there], 4),
                "AB": dats(start[there]),
                "ANLAGE": world.installation(place[there], side),
                "CRM_PRODUCT": choose(names, product),
                "PRODID": choose([f"MDT_{name}" for name in names], product),
                "PRODUCT_GUID": guids.take(pa.array(product)),
            }


def _eein(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("contract", chunk)
    start, _ = world.tenancy(ids)
    account = world.plan.account_of(ids)
    for side in world.sides:
        yield {
            "MANDT": CLIENT,
            "EINZBELEG": padded(600_000_000 + side * 100_000_000 + ids, 12),
            "VKONT": world.account(account),
            "KUNDE": world.partner(world.plan.partner_of(account)),
            "BEZUGSDAT": dats(start),
            "ERDAT": dats(start),
            "ERNAM": "AGENT03",
        }


def _eeinv(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("contract", chunk)
    start, _ = world.tenancy(ids)
    place = world.plan.installation_of(ids)
    for side in world.sides:
        yield {
            "MANDT": CLIENT,
            "EINZBELEG": padded(600_000_000 + side * 100_000_000 + ids, 12),
            "VERTRAG": world.contract(ids, side),
            "ANLAGE": world.installation(place, side),
            "VSTELLE": world.premise(world.plan.premise_of(world.plan.pod_of(place))),
            "EINZDAT": dats(start),
            "ABSBETRW": pa.array(20 + world.draw.below("budget", ids, 180)),
            "ABSZYK": "01",
        }


TABLES = {"EVER": _ever, "EVERH": _everh, "EEIN": _eein, "EEINV": _eeinv}
