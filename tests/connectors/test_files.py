"""CSV, JSON lines and Parquet: read as they are written, cut, filtered, upserted; and what is not let in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import itertools
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from connectors.files import FilesConnector
from connectors.files import write as writing
from connectors.files.formats import Csv
from isthmus.conformance import ConnectorSuite, Place, Scratch, ids
from isthmus.connector import (
    Change,
    ColumnRef,
    Comparison,
    Connector,
    KeyRange,
    Keys,
    Query,
    Source,
    Status,
    TableRows,
    Where,
)
from isthmus.errors import ConfigError, ConflictError, DataError, SpecError

CONTRACTS = 'VERTRAG,SPARTE,TEXT\n0002,01,NO\n0001,02,\n0010,01,""\n0003,02,"=1+1, said ""he"""\n'


def files(folder: Path, kind: str = "csv", key: object = ("VERTRAG",), **more: object) -> FilesConnector:
    return FilesConnector({"path": str(folder), "format": kind, "key": key, **more})


def query(table: str, *columns: str, key: tuple[str, ...] = ("VERTRAG",), where: tuple[Comparison, ...] = ()) -> Query:
    refs = tuple(ColumnRef("T", name) for name in columns or key)
    return Query((Source("T", table),), refs, tuple(ColumnRef("T", name) for name in key), where)


def rows(connector: FilesConnector, asked: Query, where: Where | None = None) -> list[tuple[Any, ...]]:
    batches = list(connector.read(asked, where or KeyRange()))
    assert all(batch.schema.names == [str(ref) for ref in asked.columns] for batch in batches)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def change(table: str, wanted: dict[str, list[Any]], *, key: tuple[str, ...] = ("VERTRAG",), **more: Any) -> Change:
    """One table's change: a position a row, all columns but the key compared and written."""
    size = len(next(iter(wanted.values())))
    batch = pa.record_batch({**wanted, "position": pa.array(range(size), pa.int32())})
    written = tuple(name for name in wanted if name not in key and name not in more.get("initial", ()))
    return Change("contract", size, (TableRows(table, batch, key, written, **more),))


def status(connector: FilesConnector, wanted: Change) -> list[Status]:
    return [Status(one) for one in connector.write(wanted).status.to_pylist()]


@pytest.fixture
def contracts(tmp_path: Path) -> FilesConnector:
    (tmp_path / "EVER.csv").write_text(CONTRACTS)
    return files(tmp_path)


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_csv_value_stays_the_text_it_is_and_missing_is_not_empty(contracts: FilesConnector) -> None:
    assert rows(contracts, query("EVER", "VERTRAG", "SPARTE", "TEXT")) == [
        ("0001", "02", None),
        ("0002", "01", "NO"),
        ("0003", "02", '=1+1, said "he"'),
        ("0010", "01", ""),
    ]


def test_delimiter_encoding_and_byte_order_mark_are_followed(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_bytes("VERTRAG;ORT\n1;Köln\n".encode("latin-1"))
    (tmp_path / "B.csv").write_bytes("\ufeffVERTRAG;ORT\n1;Köln\n".encode())
    assert rows(files(tmp_path, delimiter=";", encoding="latin-1"), query("A", "ORT")) == [("Köln",)]
    assert rows(files(tmp_path, delimiter=";"), query("B", "VERTRAG", "ORT")) == [("1", "Köln")]


def test_json_lines_keep_the_digits_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "EVER.jsonl").write_text(
        '{"VERTRAG": "0002", "N": 1.10, "E": ""}\n{"VERTRAG": "0001", "N": null, "L": [1]}\n'
    )
    connector = files(tmp_path, "jsonl")
    assert [column.name for column in connector.describe("EVER").columns] == ["VERTRAG", "N", "E", "L"]
    assert rows(connector, query("EVER", "VERTRAG", "N", "E")) == [("0001", None, None), ("0002", "1.10", "")]


