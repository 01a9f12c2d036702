"""The feeds of the sql connector: what changed is found, whatever the clocks say and in whatever order it commits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sql import SqlConnector
from isthmus.connector import ColumnRef, Comparison, FeedLost, Polled, Query, Source, Watched
from isthmus.errors import ConfigError
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
TABLES = """
DROP SCHEMA IF EXISTS isthmus CASCADE;
DROP TABLE IF EXISTS but000, but020, adrc, ordera;
CREATE TABLE but000 (client varchar(3), partner varchar(10), chdat varchar(8) DEFAULT '', crdat varchar(8) DEFAULT '',
    name varchar(40), PRIMARY KEY (client, partner));
CREATE TABLE but020 (client varchar(3), partner varchar(10), addrnumber varchar(10), xdfadr varchar(1) DEFAULT 'X',
    PRIMARY KEY (client, partner, addrnumber));
CREATE INDEX ON but020 (client, addrnumber);
CREATE TABLE adrc (client varchar(3), addrnumber varchar(10), city varchar(40), PRIMARY KEY (client, addrnumber));
CREATE TABLE ordera (client varchar(3), guid bytea, changed_at numeric(15), kind varchar(4),
    PRIMARY KEY (client, guid));
INSERT INTO but000 SELECT '100', lpad(i::text, 10, '0'), '20260101', '20250101', 'n' FROM generate_series(1, 9) i;
INSERT INTO but020 SELECT '100', lpad(i::text, 10, '0'), lpad((900 + i)::text, 10, '0') FROM generate_series(1, 9) i;
INSERT INTO adrc SELECT '100', lpad((900 + i)::text, 10, '0'), 'Perth' FROM generate_series(1, 9) i;
INSERT INTO but000 VALUES ('200', '0000000001', '20260101', '', 'another client');
INSERT INTO ordera SELECT '100', decode(lpad(i::text, 32, '0'), 'hex'), 20260101000000, 'UTIL'
FROM generate_series(1, 9) i;
"""
PARTNER = (ColumnRef("P", "PARTNER"),)
BUT000 = Source("P", "BUT000", optional=False)
BUT020 = Source("A", "BUT020", (Comparison(ColumnRef("A", "PARTNER"), "=", PARTNER[0]),
                                Comparison(ColumnRef("A", "XDFADR"), "=", "X")), optional=False)  # fmt: skip
ADRC = Source(
    "R", "ADRC", (Comparison(ColumnRef("R", "ADDRNUMBER"), "=", ColumnRef("A", "ADDRNUMBER")),), optional=False
)
ROOT = Watched(
    "BUT000", Query((BUT000,), PARTNER, PARTNER), ("P.PARTNER",), (ColumnRef("P", "CHDAT"), ColumnRef("P", "CRDAT")),
    alias="P", root=True,
)  # fmt: skip
LINK = Watched("BUT020", Query((BUT000, BUT020), PARTNER, PARTNER), ("P.PARTNER",), alias="A")
ADDRESS = Watched("ADRC", Query((BUT000, BUT020, ADRC), PARTNER, PARTNER), ("P.PARTNER",), alias="R")
PARTNERS = (ROOT, LINK, ADDRESS)
GUID = (ColumnRef("O", "GUID"),)
UTIL = (Comparison(ColumnRef("O", "KIND"), "=", "UTIL"),)
ORDER = Watched("ORDERA", Query((Source("O", "ORDERA", optional=False),), GUID, GUID, UTIL), ("O.GUID",),
                (ColumnRef("O", "CHANGED_AT"),), True, "O", True)  # fmt: skip


def partner(number: int) -> str:
    return f"{number:010d}"


def keys(polled: Polled) -> list[str]:
    return sorted({key if isinstance(key, str) else key.hex() for key in polled.keys[0].to_pylist()})


def gone(polled: Polled) -> list[str]:
    assert polled.gone is not None
    return sorted(set(polled.gone[0].to_pylist()))


@pytest.fixture(scope="module")
def database(store: Place) -> Iterator[str]:
    yield ensure_database("sql_feeds", place=store)
    drop_database("sql_feeds", place=store)


@pytest.fixture
def server(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(TABLES)
        yield session


@pytest.fixture
def isu(server: psycopg.Connection[Any], database: str) -> Iterator[Any]:
    connector: Any = SqlConnector({"url": database, "client": "100"})
    yield connector
    connector.close()


@pytest.fixture
def other(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A second session, in a transaction."""
    with psycopg.connect(database) as session:
        yield session


