"""Play a day of business on both sides of the landscape: what people do, and what has to become of it.

The same arguments on the same landscape do the same. Nobody is met twice on one day: each record suffers one kind of
change, also when the day is played in several parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg

from landscape import live_accounts, live_contracts, live_partners
from landscape.codes import CLIENT
from landscape.live_day import KINDS, Day, Kind, Made, Manifest, Played, Pool, keep, kept
from landscape.rows import Connection

PARTS = (live_partners, live_accounts, live_contracts)  # importing them registers their kinds
SPARE = 2  # candidates drawn for each record that is needed: some stand on one side only

_ALIVE = f"e.mandt = '{CLIENT}' AND e.auszdat = '99991231' AND e.einzdat < %(today)s AND e.loevm = ''"
_SLICE = (
    f"EXISTS (SELECT FROM everh h WHERE h.mandt = '{CLIENT}' AND h.vertrag = e.vertrag "
    "AND h.bis = '99991231' AND h.ab < %(today)s)"
)
_BILL = (
    f"EXISTS (SELECT FROM erch b WHERE b.mandt = '{CLIENT}' AND b.vertrag = e.vertrag AND b.simulation = '' "
    "AND b.stornodat = '00000000' AND b.begabrpe <= e.einzdat)"
)
_ISU: Mapping[Pool, tuple[str, str, str]] = {
    "person": (
        "partner",
        "but000 e",
        f"e.client = '{CLIENT}' AND e.type = '1' AND e.xdele = '' AND e.xblck = '' AND e.partner ~ '^[0-9]{{10}}$' "
        f"AND (SELECT count(*) FROM but020 a WHERE a.client = '{CLIENT}' AND a.partner = e.partner) = 1",
    ),
    "account": ("vkont", "fkkvk e", f"e.mandt = '{CLIENT}' AND e.loevm = '' AND e.vktyp = '01'"),
    "contract": ("vertrag", "ever e", f"{_ALIVE} AND {_SLICE}"),
    "billed": ("vertrag", "ever e", f"{_ALIVE} AND {_SLICE} AND {_BILL}"),
    "flagged": ("vertrag", "ever e", f"e.mandt = '{CLIENT}' AND e.loevm = 'X'"),
}
_CRM: Mapping[Pool, str] = {
    "person": f"SELECT partner FROM but000 WHERE client = '{CLIENT}' AND partner = ANY(%s) AND xdele = ''",
    "account": f"SELECT buag_id FROM crmm_buag WHERE client = '{CLIENT}' AND buag_id = ANY(%s) AND deletion_flag = ''",
    "contract": f"SELECT a4isucontr FROM crmd_isuexta4 WHERE client = '{CLIENT}' AND a4isucontr = ANY(%s) "
    "AND a4cancelled = '' AND a4contend = '99991231' AND a4quotation = ''",
    "billed": f"SELECT a4isucontr FROM crmd_isuexta4 WHERE client = '{CLIENT}' AND a4isucontr = ANY(%s) "
    "AND a4cancelled = '' AND a4contend = '99991231' AND a4quotation = ''",
    "flagged": f"SELECT a4isucontr FROM crmd_isuexta4 WHERE client = '{CLIENT}' AND a4isucontr = ANY(%s) "
    "AND a4cancelled = 'X' AND a4quotation = ''",
}


def live(
    isu_url: str, crm_url: str, changes: int, seed: int, now: datetime | None = None, *, during: bool = False
) -> Manifest:
    """Play about `changes` changes of a day, at `now` (UTC), and return what was done to whom.

    `during` plays only what happens in IS-U, as while CRM is being loaded. Kinds of change share the number by
    their weight, each at least once if there are enough; a landscape without enough records yields fewer. The
    manifest is kept in the IS-U database. Raises psycopg.Error when a database cannot be written.
    """
    at = (now or datetime.now(UTC)).astimezone(UTC)
    kinds = [kind for kind in KINDS if kind.during or not during]
    with psycopg.connect(isu_url, autocommit=True) as isu, psycopg.connect(crm_url, autocommit=True) as crm:
        day = Day(at, seed, isu, crm, isu_url)
        people = _drawn(day, kinds, shares([kind.weight for kind in kinds], changes), both=not during)
        played = tuple(_played(day, kind, keys) for kind, keys in zip(kinds, people, strict=True) if keys)
        manifest = Manifest(changes, seed, at.isoformat(), during, played)
        keep(isu, manifest)
    return manifest


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Cut a number by weights: the parts sum up to it, and each has one if there are enough.

    >>> shares([3.0, 1.0], 8)
    [6, 2]
    >>> shares([9.0, 1.0], 2)
    [1, 1]
    """
    if total < len(weights):
        return [1] * total + [0] * (len(weights) - total)
    exact = np.asarray(weights) / sum(weights) * (total - len(weights))
    counts = 1 + np.floor(exact).astype(np.int64)
    rest = np.argsort(np.floor(exact) - exact, kind="stable")[: total - int(counts.sum())]
    counts[rest] += 1
    return [int(count) for count in counts]


