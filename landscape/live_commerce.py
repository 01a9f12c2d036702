"""Play a day of sales and service in CRM: quotations are decided, opportunities move on, customers get in touch.

The same arguments on the same landscape do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import psycopg

from landscape import center
from landscape.codes import CLIENT
from landscape.draw import Draw
from landscape.fill import contacts, opportunities, quotations
from landscape.fill.order import HEADER, ITEM, ORGANIZATION, PARTNERS, SUBJECTS
from landscape.live import shares
from landscape.live_documents import copy, give_reason, items, numbers, set_status, stamp
from landscape.moment import Moment
from landscape.rows import Connection

Object = Literal["quotation", "opportunity", "contact"]
_WAITS = quotations.STATUSES[quotations.WAITS]
_OPEN_QUOTATION = (
    f"h.object_type = '{quotations.HEADER_TYPE}' AND EXISTS (SELECT FROM crmd_orderadm_i i JOIN crm_jest s "
    f"ON s.mandt = i.client AND s.objnr = i.guid AND s.stat = '{_WAITS}' AND s.inact = '' JOIN crmd_isuexta4 x "
    "ON x.client = i.client AND x.guid = i.guid AND x.a4cancelled = '' WHERE i.client = h.client "
    "AND i.header = h.guid AND x.a4validto {compared} '{today}')"
)
_OPEN_OPPORTUNITY = (
    f"h.object_type = '{opportunities.HEADER_TYPE}' AND EXISTS (SELECT FROM crm_jest s WHERE s.mandt = h.client "
    f"AND s.objnr = h.guid AND s.stat = '{opportunities.STATUSES[opportunities.UNDECIDED]}' AND s.inact = '')"
)
_CONTACT = (
    f"h.object_type = '{contacts.HEADER_TYPE}' AND EXISTS (SELECT FROM crmd_activity_h a WHERE a.client = h.client "
    "AND a.guid = h.guid AND a.direction = '0') AND EXISTS (SELECT FROM crmd_link l WHERE l.client = h.client "
    f"AND l.guid_hi = h.guid AND l.objtype_set = '{PARTNERS}') AND NOT EXISTS (SELECT FROM crm_jest s WHERE "
    "s.mandt = h.client AND s.objnr = h.guid AND s.stat = 'I1032' AND s.inact = '')"
)


@dataclass(frozen=True, slots=True)
class Happened:
    """One kind of event of a day, and the numbers of the documents it befell."""

    kind: str
    about: str
    object: Object
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommerceDay:
    """A day that was played."""

    changes: int
    seed: int
    now: str
    happened: tuple[Happened, ...]

    def of(self, kind: str) -> tuple[str, ...]:
        """Return the numbers of the documents that a kind of event befell; raises KeyError."""
        for one in self.happened:
            if one.kind == kind:
                return one.numbers
        raise KeyError(kind)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the day is played: an open session, the moment, and the draw that decides what is said."""

    crm: Connection
    at: Moment
    draw: Draw

    def candidates(self, where: str, count: int) -> list[str]:
        """Return headers of documents that are chosen among those of a condition."""
        statement = f"SELECT encode(h.guid, 'hex') FROM crmd_orderadm_h h WHERE h.client = '{CLIENT}' AND {where} "
        rows = self.crm.execute(f"{statement} ORDER BY {self.at.order('h.guid')}, h.guid LIMIT %s", (count,))
        return [str(row[0]) for row in rows.fetchall()]

    def reasons(self, count: int) -> list[str]:
        """Return why business was lost, so many codes."""
        words = np.asarray(quotations.REASONS[: quotations.MOVED], object)
        return [str(word) for word in words[self.draw.below("live.why", np.arange(count), len(words))]]


Play = Callable[[Desk, int], list[str]]


def play_commerce(crm_url: str, *, changes: int, seed: int, now: datetime) -> CommerceDay:
    """Play about `changes` events of a day at `now` (UTC) and return what befell whom.

    All quotations whose last day has gone by expire besides.  A landscape without enough documents yields fewer.
    Raises psycopg.Error when the database cannot be written.
    """
    at = Moment(now.astimezone(UTC), seed)
    happened = []
    with psycopg.connect(crm_url) as crm:
        desk = Desk(crm, at, Draw(seed * 1_000_003 + at.now.toordinal()))
        wanted = shares([weight for _, weight, _ in KINDS], changes)
        for (object_, _, play), count in zip(KINDS, wanted, strict=True):
            headers = play(desk, count)
            about = " ".join((play.__doc__ or "").split())
            happened.append(Happened(play.__name__, about, object_, numbers(crm, headers)))
    return CommerceDay(changes, seed, at.now.isoformat(), tuple(happened))


# ---- quotations -----------------------------------------------------------------------------------------------------


def _quoted(desk: Desk, count: int, compared: str = ">=") -> list[str]:
    return desk.candidates(_OPEN_QUOTATION.format(compared=compared, today=desk.at.date), count)


