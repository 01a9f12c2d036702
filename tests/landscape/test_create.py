from __future__ import annotations

from typing import Any

import psycopg
import pytest

from landscape import create, nem
from landscape.manifest import load
from landscape.schema import tables
from tests.landscape.conftest import CONTRACTS, Standing


def _digest(url: str) -> dict[str, Any]:
    """Return a digest of every table's rows in the order of their keys."""
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(
                f"SELECT md5(string_agg(t::text, '' ORDER BY {', '.join(table.key)})) FROM {name} t"
            ).fetchone()
            for name, table in tables("isu").items()
        }


def test_the_same_seed_gives_the_same_landscape_whatever_the_chunk(
    damaged: Standing, two_databases: tuple[str, str]
) -> None:
    again = create(*two_databases, contracts=CONTRACTS, seed=7, chunk=200)
    assert again == damaged.manifest
    assert _digest(two_databases[0]) == _digest(damaged.isu)


def test_another_seed_gives_another_landscape(clean: Standing, two_databases: tuple[str, str]) -> None:
    create(*two_databases, contracts=CONTRACTS, seed=8, defects=False)
    mine, theirs = _digest(two_databases[0]), _digest(clean.isu)
    assert mine["BUT000"] != theirs["BUT000"]
    assert mine["TSPAT"] == theirs["TSPAT"]


def test_creating_again_replaces(two_databases: tuple[str, str]) -> None:
    create(*two_databases, contracts=300, seed=1)
    create(*two_databases, contracts=150, seed=1, defects=False)
    with psycopg.connect(two_databases[0]) as connection:
        assert connection.execute("SELECT count(*) FROM ever").fetchone() == (150,)
    manifest = load(two_databases[0])
    assert manifest is not None
    assert (manifest.contracts, manifest.planted) == (150, ())


@pytest.mark.parametrize("contracts", [1, 99, 260])
def test_any_number_of_contracts_can_be_created(contracts: int, two_databases: tuple[str, str]) -> None:
    manifest = create(*two_databases, contracts=contracts, seed=3)
    assert manifest.rows["EVER"] == contracts


def test_the_ratios_are_those_of_a_utility(clean: Standing) -> None:
    rows = clean.manifest.rows
    share = {name: rows[name] / CONTRACTS for name in rows}
    assert (share["BUT000"], share["FKKVK"], share["EHAUISU"]) == (0.75, 0.8, 0.45)
    assert (share["EVBS"], share["EUIHEAD"], share["EANL"], share["EQUI"]) == (0.7, 0.85, 1.0, 1.1)
    assert 1.45 < clean.count("SELECT DISTINCT equnr, zwnummer FROM ETDZ") / CONTRACTS < 1.85
    idle = clean.count(
        "SELECT vstelle FROM eanl a LEFT JOIN ever e ON e.anlage = a.anlage AND e.auszdat >= '20260101' "
        "GROUP BY vstelle HAVING count(vertrag) = 0"
    )
    assert 0.03 < idle / rows["EVBS"] < 0.08


def test_the_dual_model_has_two_contracts_at_every_point_of_delivery(clean_dual: Standing) -> None:
    assert clean_dual.manifest.rows["EVER"] == 2 * CONTRACTS
    assert not clean_dual.ask(
        "SELECT i.int_ui FROM euiinstln i JOIN eanl a ON a.anlage = i.anlage JOIN tecde t ON t.service = a.service "
        "GROUP BY i.int_ui HAVING array_agg(t.intcode ORDER BY t.intcode) <> ARRAY['01', '02']::varchar[]"
    )


def test_without_devices_there_are_info_records_only(clean_dual: Standing, clean: Standing) -> None:
    empty = ("EQUI", "EGERS", "EGERH", "JEST", "EGPL")
    assert [clean_dual.manifest.rows[name] for name in empty] == [0] * 5
    assert clean_dual.manifest.rows["EGERR"] > CONTRACTS
    assert clean.manifest.rows["EGERR"] == 0


PARENTS = (
    ("but020", "partner", "but000", "partner"),
    ("but020", "addrnumber", "adrc", "addrnumber"),
    ("fkkvkp", "gpart", "but000", "partner"),
    ("fkkvkp", "vkont", "fkkvk", "vkont"),
    ("ehauisu", "haus", "iflot", "tplnr"),
    ("iflot", "iloan", "iloa", "iloan"),
    ("iflot", "tplnr", "iflotx", "tplnr"),
    ("iloa", "adrnr", "adrc", "addrnumber"),
    ("evbs", "haus", "ehauisu", "haus"),
    ("evbs", "eigent", "but000", "partner"),
    ("evbs", "vbsart", "te102", "vbsart"),
    ("egpl", "devloc", "iflot", "tplnr"),
    ("egpl", "vstelle", "evbs", "vstelle"),
    ("eanl", "vstelle", "evbs", "vstelle"),
    ("eanl", "service", "tecde", "service"),
    ("eanl", "anlage", "eanlh", "anlage"),
    ("euihead", "vstelle", "evbs", "vstelle"),
    ("euihead", "int_ui", "euitrans", "int_ui"),
    ("euiinstln", "int_ui", "euihead", "int_ui"),
    ("euiinstln", "anlage", "eanl", "anlage"),
    ("eanl", "anlage", "euiinstln", "anlage"),
    ("equi", "equnr", "egers", "equnr"),
    ("equi", "equnr", "egerh", "equnr"),
    ("equi", "equnr", "etdz", "equnr"),
    ("equi", "objnr", "jest", "objnr"),
    ("egerh", "devloc", "egpl", "devloc"),
    ("eastl", "logiknr", "egerh", "logiknr"),
    ("eastl", "anlage", "eanl", "anlage"),
    ("easts", "logikzw", "etdz", "logikzw"),
    ("eabl", "equnr", "equi", "equnr"),
    ("ever", "anlage", "eanl", "anlage"),
    ("ever", "vkonto", "fkkvk", "vkont"),
    ("ever", "vertrag", "everh", "vertrag"),
    ("everh", "vertrag", "ever", "vertrag"),
    ("eeinv", "vertrag", "ever", "vertrag"),
    ("eeinv", "einzbeleg", "eein", "einzbeleg"),
    ("erch", "vertrag", "ever", "vertrag"),
    ("adrc", "strt_code", "adrstreet", "strt_code"),
    ("adrc", "city_code", "adrcity", "city_code"),
)


