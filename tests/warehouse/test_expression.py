"""Expressions and conditions of postings, computed by PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import SpecError
from isthmus.mapping.predicate import read_predicate
from warehouse import expression
from warehouse.calendar import days, easter, holidays
from warehouse.grammar import read_expression, read_type
from warehouse.spec import Posted, Store, StoreField, Type
from warehouse.statement import Connection
from warehouse.tables import sql_type

FIELDS = {
    "kind": "text(6)", "starts_on": "date", "ends_on": "date", "called_at": "moment", "quantity": "quantity(unit)",
    "amount": "amount(currency)", "days": "integer", "reversed": "boolean", "price": "decimal(13.4)",
    "order": "text(9)",
}  # fmt: skip
STORE = Store(
    "call", "", "call", ("order",), tuple(StoreField(name, read_type(type_)) for name, type_ in FIELDS.items()), (),
    posted=(Posted("region", "customer", "region", "kind"),),
)  # fmt: skip
ROW = {
    "kind": "energy", "starts_on": date(2024, 2, 29), "ends_on": date(2024, 3, 10), "quantity": Decimal("12.345"),
    "called_at": datetime(2023, 12, 31, 23, 15, tzinfo=UTC), "amount": Decimal("-3.50"), "days": 12, "reversed": False,
    "price": Decimal("0.1234"), "order": "4711", "region": "north",
}  # fmt: skip
TYPES = {name: sql_type(read_type(type_)) for name, type_ in FIELDS.items()} | {"region": "text"}


def relation(row: dict[str, Any]) -> tuple[str, list[Any]]:
    named = ", ".join(f'%s::{TYPES[name]} AS "{name}"' for name in TYPES)
    return f"(SELECT {named}) AS r", [row.get(name) for name in TYPES]


def asked(connection: Connection, sql: str, row: dict[str, Any]) -> Any:
    source, values = relation(row)
    found = connection.execute(f"SELECT {sql.replace('%', '%%')} FROM {source}".encode(), values).fetchone()
    assert found is not None
    return found[0]


def dimension(connection: Connection, said: str, type_: str, row: dict[str, Any] = ROW) -> Any:
    return asked(connection, expression.dimension_sql(read_expression(said), read_type(type_), STORE), row)


def figure(connection: Connection, said: str, type_: str, row: dict[str, Any] = ROW) -> Any:
    return asked(connection, expression.figure_sql(read_expression(said), read_type(type_), STORE), row)


def holds(connection: Connection, said: str, row: dict[str, Any] = ROW) -> Any:
    return asked(connection, expression.condition_sql(read_predicate(said), STORE), row)


@pytest.mark.parametrize(
    ("said", "type_", "gives"),
    [
        ("kind", "text(6)", "energy"),
        ("order", "text(9)", "4711"),
        ("region", "code(region)", "north"),
        ("starts_on | month", "date", date(2024, 2, 1)),
        ("starts_on | quarter", "date", date(2024, 1, 1)),
        ("starts_on | year", "date", date(2024, 1, 1)),
        ("starts_on | week", "date", date(2024, 2, 26)),
        ("starts_on | plus(1) | month", "date", date(2024, 3, 1)),
        ("starts_on | plus(-29) | month", "date", date(2024, 1, 1)),
        ("called_at | day", "date", date(2024, 1, 1)),  # in Berlin it is the new year already
        ("called_at", "date", date(2024, 1, 1)),
        ("called_at | month", "date", date(2024, 1, 1)),
        ("called_at | slot(30)", "text(5)", "00:00"),
        ("called_at | hour", "integer", 0),
        ("called_at | weekday", "integer", 1),
        ("starts_on | days_to(ends_on) | band(10, 20)", "text(9)", "10 - 20"),
        ("days | band(13, 20)", "text(9)", "< 13"),
        ("days | band(5, 12)", "text(9)", ">= 12"),
        ("days", "text(9)", "12"),
        ("reversed", "boolean", False),
        ("\"100% 'sure'\"", "text(12)", "100% 'sure'"),
        ('kind when reversed = "yes"', "text(6)", "#"),
        ('kind when reversed = "no"', "text(6)", "energy"),
    ],
)
def test_a_dimension_is_what_the_pipe_says(calculator: Connection, said: str, type_: str, gives: object) -> None:
    assert dimension(calculator, said, type_) == gives


@pytest.mark.parametrize(
    ("said", "type_", "gives"),
    [
        ("kind", "text(6)", "#"),
        ("starts_on | month", "date", date(1, 1, 1)),
        ("reversed", "boolean", False),
        ("days", "integer", -(2**63)),
        ("called_at | slot(30)", "text(5)", "#"),
        ("days | band(13, 20)", "text(9)", "#"),
    ],
)
def test_a_record_that_says_nothing_has_a_member_for_it(
    calculator: Connection, said: str, type_: str, gives: object
) -> None:
    assert dimension(calculator, said, type_, {}) == gives
    missing = expression.dimension_sql(None, read_type(type_), STORE)
    assert asked(calculator, missing, ROW) == gives


def test_an_empty_text_is_nothing(calculator: Connection) -> None:
    assert dimension(calculator, "kind", "text(6)", {"kind": ""}) == "#"


@pytest.mark.parametrize(
    ("said", "type_", "gives"),
    [
        ("1", "count", 1),
        ("-1", "count", -1),
        ("amount", "amount(currency)", Decimal("-3.50")),
        ("-amount", "amount(currency)", Decimal("3.50")),
        ("quantity", "amount(currency)", Decimal("12.35")),  # rounded record by record, half away from zero
        ("price", "quantity(unit)", Decimal("0.123")),
        ("days", "quantity(unit)", 12),
        ("reversed", "count", 0),
        ("starts_on | days_to(ends_on)", "integer", 10),
        ('quantity when kind = "demand"', "quantity(unit)", 0),
        ('quantity when kind in ("energy", "demand")', "quantity(unit)", Decimal("12.345")),
        ('1 when region = "north"', "count", 1),
    ],
)
def test_a_figure_is_rounded_to_its_digits(calculator: Connection, said: str, type_: str, gives: object) -> None:
    assert figure(calculator, said, type_) == gives


def test_a_figure_of_nothing_is_zero(calculator: Connection) -> None:
    for said in ("amount", "-amount", "starts_on | days_to(ends_on)", 'amount when kind = "energy"'):
        assert figure(calculator, said, "amount(currency)", {"kind": "energy"}) == 0


@pytest.mark.parametrize(
    ("said", "row", "gives"),
    [
        ('kind = "energy"', ROW, True),
        ('kind <> "energy"', ROW, False),
        ('kind <> "energy"', {}, False),  # a comparison with nothing is false,
        ('not kind = "energy"', {}, True),  # and its opposite true
        ("kind is blank", {}, True),
        ("kind is set", ROW, True),
        ('kind in ("a", "energy")', ROW, True),
        ('kind not in ("a", "b")', {}, False),
        ('reversed = "no"', ROW, True),
        ('reversed = "yes"', ROW, False),
        ('starts_on >= "2024-02-29"', ROW, True),
        ("ends_on < starts_on", ROW, False),
        ('days < "100"', ROW, True),  # numbers, not texts
        ('called_at >= "2024-01-01"', ROW, True),  # midnight in Berlin
        ('called_at < "2023-12-31T23:30:00Z"', ROW, True),
        ('kind = "energy" and (amount > "0" or days = "12")', ROW, True),
        ('order = "47\'11"', ROW, False),
    ],
)
def test_a_condition_is_true_or_false(calculator: Connection, said: str, row: dict[str, Any], gives: object) -> None:
    assert holds(calculator, said, row) is gives


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12))
def test_no_text_breaks_out_of_a_literal(calculator: Connection, text: str) -> None:
    assert asked(calculator, f"{expression.literal(text)}::text", {}) == text


def test_what_a_store_does_not_have_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r'store "call" has no field "amuont"\. Did you mean "amount"'):
        expression.figure_sql(read_expression("amuont"), Type("amount", ("currency",)), STORE)


def test_the_calendar_knows_the_holidays() -> None:
    found = holidays(2024)
    assert found[date(2024, 3, 29)] == "Good Friday"
    assert found[date(2024, 5, 9)] == "Ascension Day"
    assert found[date(2024, 5, 20)] == "Whit Monday"
    assert sum(worked for _, worked, _ in days(2024, 2024)) == 262 - 9  # none of them on a weekend that year


def test_easter_is_where_tables_have_it() -> None:
    known = [date(1818, 3, 22), date(1943, 4, 25), date(2000, 4, 23), date(2025, 4, 20), date(2038, 4, 25)]
    assert [easter(day.year) for day in known] == known