def test_a_member_no_line_names_is_a_column_all_the_same_where_the_connection_says_so(tmp_path: Path) -> None:
    (tmp_path / "EVER.jsonl").write_text('{"VERTRAG": "1"}\n')
    connector = files(tmp_path, "jsonl", columns=["VERTRAG", "AUSZDAT"])
    assert rows(connector, query("EVER", "VERTRAG", "AUSZDAT")) == [("1", None)]
    with pytest.raises(ConfigError, match="for JSON lines"):
        files(tmp_path, columns=["VERTRAG"])


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "VERTRAG": pa.array([2, 10, 1], pa.int64()),
            "AB": pa.array([dt.date(9999, 12, 31), dt.date(2024, 1, 1), None]),
            "BETRAG": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-2.00")], pa.decimal128(13, 2)),
            "GUID": pa.array([b"\x00\xff", b"b", b"c"]),
            "AT": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
            "KIND": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "EVER.parquet")
    connector = files(tmp_path, "parquet")
    names = table.column_names
    assert {column.name: column.type for column in connector.describe("EVER").columns} == {
        f.name: f.type for f in table.schema
    }
    assert rows(connector, query("EVER", *names)) == [
        tuple(row.values()) for row in table.sort_by("VERTRAG").to_pylist()
    ]
    assert [row[0] for row in rows(connector, query("EVER"), KeyRange(("2",), None))] == [2, 10]
    assert rows(connector, query("EVER", key=("GUID",)), KeyRange(("62",), ("63",))) == [(b"b",)]
    assert rows(connector, query("EVER"), Keys((pa.array(["10", "7"]),))) == [(10,)]
    late = Comparison(ColumnRef("T", "AB"), ">", "2025-01-01")
    assert rows(connector, query("EVER", where=(late,))) == [(2,)]


def test_a_folder_of_part_files_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "EVER").mkdir()
    (tmp_path / "EVER" / "1.csv").write_text("VERTRAG,X\n3,c\n")
    (tmp_path / "EVER" / "2.csv").write_text("X,VERTRAG\na,1\n")
    (tmp_path / "EVER" / "3.csv").write_text("VERTRAG,Y\n9,z\n")
    connector = files(tmp_path)
    assert connector.discover() == ["EVER"]
    assert rows(connector, query("EVER", "VERTRAG", "X")) == [("1", "a"), ("3", "c")]
    assert connector.rejected()["code"].to_pylist() == ["header_other"]


def test_partitions_are_disjoint_complete_and_never_cut_a_key_in_two(tmp_path: Path) -> None:
    keys = [(f"{at // 7:03}", f"{at % 3}") for at in range(1000)]
    (tmp_path / "T.csv").write_text("A,B\n" + "".join(f"{a},{b}\n" for a, b in reversed(keys)))
    connector = files(tmp_path, key=["A", "B"])
    asked = query("T", "A", "B", key=("A", "B"))
    parts = connector.partitions(asked, 100)
    found = [rows(connector, asked, part) for part in parts]
    assert len(parts) == 10
    assert [part.rows for part in parts] == [len(one) for one in found]
    assert [row for one in found for row in one] == sorted(keys)
    assert parts[0].low is None and parts[-1].high is None
    assert all(left.high == right.low for left, right in itertools.pairwise(parts))
    assert not any(set(one) & set(other) for one, other in itertools.pairwise(found))


def test_keys_of_several_columns_are_found_as_pairs(tmp_path: Path) -> None:
    (tmp_path / "T.csv").write_text("A,B\n1,x\n1,y\n2,x\n2,y\n")
    connector = files(tmp_path, key=["A", "B"])
    wanted = Keys((pa.array(["2", "1"]), pa.array(["x", "y"])))
    assert rows(connector, query("T", "A", "B", key=("A", "B")), wanted) == [("1", "y"), ("2", "x")]


