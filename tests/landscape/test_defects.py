"""Every planted defect is found by a query that knows nothing of how it was planted."""

from __future__ import annotations

import pytest

from landscape.manifest import Planted
from tests.landscape.conftest import CONTRACTS, Standing

DAY = "to_date({}, 'YYYYMMDD')"
MINE = "mandt = '100'"
NEXT = "to_char(to_date(was, 'YYYYMMDD') + 1, 'YYYYMMDD')"

FINDERS = {
    1: f"SELECT int_ui FROM euihead h WHERE {MINE} AND NOT EXISTS (SELECT FROM evbs p WHERE p.vstelle = h.vstelle)",
    2: """SELECT max(partner) FROM but000 JOIN but020 USING (client, partner) JOIN adrc USING (client, addrnumber)
          WHERE type = '1' AND client = '100'
          GROUP BY name_last, name_first, birthdt, street, house_num1, city1 HAVING count(*) > 1""",
    3: f"""SELECT int_ui FROM (SELECT int_ui, datefrom, lag(dateto) OVER (PARTITION BY int_ui ORDER BY dateto) was
           FROM euitrans WHERE {MINE}) s WHERE datefrom <> {NEXT}""",
    4: f"SELECT vertrag FROM ever WHERE {MINE} AND auszdat < einzdat",
    5: f"SELECT vertrag FROM ever WHERE {MINE} AND vertrag ~ '^[0-9]+$' AND length(vertrag) < 10",
    6: f"SELECT haus FROM ehauisu WHERE {MINE} AND haus <> upper(haus)",
    7: f"SELECT ext_ui FROM euitrans WHERE {MINE} GROUP BY ext_ui HAVING count(DISTINCT int_ui) > 1",
    8: f"SELECT vkont FROM fkkvk WHERE {MINE} AND vkont NOT BETWEEN '000020000000' AND '000089999999'",
    9: f"""SELECT vertrag FROM ever WHERE {MINE} AND 1 < (SELECT count(DISTINCT utime) FROM cdhdr
           WHERE objectid = vertrag AND udate = aedat) AND NOT EXISTS (SELECT FROM cdpos WHERE objectid = vertrag)""",
    10: f"""SELECT einzbeleg FROM eein JOIN eeinv USING (mandt, einzbeleg) JOIN ever USING (mandt, vertrag)
            WHERE {MINE} AND eein.stornokz = 'X' AND ever.loevm = ''""",
    11: f"SELECT DISTINCT vertrag FROM ever JOIN erch USING (mandt, vertrag) WHERE {MINE} AND endabrpe > auszdat "
    "AND auszdat >= einzdat",
    12: f"""SELECT e.vertrag FROM ever e JOIN eanlh h USING (mandt, anlage) WHERE {MINE} AND e.auszdat > e.einzdat
            AND h.ab > e.einzdat AND h.ab <= e.auszdat GROUP BY e.vertrag
            HAVING count(*) > (SELECT count(*) - 1 FROM everh p WHERE p.vertrag = e.vertrag AND p.mandt = '100')""",
    13: f"""SELECT DISTINCT max(equnr) FROM etdz WHERE {MINE} AND logikzw <> '000000000000000000'
            GROUP BY logikzw HAVING count(DISTINCT equnr) > 1""",
    14: f"""SELECT ablbelnr FROM (SELECT ablbelnr, v_zwstand, lag(v_zwstand) OVER (PARTITION BY equnr, zwnummer
            ORDER BY adat) was FROM eabl WHERE {MINE}) r WHERE v_zwstand < was""",
    15: """SELECT addrnumber FROM adrc a WHERE NOT EXISTS (SELECT FROM adrstreet s
           WHERE s.country = a.country AND s.strt_code = a.strt_code)""",
    16: "SELECT partner FROM but000 WHERE client = '100' AND (name_last !~ '^[ -ɏ]*$' OR length(name_last) = 40)",
    17: """SELECT DISTINCT objectid FROM cdpos a JOIN cdpos b USING (objectid, tabname, fname)
           WHERE fname = 'LOEVM' AND a.value_new = 'X' AND b.value_new = ''""",
    18: f"SELECT belnr FROM erch WHERE {MINE} AND (simulation <> '' OR stornodat <> '00000000')",
    19: "SELECT partner FROM but000 WHERE client <> '100'",
    20: f"""SELECT anlage FROM eanl g JOIN tecde USING (mandt, service) WHERE {MINE} AND intcode = '01'
            AND NOT EXISTS (SELECT FROM ever e WHERE e.anlage = g.anlage AND e.auszdat = '99991231')
            AND NOT EXISTS (SELECT FROM ever e WHERE e.anlage = g.anlage)
            AND EXISTS (SELECT FROM euiinstln i JOIN euiinstln j USING (int_ui) JOIN ever e ON e.anlage = j.anlage
                        WHERE i.anlage = g.anlage AND j.anlage <> g.anlage)""",
    21: f"""SELECT equnr FROM equi JOIN jest USING (mandt, objnr) WHERE {MINE} AND stat = 'I0099' AND inact = ''
            AND EXISTS (SELECT FROM egerh h JOIN eastl s USING (mandt, logiknr)
                        WHERE h.equnr = equi.equnr AND h.bis = '99991231' AND s.bis = '99991231')""",
    24: f"SELECT int_ui FROM euitrans WHERE {MINE} AND dateto = '99991231' AND timeto <> '235959'",
}
BY_NUMBER = [pytest.param(number, id=str(number)) for number in FINDERS]
NEEDS_DEVICES = {21}


