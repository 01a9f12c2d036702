"""Calendar arithmetic on whole arrays: digits to numbers, numbers to days, and back.

A date is the number YYYYMMDD or the count of days since 1970-01-01; years run from 1 to 9999.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from isthmus.mapping.functions.arrays import Bytes, Ints, Mask, from_matrix

_MONTHS = np.arange(10000 * 12 + 1).astype("timedelta64[M]") + np.datetime64("0000-01", "M")
_FIRST = _MONTHS.astype("datetime64[D]").astype(np.int64)  # day number of the first of each month since year 0
_LENGTH = np.diff(_FIRST)
_EPOCH_MONTH = 1970 * 12
_NAMES = np.array([(year * 100 + month) * 100 + 1 for year in range(10000) for month in range(1, 13)])  # YYYYMM01
FIRST_DAY = int(_FIRST[12])  # 0001-01-01
LAST_DAY = int(_FIRST[-1]) - 1  # 9999-12-31
OPEN = 99991231  # SAP's spelling of "no end"
DAY = 86400
_FOUR = np.array([f"{number:04d}".encode() for number in range(10000)], dtype="S4").view(np.uint32)

_ZEROS = np.uint64(0x3030303030303030)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)


def eight_digits(rows: Bytes) -> tuple[Ints, Mask]:
    """Return bytes of shape (rows, 8) as numbers, and a mask of the rows that are ASCII digits throughout."""
    word = rows.view("<u8").reshape(-1).astype(np.uint64)
    digits = ((word & _HIGH) == _ZEROS) & (((word + _SIXES) & _HIGH) == _ZEROS)
    # Neighbours are added in pairs, three times: 8 digits cost 3 multiplications.
    word = ((word & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561)) >> np.uint64(8)
    word = ((word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    word = ((word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return word.view(np.int64), digits


def spell(numbers: Ints, width: int) -> pa.StringArray:
    """Return numbers of at most 8 digits as text with leading zeros, `width` (at most 8) digits each."""
    pairs = np.empty((len(numbers), 2), np.uint32)
    pairs[:, 0] = _FOUR[numbers // 10000]
    pairs[:, 1] = _FOUR[numbers % 10000]
    return from_matrix(pairs.view(np.uint8).reshape(-1, 8)[:, 8 - width :])


def days_of(dates: Ints) -> tuple[Ints, Mask]:
    """Return YYYYMMDD numbers as days since 1970-01-01 and a mask of those that are real days (0 elsewhere)."""
    year_month, day = dates // 100, dates % 100
    year, month = year_month // 100, year_month % 100
    real = (year >= 1) & (month >= 1) & (month <= 12) & (year <= 9999)
    index = np.where(real, year * 12 + month - 1, 0)
    real &= (day >= 1) & (day <= _LENGTH[index])
    return np.where(real, _FIRST[index] + day - 1, 0), real


def dates_of(days: npt.NDArray[np.integer]) -> tuple[Ints, Mask]:
    """Return days since 1970-01-01 as YYYYMMDD numbers and a mask of those in the years 1 to 9999 (0 elsewhere)."""
    real: Mask = (days >= FIRST_DAY) & (days <= LAST_DAY)
    whole = np.where(real, days, 0).astype("datetime64[D]")
    months = whole.astype("datetime64[M]")
    day = (whole - months.astype("datetime64[D]")).astype(np.int64)
    dates: Ints = np.where(real, _NAMES[months.astype(np.int64) + _EPOCH_MONTH] + day, 0)
    return dates, real


def seconds_of(times: Ints) -> tuple[Ints, Mask]:
    """Return HHMMSS numbers as seconds of the day and a mask of those that are a time; 240000 is none."""
    hours, minutes, seconds = times // 10000, times // 100 % 100, times % 100
    real = (hours <= 23) & (minutes <= 59) & (seconds <= 59) & (times >= 0)
    return np.where(real, (hours * 60 + minutes) * 60 + seconds, 0), real


def times_of(seconds: npt.NDArray[np.integer]) -> Ints:
    """Return seconds of the day (0 to 86399) as HHMMSS numbers."""
    seconds = seconds.astype(np.int64, copy=False)
    times: Ints = (seconds // 3600 * 100 + seconds // 60 % 60) * 100 + seconds % 60
    return times