def _decide(desk: Desk, headers: Sequence[str], status: int) -> list[str]:
    of = items(desk.crm, headers)
    set_status(desk.crm, desk.at, of, quotations.STATUSES[status])
    stamp(desk.crm, desk.at, headers)
    return of


def expired(desk: Desk, count: int) -> list[str]:
    """Quotations whose last day has gone by expire, however many there are."""
    headers = _quoted(desk, 1_000_000, "<")
    _decide(desk, headers, quotations.EXPIRED)
    return headers


def accepted(desk: Desk, count: int) -> list[str]:
    """Customers accept their quotations; the items name the contract that is known, and that of the grid beside it."""
    headers = _quoted(desk, count)
    _decide(desk, headers, quotations.ACCEPTED)
    desk.crm.execute(
        "UPDATE crmd_isuexta4 t SET a4isucontr = CASE t.a4type WHEN '1' THEN c.zzisucontr ELSE coalesce(("
        "SELECT x.a4isucontr FROM crmd_isuexta4 s JOIN crmd_isuexta4 x ON x.client = s.client "
        "AND x.a4podguid = s.a4podguid AND x.a4type = t.a4type AND x.a4quotation = '' WHERE s.client = t.client "
        "AND s.a4isucontr = c.zzisucontr AND s.a4isucontr <> '' AND s.a4quotation = '' "
        "ORDER BY x.a4isucontr LIMIT 1), '') END "
        "FROM unnest(%s::text[]) AS v(a) "
        f"JOIN crmd_customer_h c ON c.client = '{CLIENT}' AND c.guid = decode(v.a, 'hex') "
        f"JOIN crmd_orderadm_i i ON i.client = '{CLIENT}' AND i.header = c.guid "
        f"WHERE t.client = '{CLIENT}' AND t.guid = i.guid",
        (headers,),
    )
    return headers


def rejected(desk: Desk, count: int) -> list[str]:
    """Customers decline and say why."""
    headers = _quoted(desk, count)
    of = _decide(desk, headers, quotations.REJECTED)
    give_reason(desk.crm, of, ITEM, "ZLOST", desk.reasons(len(of)))
    return headers


def quotation_withdrawn(desk: Desk, count: int) -> list[str]:
    """Somebody finds that a quotation was entered by mistake."""
    headers = _quoted(desk, min(count, 2))
    desk.crm.execute(
        "UPDATE crmd_isuexta4 t SET a4cancelled = 'X' FROM unnest(%s::text[]) AS v(a) "
        f"WHERE t.client = '{CLIENT}' AND t.guid = decode(v.a, 'hex')",
        (items(desk.crm, headers),),
    )
    stamp(desk.crm, desk.at, headers)
    return headers


def quoted(desk: Desk, count: int) -> list[str]:
    """Customers ask for quotations, as others did before; each has a month to think it over."""
    like = desk.candidates(f"h.object_type = '{quotations.HEADER_TYPE}'", count)
    until = f"{desk.at.now + timedelta(days=30):%Y%m%d}"
    fresh = {"a4isucontr": "''", "a4validfrom": f"'{desk.at.date}'", "a4validto": f"'{until}'", "a4cancelled": "''"}
    share = f"(97 + mod(o.place + {desk.at.seed}, 7))"
    priced = {"net_value": f"round(t.net_value * {share} / 100, 2)"}
    headers = copy(desk.crm, desk.at, like, {"crmd_isuexta4": fresh, "crmd_pricing_i": priced}, [ORGANIZATION])
    set_status(desk.crm, desk.at, items(desk.crm, headers), _WAITS)
    return headers


# ---- opportunities --------------------------------------------------------------------------------------------------


def moved_on(desk: Desk, count: int) -> list[str]:
    """Opportunities come a phase further, and with it their chance of success changes."""
    phases, chances = opportunities.PHASES, opportunities.CHANCES
    early = f"h.guid IN (SELECT guid FROM crmd_opport_h WHERE client = '{CLIENT}' AND curr_phase < '{phases[-1]}')"
    headers = desk.candidates(f"{_OPEN_OPPORTUNITY} AND {early}", count)
    chance = " ".join(f"WHEN '{phase}' THEN '{new:03d}'" for phase, new in zip(phases, chances[1:], strict=False))
    desk.crm.execute(
        "UPDATE crmd_opport_h t SET curr_phase = lpad((t.curr_phase::int + 1)::text, 3, '0'), "
        f"probability = CASE t.curr_phase {chance} END FROM unnest(%s::text[]) AS v(a) "
        f"WHERE t.client = '{CLIENT}' AND t.guid = decode(v.a, 'hex')",
        (headers,),
    )
    stamp(desk.crm, desk.at, headers)
    return headers


def _close(desk: Desk, count: int, status: int, change: str) -> list[str]:
    headers = desk.candidates(_OPEN_OPPORTUNITY, count)
    set_status(desk.crm, desk.at, headers, opportunities.STATUSES[status])
    desk.crm.execute(
        f"UPDATE crmd_opport_h t SET {change} FROM unnest(%s::text[]) AS v(a) "
        f"WHERE t.client = '{CLIENT}' AND t.guid = decode(v.a, 'hex')",
        (headers,),
    )
    stamp(desk.crm, desk.at, headers)
    return headers