@pytest.fixture
def pointers(isu: Any) -> Any:
    isu.install_feed((*PARTNERS, ORDER))
    return isu


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path / 'isu.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE but000 (client varchar(3), partner varchar(10), chdat varchar(8), crdat varchar(8), "
            "PRIMARY KEY (client, partner))"
        )
        for number, changed in ((1, "20260310"), (2, "20260309"), (3, "20260101"), (4, ""), (5, "00000000")):
            values = ("100", partner(number), changed, "")
            connection.exec_driver_sql("INSERT INTO but000 VALUES (?, ?, ?, ?)", values)
        connection.exec_driver_sql("INSERT INTO but000 VALUES ('200', '0000000009', '20260310', '')")
    engine.dispose()
    connector: Any = SqlConnector({"url": url, "client": "100"})
    yield connector
    connector.close()


# --- by date ----------------------------------------------------------------------------------------------------------


def test_a_date_feed_reads_the_day_again_until_it_is_over(isu: Any, server: psycopg.Connection[Any]) -> None:
    cursor = isu.begin_feed("date", [ROOT], NOW)
    server.execute("UPDATE but000 SET chdat = '20260310' WHERE partner = %s", [partner(3)])
    first = isu.poll("date", [ROOT], cursor, NOW + timedelta(hours=1))
    server.execute("UPDATE but000 SET chdat = '20260310' WHERE partner = %s", [partner(4)])
    second = isu.poll("date", [ROOT], first.cursor, NOW + timedelta(hours=2))
    after = isu.poll("date", [ROOT], second.cursor, NOW + timedelta(days=2))
    settled = isu.poll("date", [ROOT], after.cursor, NOW + timedelta(days=2))
    assert (keys(first), keys(second)) == ([partner(3)], [partner(3), partner(4)])
    assert (keys(after), keys(settled)) == ([partner(3), partner(4)], [])


def test_a_row_dated_yesterday_that_is_committed_after_midnight_is_found(
    isu: Any, server: psycopg.Connection[Any]
) -> None:
    late = datetime(2026, 3, 11, 0, 30, tzinfo=UTC)
    cursor = isu.poll("date", [ROOT], isu.begin_feed("date", [ROOT], NOW), late).cursor
    server.execute("UPDATE but000 SET chdat = '20260310' WHERE partner = %s", [partner(5)])
    assert keys(isu.poll("date", [ROOT], cursor, late + timedelta(hours=1))) == [partner(5)]


@pytest.mark.parametrize("blank", ["", "00000000", " ", None])
def test_a_row_without_any_date_is_never_skipped(isu: Any, server: psycopg.Connection[Any], blank: str | None) -> None:
    server.execute("UPDATE but000 SET chdat = %s, crdat = %s WHERE partner = %s", [blank, blank, partner(7)])
    cursor = isu.begin_feed("date", [ROOT], NOW)
    for days in (1, 30, 60):
        polled = isu.poll("date", [ROOT], cursor, NOW + timedelta(days=days))
        assert keys(polled) == [partner(7)]
        cursor = polled.cursor


def test_the_latest_of_two_dates_counts(isu: Any, server: psycopg.Connection[Any]) -> None:
    server.execute("UPDATE but000 SET chdat = '', crdat = '20260310' WHERE partner = %s", [partner(2)])
    server.execute("UPDATE but000 SET chdat = '20260310', crdat = '' WHERE partner = %s", [partner(3)])
    assert keys(isu.poll("date", [ROOT], isu.begin_feed("date", [ROOT], NOW), NOW)) == [partner(2), partner(3)]


def test_a_day_as_older_ledgers_keep_it_is_a_cursor(isu: Any, server: psycopg.Connection[Any]) -> None:
    server.execute("UPDATE but000 SET chdat = '20260310' WHERE partner = %s", [partner(3)])
    assert keys(isu.poll("date", [ROOT], "20260310", NOW)) == [partner(3)]


