"""Values that fit a store's types, to the last digit; what does not fit is told, never nulled in silence."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import DataError
from tests.warehouse.feeding.conftest import CONTENT
from warehouse.load_spec import load_warehouse
from warehouse.records import fitted, key_columns, key_texts
from warehouse.spec import Type

AMOUNT, QUANTITY = Type("amount", ("currency",)), Type("quantity", ("unit",))
STORES = load_warehouse(CONTENT, None).stores


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=14, allow_nan=False, allow_infinity=False))
def test_money_and_quantities_are_rounded_half_away_from_zero(value: Decimal) -> None:
    for type_, places in ((AMOUNT, Decimal("0.01")), (QUANTITY, Decimal("0.001"))):
        for array in (pa.array([value], pa.decimal128(31, 14)), pa.array([f"{value:f}"])):
            found, wrong = fitted(array, type_)
            assert found.to_pylist() == [value.quantize(places, ROUND_HALF_UP)]
            assert wrong.to_pylist() == [False]


@given(st.lists(st.one_of(st.none(), st.dates(min_value=date(1, 1, 1)))))
def test_dates_survive_their_text(days: list[date | None]) -> None:
    found, wrong = fitted(
        pa.array([None if day is None else day.isoformat() for day in days], pa.string()), Type("date")
    )
    assert found.to_pylist() == days
    assert not any(wrong.to_pylist())


@pytest.mark.parametrize(
    ("values", "type_", "kept", "wrong"),
    [
        (["12345678901234.99", "1e5", None], AMOUNT, [None, None, None], [True, True, False]),
        (["2024-02-30", "2024-02-29", "x"], Type("date"), [None, date(2024, 2, 29), None], [True, False, True]),
        (["yes", "no", "maybe"], Type("boolean"), [True, False, None], [False, False, True]),
        (["12", "12.5", ""], Type("integer"), [12, None, None], [False, True, True]),
        (
            ["2024-02-29T10:00:00Z", "10:00"],
            Type("moment"),
            [datetime(2024, 2, 29, 10, tzinfo=UTC), None],
            [False, True],
        ),
    ],
)
def test_what_does_not_fit_is_told(values: list[str], type_: Type, kept: list[Any], wrong: list[bool]) -> None:
    found, told = fitted(pa.array(values, pa.string()), type_)
    assert told.to_pylist() == wrong
    assert [value for value, bad in zip(found.to_pylist(), wrong, strict=True) if not bad] == [
        value for value, bad in zip(kept, wrong, strict=True) if not bad
    ]


def test_a_key_is_read_as_it_is_written() -> None:
    for name, text in (
        ("register", "10000017/001/2024-02-29"),
        ("call_interval", "2024-02-29T10:30:00Z/b/NONE/inbound"),
    ):
        assert key_texts(STORES[name], key_columns(STORES[name], [text])).to_pylist() == [text]


def test_a_key_that_is_none_says_what_was_expected() -> None:
    with pytest.raises(DataError, match="expected device/register/starts_on, 3 parts by /"):
        key_columns(STORES["register"], ["10000017"])
    with pytest.raises(DataError, match="'yesterday' is no date"):
        key_columns(STORES["register"], ["10000017/001/yesterday"])
