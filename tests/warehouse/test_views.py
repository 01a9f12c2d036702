"""What analysts see: published cells, balances, distinct counts, dimensions now and then, freshness."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import psycopg
import pytest

from isthmus.store import store_url
from isthmus.store.place import Place
from tests.warehouse.conftest import LINE, PARTNER
from tests.warehouse.engine import HOUSE, MORNING, Stage, house
from warehouse import compress, requests, shape
from warehouse.load_spec import load_warehouse
from warehouse.spec import StoreFeed, Warehouse
from warehouse.statement import Connection

STOCK = """
cube: stock
about: Visits that are agreed and visits that are made.
dimensions:
  month: date
  partner: {type: text(10), dimension: partner}
  settled: boolean
figures:
  visits: {type: count, meaning: Visits agreed less visits made.}
  minutes: {type: integer, meaning: Their minutes.}
postings:
  - store: visit
    dimensions: {month: visited_at | month, partner: partner, settled: settled}
    figures: {visits: 1 when minutes > "0", minutes: minutes}
  - store: visit
    when: minutes < "0"
    dimensions: {month: visited_at | month, partner: partner, settled: settled}
    figures: {visits: -1}
calculated:
  length: {formula: minutes / visits, unit: minutes, meaning: Average.}
balances:
  open: {of: visits, over: month, meaning: Visits that are open.}
  time: {of: minutes, over: month, meaning: Their minutes.}
  total: {of: visits, over: month, by: [settled], meaning: Visits of everybody.}
distinct:
  visitors: {count: partner, meaning: Partners who were visited.}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Warehouse:
    """The house's files with a cube that has balances, a distinct count and a calculated figure."""
    shutil.copytree(HOUSE, tmp_path / "house")
    (tmp_path / "house/warehouse/cubes/stock.yaml").write_text(STOCK, encoding="utf-8")
    return load_warehouse(tmp_path / "house", None)


@pytest.fixture
def stocked(stage: Stage, spec: Warehouse) -> Stage:
    shape.apply(stage.connection, spec, stage.now)
    return Stage(stage.connection, spec, loads=5)


def visit(year: int, month: int, partner: str | None, minutes: int, settled: bool = False) -> dict[str, object]:
    at = datetime(year, month, 15, 12, minutes % 60, tzinfo=UTC)
    return {"visited_at": at, "partner": partner or "P9", "minutes": minutes, "settled": settled, "price": Decimal(1)}


# --- cubes --------------------------------------------------------------------------------------------------------


def test_only_what_is_published_is_seen(stage: Stage) -> None:
    request = stage.load("line", "isu", [{**LINE, "document": "D3"}])
    stage.check(request)
    stage.activate(request)
    stage.roll_up(request)
    assert stage.ask("SELECT sum(lines) FROM analysis.lines") == [(2,)]
    stage.publish()
    assert stage.ask("SELECT sum(lines) FROM analysis.lines") == [(3,)]


def test_a_session_may_keep_reading_one_publication(stage: Stage) -> None:
    stage.bring("line", "isu", [{**LINE, "document": "D3"}])
    stage.connection.execute("SET isthmus.publication = '2'")
    assert stage.ask("SELECT sum(lines), analysis.publication() FROM analysis.lines") == [(2, 2)]
    stage.connection.execute("RESET isthmus.publication")
    assert stage.ask("SELECT sum(lines), analysis.publication() FROM analysis.lines") == [(3, 3)]


def test_a_publication_that_is_not_there_is_told(stage: Stage) -> None:
    stage.connection.execute("SET isthmus.publication = '4711'")
    with pytest.raises(psycopg.errors.RaiseException, match="there is no publication 4711 yet, the newest is"):
        stage.ask("SELECT sum(lines) FROM analysis.lines")


