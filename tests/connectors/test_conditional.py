"""Writing on condition with a second session about: what it changes, deletes, inserts or holds in between."""

from __future__ import annotations

import decimal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlalchemy as sa

from connectors.sql import SqlConnector
from isthmus.connector import Change, ColumnRef, KeyRange, Query, Receipt, Source, Standing, Status, TableRows
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place

TABLES = """
DROP SCHEMA IF EXISTS isthmus CASCADE; DROP TABLE IF EXISTS part, item;
CREATE TABLE part (mandt varchar(3) NOT NULL, id varchar(10) NOT NULL, name varchar(40), kind char(4), day date,
  amount numeric(12, 3), loose numeric, guid bytea, doc json, at timestamptz, number varchar(10) UNIQUE,
  PRIMARY KEY (mandt, id));
CREATE TABLE item (mandt varchar(3) NOT NULL, id varchar(10) NOT NULL, line varchar(3) NOT NULL, value text,
  PRIMARY KEY (mandt, id, line), FOREIGN KEY (mandt, id) REFERENCES part);
INSERT INTO part SELECT '100', lpad(i::text, 10, '0'), 'name', 'ab', date '2024-02-29', 1.500, 0.1, '\\x00ff',
  '{"a": 1}', timestamptz '2024-03-31 02:30+02', 'n' || i FROM generate_series(0, 4) i;
INSERT INTO part (mandt, id, name) VALUES ('200', '0000000000', 'another client');
"""
ALL = ("ID", "NAME", "KIND", "DAY", "AMOUNT", "LOOSE", "GUID", "DOC", "AT", "NUMBER")
COLUMNS = [
    ("name", "'theirs'"),
    ("name", "'NAME'"),
    ("name", "'name '"),
    ("name", "NULL"),
    ("kind", "'abc'"),
    ("day", "'2024-03-01'"),
    ("amount", "1.501"),
    ("loose", "0.10000000000000001"),
    ("guid", "'\\x00fe'"),
    ("doc", """'{"a": 2}'"""),
    ("at", "'2024-03-31 02:30+01'"),
]


@pytest.fixture(scope="module")
def database(store: Place) -> Iterator[str]:
    yield ensure_database("conditional", place=store)
    drop_database("conditional", place=store)


