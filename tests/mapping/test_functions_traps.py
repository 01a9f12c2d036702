"""What SAP's columns hold in practice, function by function."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from isthmus.mapping.functions import Step
from tests.mapping.shown import failed, read, shown, step, text


def faults(bound: Step, *columns: pa.Array) -> list[bool]:
    """Return which rows cannot be read."""
    return failed(bound.read(columns).fault, len(columns[0]))


def written(bound: Step, *columns: pa.Array) -> list[list[str | None]]:
    """Return what is written, one list per raw column."""
    assert bound.write is not None
    return [shown(array) for array in bound.write(columns).arrays]


def refused(bound: Step, *columns: pa.Array) -> list[bool]:
    """Return which rows cannot be written."""
    assert bound.write is not None
    return failed(bound.write(columns).fault, len(columns[0]))


# --- keys ---------------------------------------------------------------------------------------------------------


def test_padded_strips_zeros_of_digits_alone() -> None:
    raw = text("0000004711", "00A1", " 0042  ", "0000000000", "", "   ", None, "٠٠١٢", "00 12")
    assert read(step("padded", "10"), raw) == ["4711", "00A1", "42", None, None, None, None, "٠٠١٢", "00 12"]


def test_padded_writes_digits_padded_and_refuses_what_does_not_fit() -> None:
    model = text("4711", "A1", None, "12345", "ABCDE", "012", "é123")
    assert written(step("padded", "4"), model) == [["4711", "A1", "", "", "", "", "é123"]]
    assert refused(step("padded", "4"), model) == [False, False, False, True, True, True, False]


def test_a_zero_guid_is_nothing_and_a_short_one_a_fault() -> None:
    raw = pa.array([bytes(16), bytes(range(16)), b"short", None, b""], pa.binary())
    assert read(step("guid", "raw"), raw) == [None, "000102030405060708090A0B0C0D0E0F", None, None, None]
    assert faults(step("guid", "raw"), raw) == [False, False, True, False, False]
    fixed = pa.array([bytes(16), bytes(range(16))], pa.binary(16)).slice(1)
    assert read(step("guid", "raw"), fixed) == ["000102030405060708090A0B0C0D0E0F"]


def test_nothing_is_written_as_sixteen_zero_bytes() -> None:
    bound = step("guid", "raw")
    assert bound.write is not None
    assert bound.write((text(None, "F" * 32, "f" * 32),)).array.to_pylist() == [bytes(16), b"\xff" * 16, bytes(16)]
    assert refused(bound, text(None, "F" * 32, "f" * 32)) == [False, False, True]


def test_the_three_spellings_of_a_guid_are_one_value() -> None:
    model = text("0050568D25CA1ED78B8C1B4F3F8B20B2")
    for spelling in ("hex", "c22"):
        (raw,) = written(step("guid", spelling), model)
        assert len(raw[0] or "") == (22 if spelling == "c22" else 32)
        assert read(step("guid", spelling), text(*raw)) == model.to_pylist()
    assert faults(step("guid", "c22"), text("0123456789abcdefghijk!", "zzzzzzzzzzzzzzzzzzzzzz", "")) == [
        True,
        True,
        False,
    ]


# --- dates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        "20230231",
        "2023021",
        "202302281",
        "2023O228",
        "19000229",
        "20230001",
        "20230132",
        "00000101",
        "٢٠٢٣٠٢٢٨",
        "-2023022",
    ],
)
def test_what_is_no_day_of_the_calendar_is_a_fault(raw: str) -> None:
    result = step("date").read((text("20240229", raw, ""),))
    assert shown(result.array) == ["2024-02-29", None, None]
    assert failed(result.fault, 3) == [False, True, False]


def test_an_initial_date_is_nothing() -> None:
    assert read(step("date"), text("00000000", "", "        ", None, "20240101  ")) == [None] * 4 + ["2024-01-01"]
    assert faults(step("date"), text("00000000", "", "        ", None)) == [False] * 4


def test_99991231_is_a_date_unless_the_end_is_open() -> None:
    assert read(step("date"), text("99991231")) == ["9999-12-31"]
    assert read(step("date", "open"), text("99991231", "00000000", "99991230")) == [None, None, "9999-12-30"]
    assert written(step("date", "open"), pa.array([None, date(2024, 1, 1)], pa.date32())) == [["99991231", "20240101"]]
    assert refused(step("date", "open"), pa.array([date(9999, 12, 31)])) == [True]


def test_a_date_beyond_the_year_9999_is_refused_not_raised() -> None:
    days = pa.array([2932897, -719163, -719162], pa.int32()).view(pa.date32())
    assert refused(step("date"), days) == [True, True, False]
    assert written(step("date"), days) == [["00000000", "00000000", "00010101"]]


def test_times_have_two_lengths_and_no_hour_24() -> None:
    raw = text("235959", "1230", "000000", "", "240000", "12305", "126000", "12:30", None)
    found = ["23:59:59", "12:30:00", "00:00:00", None, None, None, None, None, None]
    assert read(step("time"), raw) == found
    assert faults(step("time"), raw) == [False] * 4 + [True] * 4 + [False]
    assert refused(step("time", "hhmm"), pa.array([3600, 3601], pa.time32("s"))) == [False, True]


def test_a_time_that_clocks_skip_is_a_fault_and_of_a_double_hour_the_first_is_read() -> None:
    bound = step("moment", "Europe/Berlin")
    dates, times = text("20240331", "20241027", "00000000"), text("023000", "023000", "120000")
    assert read(bound, dates, times) == [None, "2024-10-27T00:30:00Z", None]
    assert faults(bound, dates, times) == [True, False, False]
    twice = pa.array([datetime(2024, 10, 27, hour, 30, tzinfo=UTC) for hour in (0, 1)], pa.timestamp("s", "UTC"))
    assert refused(bound, twice) == [False, True]


def test_a_stamp_is_read_from_decimals_integers_and_text() -> None:
    numbers = [20240101123000, 0, 20240230000000, 20240101240000, None]
    for column in (
        pa.array([None if n is None else Decimal(n) for n in numbers], pa.decimal128(15, 0)),
        pa.array([None if n is None else Decimal(n) for n in numbers], pa.decimal128(24, 3)),
        pa.array(numbers, pa.int64()),
        pa.array([None if n is None else str(n) for n in numbers]),
    ):
        assert read(step("stamp"), column) == ["2024-01-01T12:30:00Z", None, None, None, None]
        assert faults(step("stamp"), column) == [False, False, True, True, False]
        assert read(step("stamp"), column.slice(1)) == [None, None, None, None]


# --- periods ------------------------------------------------------------------------------------------------------


def test_an_open_slice_never_reaches_the_year_10000() -> None:
    result = step("days").read((text("20240101", "20240101", "00000000"), text("99991231", "99991230", "20231231")))
    assert result.fault is None
    assert [shown(array) for array in result.arrays] == [
        ["2024-01-01", "2024-01-01", None],
        [None, "9999-12-31", "2024-01-01"],
    ]


def test_a_fault_in_one_bound_takes_both() -> None:
    result = step("days").read((text("20240101", "20240101"), text("20240231", "20240229")))
    assert [shown(array) for array in result.arrays] == [[None, "2024-01-01"], [None, "2024-03-01"]]
    assert failed(result.fault, 2) == [True, False]


def test_an_open_end_is_told_by_its_date_and_written_with_its_time() -> None:
    columns = text("20240101"), text("000000"), text("99991231"), text("000000")
    result = step("moments").read(columns)
    assert [shown(array) for array in result.arrays] == [["2024-01-01T00:00:00Z"], [None]]
    assert written(step("moments"), *result.arrays) == [["20240101"], ["000000"], ["99991231"], ["235959"]]


def test_the_end_of_a_day_in_a_zone_is_the_start_of_the_next() -> None:
    columns = text("20240701"), text("000000"), text("20240731"), text("235959")
    result = step("moments", "Europe/Berlin").read(columns)
    assert [shown(array) for array in result.arrays] == [["2024-06-30T22:00:00Z"], ["2024-07-31T22:00:00Z"]]
    assert written(step("moments", "Europe/Berlin"), *result.arrays) == [column.to_pylist() for column in columns]


# --- numbers ------------------------------------------------------------------------------------------------------


def test_decimals_are_exact_or_refused() -> None:
    raw = text(
        "12.50-", " 0012.5 ", "12.500", "12.505", "1E3", "", "123456789012.00", "1,5", ".5", "-", "1." + "0" * 60
    )
    found = ["-12.50", "12.50", "12.50", None, None, None, None, None, "0.50", None, None]
    assert read(step("decimal", "13.2"), raw) == found
    assert faults(step("decimal", "13.2"), raw) == [False] * 3 + [True, True, False, True, True, False, True, True]


def test_decimals_of_another_scale_are_fitted_without_rounding() -> None:
    raw = pa.array([Decimal("1.500"), Decimal("1.505"), Decimal("99999.000"), None], pa.decimal128(10, 3))
    assert read(step("decimal", "5.2"), raw) == ["1.50", None, None, None]
    assert faults(step("decimal", "5.2"), raw) == [False, True, True, False]
    assert refused(step("decimal", "5.2"), raw) == [False, True, True, False]


def test_floating_point_is_no_source_of_decimals() -> None:
    for name, args in (("decimal", ("13.2",)), ("integer", ()), ("stamp", ())):
        with pytest.raises(TypeError, match="floating point"):
            step(name, *args).read((pa.array([0.1]),))


def test_a_numc_column_is_a_number_with_zeros_in_front() -> None:
    assert read(step("integer", "4"), text("0042", "0000", "", "004A", "-001")) == ["42", "0", None, None, None]
    assert written(step("integer", "4"), pa.array([42, None, 10000, -1])) == [["0042", "0000", "0000", "0000"]]
    assert refused(step("integer", "4"), pa.array([42, None, 10000, -1])) == [False, False, True, True]


def test_a_reading_is_split_at_the_point() -> None:
    bound = step("whole_and_fraction")
    model = pa.array([Decimal("1234.5"), Decimal("-0.25"), None], pa.decimal128(31, 14))
    assert written(bound, model) == [["1234", "0", "0"], ["0.50000000000000", "-0.25000000000000", "0.00000000000000"]]
    assert read(bound, text("1234", None), text(".5", None)) == ["1234.50000000000000", None]


# --- codes --------------------------------------------------------------------------------------------------------


def test_every_spelling_is_read_and_the_first_is_written() -> None:
    bound = step("code", "division")
    assert read(bound, text("01", "07 ", "02", "", None, "99")) == [
        "electricity",
        "electricity",
        "gas",
        None,
        None,
        None,
    ]
    assert faults(bound, text("01", "07 ", "02", "", None, "99")) == [False] * 5 + [True]
    assert written(bound, text("electricity", "gas", None, "water")) == [["01", "02", "", ""]]
    assert refused(bound, text("electricity", "gas", None, "water")) == [False, False, False, True]
    assert bound.expects == "one of 01, 07, 02 (code table division)"
    assert bound.expects_model == "one of electricity, gas (code table division)"


def test_two_columns_make_one_code_and_blank_may_mean_something() -> None:
    bound = step("code", "region", columns=2)
    assert read(bound, text("DE", "AT ", "", "XX", None), text("8", "W", "", "", None))[:3] == [
        "baden",
        "vienna",
        "abroad",
    ]
    assert faults(bound, text("DE", "XX", None), text("8", "", None)) == [False, True, False]
    assert written(bound, text("baden", "abroad")) == [["DE", ""], ["08", ""]]
    assert step("code", "region").inputs == 2


def test_an_unknown_spelling_may_have_a_way_out() -> None:
    assert read(step("code", "kind"), text("1", "7", "")) == ["main", "other", None]


def test_a_flag_is_x_or_blank() -> None:
    assert read(step("flag"), text("X", "", " ", "x", "N", None)) == ["yes", "no", "no", None, None, None]
    assert faults(step("flag"), text("X", "", " ", "x", "N", None)) == [False, False, False, True, True, False]


def test_present_means_neither_blank_nor_zero_bytes() -> None:
    assert read(step("present"), text("a", "", "  ", None)) == ["yes", "no", "no", "no"]
    assert read(step("present"), pa.array([bytes(16), b"\xff" * 16, None], pa.binary(16))) == ["no", "yes", "no"]


def test_a_default_stands_for_blank_and_for_nothing() -> None:
    assert read(step("default", "UTC"), text("CET", "", " ", None)) == ["CET", "UTC", "UTC", "UTC"]


# --- text ---------------------------------------------------------------------------------------------------------


def test_lines_wrap_at_blanks_and_refuse_what_does_not_fit() -> None:
    bound = step("lines", "10", columns=2)
    model = text(
        "one two three four", "a", None, "averyveryverylongword", "0123456789 0123456789", "one two three four five"
    )
    assert written(bound, model) == [
        ["one two", "a", "", "", "0123456789", ""],
        ["three four", "", "", "", "0123456789", ""],
    ]
    assert refused(bound, model) == [False, False, False, True, False, True]
    assert read(bound, text("one", "", None), text("two", "two", None)) == ["one two", "two", None]


def test_a_joined_part_must_not_hold_the_separator() -> None:
    bound = step("join", "/", columns=2)
    assert read(bound, text("DE", "D/E", "", "A"), text("08", "08", "", "")) == ["DE/08", None, None, "A/"]
    assert faults(bound, text("DE", "D/E", "", "A"), text("08", "08", "", "")) == [False, True, False, False]
    assert refused(bound, text("DE/08", "DE", "D/E/08", None, "/")) == [False, True, True, False, True]
    double = step("join", "--", columns=2)
    assert faults(double, text("a-", "a"), text("b", "b")) == [True, False]
