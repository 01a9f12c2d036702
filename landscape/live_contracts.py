"""A day of business with contracts: move-ins and move-outs, cancellations, products, what a bill forbids."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from landscape import changes
from landscape.codes import CLIENT, RATES
from landscape.live_day import CRM_USER, ISU_USER, Day, Made, kind
from landscape.rows import keyed, update

CONTRACT = keyed(CLIENT, "vertrag")
ITEM = f"x.client = '{CLIENT}' AND x.a4isucontr = v.a AND x.a4quotation = ''"
BILLED = (
    f"(SELECT max(b.endabrpe) FROM erch b WHERE b.mandt = '{CLIENT}' AND b.vertrag = v.a AND b.simulation = '' "
    "AND b.stornodat = '00000000')"
)


def _isu(day: Day, keys: list[str], change: str = "", *lists: list[str]) -> None:
    said = f"{change}{', ' if change else ''}aedat = '{day.date}', aenam = '{ISU_USER}'"
    update(day.isu, "ever", said, CONTRACT, keys, *lists)


def _crm(day: Day, keys: list[str], table: str, change: str, *lists: list[str]) -> None:
    """Change the extension, the item or the header of contracts in CRM, and stamp item and header."""
    said = f"changed_at = {day.stamp}, changed_by = '{CRM_USER}'"
    ties = {
        "crmd_isuexta4": f"t.client = '{CLIENT}' AND t.a4isucontr = v.a AND t.a4quotation = ''",
        "crmd_orderadm_i": f"t.client = '{CLIENT}' AND t.guid = (SELECT x.guid FROM crmd_isuexta4 x WHERE {ITEM})",
        "crmd_orderadm_h": f"t.client = '{CLIENT}' AND t.guid = (SELECT i.header FROM crmd_orderadm_i i "
        f"JOIN crmd_isuexta4 x ON x.client = i.client AND x.guid = i.guid WHERE {ITEM})",
    }
    for name, tie in ties.items():
        own = [change] if name == table else []
        stamp = [said] if name != "crmd_isuexta4" else []
        if own or stamp:
            update(day.crm, name, ", ".join([*own, *stamp]), tie, keys, *(lists if own else ()))


@kind("contract", "contract", "to crm", "ends_on", weight=3, during=True)
def moved_out_in_isu(day: Day, keys: list[str]) -> None:
    """The back office enters a move-out after all that is billed; the last product slice ends with it."""
    soon = f"to_char(greatest(to_date(coalesce({BILLED}, '{day.date}'), 'YYYYMMDD'), "
    soon += f"to_date('{day.date}', 'YYYYMMDD')) + 20, 'YYYYMMDD')"
    _isu(day, keys, f"auszdat = {soon}, vende = {soon}, kuenddat = '{day.date}'")
    update(
        day.isu,
        "everh",
        f"bis = (SELECT e.auszdat FROM ever e WHERE e.mandt = '{CLIENT}' AND e.vertrag = v.a)",
        f"{CONTRACT} AND t.bis = '99991231'",
        keys,
    )


@kind("contract", "contract", "to isu", "ends_on", weight=3)
def cancelled_in_crm(day: Day, keys: list[str]) -> None:
    """The service center takes a cancellation, two months from now."""
    _crm(day, keys, "crmd_isuexta4", f"a4contend = '{day.now + timedelta(days=61):%Y%m%d}'")


@kind("contract", "billed", "refused", "ends_on")
def ended_inside_a_bill_in_crm(day: Day, keys: list[str]) -> None:
    """The service center ends a contract ten days before the end of a period that is billed."""
    ends = _billed(day, keys, -10)
    _crm(day, keys, "crmd_isuexta4", "a4contend = v.b", ends)


@kind("contract", "billed", "refused", "starts_on")
def started_later_in_crm(day: Day, keys: list[str]) -> None:
    """The service center moves the move-in of a contract that is billed from its first day."""
    moved = "to_char(to_date(t.a4contstart, 'YYYYMMDD') + 7, 'YYYYMMDD')"
    _crm(day, keys, "crmd_isuexta4", f"a4contstart = {moved}")


def _billed(day: Day, keys: list[str], days: int) -> list[str]:
    """Return the last billed day of contracts, moved by some days."""
    rows = day.isu.execute(
        f"SELECT to_char(to_date({BILLED}, 'YYYYMMDD') + %s, 'YYYYMMDD') FROM unnest(%s::text[]) "
        "WITH ORDINALITY AS v(a, n) ORDER BY v.n",
        (days, keys),
    )
    return [str(row[0]) for row in rows]


@kind("contract", "contract", "to crm", "deleted", during=True)
def deletion_flagged_in_isu(day: Day, keys: list[str]) -> None:
    """The back office marks a contract for deletion."""
    _isu(day, keys, "loevm = 'X'")


@kind("contract", "flagged", "to crm", "deleted", during=True)
def deletion_flag_cleared_in_isu(day: Day, keys: list[str]) -> None:
    """The back office clears the deletion flag of a contract again."""
    _isu(day, keys, "loevm = ''")


@kind("contract", "contract", "to isu", "deleted", weight=0.5)
def withdrawn_in_crm(day: Day, keys: list[str]) -> None:
    """The service center marks a contract as cancelled altogether."""
    _crm(day, keys, "crmd_isuexta4", "a4cancelled = 'X'")


@kind("contract", "contract", "to crm", "product", "product_id", weight=3, during=True)
def product_changed_in_isu(day: Day, keys: list[str]) -> None:
    """The back office moves a contract to another product of its division, which is another price from today."""
    slices = f"{CONTRACT} AND t.bis = '99991231'"
    divisions = f"""('{{{",".join(RATES)}}}'::text[])"""
    other = (
        f"{divisions}[t.division * 3 - 2 + mod(array_position({divisions}, t.crm_product::text) - (t.division * 3 - 2) "
        "+ 1, 3)]"
    )
    day.isu.execute(
        "WITH t AS (SELECT h.*, e.sparte::int AS division FROM unnest(%s::text[]) AS v(a) "
        f"JOIN everh h ON h.mandt = '{CLIENT}' AND h.vertrag = v.a AND h.bis = '99991231' "
        f"JOIN ever e ON e.mandt = '{CLIENT}' AND e.vertrag = v.a) "
        "INSERT INTO everh (mandt, vertrag, bis, num, ab, anlage, contracthead, contractpos, crm_product, prodid, "
        "product_guid) SELECT t.mandt, t.vertrag, t.bis, lpad((t.num::int + 1)::text, 4, '0'), %s, t.anlage, "
        "t.contracthead, t.contractpos, p.crm_product, p.prodid, p.product_guid FROM t JOIN LATERAL "
        f"(SELECT crm_product, prodid, product_guid FROM everh WHERE mandt = '{CLIENT}' "
        f"AND crm_product = coalesce({other}, {divisions}[t.division * 3 - 2]) LIMIT 1) p ON true",
        (keys, day.date),
    )
    last = f"{day.now - timedelta(days=1):%Y%m%d}"
    update(day.isu, "everh", f"bis = '{last}'", f"{slices} AND t.ab < '{day.date}'", keys)
    _isu(day, keys)


@kind("contract", "contract", "to isu", "product", "product_id", weight=2)
def product_sold_in_crm(day: Day, keys: list[str]) -> None:
    """The service center sells a customer another product of the division."""
    rows = day.crm.execute(
        "SELECT i.ordered_prod, x.a4division::int FROM unnest(%s::text[]) WITH ORDINALITY AS v(a, n) "
        f"JOIN crmd_isuexta4 x ON {ITEM} "
        "JOIN crmd_orderadm_i i ON i.client = x.client AND i.guid = x.guid ORDER BY v.n",
        (keys,),
    ).fetchall()
    had, division = np.array([row[0] for row in rows], object), np.array([row[1] for row in rows], np.int64)
    first = (division - 1) * 3
    at = np.array([*map({rate: place for place, rate in enumerate(RATES)}.get, had, first)], np.int64)
    sold = np.asarray(RATES, object)[first + (at - first + 1) % 3].tolist()
    guid = f"(SELECT p.product_guid FROM comm_product p WHERE p.client = '{CLIENT}' AND p.product_id = v.b LIMIT 1)"
    _crm(day, keys, "crmd_orderadm_i", f"product = {guid}, ordered_prod = v.b", sold)


@kind("contract", "contract", "to isu", "text", weight=2)
def text_changed_in_crm(day: Day, keys: list[str]) -> None:
    """The service center notes something in the text of a contract."""
    for table in ("crmd_orderadm_h", "crmd_orderadm_i"):
        _crm(day, keys, table, f"description = 'Noted {day.date} ' || right(v.a, 6)")


@kind("contract", "contract", "agreed", "text")
def text_changed_alike_on_both(day: Day, keys: list[str]) -> None:
    """Both sides note the same text."""
    _isu(day, keys, f"vbez = 'Agreed {day.date} ' || right(v.a, 6)")
    for table in ("crmd_orderadm_h", "crmd_orderadm_i"):
        _crm(day, keys, table, f"description = 'Agreed {day.date} ' || right(v.a, 6)")


@kind("contract", "contract", "owner decides", "text")
def text_changed_differently_on_both(day: Day, keys: list[str]) -> None:
    """Both sides note a text of their own."""
    _isu(day, keys, f"vbez = 'Back office {day.date} ' || right(v.a, 6)")
    for table in ("crmd_orderadm_h", "crmd_orderadm_i"):
        _crm(day, keys, table, f"description = 'Front office {day.date} ' || right(v.a, 6)")


@kind("contract", "contract", "put right", "division")
def division_edited_in_crm(day: Day, keys: list[str]) -> None:
    """The service center edits the division, a constant that the installation decides."""
    _crm(day, keys, "crmd_isuexta4", "a4division = CASE t.a4division WHEN '02' THEN '01' ELSE '02' END")


@kind("contract", "contract", "nothing", during=True)
def saved_without_change_in_isu(day: Day, keys: list[str]) -> None:
    """The back office opens a contract and saves it as it was; only the stamp moves."""
    _isu(day, keys)


@kind("contract", "none", "created in crm", weight=2, during=True)
def moved_in(day: Day, keys: list[str]) -> Made:
    """Customers move into installations that stood without a contract."""
    return Made(tuple(changes.move_in(day.isu_url, len(keys), day.seed, day.now.date())))
