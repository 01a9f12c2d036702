"""Periods: SAP's closed slices become half-open ones, from and until, where nothing means no end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import no_arguments, zone
from isthmus.mapping.functions.arrays import faults, numbers_of, typed
from isthmus.mapping.functions.civil import LAST_DAY, OPEN, dates_of, spell
from isthmus.mapping.functions.dates import MOMENT, read_dates, read_moments, read_times, split_moments

_DATE = pa.date32()
_END_OF_DAY = 235959


def _period(type_: pa.DataType) -> pa.DataType:
    return pa.struct([("from", type_), ("until", type_)])


def _read_days(arrays: Arrays) -> Converted:
    first, last = read_dates(arrays[0]), read_dates(arrays[1], open_ended=True)
    wrong = first.wrong | last.wrong
    # Open ends are masked before the day is added: the day after 99991231 does not exist.
    until = np.where(last.missing, 0, last.values) + 1
    return Converted(
        (
            typed(first.values.astype(np.int32), first.missing | wrong, _DATE),
            typed(until.astype(np.int32), last.missing | wrong, _DATE),
        ),
        faults(wrong),
    )


def _write_days(arrays: Arrays) -> Converted:
    first, has_first = numbers_of(arrays[0], _DATE, pa.int32())
    until, has_until = numbers_of(arrays[1], _DATE, pa.int32())
    start, real_start = dates_of(first)
    end, real_end = dates_of(until.astype(np.int64) - 1)
    wrong = (has_first & ~real_start) | (has_until & (~real_end | (until > LAST_DAY)))
    start = np.where(has_first & ~wrong, start, 0)
    end = np.where(wrong, 0, np.where(has_until, end, OPEN))
    return Converted((spell(start, 8), spell(end, 8)), faults(wrong))


def _bind_days(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step(
        "days",
        _read_days,
        _write_days,
        _period(_DATE),
        "a first and a last day as YYYYMMDD (99991231: no end)",
        inputs=2,
        outputs=2,
        expects_model="a period of days in the years 1 to 9999, or nothing for no end",
    )


def _bind_moments(args: tuple[str, ...], context: Context) -> Step:
    zone_ = zone(args)

    def read(arrays: Arrays) -> Converted:
        first = read_moments(read_dates(arrays[0]), read_times(arrays[1]), zone_)
        # An open end is told by its date alone: some programs write another time than 235959 beside it.
        last = read_moments(read_dates(arrays[2], open_ended=True), read_times(arrays[3]), zone_)
        wrong = first.wrong | last.wrong
        until = np.where(last.missing, 0, last.values) + 1
        outputs = typed(first.values, first.missing | wrong, MOMENT), typed(until, last.missing | wrong, MOMENT)
        return Converted(outputs, faults(wrong))

    def write(arrays: Arrays) -> Converted:
        first, has_first = numbers_of(arrays[0], MOMENT, pa.int64())
        until, has_until = numbers_of(arrays[1], MOMENT, pa.int64())
        start, start_time, wrong_start = split_moments(first, has_first, zone_)
        end, end_time, wrong_end = split_moments(np.where(has_until, until, 1) - 1, has_until, zone_)
        wrong = wrong_start | wrong_end | (has_until & (end == OPEN))
        has_first, has_until, endless = has_first & ~wrong, has_until & ~wrong, ~has_until & ~wrong
        return Converted(
            (
                spell(np.where(has_first, start, 0), 8),
                spell(np.where(has_first, start_time, 0), 6),
                spell(np.where(has_until, end, np.where(endless, OPEN, 0)), 8),
                spell(np.where(has_until, end_time, np.where(endless, _END_OF_DAY, 0)), 6),
            ),
            faults(wrong),
        )

    return Step(
        "moments",
        read,
        write,
        _period(MOMENT),
        f"first and last date and time as YYYYMMDD and HHMMSS in {zone_} (99991231: no end)",
        inputs=4,
        outputs=2,
        expects_model=f"a period of moments before 9999-12-31 that clocks in {zone_} can tell, or nothing for no end",
    )


FUNCTIONS = (
    Function(
        "days",
        "A slice of days, both included (AB + BIS), as `from` and `until`, the day after; 99991231 is no end.",
        _bind_days,
        example=(("20240101", "20240630"), "2024-01-01/2024-07-01"),
    ),
    Function(
        "moments",
        "A slice of date and time, both included (DATEFROM + TIMEFROM + DATETO + TIMETO), as `from` and `until`, the "
        "second after, in a time zone (UTC unless named); 99991231 is no end, whatever the time.",
        _bind_moments,
        "[zone]",
        example=(("20240101", "000000", "99991231", "235959"), "2024-01-01T00:00:00Z/.."),
    ),
)
