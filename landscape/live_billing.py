"""A day of billing in IS-U: contracts are billed, bills are reversed and made again, estimated readings corrected.

The same arguments on the same landscape do the same. A new bill goes on from the last day that is billed, by what the
contract's last bill said, for as many days as have passed since. It takes a landscape with business in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from landscape.codes import CLIENT
from landscape.fill.billing import CURRENCY
from landscape.rows import Connection, copy_rows, keyed, update

REVERSED, CORRECTED = 8, 4  # one bill is reversed, one reading corrected, for so many new bills
AGAIN = 2  # every second bill that is reversed is made again
USER = "BILL07"
_NEVER = "00000000"

_COUNTS = f"b.mandt = '{CLIENT}' AND b.simulation = '' AND b.stornodat = '{_NEVER}'"
_LINED = (
    f"EXISTS (SELECT FROM dberchz1 d WHERE d.mandt = '{CLIENT}' AND d.belnr = b.belnr AND d.bis = b.endabrpe "
    "AND d.belzart NOT IN ('CORREC', 'BONUS'))"
)
_DRAWN = "ORDER BY md5(b.belnr || %(seed)s), b.belnr LIMIT %(count)s"
_DUE = f"""
SELECT b.belnr, to_char(b.last + 1, 'YYYYMMDD'), to_char(%(today)s::date - 1, 'YYYYMMDD'),
       CASE WHEN %(today)s::date - 1 - b.last < 360 THEN '02' ELSE '01' END, '1.0'
FROM (SELECT DISTINCT ON (b.vertrag) b.*, to_date(b.endabrpe, 'YYYYMMDD') AS last FROM erch b WHERE {_COUNTS}
      ORDER BY b.vertrag, b.endabrpe DESC, b.belnr DESC) b
JOIN ever e ON e.mandt = b.mandt AND e.vertrag = b.vertrag AND e.loevm = '' AND e.auszdat > %(today)s
WHERE b.last + 30 <= %(today)s::date AND {_LINED} {_DRAWN}
"""
_WRONG = f"""
SELECT b.belnr, b.begabrpe, b.endabrpe, b.abrvorg, '0.9' FROM erch b
WHERE {_COUNTS} AND b.belegdat < %(today)s AND {_LINED} {_DRAWN}
"""
# What is billed by the kilowatt or by the day goes by the days; what is metered, by its price.
_DAYS = "((to_date(n.bis, 'YYYYMMDD') - to_date(n.ab, 'YYYYMMDD') + 1)::numeric * n.factor / n.days)"
_LINES = f"""
WITH n AS (
  SELECT v.b AS belnr, d.belzeile, d.belzart, d.buchrel, d.aklasse, v.c AS ab, v.d AS bis, d.massbill, d.tariftyp,
         d.tarifnr, d.stattart, d.v_abrmenge + d.n_abrmenge AS was, z.preis, z.preisbtr, z.nettobtr, z.twaers,
         v.e::numeric AS factor, to_date(d.bis, 'YYYYMMDD') - to_date(d.ab, 'YYYYMMDD') + 1 AS days
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) AS v(a, b, c, d, e)
  JOIN erch b ON b.mandt = '{CLIENT}' AND b.belnr = v.a
  JOIN dberchz1 d ON d.mandt = b.mandt AND d.belnr = v.a AND d.bis = b.endabrpe
   AND d.belzart NOT IN ('CORREC', 'BONUS')
  JOIN dberchz3 z ON z.mandt = d.mandt AND z.belnr = d.belnr AND z.belzeile = d.belzeile
), q AS (
  SELECT n.*, CASE WHEN massbill IN ('', 'KW') THEN was ELSE round(was * {_DAYS}, 3) END AS quantity FROM n
), lines AS (
  INSERT INTO dberchz1 (mandt, belnr, belzeile, belzart, buchrel, aklasse, ab, bis, massbill, tariftyp, tarifnr,
                        stattart, v_abrmenge, n_abrmenge)
  SELECT '{CLIENT}', belnr, belzeile, belzart, buchrel, aklasse, ab, bis, massbill, tariftyp, tarifnr, stattart,
         trunc(quantity), quantity - trunc(quantity) FROM q
)
INSERT INTO dberchz3 (mandt, belnr, belzeile, preis, preisbtr, nettobtr, twaers)
SELECT '{CLIENT}', belnr, belzeile, preis, preisbtr,
       CASE WHEN massbill IN ('', 'KW') THEN round(nettobtr * {_DAYS.replace("n.", "q.")}, 2)
            ELSE round(quantity * preisbtr, 2) END, twaers FROM q
"""
_PRINTED = f"""
INSERT INTO erdk (mandt, opbel, partner, vkont, druckdat, faedn, budat, bldat, total_amnt, total_waer, portion,
                  abrvorg, invoiced, ergrd, erdat, ernam)
SELECT b.mandt, v.b, b.gpartner, b.vkont, %s, %s, b.belegdat, b.belegdat, sum(z.nettobtr), '{CURRENCY}', b.portion,
       b.abrvorg, 'X', '01', b.belegdat, '{USER}'
