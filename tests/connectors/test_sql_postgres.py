"""The sql connector on PostgreSQL: what its catalogue, its bulk paths and its transactions promise."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from connectors.sql import SqlConnector, merge, write
from isthmus.connector import Change, ColumnRef, Comparison, KeyRange, Keys, Query, Receipt, Source, Status, TableRows
from isthmus.errors import ConfigError, DataError, SystemUnavailable
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from tests.conftest import end_sessions

TABLES = """
DROP SCHEMA IF EXISTS isthmus CASCADE;
DROP TABLE IF EXISTS everh, ever, ekun;
CREATE TABLE ekun (client varchar(3) NOT NULL, guid bytea NOT NULL, hex varchar(32), PRIMARY KEY (client, guid));
CREATE TABLE ever (
    mandt varchar(3) NOT NULL, vertrag varchar(10) NOT NULL,
    sparte varchar(2) NOT NULL DEFAULT '' CHECK (sparte IN ('', '01', '02')),
    betrag numeric(5, 2), text varchar(5), serial varchar(10) UNIQUE, ratio numeric, kind char(4),
    PRIMARY KEY (mandt, vertrag));
CREATE TABLE everh (
    mandt varchar(3) NOT NULL, vertrag varchar(10) NOT NULL, bis varchar(8) NOT NULL, product bytea,
    PRIMARY KEY (mandt, vertrag, bis), FOREIGN KEY (mandt, vertrag) REFERENCES ever);