@pytest.fixture
def other(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Give the session of somebody else, who also made the tables."""
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(TABLES)
        yield session


@pytest.fixture
def crm(other: psycopg.Connection[Any], database: str) -> Iterator[Any]:
    connector: Any = SqlConnector({"url": database, "client": "100", "lock_seconds": 0.2})
    connector.install_journal()
    yield connector
    connector.close()


def read(connector: Any, names: tuple[str, ...] = ALL, table: str = "PART") -> pa.Table:
    columns = tuple(ColumnRef("P", name) for name in names)
    blocks = list(connector.read(Query((Source("P", table),), columns, columns[:1]), KeyRange()))
    return pa.Table.from_batches(blocks).rename_columns(list(names))


def with_position(rows: pa.Table) -> pa.RecordBatch:
    numbered = rows.append_column("position", pa.array(range(rows.num_rows), pa.int32()))
    return numbered.combine_chunks().to_batches()[0]


def stood(rows: pa.Table) -> Standing:
    return Standing("PART", ("ID",), with_position(rows))


def renamed(rows: pa.Table, name: str = "ours", **more: Any) -> Change:
    """Want another name in every row."""
    wanted = rows.select(["ID"]).append_column("NAME", pa.repeat(name, rows.num_rows))
    spec = TableRows("PART", with_position(wanted), ("ID",), ("NAME",))
    return Change("part", rows.num_rows, (spec,), standing=(stood(rows),), **more)


def names(session: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in session.execute("SELECT name FROM part WHERE mandt = '100' ORDER BY id")]


def test_every_column_that_was_read_is_compared_by_its_own_type(crm: Any, other: Any) -> None:
    rows = read(crm)
    for column, value in COLUMNS:
        other.execute(TABLES.split("INSERT")[0].replace("DROP SCHEMA IF EXISTS isthmus CASCADE;", ""))
        other.execute("INSERT" + TABLES.split("INSERT", 1)[1])
        other.execute(f"UPDATE part SET {column} = {value} WHERE id = '0000000002'")
        outcome = crm.write(renamed(rows))
        assert outcome.status.to_pylist() == [2, 2, Status.CONFLICT, 2, 2], (column, value)
        assert outcome.problems["column"].to_pylist() == [column.upper()]


def test_what_was_read_stands_whatever_its_type_and_padding(crm: Any, other: Any) -> None:
    rows = read(crm)
    assert crm.write(renamed(rows)).status.to_pylist() == [Status.UPDATED] * 5
    other.execute("UPDATE part SET kind = 'ab  ', amount = 1.5, day = '20240229', name = 'ours'")
    assert crm.write(renamed(read(crm), "again")).status.to_pylist() == [Status.UPDATED] * 5
    assert other.execute("SELECT name FROM part WHERE mandt = '200'").fetchone() == ("ours",)


def test_several_columns_that_changed_are_all_named(crm: Any, other: Any) -> None:
    rows = read(crm)
    other.execute("UPDATE part SET day = NULL, amount = 2 WHERE id = '0000000004'")
    problem = crm.write(renamed(rows)).problems.to_pylist()
    assert [(p["position"], p["table"], p["column"]) for p in problem] == [(4, "PART", "DAY, AMOUNT")]


def test_a_row_deleted_meanwhile_is_a_conflict(crm: Any, other: Any) -> None:
    rows = read(crm)
    other.execute("DELETE FROM part WHERE id = '0000000001'")
    outcome = crm.write(renamed(rows))
    assert outcome.status.to_pylist() == [2, Status.CONFLICT, 2, 2, 2]
    assert "gone" in outcome.problems["message"][0].as_py()
    assert names(other) == ["ours"] * 4


def test_a_row_another_session_holds_is_for_later_and_the_others_are_written(crm: Any, other: Any) -> None:
    rows = read(crm)
    with other.transaction():
        other.execute("UPDATE part SET name = 'theirs' WHERE id = '0000000003'")
        began = time.monotonic()
        outcome = crm.write(renamed(rows, receipt=Receipt("run", "1", 1, "digest")))
        assert time.monotonic() - began < 2
    assert outcome.status.to_pylist() == [2, 2, 2, Status.RETRYABLE, 2]
    assert outcome.problems["code"].to_pylist() == ["locked"]
    assert names(other) == ["ours", "ours", "ours", "theirs", "ours"]
    assert crm.receipts("run")["1"].counts == {"PART.updated": 4}


def test_a_row_being_changed_is_waited_for_and_seen_as_it_then_stands(
    crm: Any, other: Any, database: str, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    patient: Any = SqlConnector({"url": database, "client": "100", "lock_seconds": 10})
    rows = read(patient)
    held = threading.Event()

    def theirs() -> None:
        with psycopg.connect(database) as session:
            session.execute("UPDATE part SET name = 'theirs' WHERE id = '0000000003'")
            held.set()
            time.sleep(0.3)

    meanwhile(theirs)
    assert held.wait(5)
    assert patient.write(renamed(rows)).status.to_pylist() == [2, 2, 2, Status.CONFLICT, 2]
    patient.close()


def test_who_only_adds_children_does_not_stand_in_the_way(crm: Any, other: Any) -> None:
    rows = read(crm)
    with other.transaction():
        other.execute("INSERT INTO item VALUES ('100', '0000000003', '001', 'theirs')")  # holds its parent's key
        assert crm.write(renamed(rows)).status.to_pylist() == [Status.UPDATED] * 5


def made(numbers: list[str], first: int = 10, **more: Any) -> Change:
    """Want new rows with these numbers, where none was read."""
    keys = [f"{first + i:010d}" for i in range(len(numbers))]
    rows = pa.table({"ID": keys, "NUMBER": numbers})
    spec = TableRows("PART", with_position(rows), ("ID",), ("NUMBER",))
    nothing = with_position(rows.select(["ID"])).slice(0, 0)
    absent = pa.array(range(len(numbers)), pa.int32())
    return Change("part", len(numbers), (spec,), standing=(Standing("PART", ("ID",), nothing, absent),), **more)


def test_a_number_taken_meanwhile_is_a_conflict_not_a_refusal(crm: Any, other: Any) -> None:
    other.execute("INSERT INTO part (mandt, id, number) VALUES ('100', '9', 'x1')")
    outcome = crm.write(made(["x0", "x1", "x2"]))
    assert outcome.status.to_pylist() == [Status.INSERTED, Status.CONFLICT, Status.INSERTED]
    assert outcome.problems["code"].to_pylist() == ["changed meanwhile"]


def test_what_the_target_refuses_for_another_reason_stays_refused(crm: Any, other: Any) -> None:
    other.execute("ALTER TABLE part ADD CHECK (name <> 'ours' OR id <> '0000000001')")
    outcome = crm.write(renamed(read(crm)))
    assert outcome.status.to_pylist() == [2, Status.REJECTED, 2, 2, 2]


def test_a_key_inserted_in_the_same_moment_is_a_conflict(
    crm: Any, other: Any, database: str, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    patient: Any = SqlConnector({"url": database, "client": "100", "lock_seconds": 10})
    held = threading.Event()

    def theirs() -> None:
        with psycopg.connect(database) as session:
            session.execute("INSERT INTO part (mandt, id, number) VALUES ('100', '0000000011', 'theirs')")
            held.set()
            time.sleep(0.3)

    meanwhile(theirs)
    assert held.wait(5)
    outcome = patient.write(made(["x0", "x1", "x2"]))
    assert outcome.status.to_pylist() == [Status.INSERTED, Status.CONFLICT, Status.INSERTED]
    assert other.execute("SELECT number FROM part WHERE id = '0000000011'").fetchone() == ("theirs",)
    patient.close()


def test_a_key_being_inserted_for_long_is_for_later(crm: Any, other: Any) -> None:
    with other.transaction():
        other.execute("INSERT INTO part (mandt, id, number) VALUES ('100', '0000000011', 'theirs')")
        outcome = crm.write(made(["x0", "x1", "x2"]))
    assert outcome.status.to_pylist() == [Status.INSERTED, Status.RETRYABLE, Status.INSERTED]


def test_many_keys_being_inserted_for_long_do_not_hold_up_all_the_others(crm: Any, other: Any) -> None:
    count = 2_000
    with other.transaction():
        other.execute(
            "INSERT INTO part (mandt, id, number) SELECT '100', lpad((i * 100 + 10)::text, 10, '0'), 'theirs' || i "
            "FROM generate_series(0, 19) i"
        )
        began = time.monotonic()
        status = crm.write(made([f"x{i}" for i in range(count)])).status.to_pylist()
        assert time.monotonic() - began < 15
    assert all(status[i] == Status.RETRYABLE for i in range(0, count, 100))
    assert set(status) == {Status.INSERTED, Status.RETRYABLE}
    again = crm.write(made([f"x{i}" for i in range(count)])).status.to_pylist()
    assert again.count(Status.CONFLICT) == 20 + status.count(Status.INSERTED)


def test_two_writers_with_the_same_reading_do_not_both_win(
    crm: Any, other: Any, database: str, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    rows, outcomes, start = read(crm), {}, threading.Barrier(2)

    def writer(who: str) -> Callable[[], None]:
        def write() -> None:
            connector: Any = SqlConnector({"url": database, "client": "100", "lock_seconds": 10})
            start.wait(5)
            outcomes[who] = connector.write(renamed(rows, who)).status.to_pylist()
            connector.close()

        return write

    both = [threading.Thread(target=writer(who)) for who in ("first", "second")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    won = {who for who, status in outcomes.items() if status == [Status.UPDATED] * 5}
    lost = {who for who, status in outcomes.items() if status == [Status.CONFLICT] * 5}
    assert len(won) == len(lost) == 1
    assert names(other) == [*won] * 5


def test_a_preview_locks_nothing(crm: Any, other: Any) -> None:
    rows = read(crm)
    with other.transaction():
        other.execute("UPDATE part SET name = 'theirs'")
        assert crm.write(renamed(rows, dry_run=True)).status.to_pylist() == [Status.UPDATED] * 5


def test_a_condition_on_a_table_that_is_not_written_counts_too(crm: Any, other: Any) -> None:
    other.execute("INSERT INTO item SELECT '100', id, '001', 'v' FROM part WHERE mandt = '100'")
    items = read(crm, ("ID", "LINE", "VALUE"), "ITEM")
    standing = Standing("ITEM", ("ID", "LINE"), with_position(items))
    change = renamed(read(crm))
    change = replace(change, standing=(*change.standing, standing))
    other.execute("UPDATE item SET value = 'theirs' WHERE id = '0000000000'")
    assert crm.write(change).status.to_pylist() == [Status.CONFLICT, 2, 2, 2, 2]


def test_a_table_without_an_index_is_held_as_well(crm: Any, other: Any) -> None:
    other.execute("DROP TABLE IF EXISTS note; CREATE TABLE note (id varchar(10), text varchar(10))")
    other.execute("INSERT INTO note SELECT lpad(i::text, 10, '0'), 'read' FROM generate_series(0, 4) i")
    standing = Standing("NOTE", ("ID",), with_position(read(crm, ("ID", "TEXT"), "NOTE")))
    change = replace(renamed(read(crm)), standing=(standing,))
    other.execute("UPDATE note SET text = 'theirs' WHERE id = '0000000002'")
    with other.transaction():
        other.execute("UPDATE note SET text = text WHERE id = '0000000004'")
        assert crm.write(change).status.to_pylist() == [2, 2, Status.CONFLICT, 2, Status.RETRYABLE]


def test_fifty_thousand_rows_are_held_to_their_condition_in_a_moment(crm: Any, other: Any) -> None:
    other.execute("""INSERT INTO part (mandt, id, name, kind, day, amount)
        SELECT '100', lpad(i::text, 10, '0'), 'name', 'ab', '2024-01-01', i FROM generate_series(5, 49999) i""")
    other.execute("ANALYZE part")
    rows = read(crm, ALL[:5])
    other.execute("UPDATE part SET amount = amount + 1 WHERE id LIKE '%7'")
    change = renamed(rows)
    spent = []
    for standing in ((), change.standing):
        other.execute("UPDATE part SET name = 'before'" if not standing else "UPDATE part SET name = 'name'")
        began = time.monotonic()
        outcome = crm.write(replace(change, standing=standing))
        spent.append(time.monotonic() - began)
    assert pc.sum(pc.equal(outcome.status, int(Status.CONFLICT))).as_py() == 5_000
    assert spent[1] - spent[0] < 3.0, f"the condition took {spent[1] - spent[0]:.1f} s"


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give a function that runs another session beside the test."""
    threads: list[threading.Thread] = []

    def run(work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield run
    for thread in threads:
        thread.join(20)


# --- the databases reached through SQLAlchemy ---------------------------------------------------------------------

PLAIN = """CREATE TABLE part (mandt varchar(3) NOT NULL, id varchar(10) NOT NULL, name varchar(40), day date,
  amount decimal(12, 3), PRIMARY KEY (mandt, id)){suffix}"""


def portable(url: str, suffix: str = "") -> sa.Engine:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(PLAIN.format(suffix=suffix))
        for number in range(5):
            connection.exec_driver_sql(f"INSERT INTO part VALUES ('100', '{number:010d}', 'name', '2024-02-29', 1.5)")
    return engine


PLAIN_COLUMNS = ("ID", "NAME", "DAY", "AMOUNT")


def test_a_locked_sqlite_is_for_later(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'part.db'}?timeout=0.2"
    engine = portable(url)
    connector: Any = SqlConnector({"url": url, "client": "100"})
    rows = read(connector, PLAIN_COLUMNS)
    with engine.connect() as theirs:
        theirs.exec_driver_sql("UPDATE part SET name = 'theirs'")
        outcome = connector.write(renamed(rows))
        theirs.rollback()
    assert outcome.status.to_pylist() == [Status.RETRYABLE] * 5
    assert connector.write(renamed(rows)).status.to_pylist() == [Status.UPDATED] * 5
    connector.close()
    engine.dispose()


@pytest.mark.service
def test_mariadb_leaves_a_held_row_for_later_and_sees_what_changed(mariadb_url: str) -> None:
    engine = portable(mariadb_url, " CHARACTER SET utf8mb4")
    connector: Any = SqlConnector({"url": mariadb_url, "client": "100", "lock_seconds": 1})
    rows = read(connector, PLAIN_COLUMNS)
    assert rows["AMOUNT"][0].as_py() == decimal.Decimal("1.500")
    with engine.connect() as theirs:
        theirs.exec_driver_sql("UPDATE part SET name = 'theirs' WHERE mandt = '100' AND id = '0000000003'")
        with engine.begin() as third:
            third.exec_driver_sql("UPDATE part SET day = '2024-03-01' WHERE mandt = '100' AND id = '0000000001'")
        outcome = connector.write(renamed(rows))
        assert outcome.status.to_pylist() == [2, Status.CONFLICT, 2, Status.RETRYABLE, 2]
        assert outcome.problems["column"].to_pylist() == ["DAY", ""]
        theirs.rollback()
    connector.close()
    engine.dispose()
