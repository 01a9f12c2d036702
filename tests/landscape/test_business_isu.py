"""IS-U's business: bills line by line, readings and facts; what the generator promises, and what the mappings read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from typer.testing import CliRunner

from isthmus.store.place import Place
from landscape import create
from landscape.command import app
from landscape.schema import tables
from tests.landscape.bills import BUSINESS, VALID, digest, records_of, rows_of
from tests.landscape.conftest import CONTRACTS, Standing, standing


@pytest.fixture(scope="module")
def billed(store: Place) -> Iterator[Standing]:
    """A landscape with business and with defects, which tests only read."""
    yield from standing(store, business=True)


@pytest.fixture(scope="module")
def billed_dual(store: Place) -> Iterator[Standing]:
    yield from standing(store, business=True, model="dual", devices=False)


# --- the generator ------------------------------------------------------------------------------------------------


def test_without_business_there_is_none_of_it(clean: Standing) -> None:
    assert [clean.manifest.rows[name] for name in BUSINESS] == [0] * len(BUSINESS)
    assert clean.ask("SELECT DISTINCT sswtcreason FROM ever") == [("",)]
    assert clean.ask("SELECT DISTINCT operand FROM ettifn ORDER BY 1") == [("CONN_LOAD",), ("DISCOUNT",)]


@pytest.mark.parametrize(("said", "there"), [([], True), (["--business", "no"], False)])
def test_the_demo_has_business_unless_it_is_told_not_to(
    said: list[str], there: bool, two_databases: tuple[str, str]
) -> None:
    isu, crm = two_databases
    urls = ["--isu-url", isu, "--crm-url", crm]
    made = CliRunner().invoke(app, ["create", "--contracts", "100", "--defects", "no", *said, *urls])
    assert made.exit_code == 0, made.output
    with psycopg.connect(isu) as connection:
        assert connection.execute("SELECT EXISTS (SELECT FROM dberchz1)").fetchone() == (there,)


def test_with_business_everything_else_stays_as_it_was(billed: Standing, damaged: Standing) -> None:
    kept = [name for name in tables("isu") if name not in (*BUSINESS, "ERCH", "EVER", "ETTIFN")]
    assert {name: billed.manifest.rows[name] for name in kept} == {name: damaged.manifest.rows[name] for name in kept}
    bills = "SELECT belnr, vertrag, begabrpe, endabrpe, belegdat, stornodat FROM erch ORDER BY belnr"
    assert set(damaged.ask(bills)) <= set(billed.ask(bills))


def test_the_same_seed_bills_the_same_whatever_the_chunk(billed: Standing, two_databases: tuple[str, str]) -> None:
    create(*two_databases, contracts=CONTRACTS, seed=7, business=True, chunk=300)
    assert digest(two_databases[0]) == digest(billed.isu)


@pytest.mark.parametrize("contracts", [1, 99])
def test_a_few_contracts_can_be_billed_too(contracts: int, two_databases: tuple[str, str]) -> None:
    manifest = create(*two_databases, contracts=contracts, seed=3, business=True)
    assert manifest.rows["DBERCHZ1"] == manifest.rows["DBERCHZ3"] >= 2 * manifest.rows["ERCH"]


ORPHANS = (
    ("dberchz1", "belnr", "erch", "belnr"),
    ("dberchz1", "belnr || d.belzeile", "dberchz3", "belnr || p.belzeile"),
    ("dberchz3", "belnr || d.belzeile", "dberchz1", "belnr || p.belzeile"),
    ("erchc", "belnr", "erch", "belnr"),
    ("erchc", "opbel", "erdk", "opbel"),
    ("erdk", "opbel", "erchc", "opbel"),
    ("erdk", "vkont", "fkkvk", "vkont"),
    ("erdk", "partner", "but000", "partner"),
    ("eablg", "ablbelnr", "eabl", "ablbelnr"),
    ("eabl", "ablbelnr", "eablg", "ablbelnr"),
    ("eablg", "anlage", "eanl", "anlage"),
    ("ettifn", "anlage", "eanl", "anlage"),
)


@pytest.mark.parametrize(("table", "column", "parent", "key"), ORPHANS)
def test_nothing_of_the_business_is_an_orphan(
    billed: Standing, billed_dual: Standing, table: str, column: str, parent: str, key: str
) -> None:
    lost = f"SELECT d.{column} FROM {table} d WHERE d.{column} NOT IN (SELECT p.{key} FROM {parent} p)"
    assert billed.ask(lost) == []
    assert billed_dual.ask(lost) == []


def test_every_bill_has_lines_but_the_copies_that_the_defects_made(billed: Standing) -> None:
    bare = billed.ask("SELECT belnr FROM erch WHERE belnr NOT IN (SELECT belnr FROM dberchz1) ORDER BY 1")
    assert [row[0] for row in bare] == sorted(billed.manifest.defect(18).keys)
    assert {row[0] for row in billed.ask("SELECT count(*) FROM dberchz1 GROUP BY belnr")} <= set(range(2, 9))


def test_lines_are_numbered_from_one_without_gaps(billed: Standing) -> None:
    numbered = "SELECT belnr FROM dberchz1 GROUP BY belnr HAVING max(belzeile)::int <> count(*)"
    assert billed.ask(numbered) == []


def test_energy_covers_every_day_of_a_bill_once(billed: Standing) -> None:
    """High and low tariff times are parallel; a correction stands for days that are billed already."""
    days = "SELECT d.belnr, d.ab, d.bis FROM dberchz1 d WHERE d.belzart IN ('ENERGY', 'ENERHT', 'GRIDEN')"
    wrong = (
        f"SELECT b.belnr FROM erch b JOIN ({days}) d USING (belnr) GROUP BY b.belnr, b.begabrpe, b.endabrpe "
        "HAVING min(d.ab) <> b.begabrpe OR max(d.bis) <> b.endabrpe OR sum(to_date(d.bis, 'YYYYMMDD') "
        "- to_date(d.ab, 'YYYYMMDD') + 1) <> to_date(b.endabrpe, 'YYYYMMDD') - to_date(b.begabrpe, 'YYYYMMDD') + 1"
    )
    assert billed.ask(wrong) == []
    assert billed.count("SELECT belnr FROM dberchz1 WHERE belzart IN ('ENERGY', 'ENERHT') GROUP BY 1 "
                        "HAVING count(*) = 2") > 20  # fmt: skip


def test_a_line_is_billed_by_the_rate_that_the_installation_had_on_its_first_day(
    billed: Standing, billed_dual: Standing
) -> None:
    wrong = (
        "SELECT d.belnr FROM dberchz1 d JOIN erch b USING (mandt, belnr) JOIN ever e USING (mandt, vertrag) "
        "LEFT JOIN eanlh h ON h.anlage = e.anlage AND d.ab BETWEEN h.ab AND h.bis AND h.tariftyp = d.tariftyp "
        "AND h.aklasse = d.aklasse WHERE h.anlage IS NULL"
    )
    assert billed.ask(wrong) == []
    assert billed_dual.ask(wrong) == []


def test_an_amount_is_quantity_times_price_to_the_cent(billed: Standing, billed_dual: Standing) -> None:
    wrong = (
        "SELECT d.belnr, d.belzeile FROM dberchz1 d JOIN dberchz3 z USING (mandt, belnr, belzeile) "
        "WHERE d.massbill NOT IN ('', 'KW') AND z.nettobtr <> round((d.v_abrmenge + d.n_abrmenge) * z.preisbtr, 2)"
    )
    assert billed.ask(wrong) == []
    assert billed_dual.ask(wrong) == []
    assert billed.ask("SELECT DISTINCT twaers FROM dberchz3") == [("EUR",)]


def test_there_are_lines_of_nothing_and_lines_that_give_back(billed: Standing) -> None:
    for below in ("z.nettobtr = 0 AND d.massbill <> ''", "z.nettobtr < 0 AND d.belzart = 'BONUS'",
                  "z.nettobtr < 0 AND d.v_abrmenge + d.n_abrmenge < 0", "d.n_abrmenge <> 0"):  # fmt: skip
        assert billed.count(f"SELECT 1 FROM dberchz1 d JOIN dberchz3 z USING (mandt, belnr, belzeile) WHERE {below}")


def test_a_print_document_shows_the_sum_of_the_lines(billed: Standing, billed_dual: Standing) -> None:
    wrong = (
        "SELECT p.opbel FROM erdk p JOIN erchc c USING (mandt, opbel) JOIN dberchz3 z USING (mandt, belnr) "
        "GROUP BY p.opbel, p.total_amnt HAVING p.total_amnt <> sum(z.nettobtr)"
    )
    assert billed.ask(wrong) == []
    assert billed_dual.ask(wrong) == []


def test_a_bill_is_printed_once_unless_its_first_print_was_reversed(billed: Standing) -> None:
    standing_ = "count(*) FILTER (WHERE p.stokz = '' AND c.intopbel = '')"
    counted = (
        f"SELECT b.stornodat <> '00000000', b.simulation, count(p.opbel), {standing_} FROM erch b "
        "JOIN (SELECT DISTINCT belnr FROM dberchz1) d USING (belnr) LEFT JOIN erchc c USING (belnr) "
        "LEFT JOIN erdk p USING (opbel) GROUP BY b.belnr, b.stornodat, b.simulation"
    )
    kinds = {tuple(row) for row in billed.ask(f"SELECT DISTINCT * FROM ({counted}) k")}
    assert kinds == {(False, "", 1, 1), (False, "", 2, 1), (True, "", 1, 0), (False, "X", 0, 0)}


def test_a_reversed_bill_is_made_again_for_the_same_days(billed: Standing) -> None:
    gone = "SELECT * FROM erch WHERE stornodat <> '00000000' AND belnr IN (SELECT belnr FROM dberchz1)"
    assert billed.count(gone) > 10
    lone = (
        f"SELECT g.belnr FROM ({gone}) g WHERE NOT EXISTS (SELECT FROM erch b WHERE {VALID} AND b.vertrag = g.vertrag "
        "AND b.begabrpe = g.begabrpe AND b.endabrpe = g.endabrpe AND b.erdat >= g.stornodat)"
    )
    assert billed.ask(lone) == []
    assert billed.ask(f"SELECT belnr FROM ({gone}) g WHERE aedat <> stornodat OR belegdat > stornodat") == []


def test_in_the_dual_model_supply_and_grid_bill_the_same_energy(billed_dual: Standing) -> None:
    energy = "sum(d.v_abrmenge + d.n_abrmenge) FILTER (WHERE d.belzart IN ('ENERGY', 'ENERHT', 'ENERNT', 'GRIDEN'))"
    sums = billed_dual.ask(
        f"SELECT i.int_ui, b.begabrpe, t.intcode, {energy} FROM erch b JOIN dberchz1 d USING (mandt, belnr) "
        "JOIN ever e USING (mandt, vertrag) JOIN euiinstln i USING (mandt, anlage) JOIN eanl a USING (mandt, anlage) "
        f"JOIN tecde t USING (service) WHERE {VALID} GROUP BY 1, 2, 3"
    )
    sides = {code: {(pod, since): used for pod, since, kind, used in sums if kind == code} for code in ("01", "02")}
    assert len(sides["02"]) > CONTRACTS / 2
    both = sides["01"].keys() & sides["02"].keys()
    assert len(both) > 0.9 * len(sides["02"])
    assert {key: sides["01"][key] for key in both} == {key: sides["02"][key] for key in both}
    kinds = billed_dual.ask(
        "SELECT DISTINCT t.intcode, d.belzart FROM erch b JOIN dberchz1 d USING (mandt, belnr) "
        "JOIN ever e USING (mandt, vertrag) JOIN eanl a USING (mandt, anlage) JOIN tecde t USING (service)"
    )
    assert {kind for code, kind in kinds if code == "01"} == {"GRIDEN", "GRIDBA", "METERG", "CONCES"}


def test_contracts_that_end_say_why(billed: Standing) -> None:
    reasons = dict(billed.ask("SELECT auszdat < '99991231', count(*) FILTER (WHERE sswtcreason = '') FROM ever "
                              "WHERE mandt = '100' AND auszdat >= einzdat GROUP BY 1"))  # fmt: skip
    assert reasons[True] == 0
    assert reasons[False] == billed.count("SELECT 1 FROM ever WHERE mandt = '100' AND auszdat = '99991231'")


def test_the_use_of_a_year_is_known_from_a_day_on(billed: Standing) -> None:
    facts = billed.ask("SELECT anlage, ab, bis FROM ettifn WHERE operand = 'ANNUAL_USE' ORDER BY 1, 2")
    assert len(facts) == 2 * CONTRACTS
    for (place, _, ends), (same, begins, never) in zip(facts[::2], facts[1::2], strict=True):
        assert (place, never) == (same, "99991231")
        assert datetime.strptime(ends, "%Y%m%d") + timedelta(days=1) == datetime.strptime(begins, "%Y%m%d")


# --- what the mappings read ---------------------------------------------------------------------------------------


def test_lines_are_read_to_the_cent_and_the_last_digit(billed: Standing) -> None:
    kinds = {"ENERGY": "energy", "ENERHT": "energy", "ENERNT": "energy", "CORREC": "energy", "DEMAND": "demand",
             "BASE": "flat", "RENTAL": "rental", "BONUS": "misc"}  # fmt: skip
    wanted = billed.ask(
        "SELECT d.belnr || '/' || d.belzeile, ltrim(d.belnr, '0'), ltrim(b.vertrag, '0'), ltrim(e.anlage, '0'), "
        "ltrim(b.gpartner, '0'), d.belzart, to_date(b.belegdat, 'YYYYMMDD'), to_date(d.ab, 'YYYYMMDD'), "
        "to_date(d.bis, 'YYYYMMDD'), d.v_abrmenge + d.n_abrmenge, nullif(lower(d.massbill), ''), z.nettobtr, "
        "b.stornodat <> '00000000' FROM dberchz1 d JOIN dberchz3 z USING (mandt, belnr, belzeile) "
        "JOIN erch b USING (mandt, belnr) JOIN ever e USING (mandt, vertrag) "
        "WHERE d.mandt = '100' AND b.simulation = ''"
    )
    names = ("number", "document", "contract", "installation", "customer", "kind", "posted_on", "period_from",
             "period_to", "quantity", "unit", "amount", "reversed")  # fmt: skip
    found = rows_of(billed.isu, "billing_line", *names)
    assert len(found) > 3 * CONTRACTS
    assert sorted(found) == sorted((*row[:5], kinds[row[5]], *row[6:]) for row in wanted)


def test_grid_usage_is_told_from_supply(billed_dual: Standing) -> None:
    sums: dict[tuple[bool, str], Decimal] = {}
    for grid, currency, amount in rows_of(billed_dual.isu, "billing_line", "grid", "currency", "amount"):
        sums[grid, currency] = sums.get((grid, currency), Decimal(0)) + amount
    wanted = billed_dual.ask(
        "SELECT d.belzart IN ('GRIDEN', 'GRIDBA', 'METERG', 'CONCES'), z.twaers, sum(z.nettobtr) FROM dberchz1 d "
        "JOIN dberchz3 z USING (mandt, belnr, belzeile) JOIN erch b USING (belnr) WHERE b.simulation = '' GROUP BY 1, 2"
    )
    assert sums == {(grid, currency): amount for grid, currency, amount in wanted}
    assert set(sums) == {(True, "EUR"), (False, "EUR")}


def test_bills_are_read_with_the_print_document_that_stands(billed: Standing) -> None:
    wanted = billed.ask(
        "SELECT ltrim(b.belnr, '0'), b.abrvorg, ltrim(b.vkont, '0'), CASE WHEN b.stornodat <> '00000000' "
        "THEN to_date(b.stornodat, 'YYYYMMDD') END, p.opbel, p.total_amnt FROM erch b LEFT JOIN "
        "(SELECT belnr, max(lfdnr) AS lfdnr FROM erchc GROUP BY 1) m USING (belnr) LEFT JOIN erchc c "
        "USING (belnr, lfdnr) LEFT JOIN erdk p USING (opbel) WHERE b.simulation = ''"
    )
    kinds = {"01": "periodic", "03": "final"}
    found = rows_of(
        billed.isu, "billing_document", "number", "kind", "account", "reversed_on", "print_document", "total"
    )
    assert set(found) == {(row[0], kinds[row[1]], *row[2:]) for row in wanted}
    assert len(found) == len(wanted)


def test_readings_are_read_with_their_reason(billed: Standing) -> None:
    wanted = billed.ask(
        "SELECT ltrim(a.ablbelnr, '0'), ltrim(g.anlage, '0'), g.ablesgr, a.schaever, a.v_zwstand + a.n_zwstand "
        "FROM eabl a JOIN eablg g USING (mandt, ablbelnr)"
    )
    reasons = {"01": "periodic", "02": "interim_billed", "09": "interim", "10": "control", "21": "installed"}
    expected = {(n, i, reasons[r], "estimated" if s else "read", v) for n, i, r, s, v in wanted}
    found = rows_of(billed.isu, "reading_result", "number", "installation", "reason", "kind", "value")
    assert set(found) == expected
    assert len(found) == len(wanted)


def test_facts_are_read_as_numbers_and_as_words(billed: Standing) -> None:
    wanted = billed.ask(
        "SELECT ltrim(anlage, '0'), operand, to_date(ab, 'YYYYMMDD'), CASE WHEN bis < '99991231' "
        "THEN to_date(bis, 'YYYYMMDD') END, wert1, nullif(string1, '') FROM ettifn"
    )
    names = ("installation", "operand", "valid_from", "valid_to", "value", "text")
    assert set(rows_of(billed.isu, "installation_fact", *names)) == set(wanted)


def test_contracts_are_read_with_the_reason_they_end_for(billed: Standing) -> None:
    found = records_of(billed.isu, "contract")
    told = {reason for records in found for reason in records.root.column("loss_reason").to_pylist()}
    assert told == {None, "moved", "cheaper_offer", "dissatisfied", "deceased", "insolvent", "vacant"}
