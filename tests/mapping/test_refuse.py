"""Rules of the business: what is billed cannot be changed, and the message says the period."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from isthmus.mapping.compile import setting
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.refuse import RefuseRule, refusals, refused

ROOT = Path(__file__).parents[2]
DAY = date(2025, 6, 1)
TYPES = {"starts_on": pa.date32(), "ends_on": pa.date32(), "billed_until": pa.date32(), "product": pa.string()}
STANDING = {"starts_on": date(2024, 1, 1), "ends_on": None, "billed_until": date(2024, 12, 31), "product": "A"}


@pytest.fixture(scope="module")
def rules() -> tuple[RefuseRule, ...]:
    return refusals(load_catalogue(ROOT), "contract", setting(today=DAY))


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: pa.array([row[name] for row in rows], TYPES[name]) for name in rows[0]})


def told(rules: tuple[RefuseRule, ...], wanted: dict[str, Any], standing: dict[str, Any] = STANDING) -> dict[str, str]:
    found = refused(rules, batch(wanted), batch(standing))
    return {fields[0]: messages[0].as_py() for fields, mask, messages in found if mask[0].as_py()}


def test_an_end_inside_the_billed_period_is_refused_with_the_period(rules: tuple[RefuseRule, ...]) -> None:
    assert told(rules, {"ends_on": date(2024, 11, 30)}) == {
        "ends_on": "2024-01-01 to 2024-12-31 is billed, so the contract cannot end on 2024-11-30"
    }


@pytest.mark.parametrize("day", [date(2024, 12, 31), date(2025, 3, 31), None])
def test_an_end_on_the_last_billed_day_or_after_it_is_not_refused(
    rules: tuple[RefuseRule, ...], day: date | None
) -> None:
    assert told(rules, {"ends_on": day}) == {}


def test_what_stays_as_it_is_breaks_no_rule(rules: tuple[RefuseRule, ...]) -> None:
    inside = {**STANDING, "ends_on": date(2024, 6, 30)}
    assert told(rules, {"ends_on": date(2024, 6, 30), "starts_on": date(2024, 1, 1)}, inside) == {}


@pytest.mark.parametrize("day", [date(2023, 12, 1), date(2024, 2, 1), date(2025, 2, 1)])
def test_a_contract_with_a_bill_begins_when_it_began(rules: tuple[RefuseRule, ...], day: date) -> None:
    assert list(told(rules, {"starts_on": day})) == ["starts_on"]
    assert told(rules, {"starts_on": day}, {**STANDING, "billed_until": None}) == {}


def test_a_product_changes_from_today_so_only_bills_that_reach_today_forbid_it(rules: tuple[RefuseRule, ...]) -> None:
    assert told(rules, {"product": "B"}) == {}
    assert list(told(rules, {"product": "B"}, {**STANDING, "billed_until": DAY})) == ["product"]


def test_only_the_rows_that_break_a_rule_are_refused(rules: tuple[RefuseRule, ...]) -> None:
    days = [date(2024, 5, 31), None, date(2025, 5, 31), date(2024, 7, 31)]
    found = refused(rules, batch(*({"ends_on": day} for day in days)), batch(*(STANDING for _ in days)))
    assert [(fields, mask.to_pylist()) for fields, mask, _ in found] == [(("ends_on",), [True, False, False, True])]
    assert [text is None for text in found[0][2].to_pylist()] == [False, True, True, False]


def test_rules_on_no_rows_refuse_nothing(rules: tuple[RefuseRule, ...]) -> None:
    nobody = batch(STANDING).slice(0, 0)
    assert refused(rules, nobody, nobody) == []
