"""Quotations of the last two years: who asked for what, on which way, what was planned and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from landscape import center, codes, columns, words
from landscape.codes import CLIENT, ISU_SYSTEM
from landscape.columns import OPEN, Columns, Days, choose, dats, decimals, padded, when
from landscape.draw import Ids, Mask
from landscape.fill.margin import planned
from landscape.fill.order import (
    CURRENCY,
    HEADER,
    ITEM,
    MONTHS,
    ORGANIZATION,
    SUBJECTS,
    header,
    links,
    status_changes,
    statuses,
    subjects,
    written,
)  # fmt: skip
from landscape.fill.partners import cities_of
from landscape.plan import BLOCK, Chunk
from landscape.world import World

HEADER_TYPE, ITEM_TYPE = "BUS2000115", "BUS2000131"
PER_BLOCK = 60
NUMBERS = 80_000_000
STATUSES = ("I1004", "I1005", "I1006", "I1007")
WAITS, ACCEPTED, REJECTED, EXPIRED = range(4)
"""What became of a quotation, a position in STATUSES."""
REASONS = ("PRIC", "COMP", "TERM", "NOAN", "NEED", "SERV", "MOVE")
MOVED = REASONS.index("MOVE")
CHANNELS = ("10", "20", "30", "40", "50")
_ASKED = (0.38, 0.20, 0.30, 0.04, 0.08)
_CONVINCED = np.array([0.02, -0.05, 0.09, -0.12, -0.08])  # how much more often than others a channel is accepted
_TERMS = np.array([30, 42, 60])
CAMPAIGNS = tuple(f"{name}-{year}" for year in range(2000, 2101) for name in ("WINTER", "SPRING", "SUMMER", "AUTUMN"))


@dataclass(frozen=True, slots=True)
class Quotations:
    """Quotations by their ids, each for a contract there is or that came of it."""

    ids: Ids
    contract: Ids
    made: Days
    valid_until: Days
    decided: Days  # OPEN while nothing is decided
    outcome: Ids
    reason: Ids
    channel: Ids
    campaign: Ids  # a position in CAMPAIGNS, -1 without one
    seconds: Ids

    @property
    def over(self) -> Mask:
        """Return which are decided."""
        return np.asarray(self.outcome != WAITS)

    @property
    def changed(self) -> Days:
        """Return the day of the last change."""
        return np.where(self.over, self.decided, self.made)


def slots(world: World, chunk: Chunk, stream: str, each: int) -> tuple[Ids, Ids]:
    """Return the ids of `each` documents a block of contracts, and the contract that each of them is about.

    A block that is not full has fewer.  No contract is met twice while `each` is at most BLOCK.
    """
    blocks = np.arange(chunk.first, min(chunk.last, -(-world.plan.contracts // BLOCK)))
    ids = (blocks[:, None] * each + np.arange(each)).ravel()
    shift = world.draw.below(f"{stream}.slot", ids // each, BLOCK)
    contract = ids // each * BLOCK + (ids % each * 53 + shift) % BLOCK
    there = contract < world.plan.contracts
    return ids[there], contract[there]


def quotations(world: World, chunk: Chunk) -> Quotations:
    """Return the quotations of a chunk; new customers had theirs before they moved in, others were asked to change."""
    draw, now = world.draw, world.now
    ids, contract = slots(world, chunk, "quotation", PER_BLOCK)
    start, end = world.tenancy(contract)
    new = start > now - MONTHS
    lead = 12 + draw.below("quotation.lead", ids, 45)
    made = center.workday(np.where(new, start - lead, now - 1 - draw.below("quotation.day", ids, MONTHS)))
    channel = draw.pick("quotation.channel", ids, _ASKED)
    term = _TERMS[draw.pick("quotation.term", ids, (0.2, 0.6, 0.2))]
    outcome = _outcome(draw.share("quotation.outcome", ids), np.where(new, 0.86, 0.32) + _CONVINCED[channel])
    thought = 1 + (draw.share("quotation.thought", ids) ** 1.5 * np.minimum(term, lead - 2)).astype(np.int64)
    decided = made + np.where(outcome == EXPIRED, term + 1, thought)
    gone = (outcome == ACCEPTED) & (end < decided)
    outcome = np.where(gone, REJECTED, outcome)
    reason = np.where(gone, MOVED, draw.pick("quotation.reason", ids, (0.34, 0.24, 0.08, 0.14, 0.10, 0.06, 0.04)))
    waits = decided >= now
    called = draw.chance("quotation.campaign", ids, 0.3)
    return Quotations(
        ids,
        contract,
        made,
        made + term,
        np.where(waits, OPEN, decided),
        np.where(waits, WAITS, outcome),
        reason,
        channel,
        np.where(called, season(made), -1),
        7 * 3600 + draw.below("quotation.clock", ids, 12 * 3600),
    )


def _outcome(share: npt.NDArray[np.float64], accepted: npt.NDArray[np.float64]) -> Ids:
    rejected = accepted + (1 - accepted) * 0.62
    return np.where(share < accepted, ACCEPTED, np.where(share < rejected, REJECTED, EXPIRED))


def season(days: Days) -> Ids:
    """Return the campaign that ran on each day, a position in CAMPAIGNS."""
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) + (1970 - 2000) * 12
    return np.asarray(month // 3)


def campaign(positions: Ids) -> Any:
    """Return campaigns by their positions, blank for -1."""
    return choose(("", *CAMPAIGNS), positions + 1)


def _header_guid(world: World, ids: Ids) -> Any:
    return columns.guid(world.draw, "quotation", ids)


def _item_guid(world: World, ids: Ids, side: int) -> Any:
    return columns.guid(world.draw, "quotation.item", ids * 2 + side)


def _headers(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    guid, number = _header_guid(world, own.ids), padded(NUMBERS + own.ids, 10)
    said = header(guid, number, HEADER_TYPE, "ZUQT", own.made, own.seconds, own.changed)
    yield {**said, "CREATED_BY": choose(center.SELLERS, own.ids % len(center.SELLERS)), "DESCRIPTION": "Quotation"}


def product(world: World, own: Quotations, side: int) -> Ids:
    """Return the product that is offered, a position in PRODUCTS: any rate of the division, or its grid usage."""
    division = world.division(world.plan.pod_of(world.plan.installation_of(own.contract)))
    rate = division * 3 + world.draw.pick("quotation.product", own.ids, (0.3, 0.4, 0.3))
    return rate if side == 0 else len(codes.RATES) + division


def _items(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    guids = columns.guid(world.draw, "product", np.arange(len(codes.PRODUCTS)))
    for side in world.sides:
        offered = product(world, own, side)
        yield {
            "CLIENT": CLIENT,
            "GUID": _item_guid(world, own.ids, side),
            "HEADER": _header_guid(world, own.ids),
            "PRODUCT": guids.take(pa.array(offered)),
            "ORDERED_PROD": choose(codes.PRODUCTS, offered),
            "DESCRIPTION": choose([text[:40] for text in codes.PRODUCT_TEXTS], offered),
            "NUMBER_INT": f"{10 + 10 * side:010d}",
            "ITM_TYPE": "ZUQI",
            "ORDER_DATE": columns.stamps(own.made, own.seconds),
            "OBJECT_TYPE": ITEM_TYPE,
            "CREATED_BY": choose(center.SELLERS, own.ids % len(center.SELLERS)),
            **written(own.made, own.seconds, own.changed),
        }


def _extensions(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    account = world.plan.account_of(own.contract)
    partner = world.plan.partner_of(account)
    division = world.division(world.plan.pod_of(world.plan.installation_of(own.contract)))
    for side in world.sides:
        yield {
            "CLIENT": CLIENT,
            "GUID": _item_guid(world, own.ids, side),
            "A4TYPE": str(side + 1),
            "A4ISUCONTR": when(own.outcome == ACCEPTED, world.contract(own.contract, side), ""),
            "A4ISULOGSYS": ISU_SYSTEM,
            "A4DIVISION": choose(codes.DIVISIONS, division),
            "A4BUAGGUID": columns.guid(world.draw, "agreement", account),
            "A4BPNO": world.partner(partner),
            "A4BPGUID": columns.guid(world.draw, "partner", partner),
            "A4VALIDFROM": dats(own.made),
            "A4VALIDTO": dats(own.valid_until),
            "A4QUOTATION": "X",
            "A4CANCELLED": when(cancelled(world, own), "X", ""),
        }


def cancelled(world: World, own: Quotations) -> Mask:
    """Return which were entered by mistake."""
    return world.draw.chance("quotation.cancelled", own.ids, 0.004)


def _prices(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    for side in world.sides:
        plan = planned(world, own.ids, own.contract, product(world, own, side), own.channel, own.campaign >= 0)
        division = world.division(world.plan.pod_of(world.plan.installation_of(own.contract)))
        yield {
            "CLIENT": CLIENT,
            "GUID": _item_guid(world, own.ids, side),
            "QUANTITY": decimals(plan.quantity, 15, 3),
            "QUAN_UNIT": choose(codes.UNITS, division),
            "NET_VALUE": decimals(plan.amount, 15, 2),
            "CURRENCY": CURRENCY,
            "ZZGRID_COST": decimals(plan.grid, 15, 2),
            "ZZPROCURE_COST": decimals(plan.procurement, 15, 2),
            "ZZPROCESS_COST": decimals(plan.processing, 15, 2),
            "ZZSALES_COST": decimals(plan.sales, 15, 2),
        }


def _custom(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    start, end = world.tenancy(own.contract)
    house = world.plan.house_of(world.plan.premise_of(world.plan.pod_of(world.plan.installation_of(own.contract))))
    regions = [city.region for city in words.CITIES]
    yield {
        "CLIENT": CLIENT,
        "GUID": _header_guid(world, own.ids),
        "ZZCAMPAIGN": campaign(own.campaign),
        "ZZREGION": choose(regions, cities_of(world, house)),
        "ZZISUCONTR": when((start <= own.made) & (own.made <= end), world.contract(own.contract), ""),
    }


def _jest(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    for side in world.sides:
        item = _item_guid(world, own.ids, side)
        yield statuses(item, choose(STATUSES, own.outcome))
        yield statuses(item.filter(pa.array(own.over)), STATUSES[WAITS], active=False)


def _jcds(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    day, clock = own.decided[own.over], own.seconds[own.over]
    for side in world.sides:
        item = _item_guid(world, own.ids[own.over], side)
        yield status_changes(item, choose(STATUSES, own.outcome[own.over]), day, clock)
        yield status_changes(item, STATUSES[WAITS], day, clock, active=False)


def _links(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    yield links(_header_guid(world, own.ids), _org_guid(world, own.ids), HEADER, ORGANIZATION)
    lost = own.ids[own.outcome == REJECTED]
    for side in world.sides:
        yield links(_item_guid(world, lost, side), _why_guid(world, lost, side), ITEM, SUBJECTS)


def _org_guid(world: World, ids: Ids) -> Any:
    return columns.guid(world.draw, "quotation.organization", ids)


def _why_guid(world: World, ids: Ids, side: int) -> Any:
    return columns.guid(world.draw, "quotation.why", ids * 2 + side)


def _organization(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    home = choose(("O 50000100", "O 50000200"), world.draw.pick("quotation.org", own.ids, (0.75, 0.25)))
    yield {
        "CLIENT": CLIENT,
        "GUID": _org_guid(world, own.ids),
        "SALES_ORG": home,
        "DIS_CHANNEL": choose(CHANNELS, own.channel),
    }


def _subjects(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = quotations(world, chunk)
    lost = own.outcome == REJECTED
    for side in world.sides:
        yield subjects(_why_guid(world, own.ids[lost], side), "ZLOST", choose(REASONS, own.reason[lost]))


TABLES = {
    "CRMD_ORDERADM_H": _headers,
    "CRMD_ORDERADM_I": _items,
    "CRMD_ISUEXTA4": _extensions,
    "CRMD_PRICING_I": _prices,
    "CRMD_CUSTOMER_H": _custom,
    "CRM_JEST": _jest,
    "CRM_JCDS": _jcds,
    "CRMD_LINK": _links,
    "CRMD_ORGMAN": _organization,
    "CRMD_SUBJECT": _subjects,
}