def test_an_empty_table_is_one_empty_range(tmp_path: Path) -> None:
    (tmp_path / "EVER.csv").write_text("VERTRAG,X\n")
    connector = files(tmp_path)
    assert connector.partitions(query("EVER"), 10) == [KeyRange(None, None, 0)]
    assert rows(connector, query("EVER")) == []


@pytest.mark.parametrize(
    ("operator", "right", "found"),
    [
        ("=", "NO", {"0002"}),
        ("=", "", {"0010"}),
        ("<>", "NO", {"0001", "0003", "0010"}),
        ("in", ("NO", ""), {"0002", "0010"}),
        ("in", (), set()),
        ("<", "N", {"0003", "0010"}),
        ("is blank", None, {"0001", "0010"}),
        ("is set", None, {"0002", "0003"}),
    ],
)
def test_a_filter_is_answered_exactly(contracts: FilesConnector, operator: Any, right: Any, found: set[str]) -> None:
    asked = query("EVER", where=(Comparison(ColumnRef("T", "TEXT"), operator, right),))
    assert {row[0] for row in rows(contracts, asked)} == found
    assert sum(part.rows or 0 for part in contracts.partitions(asked, 2)) == len(found)


def test_a_value_is_a_value_and_never_a_piece_of_a_statement(contracts: FilesConnector) -> None:
    asked = query("EVER", where=(Comparison(ColumnRef("T", "TEXT"), "=", "' OR 1=1 --"),))
    assert rows(contracts, asked) == []


def test_what_files_cannot_answer_is_refused_and_not_dropped(contracts: FilesConnector) -> None:
    asked = query("EVER")
    joined = dataclasses.replace(asked, sources=(*asked.sources, Source("E", "EANL")))
    with pytest.raises(SpecError, match="files cannot join"):
        contracts.read(joined, KeyRange())
    with pytest.raises(ConfigError, match="cannot answer"):
        contracts.read(query("EVER", where=(Comparison(ColumnRef("T", "TEXT"), "like", "x"),)), KeyRange())  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="distinct"):
        contracts.read(dataclasses.replace(query("EVER", "SPARTE"), distinct=True), KeyRange())
    assert contracts.capabilities().joins is False


def test_a_misspelt_name_is_answered_with_the_nearest(contracts: FilesConnector) -> None:
    with pytest.raises(ConfigError, match='Did you mean "SPARTE"'):
        contracts.read(query("EVER", "SPARTEN"), KeyRange())
    with pytest.raises(ConfigError, match='Did you mean "EVER"'):
        contracts.describe("EVR")
    with pytest.raises(ConfigError, match='Did you mean "delimiter"'):
        files(Path("."), delimeter=";")


def test_faulty_rows_and_files_are_rejected_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "EVER"
    folder.mkdir()
    (folder / "a.csv").write_text('VERTRAG,X\n1,a\n2\n,c\n4,d,e\n,f\n6,"two\nlines"\n')
    (folder / "b.csv").write_bytes(b"VERTRAG,X\n7,\xff\xfe\n")
    connector = files(tmp_path)
    assert [row[0] for row in rows(connector, query("EVER"))] == ["1", "6"]
    assert [(row["key"], row["code"]) for row in connector.rejected().to_pylist()] == [
        ("EVER/a.csv:3", "field_count"),
        ("EVER/a.csv:4", "key_missing"),
        ("EVER/a.csv:5", "field_count"),
        ("EVER/a.csv:6", "key_missing"),
        ("EVER/b.csv:1", "encoding"),
    ]


def test_a_file_fault_in_its_middle_leaves_none_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.files.formats.BLOCK", 64)
    folder = tmp_path / "EVER"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"VERTRAG,X\n" + b"".join(b"%d,a\n" % at for at in range(100)) + b"x,\xff\n")
    (folder / "b.csv").write_text("VERTRAG,X\nb,b\n")
    assert rows(files(tmp_path), query("EVER")) == [("b",)]


