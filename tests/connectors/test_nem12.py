"""Meter data: every real file, and the faults a file can have."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from connectors.files import FilesConnector
from isthmus.connector import ColumnRef, Comparison, KeyRange, Keys, Query, Source, Where

REAL = Path(__file__).parent.parent / "data" / "nem12"
VALID = sorted(
    str(path.relative_to(REAL))
    for path in REAL.rglob("*")
    if path.suffix.lower() in (".zip", ".csv") and path.parent.name != "invalid"
)
HEADER = "100,NEM12,200405011135,MDA1,Ret1"


def reader(folder: Path, *patterns: str, **more: object) -> FilesConnector:
    settings: dict[str, object] = {"path": str(folder), "format": "nem12", **more}
    return FilesConnector({**settings, "pattern": list(patterns)} if patterns else settings)


def query(*columns: str, where: tuple[Comparison, ...] = ()) -> Query:
    refs = tuple(ColumnRef("R", name) for name in columns or ("READING_ID", "VALUE"))
    return Query((Source("R", "readings"),), refs, (ColumnRef("R", "READING_ID"),), where)


def rows(connector: FilesConnector, asked: Query | None = None, where: Where | None = None) -> pa.Table:
    asked = asked or query(*(column.name for column in connector.describe("readings").columns))
    schema = pa.schema([(str(ref), pa.string()) for ref in asked.columns])
    found = pa.Table.from_batches(list(connector.read(asked, where or KeyRange())), schema=schema)
    return found.rename_columns([name.removeprefix("R.") for name in found.column_names])


def faults(connector: FilesConnector) -> list[tuple[int, str]]:
    return [(row["line"], row["code"]) for row in connector.rejected().to_pylist()]


def day(
    values: int = 48, quality: str = "A", date: str = "20240101", value: str = "1.5", stamp: str = "20240102000000"
) -> str:
    return f"300,{date},{','.join([value] * values)},{quality},,,{stamp},"


def meter(
    folder: Path, *records: str, name: str = "one.csv", stream: str = "200,NMI1,E1,1,E1,N1,M1,kWh,30,"
) -> FilesConnector:
    (folder / name).write_text("\n".join([HEADER, stream, *records, "900", ""]))
    return reader(folder)


def plain_texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() != ".zip":
        yield path.read_text()
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield archive.read(name).decode()


def counted_by_hand(text: str) -> tuple[int, float]:
    """Count and sum the quantities of a file with nothing but split: what the parser must find."""
    number, total, intervals = 0, 0.0, 0
    for fields in (line.strip().split(",") for line in text.splitlines()):
        if fields[0] == "200":
            intervals = 24 * 60 // int(fields[8])
        elif fields[0] == "300":
            number += intervals
            total += sum(float(value) for value in fields[2 : 2 + intervals])
        elif fields[0] == "250":
            number += 1
            total += float(fields[18])
    return number, total


@pytest.mark.parametrize("name", VALID)
def test_every_real_file_is_read_completely(name: str) -> None:
    connector = reader(REAL, name)
    found = rows(connector)
    expected = [counted_by_hand(text) for text in plain_texts(REAL / name)]
    assert faults(connector) == []
    assert found.num_rows == sum(number for number, _ in expected) > 0
    assert pc.sum(found["VALUE"].cast(pa.float64())).as_py() == pytest.approx(sum(total for _, total in expected))
    assert pc.count_distinct(found["READING_ID"]).as_py() == found.num_rows


def test_all_real_files_together_are_ordered_unique_and_cut_without_gap_or_overlap() -> None:
    connector = reader(REAL)
    whole = rows(connector)
    ids = whole["READING_ID"].to_pylist()
    assert ids == sorted(set(ids))
    assert set(whole["KIND"].to_pylist()) == {"interval", "accumulated"}
    parts = connector.partitions(query(), 1000)
    assert len(parts) > 10
    assert sum(part.rows or 0 for part in parts) == len(ids)
    assert [rows(connector, query("READING_ID"), part)["READING_ID"].to_pylist() for part in parts] == [
        ids[at : at + (part.rows or 0)]
        for at, part in zip([sum(p.rows or 0 for p in parts[:n]) for n in range(len(parts))], parts, strict=True)
    ]
    inner = connector.partitions(query(), 100, parts[3])
    assert (inner[0].low, inner[-1].high) == (parts[3].low, parts[3].high)
    assert sum(rows(connector, query(), part).num_rows for part in inner) == parts[3].rows


def test_ranges_and_keys_may_begin_anywhere_in_a_day() -> None:
    connector = reader(REAL)
    ids = rows(connector, query("READING_ID"))["READING_ID"].to_pylist()
    for low, high in [(5, 17), (100, 101), (4000, 9003)]:
        found = rows(connector, query("READING_ID"), KeyRange((ids[low],), (ids[high],)))
        assert found["READING_ID"].to_pylist() == ids[low:high]
    accumulated = next(one for one in ids if one.startswith("NEM1311"))
    wanted = sorted([ids[7], ids[-1], accumulated])
    found = rows(connector, query("READING_ID"), Keys((pa.array([*reversed(wanted), "no/such/E1/20240101000000"]),)))
    assert found["READING_ID"].to_pylist() == wanted


def test_a_filter_on_a_reading_is_answered_exactly() -> None:
    connector = reader(REAL)
    substituted = Comparison(ColumnRef("R", "QUALITY"), "=", "F")
    found = rows(connector, query("QUALITY", "METHOD", where=(substituted,)))
    assert set(found["QUALITY"].to_pylist()) == {"F"}
    assert found.num_rows == rows(connector, query("QUALITY"))["QUALITY"].to_pylist().count("F")
    parts = connector.partitions(query(where=(substituted,)), 100)
    assert sum(part.rows or 0 for part in parts) == found.num_rows


def test_a_reading_carries_the_file_s_own_spelling() -> None:
    name = "NEM12#08150_05031502#WBAYM#NEMMCO.zip"
    found = rows(reader(REAL / "nem12", name)).to_pylist()
    first, faulty = found[0], found[22]
    assert first == first | {
        "READING_ID": "NEM1208150/08150/E1/20050315000000", "KIND": "interval", "NMI": "NEM1208150", "SERIAL": "08150",
        "REGISTER_ID": "", "SUFFIX": "E1", "STREAM": "N1", "UNIT": "kWh", "START": "20050315000000",
        "END": "20050315003000", "VALUE": "91.56", "QUALITY": "A", "METHOD": "", "UPDATED_AT": "20050422164610",
        "FILE": f"{name}/NEM12#08150_05031502#WBAYM#NEMMCO.V01", "LINE": "3",
    }  # fmt: skip
    assert (faulty["QUALITY"], faulty["METHOD"], faulty["REASON"], faulty["REASON_TEXT"]) == (
        "S", "14", "76", "Communications Fault",
    )  # fmt: skip
    assert found[47]["END"] == "20050316000000"


def test_an_accumulated_reading_has_both_register_readings() -> None:
    (found,) = rows(reader(REAL / "unzipped", "Example_NEM13_consumption_data.csv")).to_pylist()
    assert found == found | {
        "READING_ID": "VABC005890/METSER123/11/20031005093055", "KIND": "accumulated", "START": "20031005093055",
        "END": "20040107100333", "VALUE": "1312.1", "PREVIOUS_READ": "006342.8", "CURRENT_READ": "007654.9",
        "DIRECTION": "E", "QUALITY": "A", "UPDATED_AT": "20040108100333", "LOADED_AT": "20040108091133",
    }  # fmt: skip


INVALID = {
    "Example_NEM12_15min_200_30min_400.csv": ([(3, "event_coverage")], 0),
    "Example_NEM12_30min_200_15min_400.csv": ([(3, "interval_count"), (4, "event_quality"), (5, "event_range")], 0),
    "Example_NEM12_incomplete_interval.csv": ([(3, "interval_count")], 3 * 48),
    "Example_NEM12_powercor.csv": ([(2, "header_missing"), *((at, "after_end") for at in range(8, 13))], 0),
    "Example_NEM12_powercor_missing_fields.csv": (
        [
            (2, "header_missing"),
            (3, "fields_missing"),
            (5, "fields_missing"),
            *((at, "after_end") for at in range(8, 13)),
        ],
        0,
    ),
}


@pytest.mark.parametrize("name", sorted(INVALID))
def test_every_invalid_real_file_is_judged_by_record_and_its_good_records_go_on(name: str) -> None:
    connector = reader(REAL / "invalid", name)
    found = rows(connector)
    expected, kept = INVALID[name]
    rejected = [
        (row["line"], row["code"]) for row in sorted(connector.rejected().to_pylist(), key=lambda row: row["line"])
    ]
    assert rejected == expected
    assert found.num_rows == kept
    assert {row["key"] for row in connector.rejected().to_pylist()} == {f"{name}:{line}" for line, _ in expected}


def test_every_invalid_file_has_been_judged() -> None:
    assert set(INVALID) == {path.name for path in (REAL / "invalid").iterdir()}


def test_the_count_that_was_found_and_the_count_expected_are_told() -> None:
    connector = reader(REAL / "invalid", "Example_NEM12_incomplete_interval.csv")
    rows(connector)
    (row,) = connector.rejects().to_pylist()
    assert row["message"] == "the 300 record has 0 values, 48 are expected for intervals of 30 minutes"


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([day(47)], "interval_count"),
        ([day(96)], "interval_count"),
        ([day(date="20230231")], "date"),
        ([day(value="1,5")], "interval_count"),
        ([day(value="1e3")], "value"),
        ([day(value="abc")], "value"),
        ([day(value="")], "value_missing"),
        ([day(quality="X")], "quality"),
        ([day(quality="E")], "quality"),
        ([day(stamp="20241301000000")], "update_time"),
        ([day() + ",more"], "fields_extra"),
        ([day(quality="V")], "event_coverage"),
        ([day(quality="V"), "400,1,48,V,,"], "event_quality"),
        ([day(quality="V"), "400,1,30,A,,", "400,30,48,F14,1,"], "event_overlap"),
        ([day(quality="V"), "400,1,20,A,,", "400,22,48,F14,1,"], "event_coverage"),
        ([day(quality="V"), "400,0,48,A,,"], "event_range"),
        ([day(quality="V"), "400,x,48,A,,"], "event_range"),
        ([day(quality="V"), "400,1,49,A,,"], "event_range"),
        ([day(quality="V"), "400,1,48"], "fields_missing"),
        (["250" + "," * 22], "header_mismatch"),
        (["777,what"], "record_type"),
        (["200,NMI1,E1,1,E1,N1,M1,kWh,20,"], "interval_length"),
        (["200,NMI1,E1,1"], "fields_missing"),
    ],
)
def test_a_faulty_record_is_rejected_and_its_neighbours_go_on(tmp_path: Path, records: list[str], code: str) -> None:
    good = day(date="20240301")
    connector = meter(tmp_path, good, *records, "200,NMI2,E1,1,E1,N1,M2,kWh,15,", day(96, date="20240301"))
    found = rows(connector)
    assert code in {one for _, one in faults(connector)}
    assert found.num_rows == 48 + 96
    assert set(found["NMI"].to_pylist()) == {"NMI1", "NMI2"}


def test_the_days_of_a_rejected_stream_are_named_one_by_one(tmp_path: Path) -> None:
    connector = meter(tmp_path, day(), day(date="20240102"), stream="200,NMI1,E1,1,E1,N1,M1,kWh,7,")
    assert rows(connector).num_rows == 0
    assert faults(connector) == [(2, "interval_length"), (3, "stream_rejected"), (4, "stream_rejected")]


def test_no_value_nor_identifier_stands_in_a_message(tmp_path: Path) -> None:
    connector = meter(tmp_path, day(value="SECRET"), day(date="SECRET"), "SECRET,1", day(quality="SECRET"))
    rows(connector)
    assert connector.rejected().num_rows >= 4
    assert not any("SECRET" in row["message"] or "NMI1" in row["message"] for row in connector.rejected().to_pylist())


def test_a_blank_value_is_missing_where_the_quality_is_no_data(tmp_path: Path) -> None:
    values = ",".join(["1"] * 10 + [""] * 38)
    connector = meter(tmp_path, f"300,20240101,{values},V,,,20240102000000,", "400,1,10,A,,", "400,11,48,N,,")
    found = rows(connector)
    assert faults(connector) == []
    assert (found.num_rows, found["VALUE"].null_count) == (48, 38)


@pytest.mark.parametrize(("minutes", "count"), [(1, 1440), (5, 288), (10, 144), (15, 96), (30, 48)])
def test_every_interval_length_fills_the_day(tmp_path: Path, minutes: int, count: int) -> None:
    found = rows(meter(tmp_path, day(count), stream=f"200,NMI1,E1,1,E1,N1,M1,kWh,{minutes},"))
    starts, ends = found["START"].to_pylist(), found["END"].to_pylist()
    assert len(starts) == count
    assert starts[0] == "20240101000000"
    assert ends == [*starts[1:], "20240102000000"]
    assert starts[1] == f"20240101{minutes // 60:02}{minutes % 60:02}00"


def test_the_newest_delivery_of_a_day_wins_whole_and_the_others_are_counted(tmp_path: Path) -> None:
    meter(tmp_path, day(value="1", stamp="20240105000000"), name="b.csv")
    meter(tmp_path, day(value="2", stamp="20240103000000"), name="c.csv")
    finer = meter(
        tmp_path, day(96, value="3", stamp="202401060000"), name="a.csv", stream="200,NMI1,E1,1,E1,N1,M1,kWh,15,"
    )
    found = rows(finer)
    assert set(found["VALUE"].to_pylist()) == {"3"}
    assert (found.num_rows, finer.superseded()) == (96, 96)


def test_of_equal_update_times_the_last_file_by_name_wins(tmp_path: Path) -> None:
    meter(tmp_path, day(value="2"), name="b.csv")
    connector = meter(tmp_path, day(value="1"), name="a.csv")
    assert set(rows(connector)["FILE"].to_pylist()) == {"b.csv"}
    assert connector.superseded() == 48


def test_a_rejected_delivery_does_not_replace_a_good_one(tmp_path: Path) -> None:
    meter(tmp_path, day(value="1", stamp="20240105000000"), name="a.csv")
    connector = meter(tmp_path, day(47, value="2", stamp="20250105000000"), name="b.csv")
    assert set(rows(connector)["VALUE"].to_pylist()) == {"1"}


def test_a_second_header_and_a_missing_end_are_only_warned_of(tmp_path: Path) -> None:
    part = [HEADER, "200,NMI1,E1,1,E1,N1,M1,kWh,30,"]
    (tmp_path / "one.csv").write_text("\r\n".join([*part, day(), "900", *part, day(date="20240102")]))
    connector = reader(tmp_path)
    assert rows(connector).num_rows == 96
    assert faults(connector) == []
    assert [row["code"] for row in connector.warnings().to_pylist()] == ["header_again", "end_missing"]


def test_other_files_are_rejected_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear reader,\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "other.csv").write_text("100,NEM99,202401010000,A,B\n200,NMI1,E1,1,E1,N1,M1,kWh,30,\n" + day())
    connector = meter(tmp_path, day())
    assert rows(connector).num_rows == 48
    assert {(row["file"], row["code"]) for row in connector.rejected().to_pylist()} == {
        ("notes.txt", "not_meter_data"), ("nothing.csv", "empty"), ("other.csv", "header_unknown"),
    }  # fmt: skip


def test_an_interval_file_may_not_bring_accumulated_readings_nor_the_other_way(tmp_path: Path) -> None:
    real = (REAL / "unzipped" / "Example_NEM13_consumption_data.csv").read_text()
    (tmp_path / "mixed.csv").write_text(real.replace("900", "200,NMI1,E1,1,E1,N1,M1,kWh,30,\n" + day() + "\n900"))
    connector = reader(tmp_path)
    assert rows(connector)["KIND"].to_pylist() == ["accumulated"]
    assert faults(connector) == [(3, "header_mismatch"), (4, "header_mismatch")]


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [(18, "x", "value"), (8, "x", "value"), (14, "20040231000000", "date"), (14, "20030101000000", "period"),
     (15, "V", "quality"), (1, "", "fields_missing"), (21, "soon", "update_time")],
)  # fmt: skip
def test_a_faulty_accumulated_reading_is_rejected_alone(tmp_path: Path, field: int, text: str, code: str) -> None:
    lines = (REAL / "unzipped" / "Example_NEM13_consumption_data.csv").read_text().splitlines()
    fields = lines[1].split(",")
    fields[field] = text
    (tmp_path / "one.csv").write_text("\n".join([lines[0], ",".join(fields), lines[1], "900"]))
    connector = reader(tmp_path)
    assert rows(connector).num_rows == 1
    assert faults(connector) == [(2, code)]


def test_values_are_the_same_whatever_the_block_a_record_falls_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        day(date=f"202401{at:02}", value=str(at), quality="V") + "\n400,1,20,A,,\n400,21,48,F14,76,Fault"
        for at in range(1, 29)
    ]
    whole = rows(meter(tmp_path, *records))
    monkeypatch.setattr("connectors.files.formats.BLOCK", 701)
    assert rows(reader(tmp_path)).equals(whole)
