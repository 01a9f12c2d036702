"""Dates, times and moments in SAP's spellings: DATS, TIMS and DEC 15 stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import choice, no_arguments, zone
from isthmus.mapping.functions.arrays import (
    Ints,
    Mask,
    as_mask,
    as_text,
    faults,
    lengths,
    matrix,
    numbers_of,
    stripped,
    typed,
)
from isthmus.mapping.functions.civil import (
    DAY,
    OPEN,
    dates_of,
    days_of,
    eight_digits,
    seconds_of,
    spell,
    times_of,
)
from isthmus.mapping.functions.whole import stamp_column, whole_numbers

MOMENT = pa.timestamp("s", "UTC")
TIME = pa.time32("s")


@dataclass(frozen=True, slots=True)
class Read:
    """A column as numbers: values, rows that hold nothing, rows that could not be read, rows that mean "no end"."""

    values: Ints
    empty: Mask
    wrong: Mask
    open: Mask

    @property
    def missing(self) -> Mask:
        """Rows that have no value, for whatever reason."""
        return self.empty | self.wrong | self.open


def read_dates(array: pa.Array, open_ended: bool = False) -> Read:
    """Read DATS columns as days since 1970; `open_ended` makes 99991231 a date that never comes."""
    text = as_text(array)
    if (lengths(text) != 8).any():
        text = stripped(text)
    rows, fits = matrix(text, 8, "0")
    numbers, digits = eight_digits(rows)
    days, real = days_of(numbers)
    empty = numbers == 0
    if not digits.all():
        empty = (empty & digits) | (~digits & as_mask(pc.equal(stripped(text), "")))
    if not fits.all():
        empty &= fits | (lengths(text) <= 0)
    endless = (numbers == OPEN) & fits if open_ended else np.zeros(len(text), bool)
    wrong = ~(empty | (real & digits & fits))
    return Read(days, empty, wrong, endless & digits)


def read_times(array: pa.Array) -> Read:
    """Read TIMS (HHMMSS) or HHMM columns as seconds of the day; blank is nothing, 000000 is midnight."""
    text = stripped(array)
    size = lengths(text)
    if (size != 6).any():
        text = pc.if_else(pa.array(size == 4), pc.ascii_rpad(text, 6, "0"), text)
    padded = pc.ascii_lpad(pc.if_else(pa.array((size == 4) | (size == 6)), text, "000000"), 8, "0")
    numbers, digits = eight_digits(matrix(padded, 8, "0")[0])
    seconds, real = seconds_of(numbers)
    empty = size <= 0
    wrong = ~empty & ~(real & digits & ((size == 4) | (size == 6)))
    return Read(seconds, empty, wrong, np.zeros(len(text), bool))


# --- date ---------------------------------------------------------------------------------------------------------


def _bind_date(args: tuple[str, ...], context: Context) -> Step:
    open_ended = bool(args) and choice(args, ("open",)) == "open"

    def read(arrays: Arrays) -> Converted:
        found = read_dates(arrays[0], open_ended)
        return Converted((typed(found.values.astype(np.int32), found.missing, pa.date32()),), faults(found.wrong))

    def write(arrays: Arrays) -> Converted:
        days, present = numbers_of(arrays[0], pa.date32(), pa.int32())
        numbers, real = dates_of(days)
        wrong = present & ~real
        if open_ended:
            wrong |= present & (numbers == OPEN)
        if not present.all() or wrong.any():
            numbers = np.where(present & ~wrong, numbers, np.where(wrong, 0, OPEN if open_ended else 0))
        return Converted((spell(numbers, 8),), faults(wrong))

    if open_ended:
        model = "a date from 0001-01-01 to 9999-12-30, or nothing for no end"
        return Step("date", read, write, pa.date32(), "a date as YYYYMMDD (99991231: no end)", expects_model=model)
    model = "a date from 0001-01-01 to 9999-12-31"
    return Step("date", read, write, pa.date32(), "a date as YYYYMMDD", expects_model=model)


# --- time ---------------------------------------------------------------------------------------------------------


def _bind_time(args: tuple[str, ...], context: Context) -> Step:
    short = bool(args) and choice(args, ("hhmm",)) == "hhmm"

    def read(arrays: Arrays) -> Converted:
        found = read_times(arrays[0])
        return Converted((typed(found.values.astype(np.int32), found.missing, TIME),), faults(found.wrong))

    def write(arrays: Arrays) -> Converted:
        seconds, present = numbers_of(arrays[0], TIME, pa.int32())
        wrong = present & ((seconds < 0) | (seconds >= DAY) | (short & (seconds % 60 != 0)))
        numbers = times_of(np.where(wrong, 0, seconds))
        text = spell(numbers // 100, 4) if short else spell(numbers, 6)
        if not present.all() or wrong.any():
            text = pc.if_else(pa.array(present & ~wrong), text, "")
        return Converted((text,), faults(wrong))

    expects = "a time from 000000 to 235959 as HHMMSS, or HHMM"
    model = "a time of whole minutes from 00:00 to 23:59" if short else "a time from 00:00:00 to 23:59:59"
    return Step("time", read, write, TIME, expects, expects_model=model)


# --- moment -------------------------------------------------------------------------------------------------------


def to_utc(seconds: Ints, usable: Mask, zone_: str) -> tuple[Ints, Mask]:
    """Return local seconds since 1970 as UTC seconds, and a mask of times the zone's clocks skip.

    Of an hour that clocks show twice, the first is taken.
    """
    if zone_ == "UTC":
        return seconds, np.zeros(len(seconds), bool)
    local = pa.array(np.where(usable, seconds, 0)).view(pa.timestamp("s"))
    first = pc.assume_timezone(local, zone_, ambiguous="earliest", nonexistent="earliest")
    again = pc.local_timestamp(first)
    skipped = as_mask(pc.not_equal(again, local)) & usable
    return first.view(pa.int64()).to_numpy(), skipped


def to_local(seconds: Ints, zone_: str) -> Ints:
    """Return UTC seconds since 1970 as the seconds the zone's clocks show."""
    if zone_ == "UTC":
        return seconds
    local = pc.local_timestamp(pa.array(seconds).view(pa.timestamp("s", zone_)))
    values: Ints = local.view(pa.int64()).to_numpy()
    return values