def won(desk: Desk, count: int) -> list[str]:
    """Opportunities are won."""
    return _close(desk, count, opportunities.WON, f"probability = '100', curr_phase = '{opportunities.PHASES[-1]}'")


def lost(desk: Desk, count: int) -> list[str]:
    """Opportunities are lost, each for a reason."""
    headers = _close(desk, count, opportunities.LOST, "probability = '000'")
    give_reason(desk.crm, headers, HEADER, "ZLOST", desk.reasons(len(headers)))
    return headers


def found(desk: Desk, count: int) -> list[str]:
    """Sales finds new opportunities, as there were before."""
    like = desk.candidates(f"h.object_type = '{opportunities.HEADER_TYPE}'", count)
    first = {
        "startdate": f"'{desk.at.date}'",
        "expect_end": f"'{desk.at.now + timedelta(days=90):%Y%m%d}'",
        "curr_phase": f"'{opportunities.PHASES[0]}'",
        "probability": f"'{opportunities.CHANCES[0]:03d}'",
    }
    headers = copy(desk.crm, desk.at, like, {"crmd_opport_h": first}, [PARTNERS])
    set_status(desk.crm, desk.at, headers, opportunities.STATUSES[opportunities.UNDECIDED])
    return headers


# ---- contacts -------------------------------------------------------------------------------------------------------


def _call(desk: Desk, like: Sequence[str], stream: str, status: int) -> list[str]:
    agents = np.asarray(center.AGENTS, object)[desk.draw.below(stream, np.arange(len(like)), len(center.AGENTS))]
    changes = {
        "crmd_orderadm_h": {"created_by": "o.word"},
        "crmd_orgman": {"service_team": "left(o.word, 4)"},
        "crmd_customer_h": {"zzcampaign": "''"},
    }
    words = [str(agent) for agent in agents]
    headers = copy(desk.crm, desk.at, like, changes, [PARTNERS, ORGANIZATION, SUBJECTS], words)
    set_status(desk.crm, desk.at, headers, contacts.STATUSES[status])
    return headers


def called_again(desk: Desk, count: int) -> list[str]:
    """Customers come back for the same reason within a week, so their matter was not settled at first."""
    week = f"{desk.at.now - timedelta(days=6):%Y%m%d%H%M%S}"
    before = f"{desk.at.date}000000"
    like = desk.candidates(f"{_CONTACT} AND h.created_at >= {week} AND h.created_at < {before}", count)
    return _call(desk, like, "live.again", contacts.NEW)


def called(desk: Desk, count: int) -> list[str]:
    """Customers get in touch whom nobody heard of for two months at least."""
    then = f"{desk.at.now - timedelta(days=60):%Y%m%d%H%M%S}"
    return _call(desk, desk.candidates(f"{_CONTACT} AND h.created_at < {then}", count), "live.called", contacts.DONE)


def settled(desk: Desk, count: int) -> list[str]:
    """What was left to do of contacts is done."""
    going = f"'{contacts.STATUSES[contacts.AT_WORK]}', '{contacts.STATUSES[contacts.NEW]}'"
    before = f"h.created_at < {desk.at.date}000000"
    headers = desk.candidates(
        f"h.object_type = '{contacts.HEADER_TYPE}' AND {before} AND EXISTS (SELECT FROM crm_jest s WHERE "
        f"s.mandt = h.client AND s.objnr = h.guid AND s.stat IN ({going}) AND s.inact = '')",
        count,
    )
    set_status(desk.crm, desk.at, headers, contacts.STATUSES[contacts.DONE])
    stamp(desk.crm, desk.at, headers)
    return headers


def contact_withdrawn(desk: Desk, count: int) -> list[str]:
    """Somebody finds that a contact was written down by mistake."""
    headers = desk.candidates(f"{_CONTACT} AND h.created_at < {desk.at.date}000000", min(count, 2))
    set_status(desk.crm, desk.at, headers, contacts.STATUSES[contacts.DROPPED])
    stamp(desk.crm, desk.at, headers)
    return headers


KINDS: tuple[tuple[Object, float, Play], ...] = (
    ("quotation", 0.1, expired),
    ("quotation", 0.2, quotation_withdrawn),
    ("quotation", 3, accepted),
    ("quotation", 2.5, rejected),
    ("quotation", 4, quoted),
    ("opportunity", 2, moved_on),
    ("opportunity", 0.8, won),
    ("opportunity", 0.8, lost),
    ("opportunity", 1, found),
    ("contact", 3, called_again),
    ("contact", 10, called),
    ("contact", 1.5, settled),
    ("contact", 0.2, contact_withdrawn),
)
"""In this order; a document that was decided, or made, may meet the next kind only if it still fits it."""
