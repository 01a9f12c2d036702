"""Opportunities of the last two years: who works on what, how far it came, whether it was won."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from landscape import center, codes, columns
from landscape.codes import CLIENT
from landscape.columns import OPEN, Columns, Days, choose, dats, decimals, padded
from landscape.draw import Ids, Mask
from landscape.fill.order import (
    CURRENCY,
    HEADER,
    MONTHS,
    PARTNERS,
    SUBJECTS,
    header,
    links,
    spelled,
    status_changes,
    statuses,
    subjects,
    written,
)  # fmt: skip
from landscape.fill.quotations import REASONS, slots
from landscape.plan import Chunk
from landscape.world import World

HEADER_TYPE, ITEM_TYPE = "BUS2000111", "BUS2000130"
PER_BLOCK = 12
NUMBERS = 70_000_000
STATUSES = ("I1003", "I1010", "I1011")
UNDECIDED, WON, LOST = range(3)
PHASES = ("001", "002", "003", "004")
CHANCES = np.array([10, 30, 50, 75])
"""The usual chance of success in each phase, in percent."""
PROSPECT, EMPLOYEE = "00000021", "00000014"


@dataclass(frozen=True, slots=True)
class Opportunities:
    """Opportunities by their ids; amounts are cents."""

    ids: Ids
    contract: Ids
    made: Days
    expected: Days
    closed: Days  # OPEN while nothing is decided
    outcome: Ids
    phase: Ids
    chance: Ids
    reason: Ids
    amount: Ids
    seconds: Ids

    @property
    def over(self) -> Mask:
        """Return which are won or lost."""
        return np.asarray(self.outcome != UNDECIDED)

    @property
    def changed(self) -> Days:
        """Return the day of the last change."""
        return np.where(self.over, self.closed, self.made)


def opportunities(world: World, chunk: Chunk) -> Opportunities:
    """Return the opportunities of a chunk: those that would close in the future are still open."""
    draw, now = world.draw, world.now
    ids, contract = slots(world, chunk, "opportunity", PER_BLOCK)
    made = center.workday(now - 1 - draw.below("opportunity.day", ids, MONTHS))
    takes = 20 + draw.below("opportunity.takes", ids, 140)
    waits = made + takes >= now
    outcome = np.where(waits, UNDECIDED, np.where(draw.chance("opportunity.won", ids, 0.47), WON, LOST))
    reached = np.where(waits, (now - made) * 4 // takes, draw.below("opportunity.phase", ids, 4))
    phase = np.clip(np.where(outcome == WON, 3, reached), 0, 3)
    usual = CHANCES[phase] + 5 * (draw.below("opportunity.chance", ids, 5) - 2)
    size = 8.0 ** (1 + 1.3 * draw.share("opportunity.size", ids))
    return Opportunities(
        ids,
        contract,
        made,
        made + 30 + draw.below("opportunity.expected", ids, 130),
        np.where(waits, OPEN, made + takes),
        outcome,
        phase,
        np.choose(outcome, [np.maximum(usual, 0), np.full(len(ids), 100), np.zeros(len(ids), np.int64)]),
        draw.pick("opportunity.reason", ids, (0.38, 0.30, 0.06, 0.10, 0.10, 0.06)),
        (size * 10_000).astype(np.int64) + draw.below("opportunity.cents", ids, 10_000),
        7 * 3600 + draw.below("opportunity.clock", ids, 11 * 3600),
    )


def _guid(world: World, ids: Ids, part: str = "") -> Any:
    return columns.guid(world.draw, f"opportunity{part}", ids)


def _seller(ids: Ids) -> Any:
    return choose(center.SELLERS, ids % len(center.SELLERS))


def _headers(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    guid, number = _guid(world, own.ids), padded(NUMBERS + own.ids, 10)
    said = header(guid, number, HEADER_TYPE, "ZOPP", own.made, own.seconds, own.changed)
    yield {**said, "CREATED_BY": _seller(own.ids), "DESCRIPTION": "Opportunity"}


def _items(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    division = world.division(world.plan.pod_of(world.plan.installation_of(own.contract)))
    product = division * 3 + world.draw.below("opportunity.product", own.ids, 3)
    guids = columns.guid(world.draw, "product", np.arange(len(codes.PRODUCTS)))
    yield {
        "CLIENT": CLIENT,
        "GUID": _guid(world, own.ids, ".item"),
        "HEADER": _guid(world, own.ids),
        "PRODUCT": guids.take(pa.array(product)),
        "ORDERED_PROD": choose(codes.PRODUCTS, product),
        "NUMBER_INT": "0000000010",
        "ITM_TYPE": "ZOPI",
        "OBJECT_TYPE": ITEM_TYPE,
        "CREATED_BY": _seller(own.ids),
        **written(own.made, own.seconds, own.changed),
    }


def _chances(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    yield {
        "CLIENT": CLIENT,
        "GUID": _guid(world, own.ids),
        "STARTDATE": dats(own.made),
        "EXPECT_END": dats(own.expected),
        "CURR_PHASE": choose(PHASES, own.phase),
        "PROBABILITY": padded(own.chance, 3),
        "EXP_REVENUE": decimals(own.amount, 15, 2),
        "CURRENCY": CURRENCY,
    }


def _jest(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    guid = _guid(world, own.ids)
    yield statuses(guid, choose(STATUSES, own.outcome))
    yield statuses(guid.filter(pa.array(own.over)), STATUSES[UNDECIDED], active=False)


def _jcds(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    guid, day, clock = _guid(world, own.ids[own.over]), own.closed[own.over], own.seconds[own.over]
    yield status_changes(guid, choose(STATUSES, own.outcome[own.over]), day, clock)
    yield status_changes(guid, STATUSES[UNDECIDED], day, clock, active=False)


def _links(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    lost = own.ids[own.outcome == LOST]
    yield links(_guid(world, own.ids), _guid(world, own.ids, ".partners"), HEADER, PARTNERS)
    yield links(_guid(world, lost), _guid(world, lost, ".why"), HEADER, SUBJECTS)


def _partners(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    partner = world.plan.partner_of(world.plan.account_of(own.contract))
    said = {"CLIENT": CLIENT, "GUID": _guid(world, own.ids, ".partners"), "MAINPARTNER": "X"}
    yield {
        **said,
        "PARTNER_GUID": _guid(world, own.ids, ".prospect"),
        "PARTNER_FCT": PROSPECT,
        "PARTNER_NO": spelled(columns.guid(world.draw, "partner", partner)),
        "NO_TYPE": "BP",
    }
    yield {
        **said,
        "PARTNER_GUID": _guid(world, own.ids, ".employee"),
        "PARTNER_FCT": EMPLOYEE,
        "PARTNER_NO": _seller(own.ids),
        "NO_TYPE": "US",
    }


def _subjects(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = opportunities(world, chunk)
    lost = own.outcome == LOST
    yield subjects(_guid(world, own.ids[lost], ".why"), "ZLOST", choose(REASONS, own.reason[lost]))


TABLES = {
    "CRMD_ORDERADM_H": _headers,
    "CRMD_ORDERADM_I": _items,
    "CRMD_OPPORT_H": _chances,
    "CRM_JEST": _jest,
    "CRM_JCDS": _jcds,
    "CRMD_LINK": _links,
    "CRMD_PARTNER": _partners,
    "CRMD_SUBJECT": _subjects,
}