def test_a_broken_json_line_or_a_cut_parquet_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "J.jsonl").write_text('{"VERTRAG": "1"}\n{"VERTRAG": \n[1]\n{"VERTRAG": "2"}\n')
    connector = files(tmp_path, "jsonl")
    assert rows(connector, query("J")) == [("1",), ("2",)]
    assert connector.rejected()["line"].to_pylist() == [2, 3]
    (tmp_path / "P").mkdir()
    pq.write_table(pa.table({"VERTRAG": ["1"]}), tmp_path / "P" / "a.parquet")
    whole = (tmp_path / "P" / "a.parquet").read_bytes()
    (tmp_path / "P" / "b.parquet").write_bytes(whole[: len(whole) // 2])
    connector = files(tmp_path, "parquet")
    assert rows(connector, query("P")) == [("1",)]
    assert connector.rejected()["key"].to_pylist() == ["P/b.parquet:1"]


def test_changed_files_are_read_again(contracts: FilesConnector, tmp_path: Path) -> None:
    assert len(rows(contracts, query("EVER"))) == 4
    (tmp_path / "EVER.csv").write_text("VERTRAG,SPARTE,TEXT,NEW\n0005,01,x,y\n")
    assert rows(contracts, query("EVER", "VERTRAG", "NEW")) == [("0005", "y")]


# --- what is not let in -------------------------------------------------------------------------------------------


def test_unfinished_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("EVER.csv", "A.csv.part", ".B.csv", "C.csv.tmp"):
        (tmp_path / name).write_text("VERTRAG\n1\n")
    assert files(tmp_path, pattern="*").discover() == ["EVER"]


def test_a_file_that_has_not_rested_yet_is_left_for_later(tmp_path: Path) -> None:
    (tmp_path / "EVER.csv").write_text("VERTRAG\n1\n")
    now = (tmp_path / "EVER.csv").stat().st_mtime_ns
    settings = {"path": str(tmp_path), "format": "csv", "settle_seconds": 60}
    assert FilesConnector(settings, clock=lambda: now + 59 * 10**9).discover() == []
    assert FilesConnector(settings, clock=lambda: now + 61 * 10**9).discover() == ["EVER"]


def test_a_file_that_grows_while_it_is_read_is_withheld_until_it_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "EVER.csv").write_text("VERTRAG\n1\n")
    connector = files(tmp_path)
    whole = Csv.read

    def slowly(*given: Any) -> Iterator[Any]:
        yield from whole(*given)
        with (tmp_path / "EVER.csv").open("a") as file:
            file.write("2\n")

    monkeypatch.setattr(Csv, "read", slowly)
    assert rows(connector, query("EVER")) == []
    assert connector.rejected()["code"].to_pylist() == ["still_written"]
    monkeypatch.setattr(Csv, "read", whole)
    assert rows(connector, query("EVER")) == [("1",), ("2",)]
    assert connector.rejected().num_rows == 0


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "SECRET.csv").write_text("VERTRAG\n1\n")
    (inside / "LINK.csv").symlink_to(outside / "SECRET.csv")
    (inside / "folder").symlink_to(outside)
    (inside / "EVER.csv").write_text("VERTRAG\n1\n")
    connector = files(inside)
    assert connector.discover() == ["EVER"]
    assert [(row["file"], row["code"]) for row in connector.rejected().to_pylist()] == [
        ("LINK.csv", "outside"),
        ("folder", "outside"),
    ]
    for name in ("../out/SECRET", "/etc/passwd", "SECRET"):
        with pytest.raises(ConfigError):
            connector.describe(name)


