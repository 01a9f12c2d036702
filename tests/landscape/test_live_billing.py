"""A day of billing: new bills, reversals, corrected readings, and what a feed sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors.sql import SqlConnector
from isthmus.connector import Comparison, KeyRange
from isthmus.levels.resolve import canonical_key, gather
from isthmus.mapping.plan import ReadPlan
from isthmus.store.place import Place
from landscape import create
from landscape.live_billing import BillingDay, play_billing
from tests.landscape.bills import NEXT_DAY, VALID, digest, plan_of
from tests.landscape.conftest import databases


@dataclass(frozen=True)
class Played:
    """A landscape after a day of billing."""

    isu: str
    day: BillingDay

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.isu) as connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture(scope="module")
def played(store: Place) -> Iterator[Played]:
    with databases(store) as urls:
        create(*urls, contracts=500, seed=7, business=True)
        yield Played(urls[0], play_billing(urls[0], bills=80, seed=3, now=NEXT_DAY))


def test_a_day_of_billing_does_what_it_says(played: Played) -> None:
    day = played.day
    assert (len(day.billed), len(day.reversed), len(day.corrected), day.again) == (85, 10, 20, 5)
    assert played.ask("SELECT count(*) FROM dberchz1 WHERE belnr = ANY(%s)", list(day.billed)) == [(day.lines,)]
    made = played.ask("SELECT belnr FROM erch WHERE erdat = '20260102' ORDER BY 1")
    assert tuple(row[0] for row in made) == day.billed
    gone = played.ask("SELECT belnr FROM erch WHERE stornodat = '20260102' AND aedat = '20260102'")
    assert {row[0] for row in gone} == set(day.reversed)
    read = played.ask("SELECT ablbelnr FROM eabl WHERE aedat = '20260102' AND schaever = ''")
    assert {row[0] for row in read} == set(day.corrected)


def test_a_new_bill_goes_on_where_the_last_one_ended(played: Played) -> None:
    due = list(played.day.billed[: -played.day.again])
    wrong = played.ask(
        "SELECT n.belnr FROM erch n WHERE n.belnr = ANY(%s) AND NOT EXISTS (SELECT FROM erch b "
        "WHERE b.vertrag = n.vertrag AND b.simulation = '' "
        "AND to_date(b.endabrpe, 'YYYYMMDD') + 1 = to_date(n.begabrpe, 'YYYYMMDD'))",
        due,
    )
    assert wrong == []
    assert played.ask("SELECT DISTINCT endabrpe FROM erch WHERE belnr = ANY(%s)", due) == [("20260101",)]


def test_new_bills_add_up_and_are_printed(played: Played) -> None:
    sums = played.ask(
        "SELECT p.total_amnt, sum(z.nettobtr), count(*) FROM erdk p JOIN erchc c USING (opbel) JOIN dberchz3 z "
        "USING (belnr) WHERE c.belnr = ANY(%s) GROUP BY p.opbel, p.total_amnt",
        list(played.day.billed),
    )
    assert len(sums) == len(played.day.billed)
    assert [row for row in sums if row[0] != row[1]] == []
    exact = played.ask(
        "SELECT d.belnr FROM dberchz1 d JOIN dberchz3 z USING (mandt, belnr, belzeile) WHERE d.belnr = ANY(%s) "
        "AND d.massbill NOT IN ('', 'KW') AND z.nettobtr <> round((d.v_abrmenge + d.n_abrmenge) * z.preisbtr, 2)",
        list(played.day.billed),
    )
    assert exact == []


def test_no_contract_is_billed_twice_for_one_day_by_bills_that_stand(played: Played) -> None:
    twice = (
        f"SELECT b.belnr FROM erch b JOIN erch o USING (vertrag) WHERE {VALID} AND o.simulation = '' "
        "AND o.stornodat = '00000000' AND o.belnr > b.belnr AND o.begabrpe <= b.endabrpe AND o.endabrpe >= b.begabrpe"
    )
    assert played.ask(twice) == []


def test_the_same_day_on_the_same_landscape_is_the_same(played: Played, two_databases: tuple[str, str]) -> None:
    create(*two_databases, contracts=500, seed=7, business=True)
    assert play_billing(two_databases[0], bills=80, seed=3, now=NEXT_DAY) == played.day
    assert digest(two_databases[0]) == digest(played.isu)


def test_more_bills_than_are_due_are_not_made(two_databases: tuple[str, str]) -> None:
    create(*two_databases, contracts=100, seed=1, business=True, defects=False)
    first = play_billing(two_databases[0], bills=1000, seed=1, now=NEXT_DAY)
    assert 0 < len(first.billed) <= 100 + first.again
    again = play_billing(two_databases[0], bills=1000, seed=1, now=NEXT_DAY + timedelta(days=1))
    assert len(again.billed) < len(first.billed)


@pytest.mark.parametrize(("object_", "what"), [("billing_line", "line"), ("billing_document", "bill")])
def test_a_feed_by_date_sees_new_bills_and_reversals(played: Played, object_: str, what: str) -> None:
    plan = plan_of(object_)
    day = [*played.day.billed, *played.day.reversed]
    found = changed_since(played.isu, plan, "20260102")
    lines = played.ask("SELECT belnr || '/' || belzeile FROM dberchz1 WHERE belnr = ANY(%s)", day)
    assert found == ({row[0] for row in lines} if what == "line" else {number.lstrip("0") for number in day})


def test_a_feed_by_date_sees_corrected_readings(played: Played) -> None:
    found = changed_since(played.isu, plan_of("reading_result"), "20260102")
    assert found == {number.lstrip("0") for number in played.day.corrected}


def changed_since(url: str, plan: ReadPlan, day: str) -> set[str]:
    """Return the keys that the plan's change columns name from a day on."""
    connector = SqlConnector({"url": url, "client": "100"})
    keys: set[str] = set()
    try:
        for change in plan.changes:
            since = Comparison(change.column, ">=", day)
            rows = gather(connector, replace(change.query, where=(*change.query.where, since)), KeyRange())
            named = pa.RecordBatch.from_arrays([rows.column(n) for n in change.key], names=list(plan.key.columns))
            keys |= set(canonical_key(plan, named).to_pylist())
    finally:
        connector.close()
    return keys