def test_a_session_never_reads_what_was_compressed_into_its_publication_later(stage: Stage) -> None:
    stage.bring("line", "isu", [{**LINE, "document": "D3"}])
    compress.compress(stage.connection, stage.warehouse, stage.now, days=0)
    stage.connection.execute("SET isthmus.publication = '3'")
    assert stage.ask("SELECT sum(lines) FROM analysis.lines") == [(3,)]
    stage.connection.execute("SET isthmus.publication = '2'")
    with pytest.raises(psycopg.errors.RaiseException, match="publication 2 cannot be read any more"):
        stage.ask("SELECT sum(lines) FROM analysis.lines")


def test_a_cell_is_one_row_wherever_its_parts_lie(stage: Stage) -> None:
    asked = "SELECT * FROM analysis.lines ORDER BY kind, net"
    stage.bring("line", "isu", [{**LINE, "seq": "2", "amount": Decimal("1.00")}, {**LINE, "document": "D3"}])
    before = stage.ask(asked)
    assert before == [("P1", "energy", "EUR", Decimal("-34.33"), 2, 2), ("P1", "flat", "EUR", Decimal("-33.33"), 1, 1)]
    stage.later(days=30)
    compress.compress(stage.connection, stage.warehouse, stage.now)
    assert stage.ask("SELECT count(*) FROM warehouse.facts_lines") == [(0,)]
    assert stage.ask(asked) == before
    stage.bring("line", "isu", [{**LINE, "seq": "3", "mode": "D"}, {**LINE, "document": "D2", "mode": "D", "seq": "3"}])
    assert stage.ask(asked) == [("P1", "energy", "EUR", Decimal("-33.33"), 1, 1)]  # the flat one is gone, not 0


def test_facts_add_up_to_their_cube_wherever_its_parts_lie(stage: Stage) -> None:
    asked = "SELECT partner, kind, currency, sum(net), sum(lines), sum(records) FROM analysis.{} GROUP BY 1, 2, 3"
    kept = " HAVING sum(records) <> 0 ORDER BY 1, 2, 3"
    stage.bring("line", "isu", [{**LINE, "seq": "2", "amount": Decimal("1.00")}, {**LINE, "document": "D3"}])
    assert stage.ask("SELECT count(*) FROM analysis.lines_facts") > stage.ask("SELECT count(*) FROM analysis.lines")
    assert stage.ask(asked.format("lines_facts") + kept) == stage.ask(asked.format("lines") + kept)
    stage.later(days=30)
    compress.compress(stage.connection, stage.warehouse, stage.now)
    stage.bring("line", "isu", [{**LINE, "document": "D4"}])
    assert stage.ask(asked.format("lines_facts") + kept) == stage.ask(asked.format("lines") + kept)


def test_days_that_are_not_known_are_null_and_texts_a_sign(stocked: Stage) -> None:
    stocked.bring("line", "isu", [{**LINE, "document": "D4", "posted_on": None, "partner": "P7", "unit": None}])
    asked = "SELECT DISTINCT posting_month, unit FROM analysis.billing WHERE posting_month IS NULL"
    assert stocked.ask(asked) == [(None, "#")]


def test_a_rate_without_a_base_is_null(stocked: Stage) -> None:
    stocked.bring("visit", "crm", [visit(2024, 1, "P1", 30), visit(2024, 2, "P1", 0)], "FULL")
    assert stocked.ask("SELECT month, length FROM analysis.stock ORDER BY month") == [
        (date(2024, 1, 1), Decimal(30)),
        (date(2024, 2, 1), None),
    ]


def test_names_come_from_dimensions_as_they_are_now(stage: Stage) -> None:
    stage.later(days=1)
    stage.bring("partner", "crm", [{**PARTNER, "segment": "B", "seq": "2"}])
    stage.bring("line", "isu", [{**LINE, "document": "D5", "partner": "P404"}])
    asked = "SELECT partner, partner_segment, partner_region, sum(lines) FROM analysis.lines_named GROUP BY 1, 2, 3"
    assert sorted(stage.ask(asked)) == [("P1", "B", "north", 2), ("P404", None, None, 1)]