def packed(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_an_archive_is_read_member_by_member_within_its_limits(tmp_path: Path) -> None:
    bomb = b"VERTRAG\n" + b"1\n" * 2_000_000
    packed(tmp_path / "EVER.zip", {
        "a.csv": b"VERTRAG\n1\n", "b.csv": bomb, "c.zip": b"PK\x03\x04", "d.csv": b"PK\x03\x04 in disguise",
        "../e.csv": b"VERTRAG\n2\n", "f/g.csv": b"VERTRAG\n3\n",
    })  # fmt: skip
    connector = files(tmp_path, pattern="*.zip")
    assert rows(connector, query("EVER")) == [("1",), ("3",)]
    assert {row["file"]: row["code"] for row in connector.rejected().to_pylist()} == {
        "EVER.zip/b.csv": "zip_ratio",
        "EVER.zip/c.zip": "zip_nested",
        "EVER.zip/d.csv": "zip_nested",
        "EVER.zip/e.csv": "member_path",
    }


@pytest.mark.parametrize(
    ("limit", "code"), [({"max_members": 1}, "zip_members"), ({"max_bytes": 30}, "zip_size"), ({}, "zip_damaged")]
)
def test_an_archive_beyond_its_limits_or_damaged_is_rejected(tmp_path: Path, limit: dict[str, int], code: str) -> None:
    packed(tmp_path / "A.zip", {"a.csv": b"VERTRAG\n1\n", "b.csv": b"VERTRAG\n" + b"2\n" * 20})
    if code == "zip_damaged":
        whole = (tmp_path / "A.zip").read_bytes()
        (tmp_path / "A.zip").write_bytes(whole[:40])
    (tmp_path / "B.zip").write_bytes(b"")
    (tmp_path / "C").mkdir()
    connector = FilesConnector({"path": str(tmp_path), "format": "nem12", "pattern": "A.zip", **limit})
    list(
        connector.read(
            Query((Source("T", "readings"),), (ColumnRef("T", "VALUE"),), (ColumnRef("T", "READING_ID"),)), KeyRange()
        )
    )
    assert code in connector.rejected()["code"].to_pylist()


def test_a_check_never_raises(tmp_path: Path) -> None:
    assert [check.state for check in files(tmp_path / "none").check()] == ["failed", "not tried", "not tried"]
    assert [check.state for check in files(tmp_path).check()] == ["ok", "not tried", "ok"]
    (tmp_path / "EVER.csv").write_text("VERTRAG\n")
    assert [check.state for check in files(tmp_path).check()] == ["ok", "ok", "ok"]


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_are_inserted_updated_and_a_second_write_changes_nothing(tmp_path: Path, kind: str) -> None:
    connector = files(tmp_path, kind)
    values = ["NO", "", None, "=SUM(A1)", 'quote " and, comma', "zwei\nZeilen", " ü😀 "]
    keys = [f"{at:04}" for at in range(len(values))]
    first = change("EVER", {"VERTRAG": keys, "TEXT": values})
    assert set(status(connector, first)) == {Status.INSERTED}
    assert rows(connector, query("EVER", "VERTRAG", "TEXT")) == list(zip(keys, values, strict=True))
    stamp = (tmp_path / f"EVER.{kind}").stat()
    assert set(status(connector, first)) == {Status.UNCHANGED}
    assert (tmp_path / f"EVER.{kind}").stat().st_ino == stamp.st_ino
    second = change("EVER", {"VERTRAG": ["0001", "0002", "0900"], "TEXT": ["new", None, "x"]})
    outcome = connector.write(second)
    assert outcome.status.to_pylist() == [Status.UPDATED, Status.UNCHANGED, Status.INSERTED]
    assert outcome.counts == {"EVER.inserted": 1, "EVER.updated": 1}
    assert len(rows(connector, query("EVER"))) == len(keys) + 1
    assert [path.name for path in tmp_path.iterdir()] == [f"EVER.{kind}"]


def test_columns_nobody_maps_are_left_as_they_are(contracts: FilesConnector, tmp_path: Path) -> None:
    assert status(contracts, change("EVER", {"VERTRAG": ["0001", "0099"], "SPARTE": ["09", "08"]})) == [
        Status.UPDATED, Status.INSERTED,
    ]  # fmt: skip
    assert (tmp_path / "EVER.csv").read_text() == (
        '"VERTRAG","SPARTE","TEXT"\n"0002","01","NO"\n"0001","09",\n"0010","01",""\n'
        '"0003","02","=1+1, said ""he"""\n"0099","08",\n'
    )


def test_initial_values_are_set_on_insert_only(contracts: FilesConnector) -> None:
    wanted = change("EVER", {"VERTRAG": ["0002", "0005"], "TEXT": ["other", "fresh"]}, initial=("TEXT",))
    assert status(contracts, wanted) == [Status.UNCHANGED, Status.INSERTED]
    found = dict(rows(contracts, query("EVER", "VERTRAG", "TEXT")))
    assert (found["0002"], found["0005"]) == ("NO", "fresh")


def test_another_spelling_of_the_same_value_is_left_alone(contracts: FilesConnector) -> None:
    lower = {"TEXT": lambda array: pc.utf8_lower(array)}
    assert status(contracts, change("EVER", {"VERTRAG": ["0002"], "TEXT": ["no"]}, canonical=lower)) == [
        Status.UNCHANGED
    ]
    assert rows(contracts, query("EVER", "TEXT"), KeyRange(("0002",), ("0003",))) == [("NO",)]


def test_rows_that_left_a_list_are_deleted_from_it_alone(tmp_path: Path) -> None:
    (tmp_path / "T.csv").write_text("P,N,V\n1,a,x\n1,b,x\n2,a,x\n")
    connector = files(tmp_path, key=["P", "N"])
    wanted = {"P": ["1", "1"], "N": ["b", "c"], "V": ["x", "x"]}
    outcome = connector.write(change("T", wanted, key=("P", "N"), scope=("P",), missing="delete"))
    assert outcome.counts == {"T.inserted": 1, "T.deleted": 1}
    assert rows(connector, query("T", key=("P", "N"))) == [("1", "b"), ("1", "c"), ("2", "a")]


def test_bad_rows_are_rejected_one_by_one_and_the_rest_is_written(tmp_path: Path) -> None:
    schema = pa.schema(
        [pa.field("VERTRAG", pa.int64(), False), ("BETRAG", pa.decimal128(5, 2)), pa.field("X", pa.string(), False)]
    )
    pq.write_table(schema.empty_table(), tmp_path / "EVER.parquet")
    connector = files(tmp_path, "parquet")
    wanted: dict[str, list[Any]] = {
        "VERTRAG": ["1", "2", None, "4", "4", "6"],
        "BETRAG": ["1.10", "x", "1", "1", "2", "1"],
        "X": [*"abcde", None],
    }
    outcome = connector.write(change("EVER", wanted))
    assert outcome.status.to_pylist() == [1, 3, 3, 1, 3, 3]
    problems = outcome.problems.select(["position", "column", "code"]).sort_by("position").to_pylist()
    assert [tuple(row.values()) for row in problems] == [
        (1, "BETRAG", "type"), (2, "VERTRAG", "key_missing"), (4, "VERTRAG", "duplicate key in the package"),
        (5, "X", "missing"),
    ]  # fmt: skip
    assert rows(connector, query("EVER", "VERTRAG", "BETRAG")) == [
        (1, decimal.Decimal("1.10")),
        (4, decimal.Decimal("1.00")),
    ]


def test_a_position_refused_in_one_table_is_written_to_none(tmp_path: Path) -> None:
    connector = files(tmp_path)
    head = change("HEAD", {"VERTRAG": ["1", "2"], "X": ["a", "b"]}).tables[0]
    part = change("PART", {"VERTRAG": ["1", None], "Y": ["a", "b"]}).tables[0]
    outcome = connector.write(Change("contract", 2, (head, part)))
    assert outcome.status.to_pylist() == [Status.INSERTED, Status.REJECTED]
    assert rows(connector, query("HEAD")) == rows(connector, query("PART")) == [("1",)]


def test_of_a_shared_row_the_first_position_that_is_not_refused_wins(tmp_path: Path) -> None:
    connector = files(tmp_path)
    head = change("HEAD", {"VERTRAG": [None, "2", "3"], "X": ["a", "b", "c"]}).tables[0]
    address = pa.record_batch({"VERTRAG": ["9"] * 3, "Y": ["a", "b", "c"], "position": pa.array([0, 1, 2], pa.int32())})
    connector.write(Change("contract", 3, (head, TableRows("ADRC", address, ("VERTRAG",), ("Y",), shared=True))))
    assert rows(connector, query("ADRC", "VERTRAG", "Y")) == [("9", "b")]


def test_a_dry_run_says_what_would_change_and_writes_nothing(contracts: FilesConnector, tmp_path: Path) -> None:
    wanted = dataclasses.replace(change("EVER", {"VERTRAG": ["0002", "0099"], "TEXT": ["YES", "x"]}), dry_run=True)
    outcome = contracts.write(wanted)
    assert outcome.status.to_pylist() == [Status.UPDATED, Status.INSERTED]
    assert outcome.differences is not None
    assert outcome.differences.to_pylist() == [
        {"position": 0, "table": "EVER", "column": "TEXT", "current": "NO", "wanted": "YES"}
    ]
    assert (tmp_path / "EVER.csv").read_text() == CONTRACTS
    assert os.listdir(tmp_path) == ["EVER.csv"]


def test_a_file_that_would_lose_something_is_not_rewritten(tmp_path: Path) -> None:
    (tmp_path / "EVER.csv").write_text("VERTRAG,X\n1,a\n2\n")
    with pytest.raises(DataError, match="line 3"):
        files(tmp_path).write(change("EVER", {"VERTRAG": ["1"], "X": ["b"]}))
    (tmp_path / "N.jsonl").write_text('{"VERTRAG": "1", "X": 1.10}\n')
    with pytest.raises(DataError, match="numbers or nested"):
        files(tmp_path, "jsonl").write(change("N", {"VERTRAG": ["2"], "X": ["b"]}))
    assert json.loads((tmp_path / "N.jsonl").read_text()) == {"VERTRAG": "1", "X": 1.10}
    assert sorted(os.listdir(tmp_path)) == ["EVER.csv", "N.jsonl"]


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "", "/tmp/x"])
def test_a_table_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a new file"):
        files(tmp_path).write(change(name, {"VERTRAG": ["1"], "X": ["b"]}))