def _played(day: Day, kind: Kind, keys: list[str]) -> Played:
    with day.isu.transaction(), day.crm.transaction():
        made = kind.play(day, keys) or Made(tuple(keys))
    return Played(
        kind.name,
        kind.about,
        kind.object,
        kind.fields,
        kind.expected,
        kind.stamped,
        len(made.keys),
        made.keys,
        made.others,
    )


def _drawn(day: Day, kinds: Sequence[Kind], counts: Sequence[int], *, both: bool) -> list[list[str]]:
    """Return whom each kind of change befalls; the rarer pools choose first, and nobody is chosen twice."""
    chosen: list[list[str]] = [[] for _ in kinds]
    taken: set[str] = set()
    met = _met(day)
    order: tuple[Pool, ...] = ("flagged", "billed", "contract", "account", "person")
    for pool in order:
        members = [place for place, kind in enumerate(kinds) if kind.pool == pool]
        need = sum(counts[place] for place in members)
        known = {key for place in members for key in met.get(kinds[place].object, ())}
        known |= taken if pool in ("billed", "contract") else set()
        found = (
            [key for key in _candidates(day, pool, need + len(known), both=both) if key not in known] if need else []
        )
        start = 0
        for place, share in zip(members, _fitting([counts[place] for place in members], len(found)), strict=True):
            chosen[place] = found[start : start + share]
            start += share
        taken |= set(found[:start]) if pool in ("billed", "contract") else set()
    for place, kind in enumerate(kinds):
        if kind.pool == "none":
            chosen[place] = [""] * counts[place]
    return chosen


def _met(day: Day) -> dict[str, set[str]]:
    """Return whom parts of this day that were played before befell, by object."""
    found: dict[str, set[str]] = {}
    for earlier in kept(day.isu_url):
        if datetime.fromisoformat(earlier.now).date() == day.now.date():
            for played in earlier.played:
                found.setdefault(played.object, set()).update(played.keys, played.others)
    return found


def _fitting(counts: Sequence[int], there: int) -> list[int]:
    """Return the counts, or less of each where there are not enough records."""
    total = sum(counts)
    return list(counts) if total <= there else shares([float(count) for count in counts], there)


def _candidates(day: Day, pool: Pool, need: int, *, both: bool) -> list[str]:
    """Return keys that stand on both sides (or in IS-U), in an order that depends on seed and day."""
    key, source, where = _ISU[pool]
    statement = f"SELECT e.{key} FROM {source} WHERE {where} ORDER BY md5(e.{key} || %(seed)s), e.{key} LIMIT %(limit)s"
    values = {"today": day.date, "seed": f"{day.seed}.{day.date}", "limit": need * SPARE + 100 if both else need}
    found = _column(day.isu, statement, values)
    there = set(_column(day.crm, _CRM[pool], (found,))) if both else set(found)
    return [key for key in found if key in there][:need]


def _column(connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[str]:
    return [str(row[0]) for row in connection.execute(statement, values)]