FROM unnest(%s::text[], %s::text[]) AS v(a, b)
JOIN erch b ON b.mandt = '{CLIENT}' AND b.belnr = v.a
JOIN dberchz3 z ON z.mandt = b.mandt AND z.belnr = b.belnr
GROUP BY b.mandt, b.belnr, v.b
"""
_INVOICED = f"""
INSERT INTO erchc (mandt, belnr, lfdnr, opbel, cpudt, budat, invoiced)
SELECT '{CLIENT}', v.a, '001', v.b, %s, %s, 'X' FROM unnest(%s::text[], %s::text[]) AS v(a, b)
"""
_ESTIMATED = f"""
SELECT b.ablbelnr FROM eabl b WHERE b.mandt = '{CLIENT}' AND b.schaever <> '' AND b.adat < %(today)s
ORDER BY md5(b.ablbelnr || %(seed)s), b.ablbelnr LIMIT %(count)s
"""


@dataclass(frozen=True, slots=True)
class BillingDay:
    """What was done: numbers of new bills, of reversed ones, of corrected reading documents, and how many lines.

    The last `again` of the new bills replace bills that were reversed.
    """

    billed: tuple[str, ...]
    reversed: tuple[str, ...]
    corrected: tuple[str, ...]
    lines: int
    again: int


def play_billing(isu_url: str, *, bills: int, seed: int, now: datetime) -> BillingDay:
    """Bill about so many contracts on a day, reverse some earlier bills, correct some readings; all in one transaction.

    Every second bill that is reversed is made again, for the same days with a tenth less. There are fewer new bills
    where fewer contracts have thirty days or more that are not billed. Raises psycopg.Error.
    """
    today = f"{now:%Y%m%d}"
    drawn = {"today": today, "seed": f"{seed}.{today}"}
    with psycopg.connect(isu_url) as isu:
        due = isu.execute(_DUE, {**drawn, "count": bills}).fetchall()
        wrong = isu.execute(_WRONG, {**drawn, "count": -(-bills // REVERSED)}).fetchall()
        estimated = isu.execute(_ESTIMATED, {**drawn, "count": -(-bills // CORRECTED)}).fetchall()
        again = wrong[::AGAIN]
        numbers = _numbers(isu, len(due) + len(again))
        lines = _bill(isu, today, numbers, [*due, *again])
        _reverse(isu, today, [str(row[0]) for row in wrong])
        _correct(isu, today, [str(row[0]) for row in estimated])
    gone, read = (tuple(str(row[0]) for row in rows) for rows in (wrong, estimated))
    return BillingDay(tuple(numbers), gone, read, lines, len(again))


def _numbers(isu: Connection, count: int) -> list[str]:
    """Return the next numbers of billing documents."""
    used = isu.execute(f"SELECT coalesce(max(belnr), '0')::bigint FROM erch WHERE mandt = '{CLIENT}'").fetchone()
    first = (used[0] if used else 0) + 1
    return [f"{first + place:012d}" for place in range(count)]


def _bill(isu: Connection, today: str, numbers: list[str], like: Sequence[tuple[Any, ...]]) -> int:
    """Make bills like others, each for its own days; return how many lines they have."""
    if not like:
        return 0
    old, since, until, process, factor = ([str(value) for value in column] for column in zip(*like, strict=True))
    said = {"belnr": "v.b", "begabrpe": "v.c", "endabrpe": "v.d", "abrvorg": "v.e"}
    days = {name: "v.d" for name in ("abrdats", "adatsoll")}
    stamps = {"belegdat": f"'{today}'", "erdat": f"'{today}'", "ernam": f"'{USER}'", "aedat": f"'{_NEVER}'"}
    fresh = {"stornodat": f"'{_NEVER}'", "aenam": "''"}
    document = {**said, **days, **stamps, **fresh}
    copy_rows(isu, "erch", document, keyed(CLIENT, "belnr"), old, numbers, since, until, process)
    lines = isu.execute(_LINES, (old, numbers, since, until, factor)).rowcount
    printed = [f"7{number[1:]}" for number in numbers]
    isu.execute(_PRINTED, (today, today, numbers, printed))
    isu.execute(_INVOICED, (today, today, numbers, printed))
    return lines


def _reverse(isu: Connection, today: str, keys: list[str]) -> None:
    """Reverse bills with the print documents that they stand on."""
    stamp = f"aedat = '{today}', aenam = '{USER}'"
    by = "'85' || right(v.a, 10)"
    stands = f"AND c.belnr = v.a AND c.intopbel = '' AND c.mandt = '{CLIENT}'"
    update(isu, "erch", f"stornodat = '{today}', {stamp}", keyed(CLIENT, "belnr"), keys)
    printed = f"t.mandt = '{CLIENT}' AND t.opbel = (SELECT c.opbel FROM erchc c WHERE true {stands})"
    update(isu, "erdk", f"stokz = 'X', intopbel = {by}, {stamp}", printed, keys)
    reversal = f"intopbel = {by}, intcpudt = '{today}', intbudat = '{today}'"
    update(isu, "erchc", reversal, f"{keyed(CLIENT, 'belnr')} AND t.intopbel = ''", keys)


def _correct(isu: Connection, today: str, keys: list[str]) -> None:
    """Replace estimated readings by what was read later."""
    read = f"v_zwstand = t.v_zwstand + 3, schaever = '', aedat = '{today}', aenam = '{USER}'"
    update(isu, "eabl", read, keyed(CLIENT, "ablbelnr"), keys)