"""

TAKEN = "INSERT INTO ever (mandt, vertrag, serial) SELECT '100', 'x' || i, 's' || i FROM generate_series(0, 29) i"
GUIDS = """INSERT INTO ekun SELECT '100', decode(lpad(to_hex(i), 32, '0'), 'hex'), upper(lpad(to_hex(i), 32, '0'))
FROM generate_series(1, 30) i"""


@pytest.fixture(scope="module")
def database(store: Place) -> Iterator[str]:
    yield ensure_database("sql_postgres", place=store)
    drop_database("sql_postgres", place=store)


@pytest.fixture
def server(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(TABLES)
        yield session


@pytest.fixture
def crm(server: psycopg.Connection[Any], database: str) -> Iterator[Any]:
    connector = SqlConnector({"url": database, "client": "100"})
    yield connector
    connector.close()


def rows(table: str, key: Sequence[str], positions: Sequence[int] = (), **columns: Any) -> TableRows:
    data = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    count = len(next(iter(data.values())))
    data["position"] = pa.array(positions or range(count), pa.int32())
    return TableRows(table, pa.RecordBatch.from_pydict(data), tuple(key), tuple(columns))


def contracts(count: int, **columns: Any) -> TableRows:
    return rows("EVER", ["VERTRAG"], VERTRAG=[f"{i:010d}" for i in range(count)], **columns)


def change(*tables: TableRows, size: int | None = None, **more: Any) -> Change:
    return Change("contract", size if size is not None else tables[0].rows.num_rows, tables, **more)


def stored(server: psycopg.Connection[Any], query: str) -> list[Any]:
    return server.execute(query).fetchall()


def read(connector: Any, query: Query, where: KeyRange | Keys | None = None) -> list[tuple[Any, ...]]:
    return [tuple(r.values()) for block in connector.read(query, where or KeyRange()) for r in block.to_pylist()]


def refs(*names: str) -> tuple[ColumnRef, ...]:
    return tuple(ColumnRef(*name.split(".")) for name in names)


# --- describe ---------------------------------------------------------------------------------------------------------


def test_the_client_is_no_part_of_the_key_and_rules_and_types_are_described(crm: Any) -> None:
    table = crm.describe("EVER")
    assert table.key == ("vertrag",)
    amount = table.column("BETRAG")
    assert (amount.type, amount.precision, amount.scale) == (pa.decimal128(5, 2), 5, 2)
    assert (table.column("TEXT").length, table.column("SPARTE").nullable) == (5, False)


def test_a_misspelt_table_column_or_setting_names_the_nearest(crm: Any) -> None:
    with pytest.raises(ConfigError, match='Did you mean "everh"'):
        crm.describe("EVERHH")
    with pytest.raises(ConfigError, match='Did you mean "sparte"'):
        read(crm, Query((Source("EVER", "EVER"),), refs("EVER.SPARTEN"), refs("EVER.VERTRAG")))
    with pytest.raises(ConfigError, match='Did you mean "client"'):
        SqlConnector({"url": "postgresql://x/y", "clinet": "100"})


def test_a_table_with_clients_is_not_read_without_one(server: Any, database: str) -> None:
    connector = SqlConnector({"url": database})
    with pytest.raises(ConfigError, match='Set "client"'):
        read(connector, Query((Source("EVER", "EVER"),), refs("EVER.VERTRAG"), refs("EVER.VERTRAG")))
    connector.close()


# --- read -------------------------------------------------------------------------------------------------------------


def test_only_the_own_client_is_read_in_every_joined_table(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag) VALUES ('100', '1'), ('200', '2')")
    server.execute("INSERT INTO everh VALUES ('100', '1', 'a', NULL)")
    server.execute("INSERT INTO ever (mandt, vertrag) VALUES ('200', '1'); INSERT INTO everh VALUES ('200', '1', 'b')")
    tie = (Comparison(ColumnRef("H", "VERTRAG"), "=", ColumnRef("EVER", "VERTRAG")),)
    query = Query(
        (Source("EVER", "EVER"), Source("H", "EVERH", tie)), refs("EVER.VERTRAG", "H.BIS"), refs("EVER.VERTRAG")
    )
    assert read(crm, query) == [("1", "a")]
    assert [part.rows for part in crm.partitions(query, 10)] == [1]


def test_a_guid_is_a_key_as_hex_and_joins_with_its_other_spelling(server: Any, crm: Any) -> None:
    server.execute(GUIDS)
    query = Query((Source("A", "EKUN"),), refs("A.GUID", "A.HEX"), refs("A.GUID"))
    parts = crm.partitions(query, 10)
    assert [part.low for part in parts] == [None, ("0" * 30 + "0B",), ("0" * 30 + "15",)]
    assert sum(len(read(crm, query, part)) for part in parts) == 30
    assert read(crm, query, Keys((pa.array(["0" * 30 + "0a"]),)))[0][1] == "0" * 30 + "0A"
    tie = (Comparison(ColumnRef("B", "HEX"), "=", ColumnRef("A", "GUID")),)
    joined = replace(query, sources=(*query.sources, Source("B", "EKUN", tie, optional=False)), columns=refs("B.GUID"))
    assert len(read(crm, joined)) == 30


@pytest.mark.parametrize(
    ("table", "ties", "found"),
    [
        ("EVERH", {"T.VERTRAG": "EVER.VERTRAG"}, True),  # an index begins with it
        ("EVERH", {"T.BIS": "EVER.TEXT"}, False),  # it is the index's last column
        ("EVER", {"T.SERIAL": "EVER.SERIAL", "T.TEXT": "EVER.TEXT"}, True),  # one of them has an index
        ("EVER", {"T.TEXT": "EVER.TEXT"}, False),
        ("EKUN", {"T.GUID": "EVER.TEXT"}, False),  # compared in a common spelling
    ],
)
def test_joined_rows_are_looked_up_where_an_index_finds_them(
    server: Any, crm: Any, table: str, ties: dict[str, str], found: bool
) -> None:
    on = tuple(Comparison(*refs(left), "=", *refs(right)) for left, right in ties.items())
    sources = Source("EVER", "EVER"), Source("T", table, on, optional=True)
    query = Query(sources, refs("EVER.VERTRAG"), refs("EVER.VERTRAG"))
    assert crm._resolved(query).by_index is found
    server.execute(TAKEN)
    assert len(read(crm, query, KeyRange(("x10",), ("x2",)))) == 10


def test_composite_keys_cut_and_find_rows(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag) SELECT '100', i FROM generate_series(1, 3) i")
    server.execute("INSERT INTO everh SELECT '100', v, b FROM generate_series(1, 3) v, generate_series(1, 4) b")
    query = Query((Source("H", "EVERH"),), refs("H.VERTRAG", "H.BIS"), refs("H.VERTRAG", "H.BIS"))
    parts = crm.partitions(query, 5)
    assert [part.low for part in parts] == [None, ("2", "2"), ("3", "3")]
    assert [row for part in parts for row in read(crm, query, part)] == read(crm, query)
    assert read(crm, query, Keys((pa.array(["3", "1", "1"]), pa.array(["1", "4", "9"])))) == [("1", "4"), ("3", "1")]


def test_a_key_that_several_rows_share_is_never_cut(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag) SELECT '100', i FROM generate_series(1, 4) i")
    server.execute("INSERT INTO everh SELECT '100', v, b FROM generate_series(1, 4) v, generate_series(1, 7) b")
    query = Query((Source("H", "EVERH"),), refs("H.VERTRAG", "H.BIS"), refs("H.VERTRAG"))
    parts = crm.partitions(query, 3)
    assert [part.low for part in parts] == [None, ("2",), ("3",), ("4",)]
    assert [len(read(crm, query, part)) for part in parts] == [part.rows for part in parts] == [7, 7, 7, 7]


def test_numbers_are_exact_whatever_their_length(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag, betrag, ratio) VALUES ('100', '1', 0.10, 0.1)")
    query = Query((Source("E", "EVER"),), refs("E.BETRAG", "E.RATIO"), refs("E.VERTRAG"))
    assert read(crm, query) == [(decimal.Decimal("0.10"), decimal.Decimal("0.1"))]


# --- write ------------------------------------------------------------------------------------------------------------


def test_a_second_run_touches_no_row(server: Any, crm: Any) -> None:
    package = change(contracts(50, TEXT=["x"] * 50), rows("EKUN", ["GUID"], GUID=[bytes([i] * 16) for i in range(50)]))
    crm.write(package)
    before = stored(server, "SELECT xmin, xmax, ctid FROM ever UNION ALL SELECT xmin, xmax, ctid FROM ekun")
    assert crm.write(package).status.to_pylist() == [Status.UNCHANGED] * 50
    assert stored(server, "SELECT xmin, xmax, ctid FROM ever UNION ALL SELECT xmin, xmax, ctid FROM ekun") == before


def test_the_client_is_filled_and_another_client_is_left_alone(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag, text) VALUES ('200', '0000000000', 'other')")
    for fill in (True, False):
        crm.write(change(contracts(1, TEXT=["own"]), fill=fill))
    assert stored(server, "SELECT mandt, text FROM ever ORDER BY mandt") == [("100", "own"), ("200", "other")]


@pytest.mark.parametrize("fill", [True, False])
def test_the_catalogue_refuses_a_row_and_its_neighbours_arrive(server: Any, crm: Any, fill: bool) -> None:
    amounts = pa.array([decimal.Decimal(n) for n in ("1.00", "1000.00", "1.234", "2.00", "3.00")])
    root = contracts(
        5, BETRAG=amounts, SPARTE=["01", "01", "01", "99", None], TEXT=["äöüßé", "ok", "ok", "ok", "too long"]
    )
    outcome = crm.write(change(root, fill=fill))
    assert outcome.status.to_pylist() == [Status.INSERTED] + [Status.REJECTED] * 4
    found = {(row["position"], row["column"], row["code"]) for row in outcome.problems.to_pylist()}
    assert found == {
        (1, "BETRAG", "precision"),
        (2, "BETRAG", "precision"),
        (3, "SPARTE", "check"),
        (4, "SPARTE", "null"),
        (4, "TEXT", "length"),
    }
    assert stored(server, "SELECT vertrag FROM ever") == [("0000000000",)]


def test_what_only_trying_tells_costs_its_own_row(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag, serial) VALUES ('100', 'x', 'taken')")
    root = contracts(40, SERIAL=[f"s{i}" if i != 17 else "taken" for i in range(40)])
    lists = rows(
        "EVERH", ["VERTRAG", "BIS"], [3, 17, 30], VERTRAG=["nobody", f"{17:010d}", f"{30:010d}"], BIS=["1"] * 3
    )
    outcome = crm.write(change(root, lists))
    assert [i for i, status in enumerate(outcome.status.to_pylist()) if status == Status.REJECTED] == [3, 17]
    assert outcome.problems.select(["position", "table", "code"]).to_pylist() == [
        {"position": 3, "table": "EVERH", "code": "foreign key"},
        {"position": 17, "table": "EVER", "code": "unique"},
    ]
    assert stored(server, "SELECT count(*) FROM ever")[0][0] == 39
    assert stored(server, "SELECT vertrag FROM everh") == [(f"{30:010d}",)]
    assert outcome.counts == {"EVER.inserted": 38, "EVERH.inserted": 1}
    assert "taken" not in str(outcome.problems.to_pylist())


def test_a_trigger_that_refuses_is_named_without_the_value(server: Any, crm: Any) -> None:
    server.execute("""CREATE OR REPLACE FUNCTION no_secrets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.text = 'secre' THEN RAISE EXCEPTION 'no % here', NEW.text; END IF; RETURN NEW; END $$;
        CREATE TRIGGER watch BEFORE INSERT ON ever FOR EACH ROW EXECUTE FUNCTION no_secrets()""")
    outcome = crm.write(change(contracts(8, TEXT=["a"] * 7 + ["secre"]), fill=True))
    assert outcome.status.to_pylist() == [Status.INSERTED] * 7 + [Status.REJECTED]
    message = outcome.problems["message"][0].as_py()
    assert "no_secrets" in message and "secre " not in message


def test_a_block_that_is_bad_by_the_dozen_fails_as_a_whole(server: Any, crm: Any) -> None:
    server.execute(TAKEN)
    with pytest.raises(DataError, match="more than 10 of 30 rows"):
        crm.write(change(contracts(30, SERIAL=[f"s{i}" for i in range(30)])))
    assert stored(server, "SELECT count(*) FROM ever")[0][0] == 30


def test_a_shared_row_comes_from_the_next_position_when_the_first_is_refused(server: Any, crm: Any) -> None:
    server.execute("INSERT INTO ever (mandt, vertrag, serial) VALUES ('100', 'x', 'taken')")
    root = contracts(3, SPARTE=["99", "01", "01"], SERIAL=["a", "taken", "b"])
    guid, texts = pa.array([b"1" * 16] * 3), ["first", "second", "third"]
    shared = replace(rows("EKUN", ["GUID"], GUID=guid, HEX=texts), shared=True)
    outcome = crm.write(change(root, shared))
    assert outcome.status.to_pylist() == [Status.REJECTED, Status.REJECTED, Status.INSERTED]
    assert stored(server, "SELECT hex FROM ekun") == [("third",)]


def test_spellings_are_kept_column_by_column_and_nulls_count_as_equal_after_the_kernel(server: Any, crm: Any) -> None:
    def day(array: pa.Array) -> pa.Array:
        open_end = pc.is_in(array, value_set=pa.array(["0", "", "9"]))
        return pc.if_else(open_end, pa.scalar(None, pa.string()), array)

    crm.write(change(contracts(3, TEXT=["0", "", "5"], SPARTE=["01"] * 3)))
    wanted = replace(contracts(3, TEXT=["9", None, "0"], SPARTE=["01", "02", "01"]), canonical={"TEXT": day})
    outcome = crm.write(change(wanted))
    assert outcome.status.to_pylist() == [Status.UNCHANGED, Status.UPDATED, Status.UPDATED]
    assert stored(server, "SELECT text, sparte FROM ever ORDER BY vertrag") == [("0", "01"), ("", "02"), ("0", "01")]


def test_a_table_without_an_index_on_the_key_is_compared_all_the_same(server: Any, crm: Any) -> None:
    wanted = rows("EVER", ["TEXT"], VERTRAG=["1", "2"], TEXT=["a", "b"], SPARTE=["01", "01"])
    assert crm.write(change(wanted, fill=True)).status.to_pylist() == [Status.INSERTED] * 2
    again = rows("EVER", ["TEXT"], VERTRAG=["1", "2"], TEXT=["a", "b"], SPARTE=["01", "02"])
    assert crm.write(change(again, fill=True)).status.to_pylist() == [Status.UNCHANGED, Status.UPDATED]


def test_no_row_of_a_failed_change_stays_and_no_receipt(server: Any, crm: Any) -> None:
    crm.install_journal()
    server.execute(TAKEN)
    with pytest.raises(DataError):
        crm.write(change(contracts(30, SERIAL=[f"s{i}" for i in range(30)]), receipt=Receipt("r", "1", 1, "d")))
    assert crm.receipts("r") == {}


def test_a_journal_that_is_asked_for_and_missing_says_what_to_do(server: Any, database: str) -> None:
    connector = SqlConnector({"url": database, "client": "100", "journal": "schema"})
    with pytest.raises(ConfigError, match=r"journal\.sql"):
        connector.write(change(contracts(1), receipt=Receipt("r", "1", 1, "d")))
    connector.close()


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_lost_session_is_said_to_be_unavailable_and_the_next_call_has_a_new_one(server: Any, crm: Any) -> None:
    crm.write(change(contracts(1)))
    end_sessions(server)
    with pytest.raises(SystemUnavailable):
        crm.write(change(contracts(2)))
    assert crm.write(change(contracts(2))).status.to_pylist() == [Status.UNCHANGED, Status.INSERTED]


def test_no_error_and_no_check_shows_the_password() -> None:
    connector = SqlConnector({"url": "postgresql://someone:p%40ssw0rd@127.0.0.1:1/nowhere"})
    with pytest.raises(SystemUnavailable) as caught:
        connector.discover()
    shown = f"{caught.value}{connector.check()}"
    assert "ssw0rd" not in shown
    assert [step.state for step in connector.check()] == ["ok", "failed", "not tried", "not tried", "not tried"]


def test_reading_goes_on_while_another_read_is_open(server: Any, crm: Any) -> None:
    crm.write(change(contracts(10)))
    query = Query((Source("E", "EVER"),), refs("E.VERTRAG"), refs("E.VERTRAG"))
    first = crm.read(query, KeyRange())
    next(first)
    assert len(read(crm, query)) == 10
    first.close()


def test_a_row_that_another_writer_brings_in_between_is_compared_not_refused(
    server: Any, crm: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, calls = merge.compare, list[Any]()

    def late(*given: Any) -> Any:
        plan = compare(*given)
        if not calls:
            server.execute("INSERT INTO ever (mandt, vertrag, text) VALUES ('100', '0000000001', 'other')")
        calls.append(plan)
        return plan

    monkeypatch.setattr(write, "compare", late)
    outcome = crm.write(change(contracts(3, TEXT=["a", "b", "c"], SPARTE=["01", "01", "99"])))
    assert outcome.status.to_pylist() == [Status.INSERTED, Status.UPDATED, Status.REJECTED]
    assert outcome.problems.num_rows == 1
    assert stored(server, "SELECT text FROM ever ORDER BY vertrag") == [("a",), ("b",)]