@pytest.mark.parametrize(("table", "column", "parent", "key"), PARENTS)
def test_every_parent_exists(clean: Standing, table: str, column: str, parent: str, key: str) -> None:
    orphans = (
        f"SELECT {column} FROM {table} t WHERE {column} <> '' "
        f"AND NOT EXISTS (SELECT FROM {parent} p WHERE p.{key} = t.{column})"
    )
    assert clean.ask(orphans) == []


def test_info_records_have_registers_and_installations(clean_dual: Standing) -> None:
    for table, column in (("etdz", "equnr"), ("eastl", "logiknr")):
        lone = f"SELECT {column} FROM {table} t WHERE NOT EXISTS (SELECT FROM egerr p WHERE p.{column} = t.{column})"
        assert clean_dual.ask(lone) == []


def test_the_products_of_contracts_are_sold_in_crm(clean: Standing) -> None:
    sold = set(clean.ask_crm("SELECT product_guid, product_id FROM comm_product"))
    assert len(sold) == 24
    assert set(clean.ask("SELECT DISTINCT product_guid, crm_product FROM everh")) <= sold


def test_crm_starts_with_customizing_and_products_only(clean: Standing) -> None:
    filled = {name for name in tables("crm") if clean.ask_crm(f"SELECT 1 FROM {name} LIMIT 1")}
    assert filled == {"COMM_PRODUCT", "CRMC_BUAG_CLASS", "NRIV"}


SLICES = (
    ("eanlh", "anlage", "ab", "bis"),
    ("everh", "vertrag", "ab", "bis"),
    ("euitrans", "int_ui", "datefrom", "dateto"),
    ("egerh", "equnr", "ab", "bis"),
    ("egerr", "equnr", "ab", "bis"),
    ("etdz", "equnr || zwnummer", "ab", "bis"),
)


@pytest.mark.parametrize(("table", "key", "start", "end"), SLICES)
def test_slices_follow_one_another_without_gap_or_overlap(
    clean: Standing, clean_dual: Standing, table: str, key: str, start: str, end: str
) -> None:
    neighbours = f"SELECT {start} ab, {end} bis, lag({end}) OVER (PARTITION BY {key} ORDER BY {start}) was FROM {table}"
    day_after = "to_date(was, 'YYYYMMDD') + 1"
    broken = f"SELECT * FROM ({neighbours}) s WHERE ab > bis OR to_date(ab, 'YYYYMMDD') <> {day_after}"
    assert clean.ask(broken) == []
    assert clean_dual.ask(broken) == []


def test_contracts_of_one_installation_do_not_overlap(clean: Standing) -> None:
    assert (
        clean.ask(
            "SELECT a.vertrag FROM ever a JOIN ever b ON b.anlage = a.anlage AND b.vertrag > a.vertrag "
            "AND b.einzdat <= a.auszdat AND b.auszdat >= a.einzdat"
        )
        == []
    )


def test_product_history_covers_each_contract_and_ends_with_it(clean: Standing) -> None:
    assert (
        clean.ask(
            "SELECT e.vertrag FROM ever e JOIN everh h USING (mandt, vertrag) GROUP BY e.vertrag, e.einzdat, e.auszdat "
            "HAVING min(h.ab) <> e.einzdat OR max(h.bis) <> e.auszdat"
        )
        == []
    )
    assert {row[0] for row in clean.ask("SELECT count(*) FROM everh GROUP BY vertrag")} == {1, 2, 3}


def test_meters_of_the_market_hang_at_their_point_of_delivery(clean: Standing) -> None:
    found = clean.ask(
        "SELECT u.ext_ui, q.sernr, string_agg(z.kennziff, ' ' ORDER BY z.zwnummer) FROM euitrans u "
        "JOIN euiinstln i USING (mandt, int_ui) JOIN eastl s ON s.anlage = i.anlage "
        "JOIN egerh h ON h.logiknr = s.logiknr JOIN equi q ON q.equnr = h.equnr JOIN etdz z ON z.equnr = q.equnr "
        "WHERE u.uistrutyp = 'NM' AND q.sernr !~ '^M[0-9]{9}$' GROUP BY 1, 2"
    )
    homes = {(nmi, serial): suffixes for nmi, serial, suffixes in found}
    assert homes == {(m.nmi, m.serial): " ".join(suffix for suffix, _ in m.registers) for m in nem.homed()}
