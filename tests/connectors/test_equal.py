"""What stands as it is wanted is left out of a change; whatever is not surely equal is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from connectors.sql import SqlConnector, equal
from isthmus.connector import Change, Outcome, Status, TableRows
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place

ROWS = 2_000
TABLES = """
DROP TABLE IF EXISTS line, head;
CREATE TABLE head (client varchar(3) NOT NULL, guid bytea NOT NULL, text varchar(20), PRIMARY KEY (client, guid));
CREATE TABLE line (client varchar(3) NOT NULL, guid bytea NOT NULL, nr int NOT NULL, text varchar(20),
    PRIMARY KEY (client, guid, nr));
"""


@pytest.fixture(scope="module")
def database(store: Place) -> Iterator[str]:
    yield ensure_database("sql_equal", place=store)
    drop_database("sql_equal", place=store)


@pytest.fixture
def server(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(TABLES)
        yield session


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the rows that were left over for the stage, table by table."""
    left: list[int] = []
    real = equal.Equals.left_out

    def watched(self: equal.Equals, wanted: Any) -> Any:
        found = real(self, wanted)
        left.append(found.data.num_rows)
        return found

    monkeypatch.setattr(equal.Equals, "left_out", watched)
    return left


def guids(numbers: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array([int(n).to_bytes(16, "big") for n in numbers], pa.binary())


def load(database: str, texts: list[str], lines: dict[int, list[str]], fill: bool = False) -> Outcome:
    """Write heads with these texts; each has lines, two unless said otherwise."""
    places = np.arange(len(texts), dtype=np.int32)
    head = pa.record_batch({"GUID": guids(places), "TEXT": pa.array(texts), "position": pa.array(places)})
    owner, number, text = list[int](), list[int | None](), list[str | None]()
    for place in range(len(texts)):
        own = lines.get(place, ["first", "second"])
        owner += [place] * max(1, len(own))
        number += list(range(len(own))) or [None]
        text += own or [None]
    line = pa.record_batch(
        {
            "GUID": guids(np.array(owner)), "NR": pa.array(number, pa.int32()), "TEXT": pa.array(text, pa.string()),
            "position": pa.array(owner, pa.int32()),
        }
    )  # fmt: skip
    tables = (
        TableRows("HEAD", head, ("GUID",), ("TEXT",)),
        TableRows("LINE", line, ("GUID", "NR"), ("TEXT",), scope=("GUID",), missing="delete"),
    )
    connector = SqlConnector({"url": database, "client": "100"})
    try:
        return connector.write(Change("thing", len(texts), tables, fill=fill))
    finally:
        connector.close()


def changed(outcome: Outcome) -> list[int]:
    return np.flatnonzero(np.asarray(outcome.status) != Status.UNCHANGED).tolist()


def test_rows_that_stand_as_wanted_are_not_staged(
    server: psycopg.Connection[Any], database: str, staged: list[int]
) -> None:
    load(database, ["text"] * ROWS, {}, fill=True)
    outcome = load(database, ["text"] * ROWS, {})
    assert changed(outcome) == []
    assert sum(staged) <= 2 * (ROWS + 2 * ROWS) // equal.OUTLIERS + 8


def test_what_differs_is_found_among_what_is_equal(server: psycopg.Connection[Any], database: str) -> None:
    load(database, ["text"] * ROWS, {}, fill=True)
    server.execute("UPDATE head SET text = 'other' WHERE guid = %s", [(700).to_bytes(16, "big")])
    server.execute("UPDATE line SET text = NULL WHERE nr = 1 AND guid = %s", [(800).to_bytes(16, "big")])
    server.execute("DELETE FROM line WHERE nr = 0 AND guid = %s", [(900).to_bytes(16, "big")])
    outcome = load(database, ["text"] * ROWS, {})
    assert changed(outcome) == [700, 800, 900]
    assert dict(outcome.counts) == {"HEAD.updated": 1, "LINE.updated": 1, "LINE.inserted": 1}


def test_a_row_too_many_in_a_list_is_deleted_and_the_rest_of_the_list_stays(
    server: psycopg.Connection[Any], database: str
) -> None:
    load(database, ["text"] * ROWS, {}, fill=True)
    server.execute("INSERT INTO line VALUES ('100', %s, 7, 'stray')", [(1000).to_bytes(16, "big")])
    outcome = load(database, ["text"] * ROWS, {})
    assert changed(outcome) == [1000]
    assert dict(outcome.counts) == {"LINE.deleted": 1}
    assert server.execute("SELECT count(*) FROM line").fetchone() == (2 * ROWS,)


@pytest.mark.parametrize("place", [0, 1_000, ROWS - 1], ids=["first", "inside", "last"])
def test_a_list_that_became_empty_is_emptied(server: psycopg.Connection[Any], database: str, place: int) -> None:
    load(database, ["text"] * ROWS, {}, fill=True)
    assert changed(load(database, ["text"] * ROWS, {place: []})) == [place]
    assert changed(load(database, ["text"] * ROWS, {place: []})) == []


def test_rows_far_apart_are_staged_as_ever(server: psycopg.Connection[Any], database: str, staged: list[int]) -> None:
    many = "SELECT '100', decode(lpad(to_hex(i), 32, '0'), 'hex'), 'text' FROM generate_series(0, 39999) i"
    server.execute(f"INSERT INTO head {many}")
    spread = np.arange(ROWS) * 20
    head = pa.record_batch(
        {"GUID": guids(spread), "TEXT": pa.array(["text"] * (ROWS - 1) + ["new"]),
         "position": pa.array(np.arange(ROWS, dtype=np.int32))}
    )  # fmt: skip
    connector = SqlConnector({"url": database, "client": "100"})
    outcome = connector.write(Change("thing", ROWS, (TableRows("HEAD", head, ("GUID",), ("TEXT",)),)))
    connector.close()
    assert staged == [ROWS]
    assert changed(outcome) == [ROWS - 1]