def test_what_is_only_read_says_so(tmp_path: Path) -> None:
    for connector in (files(tmp_path, "nem12"), files(tmp_path, encoding="latin-1")):
        assert connector.capabilities().write is False
        with pytest.raises(ConfigError, match="only read"):
            connector.write(change("EVER", {"VERTRAG": ["1"], "X": ["b"]}))
    (tmp_path / "EVER").mkdir()
    (tmp_path / "EVER" / "1.csv").write_text("VERTRAG,X\n1,a\n")
    with pytest.raises(ConfigError, match="made of parts"):
        files(tmp_path).write(change("EVER", {"VERTRAG": ["1"], "X": ["b"]}))


def test_files_keep_no_journal_and_say_so(contracts: FilesConnector) -> None:
    assert contracts.capabilities().journal == "none"
    assert contracts.receipts("run") == {}


def test_a_killed_write_leaves_the_old_file_whole_and_the_next_one_goes_through(tmp_path: Path) -> None:
    (tmp_path / "EVER.csv").write_text(CONTRACTS)
    script = """
        import os, signal, sys
        import pyarrow as pa
        from connectors.files import FilesConnector, write
        from isthmus.connector import Change, TableRows
        write._to_disk = lambda path: os.kill(os.getpid(), signal.SIGKILL)
        rows = pa.record_batch({"VERTRAG": ["0001"], "TEXT": ["new"], "position": pa.array([0], pa.int32())})
        connector = FilesConnector({"path": sys.argv[1], "format": "csv", "key": ["VERTRAG"]})
        connector.write(Change("contract", 1, (TableRows("EVER", rows, ("VERTRAG",), ("TEXT",)),)))
    """
    root = Path(writing.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    assert (tmp_path / "EVER.csv").read_text() == CONTRACTS
    assert len(list(tmp_path.iterdir())) == 2
    connector = files(tmp_path)
    assert connector.discover() == ["EVER"]
    assert status(connector, change("EVER", {"VERTRAG": ["0001"], "TEXT": ["new"]})) == [Status.UPDATED]
    assert os.listdir(tmp_path) == ["EVER.csv"]


def test_more_changes_than_allowed_are_refused_and_nothing_is_written(
    contracts: FilesConnector, tmp_path: Path
) -> None:
    wanted = change("EVER", {"VERTRAG": ["0001", "0002", "0099"], "SPARTE": ["x", "y", "z"]})
    with pytest.raises(ConflictError, match="2 rows, 1 are allowed"):
        contracts.write(dataclasses.replace(wanted, allowance=1))
    assert (tmp_path / "EVER.csv").read_text() == CONTRACTS
    assert status(contracts, dataclasses.replace(wanted, allowance=2)) == [
        Status.UPDATED, Status.UPDATED, Status.INSERTED,
    ]  # fmt: skip


# --- what every connector keeps -----------------------------------------------------------------------------------


class FilesSuite(ConnectorSuite):
    """The inherited suite, on a folder that holds the scratch tables without a row."""

    kind: str
    more: Mapping[str, object] = {}

    @pytest.fixture
    def scratch(self) -> Scratch:
        return Scratch(number=None)

    @pytest.fixture
    def connector(self, tmp_path: Path, place: Place, scratch: Scratch) -> Iterator[FilesConnector]:
        place(scratch.table, self.rows(scratch, []))
        place(scratch.item or "", self.items(scratch, []))
        keys = {scratch.table: [scratch.key], scratch.item: [scratch.key, scratch.line]}
        connector = files(tmp_path, self.kind, keys, **self.more)
        yield connector
        connector.close()

    def test_a_refused_position_leaves_all_its_tables_and_its_list_alone(
        self, writer: Connector, scratch: Scratch
    ) -> None:
        """No text of a file has a length, so a missing key is what refuses the position here."""
        first, second = ids(2)
        writer.write(self.listed(scratch, self.rows(scratch, ids(2)), [(first, "1", "a"), (second, "1", "b")], [0, 1]))
        root = self.rows(scratch, [first, second])
        root = root.set_column(0, scratch.key, pa.array([None, second]))
        outcome = writer.write(self.listed(scratch, root, [(first, "2", "x"), (second, "2", "y")], [0, 1]))
        assert outcome.status.to_pylist() == [Status.REJECTED, Status.UPDATED]
        assert self.lines(writer, scratch) == [(first, "1"), (second, "2")]


class TestCsvKeepsTheProtocol(FilesSuite):
    kind = "csv"

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return lambda table, rows: pacsv.write_csv(rows, tmp_path / f"{table}.csv")

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> tuple[Connector, str]:
        return files(tmp_path / "nowhere"), "nothing secret"


class TestParquetKeepsTheProtocol(FilesSuite):
    kind = "parquet"

    @pytest.fixture
    def scratch(self) -> Scratch:
        return Scratch()

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return lambda table, rows: pq.write_table(rows, tmp_path / f"{table}.parquet")


class TestJsonLinesKeepTheProtocol(FilesSuite):
    kind = "jsonl"
    more = {"columns": {"SCRATCH": ["ID", "NAME", "DAY"], "SCRATCH_ITEM": ["ID", "LINE", "VALUE"]}}  # noqa: RUF012

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        def put(table: str, rows: pa.Table) -> None:
            lines = [json.dumps(row) + "\n" for row in rows.to_pylist()]
            (tmp_path / f"{table}.jsonl").write_text("".join(lines))

        return put