# --- balances and distinct counts ---------------------------------------------------------------------------------


def test_a_balance_has_every_month_until_nothing_is_left(stocked: Stage) -> None:
    stocked.bring(
        "visit", "crm", [visit(2023, 10, "P1", 30), visit(2023, 12, "P1", 20), visit(2024, 2, "P1", -40)], "FULL"
    )
    asked = "SELECT month, opening, movement, closing FROM analysis.stock_{} ORDER BY month"
    assert stocked.ask(asked.format("open")) == [
        (date(2023, 10, 1), 0, 1, 1),
        (date(2023, 11, 1), 1, 0, 1),
        (date(2023, 12, 1), 1, 1, 2),
        (date(2024, 1, 1), 2, 0, 2),
        (date(2024, 2, 1), 2, -1, 1),
        (date(2024, 3, 1), 1, 0, 1),  # the month of the publication
    ]
    assert [row[-1] for row in stocked.ask(asked.format("time"))] == [30, 30, 50, 50, 10, 10]
    assert stocked.ask(
        "SELECT settled, sum(closing) FROM analysis.stock_total WHERE month = '2023-12-01' GROUP BY 1"
    ) == [(False, 2)]


def test_balances_of_a_cube_can_be_joined(stocked: Stage) -> None:
    stocked.bring(
        "visit", "crm", [visit(2023, 10, "P1", 30), visit(2023, 11, "P1", -30), visit(2023, 11, "P2", 5)], "FULL"
    )
    asked = """SELECT month, sum(o.closing), sum(t.closing) FROM analysis.stock_open AS o
        JOIN analysis.stock_time AS t USING (month, partner, settled) GROUP BY month ORDER BY month"""
    assert stocked.ask(asked)[:3] == [
        (date(2023, 10, 1), 1, 30),
        (date(2023, 11, 1), 1, 5),
        (date(2023, 12, 1), 1, 5),  # of P1 nothing is left
    ]


def test_a_balance_is_what_all_movements_before_come_to(stocked: Stage) -> None:
    random = Random(4)
    months = [(2023, month) for month in range(1, 13)] + [(2024, month) for month in (1, 2, 5)]
    visits = {}
    for _ in range(120):
        row = visit(
            *random.choice(months), random.choice(["P1", "P2", "P3"]), random.randint(-50, 50), random.random() < 0.5
        )
        visits[row["visited_at"], row["partner"]] = row
    stocked.bring("visit", "crm", list(visits.values()), "FULL")
    moved: dict[tuple[date, str, bool], int] = defaultdict(int)
    for row in visits.values():
        at, partner, minutes, settled = (row[name] for name in ("visited_at", "partner", "minutes", "settled"))
        assert isinstance(at, datetime) and isinstance(minutes, int)
        moved[date(at.year, at.month, 1), str(partner), bool(settled)] += (minutes > 0) - (minutes < 0)
    shown = stocked.ask("SELECT month, partner, settled, opening, movement, closing FROM analysis.stock_open")
    until = date(2024, 3, 1)  # what moves later is not seen yet
    for month in (date(2023, 4, 1), date(2023, 12, 1), date(2024, 2, 1), until):
        for partner in ("P1", "P2", "P3"):
            for settled in (True, False):
                due = sum(
                    count
                    for (at, who, done), count in moved.items()
                    if at <= month and (who, done) == (partner, settled)
                )
                rows = [row[3:] for row in shown if row[:3] == (month, partner, settled)]
                change = moved.get((month, partner, settled), 0)
                assert rows in ([(due - change, change, due)], [] if due == change == 0 else None)
    assert max(row[0] for row in shown) == until


def test_what_is_counted_once_can_be_grouped_by_anything(stocked: Stage) -> None:
    stocked.bring(
        "visit", "crm", [visit(2023, 10, "P1", 30), visit(2023, 10, "P2", 31), visit(2023, 11, "P1", 32)], "FULL"
    )
    asked = "SELECT count(DISTINCT visitors) FROM analysis.stock_visitors"
    assert stocked.ask(asked) == [(2,)]
    assert stocked.ask(f"{asked} GROUP BY month ORDER BY month") == [(2,), (1,)]


