"""Plan and apply on a real database: what stands is changed without losing a row, and twice is once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from isthmus.errors import ConflictError
from tests.warehouse.conftest import LINE, PARTNER, serve
from tests.warehouse.engine import HOUSE, MORNING, Stage, house
from warehouse import control, shape
from warehouse.load_spec import load_warehouse
from warehouse.shape_steps import Step, is_wider
from warehouse.spec import Warehouse
from warehouse.statement import Connection
from warehouse.verify import verify

Edit = Callable[..., Warehouse]
LINES, PARTNERS, VISITS = "cubes/lines.yaml", "stores/partner.yaml", "stores/visit.yaml"
PRICES = ((VISITS, "decimal(13.4)", "decimal(15.5)"), ("cubes/billing.yaml", "decimal(13.4)", "decimal(15.5)"))


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Edit a copy of the house's files: `edit((file, this, that), ...)` returns what they say then."""
    shutil.copytree(HOUSE, tmp_path / "house")

    def edited(*changes: tuple[str, str, str]) -> Warehouse:
        for file, this, that in changes:
            path = tmp_path / "house" / "warehouse" / file
            text = path.read_text(encoding="utf-8")
            assert this in text
            path.write_text(text.replace(this, that), encoding="utf-8")
        return load_warehouse(tmp_path / "house", None)

    return edited


def apply(stage: Stage, warehouse: Warehouse) -> list[Step]:
    stage.warehouse = warehouse
    return shape.apply(stage.connection, warehouse, stage.now)


def holds(stage: Stage) -> bool:
    cubes = stage.warehouse.cubes.values()
    return all(verify(stage.connection, stage.warehouse, cube, stage.now).holds for cube in cubes)


def kinds(steps: list[Step]) -> list[str]:
    return [step.kind for step in steps]


# --- the first time, and again ------------------------------------------------------------------------------------


def test_a_second_apply_does_nothing(stage: Stage) -> None:
    assert shape.plan(stage.connection, stage.warehouse) == []
    assert apply(stage, stage.warehouse) == []


def test_a_plan_changes_nothing(fresh: Connection) -> None:
    steps = shape.plan(fresh, house())
    assert set(kinds(steps)) == {"control", "create", "describe", "view"}
    made = fresh.execute("SELECT nspname FROM pg_namespace WHERE nspname IN ('warehouse', 'analysis')").fetchall()
    assert made == []


def test_every_table_and_column_says_what_it_is(stage: Stage) -> None:
    silent = stage.ask("""
        SELECT c.oid::regclass, a.attname FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'v') AND c.relnamespace::regnamespace::text IN ('warehouse', 'analysis')
        AND '' IN (coalesce(col_description(c.oid, a.attnum), ''), coalesce(obj_description(c.oid, 'pg_class'), ''))""")
    assert silent == []


def test_migrators_wait_for_each_other(fresh_database: str) -> None:
    planned: list[int] = []

    def migrate() -> None:
        with psycopg.connect(fresh_database, autocommit=True) as connection:
            planned.append(len(shape.apply(connection, house(), MORNING)))

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert planned[0] > 0
    assert planned[1] == 0


# --- additions ----------------------------------------------------------------------------------------------------


def test_a_new_figure_is_filled_from_active_data(stage: Stage, edit: Edit) -> None:
    new = edit(
        (LINES, "figures:\n", "figures:\n  energy: {type: quantity(unit), meaning: Energy.}\n"),
        (LINES, "  currency: text(5)", "  currency: text(5)\n  unit: text(3)"),
        (LINES, "currency: currency}", "currency: currency, unit: unit}"),
        (LINES, "lines: 1}", "lines: 1, energy: quantity}"),
    )
    assert kinds(apply(stage, new)).count("rebuild") == 1
    asked = "SELECT unit, sum(energy), sum(net), sum(lines) FROM analysis.lines GROUP BY unit"
    assert stage.ask(asked) == [("KWH", Decimal("200.002"), Decimal("-66.66"), 2)]
    stage.bring("line", "isu", [{**LINE, "seq": "2", "quantity": Decimal("1.000")}])
    assert stage.ask(asked) == [("KWH", Decimal("101.001"), Decimal("-66.66"), 2)]
    assert holds(stage)
    assert apply(stage, stage.warehouse) == []


