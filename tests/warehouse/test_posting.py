"""What records post into cells: spread parts sum up to the last digit, and what is taken away was brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import SpecError
from tests.warehouse.engine import house
from warehouse.posting import cube_sql, posting_sql
from warehouse.spec import Posting, Spread
from warehouse.statement import Connection
from warehouse.tables import sql_type

HOUSE = house()
LINE, VISIT = HOUSE.stores["line"], HOUSE.stores["visit"]
BILLING, LINES = HOUSE.cubes["billing"], HOUSE.cubes["lines"]
TYPES = {
    **{field.name: sql_type(field.type) for field in LINE.fields},
    "region": "text", "segment": "text", "discount": "numeric(15,2)", "sign": "smallint", "request_id": "bigint",
}  # fmt: skip
NAMES = [*(item.name for item in BILLING.dimensions), *(item.name for item in BILLING.figures), "records"]
BILL = {
    "document": "D1", "line": 1, "partner": "P1", "kind": "energy", "posted_on": date(2024, 2, 10), "unit": "KWH",
    "period_from": date(2023, 1, 1), "period_to": date(2023, 12, 31), "quantity": Decimal("1000.000"),
    "currency": "EUR", "amount": Decimal("100.00"), "reversed": False, "region": "north", "segment": "A",
    "sign": 1, "request_id": 7,
}  # fmt: skip

Row = Mapping[str, Any]
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def relation(rows: Iterable[Row]) -> tuple[str, list[Any]]:
    names = ", ".join(f'"{name}"' for name in TYPES)
    line = f"({', '.join(f'%s::{type_}' for type_ in TYPES.values())})"
    listed = list(rows)
    values = [row.get(name) for row in listed for name in TYPES]
    return f"(SELECT * FROM (VALUES {', '.join([line] * len(listed))}) AS v ({names}))", values


def cells(connection: Connection, posting: Posting, rows: Iterable[Row]) -> list[dict[str, Any]]:
    source, values = relation(rows)
    sql = posting_sql(BILLING, posting, LINE, source, request=False)
    return [dict(zip(NAMES, row, strict=True)) for row in connection.execute(sql.encode(), values).fetchall()]


def total(found: list[dict[str, Any]], figure: str) -> Decimal:
    return sum((cell[figure] for cell in found), Decimal(0))


SPREAD = BILLING.postings[0]


def test_a_year_falls_into_twelve_months_by_days(calculator: Connection) -> None:
    found = sorted(cells(calculator, SPREAD, [BILL]), key=lambda cell: cell["consumption_month"])
    assert [cell["consumption_month"].month for cell in found] == list(range(1, 13))
    assert [str(cell["net"]) for cell in found[:3]] == ["8.49", "7.67", "8.50"]  # 31, 28 and 31 of 365 days, cumulated
    assert (total(found, "net"), total(found, "energy")) == (Decimal("100.00"), Decimal("1000.000"))
    assert [cell["lines"] for cell in found] == [1] + [0] * 11  # what is not shared out is posted once
    assert [cell["records"] for cell in found] == [1] + [0] * 11
    assert {cell["posting_month"] for cell in found} == {date(2024, 2, 1)}


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        (date(2023, 5, 7), date(2023, 5, 7), [date(2023, 5, 1)]),
        (date(2023, 5, 31), date(2023, 6, 1), [date(2023, 5, 1), date(2023, 6, 1)]),
        (date(2023, 5, 7), None, [date(2023, 5, 1)]),
        (None, date(2023, 6, 7), [date(2023, 6, 1)]),
        (None, None, [date(1, 1, 1)]),
        (date(2023, 5, 7), date(2023, 5, 6), [date(2023, 5, 1)]),  # ends before it begins
        (date(2023, 5, 7), date(9999, 12, 31), [date(2023, 5, 1)]),  # has no end
    ],
)
def test_odd_periods_lose_nothing(
    calculator: Connection, first: date | None, last: date | None, months: list[date]
) -> None:
    found = cells(calculator, SPREAD, [{**BILL, "period_from": first, "period_to": last}])
    assert sorted(cell["consumption_month"] for cell in found) == months
    assert total(found, "net") == Decimal("100.00")
    assert total(found, "records") == 1


def test_cells_that_come_to_nothing_are_left_out(calculator: Connection) -> None:
    assert cells(calculator, SPREAD, [BILL, {**BILL, "sign": -1}]) == []
    assert cells(calculator, SPREAD, [{**BILL, "reversed": True}]) == []
    nothing = {**BILL, "amount": Decimal(0), "quantity": Decimal(0)}
    assert [cell["records"] for cell in cells(calculator, SPREAD, [nothing])] == [1]


def test_cells_are_kept_apart_by_request_where_asked(calculator: Connection) -> None:
    source, values = relation([BILL, {**BILL, "request_id": 8, "document": "D2"}])
    sql = posting_sql(LINES, LINES.postings[0], LINE, source, request=True)
    found = calculator.execute(sql.encode(), values).fetchall()
    assert sorted(found) == [(7, "P1", "energy", "EUR", Decimal("-100.00"), 1, 1), (8, *found[0][1:])]


def test_postings_of_several_stores_meet_in_cells(calculator: Connection) -> None:
    visit = (
        "(SELECT '2024-02-29 23:30+00'::timestamptz AS visited_at, 'P1' AS partner, 30::bigint AS minutes, "
        "12.3456::numeric(13,4) AS price, true AS settled, 'crm' AS source, 1 AS sign)"
    )
    sql = cube_sql(BILLING, HOUSE.stores, lambda store: visit if store == VISIT else "", request=False)
    (row,) = calculator.execute(sql.encode()).fetchall()
    cell = dict(zip(NAMES, row, strict=True))
    assert (cell["posting_month"], cell["consumption_month"], cell["segment"]) == (date(2024, 3, 1), date(1, 1, 1), "#")
    assert (cell["settled"], cell["minutes"], cell["price"], cell["records"]) == (True, 30, Decimal("12.3456"), 1)


def test_only_dates_can_be_spread(calculator: Connection) -> None:
    wrong = replace(SPREAD, spread=Spread("kind", "period_to", ("net",)))
    with pytest.raises(SpecError, match='"kind" is no date'):
        cells(calculator, wrong, [BILL])


# --- laws ---------------------------------------------------------------------------------------------------------

day = st.dates(date(1999, 1, 1), date(2030, 12, 31))
amounts = st.decimals(Decimal("-9999999999999.99"), Decimal("9999999999999.99"), places=2)
quantities = st.decimals(Decimal("-99999999999999.999"), Decimal("99999999999999.999"), places=3)
bills = st.fixed_dictionaries(
    {
        "period_from": st.none() | day,
        "length": st.integers(-3, 1200),
        "amount": st.none() | amounts,
        "quantity": st.none() | quantities,
        "kind": st.sampled_from(["energy", "rental", None]),
        "segment": st.sampled_from(["A", "B", "", None]),
        "posted_on": st.none() | day,
        "reversed": st.sampled_from([False, True, None]),
    }
)


def bill(said: Mapping[str, Any], number: int = 1) -> dict[str, Any]:
    first = said["period_from"]
    last = first + timedelta(days=said["length"]) if first else None
    return {**BILL, **said, "line": number, "period_to": last}


@few
@given(said=bills)
def test_parts_sum_up_to_the_whole_to_the_last_digit(calculator: Connection, said: dict[str, Any]) -> None:
    found = cells(calculator, SPREAD, [bill(said)])
    counts = said["reversed"] is False
    energy = said["quantity"] if said["kind"] == "energy" else None
    assert total(found, "net") == (said["amount"] or 0 if counts else 0)
    assert total(found, "energy") == (energy or 0 if counts else 0)
    assert total(found, "records") == total(found, "lines") == (1 if counts else 0)


@few
@given(said=st.lists(bills, min_size=1, max_size=4), other=st.lists(bills, max_size=3))
def test_what_is_taken_away_is_what_was_brought(
    calculator: Connection, said: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    brought = [bill(item, number) for number, item in enumerate(said)]
    taken = [{**row, "sign": -1} for row in brought]
    rest = [bill(item, 100 + number) for number, item in enumerate(other)]
    for cube, posting in ((BILLING, SPREAD), (LINES, LINES.postings[0])):
        source, values = relation([*brought, *rest, *taken])
        left = calculator.execute(posting_sql(cube, posting, LINE, source, request=False).encode(), values).fetchall()
        source, values = relation(rest or [{**BILL, "sign": 0}])
        due = calculator.execute(posting_sql(cube, posting, LINE, source, request=False).encode(), values).fetchall()
        assert sorted(left, key=repr) == sorted(due, key=repr)
