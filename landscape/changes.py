"""Later changes, as people make them: what a delta has to find after the landscape was loaded.

Which rows are changed follows from the seed alone. Every function works in one transaction and returns keys.
"""

from __future__ import annotations

from datetime import date, timedelta

import psycopg

from landscape import swap
from landscape.codes import CLIENT, RATES
from landscape.rows import Connection, keyed, update

NEXT_DAY = date(2026, 1, 2)


def _pick(connection: Connection, key: str, source: str, where: str, n: int, seed: int) -> list[str]:
    """Return `n` keys of rows that fulfil a condition, in an order that depends on the seed."""
    statement = f"SELECT {key} FROM {source} WHERE {where} ORDER BY md5({key} || %s), {key} LIMIT %s"
    return [str(row[0]) for row in connection.execute(statement, (str(seed), n))]


def touch_contracts(isu_url: str, n: int, seed: int = 0, on: date = NEXT_DAY) -> list[str]:
    """Give `n` contracts a new text and stamp them; return their numbers."""
    with psycopg.connect(isu_url) as isu:
        keys = _pick(isu, "vertrag", "ever", f"mandt = '{CLIENT}'", n, seed)
        change = f"vbez = 'Reviewed ' || v.b, aedat = '{on:%Y%m%d}', aenam = 'AGENT07'"
        update(isu, "ever", change, keyed(CLIENT, "vertrag"), keys, [f"{seed}-{on:%Y%m%d}"] * len(keys))
    return keys


def rename_partners(isu_url: str, n: int, seed: int = 0, on: date = NEXT_DAY) -> list[str]:
    """Give `n` persons a double name, as by marriage, and stamp them with date and time; return their numbers."""
    with psycopg.connect(isu_url) as isu:
        keys = _pick(isu, "partner", "but000", f"client = '{CLIENT}' AND type = '1'", n, seed)
        change = (
            "name_last = left(t.name_last || '-Moser', 40), bu_sort1 = upper(left(t.name_last || '-Moser', 20)), "
            f"chdat = '{on:%Y%m%d}', chtim = '103000', chusr = 'AGENT07'"
        )
        update(isu, "but000", change, keyed(CLIENT, "partner", "client"), keys)
    return keys


def swap_meters(isu_url: str, n: int, seed: int = 0, on: date = NEXT_DAY) -> list[str]:
    """Replace `n` installed meters from a day on; the logical numbers stay. Return the new equipment numbers."""
    last, first = f"{on - timedelta(days=1):%Y%m%d}", f"{on:%Y%m%d}"
    with psycopg.connect(isu_url) as isu:
        technical = isu.execute("SELECT EXISTS (SELECT FROM egerh)").fetchone() == (True,)
        history = "egerh" if technical else "egerr"
        hung = f"mandt = '{CLIENT}' AND bis = '99991231' AND ab < '{last}' AND logiknr <> '{'0' * 18}'"
        old = _pick(isu, "equnr", history, hung, n, seed)
        used = isu.execute(f"SELECT max(equnr)::bigint FROM {history} WHERE mandt = %s", (CLIENT,)).fetchone()
        begin = (used[0] if used else 0) + 1
        new = [f"{begin + place:018d}" for place in range(len(old))]
        swap.replace(isu, old, new, last, first, technical=technical)
    return new


def move_in(isu_url: str, n: int, seed: int = 0, on: date = NEXT_DAY) -> list[str]:
    """Let `n` partners with an account move into installations without a current contract.

    Each gets a move-in document, a contract and its first product slice. Return the contract numbers.
    """
    today = f"{on:%Y%m%d}"
    with psycopg.connect(isu_url) as isu:
        idle = (
            f"mandt = '{CLIENT}' AND NOT EXISTS (SELECT FROM ever e WHERE e.mandt = eanl.mandt "
            f"AND e.anlage = eanl.anlage AND e.auszdat >= '{today}')"
        )
        places = _pick(isu, "anlage", "eanl", idle, n, seed)
        accounts = _pick(isu, "vkont", "fkkvkp", f"mandt = '{CLIENT}'", len(places), seed)
        used = isu.execute(
            "SELECT max(vertrag::bigint), (SELECT max(einzbeleg)::bigint FROM eein) FROM ever"
        ).fetchone()
        contract, document = used if used else (0, 0)
        numbers = [f"{contract + 1 + place:010d}" for place in range(len(places))]
        documents = [f"{document + 1 + place:012d}" for place in range(len(places))]
        _insert_contracts(isu, today, numbers, places, accounts, documents)
    return numbers


def _insert_contracts(isu: Connection, today: str, *lists: list[str]) -> None:
    values = "unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS v(vertrag, anlage, vkont, beleg)"
    place = f"JOIN eanl a ON a.mandt = '{CLIENT}' AND a.anlage = v.anlage"
    account = f"JOIN fkkvkp k ON k.mandt = '{CLIENT}' AND k.vkont = v.vkont"
    product = (
        "JOIN LATERAL (SELECT crm_product, prodid, product_guid FROM everh "
        f"WHERE mandt = '{CLIENT}' AND crm_product = ('{{{','.join(RATES)}}}'::text[])[a.sparte::int * 3 - 2] "
        "LIMIT 1) p ON true"
    )
    statements = (
        "INSERT INTO eein (mandt, einzbeleg, vkont, kunde, bezugsdat, erdat, ernam) "
        f"SELECT '{CLIENT}', v.beleg, v.vkont, k.gpart, '{today}', '{today}', 'AGENT07' FROM {values} {account}",
        "INSERT INTO eeinv (mandt, einzbeleg, vertrag, anlage, vstelle, einzdat) "
        f"SELECT '{CLIENT}', v.beleg, v.vertrag, v.anlage, a.vstelle, '{today}' FROM {values} {place}",
        "INSERT INTO ever (mandt, vertrag, bukrs, sparte, kofiz, gemfakt, vbeginn, anlage, vkonto, einzdat, auszdat, "
        f"erdat, ernam) SELECT '{CLIENT}', v.vertrag, '1000', a.sparte, '01', '2', '{today}', v.anlage, v.vkont, "
        f"'{today}', '99991231', '{today}', 'AGENT07' FROM {values} {place}",
        "INSERT INTO everh (mandt, vertrag, bis, num, ab, anlage, crm_product, prodid, product_guid) "
        f"SELECT '{CLIENT}', v.vertrag, '99991231', '0001', '{today}', v.anlage, p.crm_product, p.prodid, "
        f"p.product_guid FROM {values} {place} {product}",
    )
    for statement in statements:
        isu.execute(statement, lists)


def agent_edits_view_only(crm_url: str, n: int, seed: int = 0, on: date = NEXT_DAY) -> list[str]:
    """Let an agent overwrite the text of `n` connection objects in CRM, which IS-U owns; return their keys."""
    with psycopg.connect(crm_url) as crm:
        keys = _pick(crm, "haus", "zconnobj", f"client = '{CLIENT}'", n, seed)
        update(crm, "zconnobj", "pltxt = 'Edited in CRM'", keyed(CLIENT, "haus", "client"), keys)
        crm.execute(
            "UPDATE comm_product p SET text40 = 'Edited in CRM', changed_at = %s, changed_by = 'AGENT08' "
            "FROM zconnobj z WHERE z.client = p.client AND z.product_guid = p.product_guid AND z.haus = ANY(%s)",
            (int(f"{on:%Y%m%d}120000"), keys),
        )
    return keys