def test_a_new_dimension_is_filled_from_active_data(stage: Stage, edit: Edit) -> None:
    new = edit(
        (LINES, "  currency: text(5)", "  currency: text(5)\n  month: date"),
        (LINES, "currency: currency}", "currency: currency, month: posted_on | month}"),
    )
    assert kinds(apply(stage, new)).count("rekey") == 2
    asked = "SELECT month, sum(lines) FROM analysis.lines GROUP BY month ORDER BY month"
    assert stage.ask(asked) == [(date(2024, 2, 1), 2)]
    stage.bring("line", "isu", [{**LINE, "seq": "2", "posted_on": date(2024, 3, 1)}])
    assert stage.ask(asked) == [(date(2024, 2, 1), 1), (date(2024, 3, 1), 1)]
    assert holds(stage)
    assert apply(stage, stage.warehouse) == []


def test_another_posting_adds_a_cube_up_anew(stage: Stage, edit: Edit) -> None:
    steps = apply(stage, edit((LINES, "net: -amount", 'net: amount when kind = "flat"')))
    assert [step.kind for step in steps if step.kind not in ("view", "describe")] == ["rebuild"]
    assert stage.ask("SELECT sum(net) FROM analysis.lines") == [(Decimal("33.33"),)]
    assert holds(stage)


def test_another_description_is_written_and_nothing_else(stage: Stage, edit: Edit) -> None:
    steps = apply(stage, edit((LINES, "meaning: Amount.", "meaning: What it costs.")))
    assert set(kinds(steps)) == {"describe", "view"}
    for table in ("analysis.lines", "warehouse.totals_lines"):
        ((said,),) = stage.ask(
            f"SELECT col_description(attrelid, attnum) FROM pg_attribute "
            f"WHERE attrelid = '{table}'::regclass AND attname = 'net'"
        )
        assert said == "What it costs. Amount(currency); from line.-amount."


def test_a_new_field_waits_for_a_full_load(stage: Stage, edit: Edit) -> None:
    new = edit(("stores/line.yaml", "  reversed: boolean", "  reversed: boolean\n  meter: text(18)"))
    assert kinds(apply(stage, new)).count("add") == 3
    waiting = control.waiting(stage.connection)
    assert [(item.kind, item.name) for item in waiting] == [("store", "line")]
    assert "meter" in waiting[0].because
    assert stage.ask("SELECT count(*) FROM analysis.line WHERE meter IS NULL") == [(2,)]
    full = [{**LINE, "meter": "M1"}, {**LINE, "document": "D2", "kind": "flat", "meter": "M2"}]
    stage.bring("line", "isu", full, "REPAIR_FULL")
    control.done(stage.connection, "store", "line", stage.now)
    assert stage.ask("SELECT meter FROM analysis.line ORDER BY document") == [("M1",), ("M2",)]
    assert control.waiting(stage.connection) == []
    assert holds(stage)
    assert apply(stage, stage.warehouse) == []


def test_a_new_cube_begins_with_the_records_there_are(stage: Stage, edit: Edit, tmp_path: Path) -> None:
    text = (HOUSE / "warehouse" / LINES).read_text(encoding="utf-8").replace("cube: lines", "cube: others")
    (tmp_path / "house/warehouse/cubes/others.yaml").write_text(text, encoding="utf-8")
    apply(stage, edit())
    assert stage.ask("SELECT sum(lines) FROM analysis.others") == [(2,)]
    assert holds(stage)


def test_a_history_that_is_kept_from_now_on_begins_with_the_values_of_now(stage: Stage, edit: Edit) -> None:
    steps = apply(stage, edit((PARTNERS, "history: [segment, discount]", "history: [segment, discount, region]")))
    assert kinds(steps).count("fill") == 1
    asked = "SELECT number, region, segment, valid_from, valid_to FROM analysis.partner_history"
    assert stage.ask(asked) == [("P1", "north", "A", date(1, 1, 1), None)]
    apply(stage, edit(("stores/line.yaml", "posted:", "history: [kind]\nposted:")))
    kept = stage.ask("SELECT document, kind, valid_from FROM warehouse.history_line ORDER BY document")
    assert kept == [("D1", "energy", date(1, 1, 1)), ("D2", "flat", date(1, 1, 1))]


