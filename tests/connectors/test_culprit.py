"""A row that only a trigger refuses is found by where the database had come to, not by halving everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sql import SqlConnector, write
from connectors.sql.outcome import Refusals, Refused, by_halves
from connectors.sql.wanted import problem_rows
from isthmus.connector import Change, Status, TableRows
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place

TABLE = """
DROP TABLE IF EXISTS ever;
CREATE TABLE ever (vertrag varchar(10) PRIMARY KEY, text varchar(5));
CREATE OR REPLACE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.text = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
"""


@pytest.fixture(scope="module")
def database(store: Place) -> Iterator[str]:
    yield ensure_database("sql_culprit", place=store)
    drop_database("sql_culprit", place=store)


@pytest.fixture
def server(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(TABLE)
        yield session


@pytest.fixture
def crm(server: psycopg.Connection[Any], database: str) -> Iterator[Any]:
    connector = SqlConnector({"url": database})
    yield connector
    connector.close()


def contracts(size: int, bad: set[int], upwards: bool = True) -> Change:
    """Make a block of contracts of which some have a text that the trigger refuses."""
    keys = [f"{n if upwards else size - n:05d}" for n in range(size)]
    rows = {"VERTRAG": keys, "TEXT": ["bad" if n in bad else "good" for n in range(size)]}
    batch = pa.record_batch({**rows, "position": pa.array(range(size), pa.int32())})
    return Change("contract", size, (TableRows("EVER", batch, ("VERTRAG",), ("TEXT",)),))


def trigger(server: Any, when: str) -> None:
    server.execute(f"CREATE TRIGGER watch {when} INSERT OR UPDATE ON ever FOR EACH ROW EXECUTE FUNCTION refuses()")


def attempts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Record the stretches that are attempted."""
    seen: list[tuple[int, int]] = []
    whole = write.Writer._attempt

    def watched(self: Any, session: Any, plans: Any, ends: tuple[int, int], *rest: Any) -> None:
        seen.append(ends)
        whole(self, session, plans, ends, *rest)

    monkeypatch.setattr(write.Writer, "_attempt", watched)
    return seen


@pytest.mark.parametrize("upwards", [True, False])
def test_bad_rows_are_found_with_three_attempts_each(
    server: Any, crm: Any, monkeypatch: pytest.MonkeyPatch, upwards: bool
) -> None:
    trigger(server, "BEFORE")
    bad, seen = {0, 137, 698, 999}, attempts(monkeypatch)
    status = crm.write(contracts(1000, bad, upwards)).status.to_pylist()
    assert {n for n, said in enumerate(status) if said == Status.REJECTED} == bad
    assert server.execute("SELECT count(*), count(*) FILTER (WHERE text = 'bad') FROM ever").fetchone() == (996, 0)
    assert len(seen) <= 1 + 3 * len(bad)


@pytest.mark.parametrize("when", ["AFTER", "BEFORE"])
def test_rows_that_are_changed_or_judged_at_the_end_are_found_by_halves(server: Any, crm: Any, when: str) -> None:
    crm.write(contracts(300, set()))
    trigger(server, when)
    server.execute("DELETE FROM ever WHERE vertrag >= '00150'")
    server.execute("ALTER TABLE ever DISABLE TRIGGER watch; UPDATE ever SET text = 'old'")
    server.execute("ALTER TABLE ever ENABLE TRIGGER watch")
    status = crm.write(contracts(300, {7, 200, 299})).status.to_pylist()
    assert [n for n, said in enumerate(status) if said == Status.REJECTED] == [7, 200, 299]
    assert server.execute("SELECT count(*) FILTER (WHERE text = 'good') FROM ever").fetchone() == (297,)


def test_a_large_block_goes_in_portions_where_triggers_fire(
    server: Any, crm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger(server, "BEFORE")
    monkeypatch.setattr(write, "WHOLE", 100)
    seen = attempts(monkeypatch)
    assert crm.write(contracts(1000, set())).status.to_pylist() == [Status.INSERTED] * 1000
    assert seen == [(0, 249), (250, 499), (500, 749), (750, 999)]


@given(st.sets(st.integers(0, 99), max_size=9), st.integers(1, 7), st.sampled_from(["first", "last", "right", "off"]))
def test_whatever_is_hinted_exactly_the_bad_positions_are_out(bad: set[int], portions: int, hint: str) -> None:
    """A hint may be wrong, or outside of what was attempted: it costs attempts, never an answer."""
    positions = np.arange(0, 300, 3, dtype=np.int32)
    refusals = Refusals(300)
    taken: list[int] = []

    def attempt(first: int, last: int) -> None:
        wrong = [n for n in range(first // 3, last // 3 + 1) if n in bad]
        if not wrong:
            taken.extend(range(first, last + 1, 3))
            return
        at = {"first": first, "last": last, "right": wrong[0] * 3, "off": 298}[hint]
        raise Refused(lambda p: problem_rows(np.array([p], np.int32), "EVER", "", "refused", "no"), at=at)

    by_halves(positions, attempt, refusals, portions)
    assert sorted(np.flatnonzero(refusals.mask)) == sorted(n * 3 for n in bad)
    assert sorted(taken) == [n * 3 for n in range(100) if n not in bad]