def test_a_clock_that_was_set_back_loses_nothing(isu: Any, server: psycopg.Connection[Any]) -> None:
    ahead = isu.poll("date", [ROOT], isu.begin_feed("date", [ROOT], NOW), NOW + timedelta(days=9)).cursor
    server.execute("UPDATE but000 SET chdat = '20260311' WHERE partner = %s", [partner(3)])
    assert keys(isu.poll("date", [ROOT], ahead, NOW + timedelta(days=1))) == [partner(3)]


def test_a_portable_feed_by_date_finds_the_same(lite: Any) -> None:
    cursor = lite.begin_feed("date", [ROOT], NOW)
    assert keys(lite.poll("date", [ROOT], cursor, NOW)) == [partner(1), partner(4), partner(5)]
    assert keys(lite.poll("date", [ROOT], None, NOW)) == [partner(number) for number in (1, 2, 3, 4, 5)]


def test_a_portable_database_has_no_pointers_and_says_what_to_use(lite: Any) -> None:
    with pytest.raises(ConfigError, match="`feed: date`"):
        lite.poll("pointer", [ROOT], None, NOW)
    with pytest.raises(ConfigError, match="PostgreSQL"):
        lite.begin_feed("pointer", [ROOT], NOW)


# --- by timestamp -----------------------------------------------------------------------------------------------------


def stamped(server: psycopg.Connection[Any], number: int, at: datetime) -> str:
    server.execute(
        "UPDATE ordera SET changed_at = %s WHERE guid = decode(%s, 'hex')", [f"{at:%Y%m%d%H%M%S}", f"{number:032d}"]
    )
    return f"{number:032d}"


def test_a_stamp_set_before_a_reading_and_committed_after_it_is_found(
    isu: Any, server: psycopg.Connection[Any]
) -> None:
    cursor = isu.poll("timestamp", [ORDER], isu.begin_feed("timestamp", [ORDER], NOW), NOW).cursor
    late = stamped(server, 3, NOW - timedelta(seconds=90))
    assert keys(isu.poll("timestamp", [ORDER], cursor, NOW + timedelta(minutes=1))) == [late]


def test_equal_stamps_are_never_taken_for_the_same_change(isu: Any, server: psycopg.Connection[Any]) -> None:
    first = stamped(server, 3, NOW)
    cursor = isu.poll("timestamp", [ORDER], isu.begin_feed("timestamp", [ORDER], NOW), NOW).cursor
    second = stamped(server, 4, NOW)
    assert keys(isu.poll("timestamp", [ORDER], cursor, NOW)) == [first, second]


def test_the_overlap_is_all_that_is_read_again(isu: Any, server: psycopg.Connection[Any]) -> None:
    cursor = isu.begin_feed("timestamp", [ORDER], NOW)
    stamped(server, 3, NOW)
    cursor = isu.poll("timestamp", [ORDER], cursor, NOW + timedelta(minutes=1)).cursor
    cursor = isu.poll("timestamp", [ORDER], cursor, NOW + timedelta(minutes=7)).cursor
    assert keys(isu.poll("timestamp", [ORDER], cursor, NOW + timedelta(minutes=8))) == []


def test_the_overlap_is_a_setting(database: str, server: psycopg.Connection[Any]) -> None:
    wide: Any = SqlConnector({"url": database, "client": "100", "feed_overlap_s": "3600"})
    key = stamped(server, 3, NOW - timedelta(minutes=50))
    assert keys(wide.poll("timestamp", [ORDER], wide.begin_feed("timestamp", [ORDER], NOW), NOW)) == [key]
    wide.close()


# --- by pointer -------------------------------------------------------------------------------------------------------


