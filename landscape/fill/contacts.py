"""Contacts of the last two years: matters of customers, some of which bring them back for the same reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from landscape import center, columns
from landscape.codes import CLIENT
from landscape.columns import Columns, Days, choose, padded, when
from landscape.draw import Ids, Mask
from landscape.fill.order import (
    HEADER,
    MONTHS,
    ORGANIZATION,
    PARTNERS,
    SUBJECTS,
    header,
    links,
    spelled,
    statuses,
    subjects,
)
from landscape.fill.quotations import campaign, season
from landscape.plan import BLOCK, Chunk
from landscape.world import World

HEADER_TYPE = "BUS2000126"
PER_BLOCK = 245
"""Matters of a block of contracts; with those who come back, about 1.5 contacts of each contract a year."""
VISITS = 3
NUMBERS = 60_000_000
STATUSES = ("I1005", "I1003", "I1002", "I1032")
DONE, AT_WORK, NEW, DROPPED = range(4)
CATEGORIES = ("202", "401", "403", "302", "301")
REASONS = ("BILL", "PAYM", "READ", "MOVE", "CONT", "PRIC", "OUTA", "CMPL", "DATA")
_ABOUT = (0.27, 0.14, 0.15, 0.12, 0.10, 0.08, 0.04, 0.06, 0.04)
_TEAM = np.array([0, 0, 0, 1, 2, 2, 3, 0, 1])  # the team that takes each reason
_COMES_BACK = np.array([0.30, 0.16, 0.18, 0.22, 0.15, 0.12, 0.10, 0.45, 0.12])
ACTIVITY_PARTNER = "00000009"


@dataclass(frozen=True, slots=True)
class Contacts:
    """Contacts by their ids: three of each matter at most."""

    ids: Ids
    contract: Ids
    day: Days
    seconds: Ids
    reason: Ids
    category: Ids
    agent: Ids
    outbound: Mask
    known: Mask  # whether the customer was identified
    status: Ids


def contacts(world: World, chunk: Chunk) -> Contacts:
    """Return the contacts of a chunk, up to yesterday: a matter comes back in a week mostly, else in three."""
    draw = world.draw
    matter, contract = _matters(world, chunk)
    reason = draw.pick("contact.reason", matter, _ABOUT)
    back = draw.share("contact.back", matter)
    visits = 1 + (back < _COMES_BACK[reason]) + (back < _COMES_BACK[reason] * 0.25)
    nth = np.tile(np.arange(VISITS), len(matter))
    matter, contract, reason, visits = (np.repeat(of, VISITS) for of in (matter, contract, reason, visits))
    ids = matter * VISITS + nth
    began = center.workday(world.now - 1 - draw.below("contact.day", matter, MONTHS))
    soon, late = 1 + draw.below("contact.soon", ids, 6), 8 + draw.below("contact.late", ids, 13)
    gap = np.where(draw.chance("contact.in_a_week", ids, 0.8), soon, late)
    first = np.repeat(gap.reshape(-1, VISITS)[:, 1], VISITS)
    day = began + np.where(nth > 0, first, 0) + np.where(nth > 1, gap, 0)
    keep = (nth < visits) & (day < world.now)
    ids, contract, day, reason, nth = (of[keep] for of in (ids, contract, day, reason, nth))
    outbound = (nth == 0) & np.isin(reason, (4, 5)) & draw.chance("contact.outbound", ids, 0.35)
    return Contacts(
        ids,
        contract,
        day,
        _clock(world, ids),
        reason,
        np.where(outbound, 0, draw.pick("contact.category", ids, (0.58, 0.20, 0.13, 0.02, 0.07))),
        _agent(world, ids, reason),
        outbound,
        outbound | (nth > 0) | draw.chance("contact.known", ids, 0.96),
        _status(world, ids, day),
    )


def _matters(world: World, chunk: Chunk) -> tuple[Ids, Ids]:
    blocks = np.arange(chunk.first, min(chunk.last, -(-world.plan.contracts // BLOCK)))
    ids = (blocks[:, None] * PER_BLOCK + np.arange(PER_BLOCK)).ravel()
    contract = ids // PER_BLOCK * BLOCK + world.draw.below("contact.contract", ids, BLOCK)
    there = contract < world.plan.contracts
    return ids[there], contract[there]


def _clock(world: World, ids: Ids) -> Ids:
    half = center.OPENS + world.draw.pick("contact.half_hour", ids, center.CURVE.tolist())
    return half * 1800 + world.draw.below("contact.second", ids, 1800)


def _agent(world: World, ids: Ids, reason: Ids) -> Ids:
    other = world.draw.below("contact.team", ids, len(center.TEAMS))
    team = np.where(world.draw.chance("contact.helped", ids, 0.1), other, _TEAM[reason])
    return team * center.AGENTS_OF_A_TEAM + world.draw.below("contact.agent", ids, center.AGENTS_OF_A_TEAM)


def _status(world: World, ids: Ids, day: Days) -> Ids:
    fresh = np.where(world.draw.chance("contact.new", ids, 0.4), NEW, AT_WORK)
    going = (world.now - day <= 6) & world.draw.chance("contact.going", ids, 0.5)
    dropped = world.draw.chance("contact.dropped", ids, 0.006)
    return np.where(dropped, DROPPED, np.where(going, fresh, DONE))


def _guid(world: World, ids: Ids, part: str = "") -> Any:
    return columns.guid(world.draw, f"contact{part}", ids)


def _headers(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    guid, number = _guid(world, own.ids), padded(NUMBERS + own.ids, 10)
    said = header(guid, number, HEADER_TYPE, "ZINT", own.day, own.seconds, own.day)
    yield {**said, "CREATED_BY": choose(center.AGENTS, own.agent), "DESCRIPTION": "Interaction"}


def _activities(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    yield {
        "CLIENT": CLIENT,
        "GUID": _guid(world, own.ids),
        "CATEGORY": choose(CATEGORIES, own.category),
        "DIRECTION": when(own.outbound, "1", "0"),
        "PRIORITY": "5",
    }


def _custom(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    start, end = world.tenancy(own.contract)
    about = own.known & (start <= own.day) & (own.day <= end)
    yield {
        "CLIENT": CLIENT,
        "GUID": _guid(world, own.ids),
        "ZZISUCONTR": when(about, world.contract(own.contract), ""),
        "ZZCAMPAIGN": campaign(np.where(own.outbound, season(own.day), -1)),
    }


def _jest(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    guid = _guid(world, own.ids)
    yield statuses(guid, choose(STATUSES, own.status))
    yield statuses(guid.filter(pa.array(own.status != NEW)), STATUSES[NEW], active=False)


def _links(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    guid, known = _guid(world, own.ids), own.ids[own.known]
    yield links(_guid(world, known), _guid(world, known, ".partners"), HEADER, PARTNERS)
    yield links(guid, _guid(world, own.ids, ".organization"), HEADER, ORGANIZATION)
    yield links(guid, _guid(world, own.ids, ".why"), HEADER, SUBJECTS)


def _partners(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    known = own.ids[own.known]
    partner = world.plan.partner_of(world.plan.account_of(own.contract[own.known]))
    yield {
        "CLIENT": CLIENT,
        "PARTNER_GUID": _guid(world, known, ".partner"),
        "GUID": _guid(world, known, ".partners"),
        "PARTNER_FCT": ACTIVITY_PARTNER,
        "PARTNER_NO": spelled(columns.guid(world.draw, "partner", partner)),
        "NO_TYPE": "BP",
        "MAINPARTNER": "X",
    }


def _organization(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    yield {
        "CLIENT": CLIENT,
        "GUID": _guid(world, own.ids, ".organization"),
        "SERVICE_ORG": "O 50000300",
        "SERVICE_TEAM": choose(center.TEAMS, own.agent // center.AGENTS_OF_A_TEAM),
    }


def _subjects(world: World, chunk: Chunk) -> Iterator[Columns]:
    own = contacts(world, chunk)
    yield subjects(_guid(world, own.ids, ".why"), "ZREASON", choose(REASONS, own.reason))


TABLES = {
    "CRMD_ORDERADM_H": _headers,
    "CRMD_ACTIVITY_H": _activities,
    "CRMD_CUSTOMER_H": _custom,
    "CRM_JEST": _jest,
    "CRMD_LINK": _links,
    "CRMD_PARTNER": _partners,
    "CRMD_ORGMAN": _organization,
    "CRMD_SUBJECT": _subjects,
}