def test_what_is_posted_from_now_on_is_looked_up_for_what_is_there(stage: Stage, edit: Edit) -> None:
    more = """posted:
  money: {dimension: partner, attribute: currency, by: partner}
  rank: {dimension: partner, attribute: segment, by: partner, on: posted_on}"""
    new = edit(
        ("dimensions/partner.yaml", "[segment, region, discount]", "[segment, region, discount, currency]"),
        ("stores/line.yaml", "posted:", more),
    )
    stage.later(days=1)
    stage.bring("partner", "crm", [{**PARTNER, "segment": "B", "currency": "CHF", "seq": "2"}])
    assert kinds(apply(stage, new)).count("fill") == 2
    assert stage.ask("SELECT money, rank FROM analysis.line") == [("CHF", "A")] * 2  # A when they were posted
    assert stage.ask("SELECT DISTINCT money, rank FROM warehouse.changes_line") == [("CHF", "A")]


def test_wider_numbers_keep_what_is_there(stage: Stage, edit: Edit) -> None:
    stage.bring("visit", "crm", [{"visited_at": MORNING, "partner": "P1", "minutes": 5, "price": Decimal("1.2345")}])
    steps = apply(stage, edit(*PRICES))
    assert kinds(steps)[0] == "drop"
    assert kinds(steps).count("widen") == 5
    assert stage.ask("SELECT price FROM analysis.visit") == [(Decimal("1.23450"),)]
    assert stage.ask("SELECT sum(price) FROM analysis.billing") == [(Decimal("1.23450"),)]
    assert holds(stage)
    assert apply(stage, stage.warehouse) == []


def test_older_servers_change_the_grain_of_a_cube_as_well(any_postgres: str, edit: Edit) -> None:
    with psycopg.connect(any_postgres, autocommit=True) as connection:
        shape.apply(connection, house(), MORNING)
        stage = Stage(connection, house())
        serve(stage)
        new = edit(
            (LINES, "  currency: text(5)", "  currency: text(5)\n  month: date"),
            (LINES, "currency: currency}", "currency: currency, month: posted_on | month}"),
        )
        apply(stage, new)
        assert stage.ask("SELECT month, sum(lines) FROM analysis.lines_named GROUP BY 1") == [(date(2024, 2, 1), 2)]
        assert holds(stage)
        assert apply(stage, stage.warehouse) == []


# --- what is kept, and what is refused ----------------------------------------------------------------------------


def test_a_figure_and_a_dimension_that_are_named_no_longer_are_kept(stage: Stage, edit: Edit) -> None:
    new = edit(
        (LINES, "  lines: {type: count, meaning: Lines.}\n", ""),
        (LINES, ", lines: 1}", "}"),
        (LINES, "  kind: text(6)\n", ""),
        (LINES, "kind: kind, ", ""),
    )
    told = [step.text for step in apply(stage, new) if "no longer" in step.text]
    assert any("totals_lines.lines is named no longer" in text for text in told)
    assert stage.ask("SELECT * FROM analysis.lines") == [("P1", "EUR", Decimal("-66.66"), 2)]
    stage.bring("line", "isu", [{**LINE, "seq": "2", "amount": Decimal("1.00")}])
    assert holds(stage)
    again = apply(stage, stage.warehouse)
    assert set(kinds(again)) == {"keep"}  # told of every time, and nothing is done


def test_a_kept_field_that_is_named_again_is_loaded_again(stage: Stage, edit: Edit) -> None:
    without = (
        ("stores/line.yaml", "  reversed: boolean\n", ""),
        ("cubes/billing.yaml", '    when: reversed = "no"\n', ""),
    )
    apply(stage, edit(*without))
    assert control.waiting(stage.connection) == []
    assert stage.ask("SELECT count(*) FROM warehouse.active_line WHERE NOT reversed") == [(2,)]
    apply(stage, house())
    assert [item.name for item in control.waiting(stage.connection, "store")] == ["line"]
    assert holds(stage)