# --- records and dimensions ---------------------------------------------------------------------------------------


def test_a_store_shows_live_records(stage: Stage) -> None:
    stage.bring("line", "isu", [{**LINE, "mode": "D", "seq": "9"}])
    assert stage.ask("SELECT source, document, region, request_id FROM analysis.line") == [("isu", "D2", "north", 2)]


def test_of_two_systems_the_first_feed_tells_what_a_member_is(stage: Stage) -> None:
    stage.bring("partner", "erp", [{**PARTNER, "segment": "Z"}, {**PARTNER, "number": "P2", "segment": "Z"}])
    assert stage.ask("SELECT number, segment, source FROM analysis.partner ORDER BY number") == [
        ("P1", "A", "crm"),
        ("P2", "Z", "erp"),
    ]
    assert stage.ask("SELECT count(*) FROM analysis.partner_records") == [(3,)]
    assert stage.ask("SELECT number, segment FROM analysis.partner_on('2024-03-01') ORDER BY number") == [
        ("P1", "A"),
        ("P2", "Z"),
    ]


def test_a_dimension_is_shown_as_of_a_day(stage: Stage) -> None:
    stage.later(days=10)
    stage.bring("partner", "crm", [{**PARTNER, "segment": "B", "seq": "2"}])
    assert stage.ask("SELECT segment, valid_from, valid_to FROM analysis.partner_history ORDER BY valid_from") == [
        ("A", date(1, 1, 1), date(2024, 3, 10)),
        ("B", date(2024, 3, 11), None),
    ]
    asked = "SELECT segment FROM analysis.partner_on('{}')"
    assert [stage.ask(asked.format(day))[0][0] for day in ("2024-03-10", "2024-03-11")] == ["A", "B"]
    assert stage.ask("SELECT segment FROM analysis.partner") == [("B",)]


# --- how fresh, how complete --------------------------------------------------------------------------------------


def test_freshness_tells_what_waits(stage: Stage) -> None:
    stage.later(hours=2)
    stage.load("line", "isu", [{**LINE, "document": "D3"}])
    asked = (
        "SELECT publication, read_at, waiting, waiting_since FROM analysis.freshness WHERE (kind, name) = ('{}', '{}')"
    )
    assert stage.ask(asked.format("cube", "lines")) == [(2, MORNING, 1, stage.now)]
    assert stage.ask(asked.format("store", "partner")) == [(1, MORNING, 0, None)]
    assert stage.ask(asked.format("store", "visit")) == [(None, None, 0, None)]


def test_freshness_tells_of_a_load_that_failed_until_one_goes_well(stage: Stage) -> None:
    asked = "SELECT failing_since FROM analysis.freshness WHERE (kind, name) = ('cube', 'lines')"
    stage.later(hours=2)
    failed = stage.open("line", "isu")
    requests.set_state(stage.connection, failed.id, "FAILED", stage.now)
    assert stage.ask(asked) == [(stage.now,)]
    stage.later(hours=1)
    stage.load("line", "isu", [{**LINE, "document": "D3"}])
    assert stage.ask(asked) == [(None,)]


def test_freshness_tells_until_when_changes_were_looked_for(stage: Stage) -> None:
    cursor = '{"version":1,"kind":"date","at":"2024-03-02T06:00:00+00:00"}'
    stage.connection.execute(
        "INSERT INTO warehouse.pointers (store, source, confirmed, request_id, init_request_id)"
        " VALUES ('line', 'isu', %s, 1, 1)",
        [cursor],
    )
    asked = "SELECT kind, name, source_until FROM analysis.freshness WHERE source_until <> '' ORDER BY kind, name"
    until = "2024-03-02T06:00:00+00:00"
    assert stage.ask(asked) == [("cube", "billing", until), ("cube", "lines", until), ("store", "line", until)]