def _found(where: Standing, number: int) -> list[str]:
    # The other client's rows carry the same keys, so that queries which forget the client would find them twice.
    return sorted(row[0] for row in where.ask(FINDERS[number]))


@pytest.mark.parametrize("number", BY_NUMBER)
def test_a_query_finds_exactly_what_the_manifest_says(damaged: Standing, number: int) -> None:
    planted = damaged.manifest.defect(number)
    assert planted.count == CONTRACTS // 500
    assert _found(damaged, number) == list(planted.keys)


@pytest.mark.parametrize("number", BY_NUMBER)
def test_the_dual_model_with_info_records_has_them_too(damaged_dual: Standing, number: int) -> None:
    planted = damaged_dual.manifest.defect(number)
    assert planted.count == (0 if number in NEEDS_DEVICES else CONTRACTS // 500)
    assert _found(damaged_dual, number) == list(planted.keys)


@pytest.mark.parametrize("number", BY_NUMBER)
def test_a_clean_landscape_has_none(clean: Standing, clean_dual: Standing, number: int) -> None:
    assert _found(clean, number) == []
    assert _found(clean_dual, number) == []


def _sold(where: Standing) -> dict[bytes, tuple[str, str]]:
    items = where.ask_crm("SELECT guid, a4isucontr, a4contstart FROM crmd_isuexta4")
    return {guid: (contract, start) for guid, contract, start in items}


def test_contracts_sold_in_crm_start_elsewhere_or_name_another_contract(damaged: Standing) -> None:
    sold = _sold(damaged)
    known = damaged.ask(
        "SELECT DISTINCT vertrag, einzdat, contractpos FROM ever JOIN everh USING (mandt, vertrag) "
        "WHERE mandt = '100' AND contractpos <> decode(repeat('00', 16), 'hex')"
    )
    late = sorted(v for v, start, item in known if sold[item][0] == v and sold[item][1] != start)
    astray = sorted(v for v, _, item in known if sold[item][0] != v)
    assert late == list(damaged.manifest.defect(22).keys)
    assert astray == list(damaged.manifest.defect(23).keys)
    assert len(late) == len(astray) == CONTRACTS // 500


def test_all_24_are_in_the_manifest_with_what_is_expected(damaged: Standing) -> None:
    planted: tuple[Planted, ...] = damaged.manifest.planted
    assert [found.number for found in planted] == list(range(1, 25))
    assert all(found.about.endswith(".") and found.key for found in planted)
    assert {found.expected for found in planted} == {"rejected", "parked", "repaired", "warned", "harmless"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_five_hundred_contracts_hold_one_of_each_whatever_the_seed(seed: int, two_databases: tuple[str, str]) -> None:
    from landscape import create

    manifest = create(*two_databases, contracts=500, seed=seed)
    assert [found.count for found in manifest.planted] == [1] * 24


def test_rows_of_another_client_stand_beside_and_change_nothing(damaged: Standing, clean: Standing) -> None:
    for table in ("fkkvk", "evbs", "euihead", "eanl", "equi"):
        theirs = damaged.count(f"SELECT 1 FROM {table} WHERE mandt = '200'")
        mine = damaged.count(f"SELECT 1 FROM {table} WHERE mandt = '100'")
        swapped = 2 if table == "equi" else 0
        assert theirs == 2, table
        assert mine == clean.count(f"SELECT 1 FROM {table}") + swapped, table
