"""Conditions on columns: comparisons with nothing are false, blank and set are about nothing."""

from datetime import date

import pyarrow as pa
import pytest

from isthmus.mapping.conditions import fields_of, holds
from isthmus.mapping.predicate import read_predicate

BATCH = pa.RecordBatch.from_pydict(
    {
        "number": pa.array(["4711", "4712", None]),
        "starts_on": pa.array([date(2024, 1, 1), date(2024, 6, 1), None]),
        "ends_on": pa.array([date(2023, 12, 31), None, date(2024, 1, 1)]),
        "blocked": pa.array([True, False, None]),
        "amount": pa.array([1, 20, 3], pa.int64()),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('number = "4711"', [True, False, False]),
        ('number <> "4711"', [False, True, False]),
        ("ends_on < starts_on", [True, False, False]),
        ('starts_on >= "2024-06-01"', [False, True, False]),
        ("number is blank", [False, False, True]),
        ("ends_on is set", [True, False, True]),
        ('number in ("4711", "4713")', [True, False, False]),
        ('number not in ("4711")', [False, True, False]),
        ('blocked = "yes"', [True, False, False]),
        ('amount > "2"', [False, True, True]),
        ("not ends_on is set", [False, True, False]),
        ('number = "4712" or ends_on is set and amount > "2"', [False, True, True]),
        ('(number = "4712" or ends_on is set) and amount > "2"', [False, True, True]),
    ],
)
def test_a_condition_holds_for_the_rows_it_should(text: str, expected: list[bool]) -> None:
    assert holds(read_predicate(text), BATCH).to_pylist() == expected


def test_a_condition_names_its_fields_once_in_order() -> None:
    assert fields_of(read_predicate("ends_on < starts_on and ends_on is set")) == ("ends_on", "starts_on")