def test_what_a_store_leaves_out_is_missing_from_what_is_made_of_it(stage: Stage) -> None:
    stage.connection.execute(
        "INSERT INTO warehouse.held (request_id, package_no, record_no, store, source, key, kind, code, message, at)"
        " VALUES (1, 1, 1, 'line', 'isu', 'D7/1', 'refused', 'unit', '', %s)",
        [stage.now],
    )
    visit = stage.warehouse.stores["visit"]
    derived = replace(visit, feeds=(StoreFeed("warehouse", "full", "visit.sql", reads=("line",)),))
    warehouse = replace(stage.warehouse, stores={**stage.warehouse.stores, "visit": derived})
    shape.apply(stage.connection, warehouse, stage.now)
    asked = "SELECT kind, name FROM analysis.freshness WHERE excluded = 1 ORDER BY kind, name"
    assert stage.ask(asked) == [
        ("cube", "billing"),
        ("cube", "lines"),
        ("store", "line"),
        ("store", "visit"),
    ]


def test_completeness_tells_what_is_left_out(stage: Stage) -> None:
    for number, (key, kind) in enumerate([("D7/1", "refused"), ("D7/1", "follows"), ("D8/1", "refused")]):
        stage.connection.execute(
            "INSERT INTO warehouse.held (request_id, package_no, record_no, store, source, key, kind, code,"
            " message, at) VALUES (1, 1, %s, 'line', 'isu', %s, %s, 'unit', '', %s)",
            [number, key, kind, stage.now],
        )
    assert stage.ask("SELECT store, source, kind, reason, records, keys FROM analysis.completeness ORDER BY kind") == [
        ("line", "isu", "follows", "unit", 1, 1),
        ("line", "isu", "refused", "unit", 2, 2),
    ]
    asked = (
        "SELECT kind, name, excluded, parked FROM analysis.freshness WHERE excluded + parked > 0 ORDER BY kind, name"
    )
    assert stage.ask(asked) == [("cube", "billing", 2, 1), ("cube", "lines", 2, 1), ("store", "line", 2, 1)]


def test_the_calendar_has_every_day(stage: Stage) -> None:
    asked = (
        "SELECT week, month, quarter, year, weekday, workday, holiday FROM analysis.calendar WHERE day = '2024-05-01'"
    )
    assert stage.ask(asked) == [
        (date(2024, 4, 29), date(2024, 5, 1), date(2024, 4, 1), date(2024, 1, 1), 3, False, "Labour Day")
    ]
    assert stage.ask("SELECT count(*) FILTER (WHERE workday) FROM analysis.calendar WHERE year = '2024-01-01'") == [
        (253,)
    ]


# --- rights -------------------------------------------------------------------------------------------------------


@pytest.fixture
def owned(store: Place) -> Iterator[Connection]:
    """The warehouse in the store's own database, made by its owner."""
    with psycopg.connect(store_url("owner", store), autocommit=True) as connection:
        yield connection
        connection.execute("DROP SCHEMA IF EXISTS warehouse, analysis CASCADE")


def test_the_engine_writes_and_analysts_read(store: Place, owned: Connection) -> None:
    shape.apply(owned, house(), MORNING)
    with psycopg.connect(store_url("engine", store), autocommit=True) as engine:
        stage = Stage(engine, house())
        stage.bring("partner", "crm", [PARTNER])
        stage.bring("line", "isu", [LINE])
    with psycopg.connect(store_url("analyst", store), autocommit=True) as analyst:
        assert analyst.execute("SELECT sum(lines), analysis.publication() FROM analysis.lines").fetchall() == [(1, 2)]
        assert analyst.execute("SELECT number FROM analysis.partner_on('2024-03-01')").fetchall() == [("P1",)]
        analyst.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("DELETE FROM warehouse.totals_lines")