def read_moments(date: Read, time: Read, zone_: str) -> Read:
    """Put dates and times together to UTC seconds since 1970; a missing time is midnight."""
    empty, endless = date.empty, date.open
    wrong = date.wrong | (time.wrong & ~empty & ~endless)
    seconds, skipped = to_utc(date.values * DAY + time.values, ~(empty | endless | wrong), zone_)
    return Read(seconds, empty, wrong | skipped, endless)


def split_moments(seconds: Ints, present: Mask, zone_: str) -> tuple[Ints, Ints, Mask]:
    """Return UTC seconds as local YYYYMMDD and HHMMSS numbers and a mask of those that do not read back."""
    inside = (seconds >= _FLOOR) & (seconds <= _CEILING)
    local = to_local(np.where(present & inside, seconds, 0), zone_)
    dates, real = dates_of(local // DAY)
    times = times_of(local % DAY)
    again, skipped = to_utc(local, present & inside & real, zone_)
    return dates, times, present & (~inside | ~real | skipped | (again != seconds))


_FLOOR, _CEILING = -62135596800 - DAY, 253402300799 + DAY  # years 1 to 9999, a day wider for the zones


def _bind_moment(args: tuple[str, ...], context: Context) -> Step:
    zone_ = zone(args)

    def read(arrays: Arrays) -> Converted:
        found = read_moments(read_dates(arrays[0]), read_times(arrays[1]), zone_)
        return Converted((typed(found.values, found.missing, MOMENT),), faults(found.wrong))

    def write(arrays: Arrays) -> Converted:
        seconds, present = numbers_of(arrays[0], MOMENT, pa.int64())
        dates, times, wrong = split_moments(seconds, present, zone_)
        keep = present & ~wrong
        return Converted((spell(np.where(keep, dates, 0), 8), spell(np.where(keep, times, 0), 6)), faults(wrong))

    return Step(
        "moment",
        read,
        write,
        MOMENT,
        f"a date as YYYYMMDD and a time from 000000 to 235959 that exists in {zone_}",
        inputs=2,
        expects_model=f"a moment of the years 1 to 9999 that clocks in {zone_} show once, or for the first time",
    )


# --- stamp --------------------------------------------------------------------------------------------------------


def _read_stamp(arrays: Arrays) -> Converted:
    numbers, present, wrong = whole_numbers(arrays[0])
    days, real_day = days_of(np.where(wrong, 0, numbers // 1_000_000))
    seconds, real_time = seconds_of(np.where(wrong, 0, numbers % 1_000_000))
    empty = ~present | ((numbers == 0) & ~wrong)
    wrong = ~empty & (wrong | ~real_day | ~real_time)
    return Converted((typed(days * DAY + seconds, empty | wrong, MOMENT),), faults(wrong))


def _write_stamp(arrays: Arrays) -> Converted:
    seconds, present = numbers_of(arrays[0], MOMENT, pa.int64())
    dates, times, wrong = split_moments(seconds, present, "UTC")
    return Converted((stamp_column(np.where(present & ~wrong, dates * 1_000_000 + times, 0)),), faults(wrong))


def _bind_stamp(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step(
        "stamp",
        _read_stamp,
        _write_stamp,
        MOMENT,
        "a stamp as YYYYMMDDhhmmss",
        raw=(pa.decimal128(15, 0),),
        expects_model="a moment of the years 1 to 9999",
    )


FUNCTIONS = (
    Function(
        "date",
        "A day as YYYYMMDD; 00000000 is nothing. With `open`, 99991231 is nothing too, and nothing is written so.",
        _bind_date,
        "[open]",
        example=(("20240229",), "2024-02-29"),
    ),
    Function(
        "time",
        "A time of day as HHMMSS or HHMM; blank is nothing, 000000 is midnight. With `hhmm` it is written as HHMM.",
        _bind_time,
        "[hhmm]",
        example=(("1230",), "12:30:00"),
    ),
    Function(
        "moment",
        "A date and a time of a time zone (UTC unless named) as one moment.",
        _bind_moment,
        "[zone]",
        example=(("20240701", "120000"), "2024-07-01T10:00:00Z"),
        example_args=("Europe/Berlin",),
    ),
    Function(
        "stamp",
        "A moment as the number YYYYMMDDhhmmss in UTC; 0 is nothing.",
        _bind_stamp,
        example=(("20240101123000",), "2024-01-01T12:30:00Z"),
    ),
)