def test_a_store_and_a_cube_that_are_named_no_longer_are_kept(stage: Stage, edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "house/warehouse" / LINES).unlink()
    steps = apply(stage, edit())
    assert {"cube lines", "analysis.lines"} <= {step.target for step in steps}
    assert [step.target for step in steps if step.changes] == ['analysis."freshness"']
    stage.bring("line", "isu", [{**LINE, "document": "D3"}])
    assert stage.ask("SELECT sum(lines) FROM analysis.lines") == [(2,)]
    assert "rebuild" in kinds(apply(stage, house()))  # named again, it takes what it missed
    assert stage.ask("SELECT sum(lines) FROM analysis.lines") == [(3,)]
    assert holds(stage)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([("stores/line.yaml", "key: [document, line]", "key: [document, line, kind]")], r"kept by \(document, line\)"),
        (
            [("stores/line.yaml", "period_to: date", "period_to: moment")],
            "period_to is date, the file says timestamptz",
        ),
        ([(VISITS, "price: decimal(13.4)", "price: decimal(13.3)")], r"price is numeric\(13,4\)"),
    ],
)
def test_what_would_lose_something_is_refused(
    stage: Stage, edit: Edit, changes: list[tuple[str, str, str]], told: str
) -> None:
    before = stage.ask("SELECT * FROM warehouse.shapes ORDER BY kind, name")
    with pytest.raises(ConflictError, match=told):
        apply(stage, edit(*changes, (LINES, "meaning: Amount.", "meaning: Other.")))
    assert stage.ask("SELECT * FROM warehouse.shapes ORDER BY kind, name") == before
    assert stage.ask("SELECT count(*) FROM analysis.line") == [(2,)]


def test_views_of_others_are_not_torn_down(stage: Stage, edit: Edit) -> None:
    stage.connection.execute("CREATE VIEW public.mine AS SELECT price FROM analysis.visit")
    stage.connection.execute("CREATE VIEW analysis.by_hand AS SELECT price FROM analysis.visit")
    new = edit(*PRICES)
    said = [step.text for step in shape.plan(stage.connection, new) if step.kind == "refuse"]
    assert [text.partition(",")[0] for text in said] == [
        "analysis.by_hand depends on view analysis.visit",
        "public.mine depends on view analysis.visit",
    ]
    with pytest.raises(ConflictError, match=r"mine depends on view analysis\.visit"):
        apply(stage, new)
    stage.connection.execute("DROP VIEW public.mine, analysis.by_hand")
    apply(stage, new)
    assert stage.ask("SELECT count(*) FROM analysis.visit") == [(0,)]


def test_what_others_built_upon_views_stays_when_columns_are_added(stage: Stage, edit: Edit) -> None:
    stage.connection.execute("CREATE VIEW public.mine AS SELECT partner, net, records FROM analysis.lines")
    new = edit(
        (LINES, "figures:\n", "figures:\n  energy: {type: quantity(unit), meaning: Energy.}\n"),
        (LINES, "  currency: text(5)", "  currency: text(5)\n  unit: text(3)"),
        (LINES, "currency: currency}", "currency: currency, unit: unit}"),
        (LINES, "lines: 1}", "lines: 1, energy: quantity}"),
    )
    assert "drop" not in kinds(apply(stage, new))
    assert stage.ask("SELECT partner, sum(net), sum(records) FROM public.mine GROUP BY 1") == [
        ("P1", Decimal("-66.66"), 2)
    ]
    assert stage.ask("SELECT sum(energy) FROM analysis.lines_named") == [(Decimal("200.002"),)]
    assert apply(stage, stage.warehouse) == []


def test_wider_is_what_loses_nothing() -> None:
    assert is_wider("numeric(31,4)", "numeric(31,2)")  # cubes: wide enough for any sum
    assert is_wider("numeric(24,3)", "bigint")
    assert not is_wider("numeric(17,3)", "bigint")
    assert not is_wider("numeric(15,2)", "numeric(17,3)")
    assert not is_wider("text", "date")