def test_a_pointer_leads_to_the_object_from_every_table(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE but000 SET name = 'new' WHERE partner = %s", [partner(1)])
    server.execute("UPDATE adrc SET city = 'Sydney' WHERE addrnumber = %s", [partner(902)])
    server.execute("INSERT INTO but020 VALUES ('100', %s, %s)", [partner(3), partner(904)])
    server.execute("DELETE FROM but020 WHERE partner = %s", [partner(5)])
    polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
    assert keys(polled) == [partner(number) for number in (1, 2, 3, 5)]
    assert gone(polled) == []
    again = pointers.poll("pointer", PARTNERS, polled.cursor, NOW)
    assert (keys(again), again.rows) == ([], 0)


def test_reading_a_feed_twice_changes_nothing(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE but000 SET name = 'new' WHERE partner = %s", [partner(1)])
    first, second = (pointers.poll("pointer", PARTNERS, cursor, NOW) for _ in range(2))
    assert keys(first) == keys(second) == [partner(1)]


def test_a_transaction_that_commits_late_under_a_lower_number_is_not_lost(
    pointers: Any, server: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    other.execute("UPDATE but000 SET name = 'early number' WHERE partner = %s", [partner(1)])
    server.execute("UPDATE but000 SET name = 'later number' WHERE partner = %s", [partner(2)])
    first = pointers.poll("pointer", PARTNERS, cursor, NOW)
    other.commit()
    second = pointers.poll("pointer", PARTNERS, first.cursor, NOW)
    third = pointers.poll("pointer", PARTNERS, second.cursor, NOW)
    assert (keys(first), keys(second), keys(third)) == ([partner(2)], [partner(1)], [])


DOES = st.sampled_from(["write"] * 3 + ["commit"] * 2 + ["rollback", "poll"])
STEPS = st.lists(st.tuples(st.integers(0, 2), DOES, st.integers(1, 9)), min_size=16, max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_commits_in_whatever_order_is_told_once_and_by_the_next_poll(
    pointers: Any, database: str, steps: list[tuple[int, str, int]]
) -> None:
    with ExitStack() as stack:
        sessions = [stack.enter_context(psycopg.connect(database)) for _ in range(3)]
        cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
        open_: list[set[str]] = [set(), set(), set()]
        due: set[str] = set()
        for number, step, place in [*steps, (0, "commit", 1), (1, "commit", 1), (2, "commit", 1), (0, "poll", 1)]:
            if step == "write":
                key = partner(3 * ((place - 1) % 3) + number + 1)  # rows of a session's own: none waits for a lock
                sessions[number].execute("UPDATE but000 SET name = 'x' WHERE partner = %s", [key])
                open_[number].add(key)
            elif step == "poll":
                polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
                assert set(keys(polled)) == due
                cursor, due = polled.cursor, set()
            else:
                getattr(sessions[number], step)()
                due |= open_[number] if step == "commit" else set()
                open_[number] = set()


def test_a_change_in_flight_when_the_feed_began_is_found(pointers: Any, other: psycopg.Connection[Any]) -> None:
    other.execute("UPDATE adrc SET city = 'Hobart' WHERE addrnumber = %s", [partner(908)])
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    other.commit()
    assert keys(pointers.poll("pointer", PARTNERS, cursor, NOW)) == [partner(8)]


def test_a_change_of_a_savepoint_counts_and_one_rolled_back_does_not(
    pointers: Any, other: psycopg.Connection[Any]
) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    with other.transaction():
        with other.transaction():
            other.execute("UPDATE but000 SET name = 'kept' WHERE partner = %s", [partner(1)])
        with other.transaction() as undone:
            other.execute("UPDATE but000 SET name = 'undone' WHERE partner = %s", [partner(2)])
            raise psycopg.Rollback(undone)
    other.commit()
    assert keys(pointers.poll("pointer", PARTNERS, cursor, NOW)) == [partner(1)]


def test_a_deleted_row_is_told_as_gone_and_one_made_again_is_not(
    pointers: Any, server: psycopg.Connection[Any]
) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("DELETE FROM but000 WHERE client = '100' AND partner IN (%s, %s)", [partner(1), partner(2)])
    server.execute("INSERT INTO but000 VALUES ('100', %s)", [partner(2)])
    polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
    assert (keys(polled), gone(polled)) == ([partner(2)], [partner(1)])


def test_a_key_that_is_changed_is_told_under_both_names(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE but000 SET partner = '0000000077' WHERE client = '100' AND partner = %s", [partner(1)])
    polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
    assert (keys(polled), gone(polled)) == (["0000000077"], [partner(1)])


def test_a_row_that_becomes_another_kind_of_object_is_gone(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", [ORDER], NOW)
    server.execute("UPDATE ordera SET kind = 'SALE' WHERE guid = decode(%s, 'hex')", [f"{3:032d}"])
    server.execute("UPDATE ordera SET changed_at = 1 WHERE guid = decode(%s, 'hex')", [f"{4:032d}"])
    polled = pointers.poll("pointer", [ORDER], cursor, NOW)
    assert keys(polled) == [f"{4:032d}"]
    assert polled.gone is not None and [key.hex() for key in polled.gone[0].to_pylist()] == [f"{3:032d}"]


def test_another_client_is_not_ours(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE but000 SET name = 'theirs' WHERE client = '200'")
    server.execute("DELETE FROM but000 WHERE client = '200'")
    polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
    assert (keys(polled), gone(polled)) == ([], [])


# --- installing, looking, taking away ---------------------------------------------------------------------------------


def test_installing_twice_changes_nothing_and_feeds_go_on(pointers: Any, server: psycopg.Connection[Any]) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    before = server.execute("SELECT oid, xmin::text FROM pg_trigger ORDER BY 1").fetchall()
    pointers.install_feed((*PARTNERS, ORDER))
    pointers.install_feed(PARTNERS)
    assert server.execute("SELECT oid, xmin::text FROM pg_trigger ORDER BY 1").fetchall() == before
    assert keys(pointers.poll("pointer", PARTNERS, cursor, NOW)) == []


def test_the_script_is_what_installing_runs(isu: Any, server: psycopg.Connection[Any]) -> None:
    server.execute(isu.feed_script(PARTNERS))
    assert {table.state for table in isu.show_feed(PARTNERS)} == {"recorded"}
    assert [table.state for table in isu.show_feed([ORDER])] == ["missing"]


def test_what_was_installed_is_taken_away_without_a_trace(pointers: Any, server: psycopg.Connection[Any]) -> None:
    pointers.install_journal()
    assert len(pointers.remove_feed()) == 4
    assert pointers.remove_feed() == []
    assert server.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
    assert server.execute("SELECT relname FROM pg_class WHERE relnamespace = 'isthmus'::regnamespace AND relkind = 'r'"
                          ).fetchall() == [("receipt",)]  # fmt: skip
    with pytest.raises(ConfigError, match="isthmus feed install"):
        pointers.begin_feed("pointer", PARTNERS, NOW)


def test_a_table_that_is_not_recorded_is_named(isu: Any) -> None:
    isu.install_feed([ROOT])
    with pytest.raises(ConfigError, match=r'"adrc".*"but020"'):
        isu.begin_feed("pointer", PARTNERS, NOW)


def test_a_tie_without_an_index_is_pointed_out(pointers: Any, server: psycopg.Connection[Any], database: str) -> None:
    server.execute("DROP INDEX but020_client_addrnumber_idx")
    fresh: Any = SqlConnector({"url": database, "client": "100"})
    shown = {table.table: table.unindexed for table in fresh.show_feed(PARTNERS)}
    assert shown == {'"public"."adrc"': ("but020 (addrnumber)",), '"public"."but000"': (), '"public"."but020"': ()}
    fresh.close()


def test_pruning_keeps_what_a_cursor_needs(pointers: Any, server: psycopg.Connection[Any]) -> None:
    old = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE but000 SET name = 'a'")
    new = pointers.poll("pointer", PARTNERS, old, NOW).cursor
    server.execute("UPDATE but000 SET name = 'b' WHERE partner = %s", [partner(2)])
    assert pointers.prune_feed([]) == 0
    assert pointers.prune_feed([old, new]) == 0
    assert pointers.prune_feed([new]) == 10
    assert keys(pointers.poll("pointer", PARTNERS, new, NOW)) == [partner(2)]
    with pytest.raises(FeedLost, match="pruned"):
        pointers.poll("pointer", PARTNERS, old, NOW)


# --- cursors that are lost --------------------------------------------------------------------------------------------


def doctored(cursor: str, **changes: Any) -> str:
    return json.dumps({**json.loads(cursor), **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": "date"}, "by date, now the feed is by pointer"),
        ({"server": "elsewhere"}, "restored"),
        ({"snapshot": "9000000000:9000000000:"}, "older than the cursor"),
    ],
)
def test_a_cursor_that_cannot_be_gone_on_from_is_refused_with_the_reason(
    pointers: Any, changes: dict[str, Any], said: str
) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    with pytest.raises(FeedLost, match=said):
        pointers.poll("pointer", PARTNERS, doctored(cursor, **changes), NOW)


@pytest.mark.parametrize("pause", [
    "ALTER TABLE adrc DISABLE TRIGGER ALL; UPDATE adrc SET city = 'unseen'; "
    "ALTER TABLE adrc ENABLE ALWAYS TRIGGER isthmus_point_i; ALTER TABLE adrc ENABLE ALWAYS TRIGGER isthmus_point_u; "
    "ALTER TABLE adrc ENABLE ALWAYS TRIGGER isthmus_point_d; ALTER TABLE adrc ENABLE ALWAYS TRIGGER isthmus_point_t",
    "TRUNCATE adrc",
])  # fmt: skip
def test_changes_that_no_pointer_tells_of_are_noticed(
    pointers: Any, server: psycopg.Connection[Any], pause: str
) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute(pause)
    with pytest.raises(FeedLost, match="adrc"):
        pointers.poll("pointer", PARTNERS, cursor, NOW)


def test_pointers_made_anew_are_another_feed(pointers: Any) -> None:
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    pointers.remove_feed()
    pointers.install_feed(PARTNERS)
    with pytest.raises(FeedLost):
        pointers.poll("pointer", PARTNERS, cursor, NOW)


def test_a_feed_by_date_does_not_go_on_from_pointers(pointers: Any) -> None:
    with pytest.raises(FeedLost, match="by pointer, now the feed is by date"):
        pointers.poll("date", [ROOT], pointers.begin_feed("pointer", PARTNERS, NOW), NOW)


@pytest.mark.parametrize("nonsense", ["", "{}", "[1]", "20260399x", "null"])
def test_what_is_no_cursor_is_refused(isu: Any, nonsense: str) -> None:
    if nonsense:
        with pytest.raises(FeedLost):
            isu.poll("date", [ROOT], nonsense, NOW)


def used(server: psycopg.Connection[Any], tables: Sequence[str]) -> list[int]:
    server.execute("SELECT pg_stat_force_next_flush()")
    return [
        server.execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = %s", [t]).fetchone()[0]
        for t in tables
    ]  # type: ignore[index]


def test_a_poll_reads_the_changed_rows_and_not_the_tables(pointers: Any, server: psycopg.Connection[Any]) -> None:
    for table, columns in (("but000", "'100', lpad(i::text, 10, '0')"), ("adrc", "'100', lpad(i::text, 10, '0'), 'x'"),
                           ("but020", "'100', lpad(i::text, 10, '0'), lpad(i::text, 10, '0')")):  # fmt: skip
        server.execute(f"INSERT INTO {table} SELECT {columns} FROM generate_series(1000, 40000) i")
    server.execute("ANALYZE")
    cursor = pointers.begin_feed("pointer", PARTNERS, NOW)
    server.execute("UPDATE adrc SET city = 'y' WHERE addrnumber BETWEEN '0000020000' AND '0000020009'")
    before = used(server, ["but000", "but020", "change_pointer"])
    polled = pointers.poll("pointer", PARTNERS, cursor, NOW)
    pointers.close()
    assert (len(keys(polled)), polled.rows) == (10, 10)
    assert used(server, ["but000", "but020", "change_pointer"]) == before


def test_watched_tables_without_a_tie_are_refused(isu: Any) -> None:
    adrift = replace(ADDRESS, query=Query((BUT000, Source("R", "ADRC")), PARTNER, PARTNER))
    with pytest.raises(ConfigError, match="Nothing ties ADRC"):
        isu.install_feed([adrift])
