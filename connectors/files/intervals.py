"""Days of interval values as Arrow: runs of one quality, the values split and checked by kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)$"

_TEXT = pa.string()
_COMMON = [
    ("day_id", _TEXT),  # NMI/serial/suffix/ and the day or, for an accumulated reading, the full start
    ("NMI", _TEXT),
    ("SERIAL", _TEXT),
    ("REGISTER_ID", _TEXT),
    ("SUFFIX", _TEXT),
    ("STREAM", _TEXT),
    ("UNIT", _TEXT),
    ("QUALITY", _TEXT),
    ("METHOD", _TEXT),
    ("REASON", _TEXT),
    ("REASON_TEXT", _TEXT),
    ("UPDATED_AT", _TEXT),
    ("LOADED_AT", _TEXT),
    ("FILE", _TEXT),
    ("LINE", pa.int32()),
]
RUNS = pa.schema(
    [
        *_COMMON,
        ("day", _TEXT),
        ("next_day", _TEXT),
        ("minutes", pa.int16()),
        ("first", pa.int16()),  # of the run's first interval in the day, from 0
        ("values", pa.list_(_TEXT)),
    ]
)
ACCUMULATED = pa.schema(
    [
        *_COMMON,
        ("START", _TEXT),
        ("END", _TEXT),
        ("VALUE", _TEXT),
        ("DIRECTION", _TEXT),
        ("PREVIOUS_READ", _TEXT),
        ("PREVIOUS_QUALITY", _TEXT),
        ("CURRENT_READ", _TEXT),
    ]
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A 200 record.  `rejected` is the line of a 200 that cannot be used, so its days cannot either."""

    nmi: str = ""
    register: str = ""
    suffix: str = ""
    stream: str = ""
    serial: str = ""
    unit: str = ""
    minutes: int = 30
    rejected: int = 0

    @property
    def count(self) -> int:
        """Return how many intervals a day has."""
        return 1440 // self.minutes


@dataclass(frozen=True, slots=True)
class Flag:
    """Quality, method, reason and its text of the intervals `first` to `last` (from 1, inclusive)."""

    first: int
    last: int
    quality: str
    method: str
    reason: str
    text: str


@dataclass(slots=True)
class Day:
    """A 300 record and the 400 records after it, until the next record closes it."""

    line: int
    stream: Stream
    day: str
    body: str | None  # the values as they stand, comma-separated
    flag: Flag
    updated: str
    loaded: str
    good: bool
    flags: list[Flag] = field(default_factory=list)


@lru_cache(maxsize=8192)
def _next_day(day: str) -> str:
    return (date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=1)).strftime("%Y%m%d")


def split(days: Sequence[Day]) -> pa.Array:
    """Return the values of all days as one flat text array, in order."""
    return pc.split_pattern(pa.array([day.body for day in days], pa.string()), ",").flatten()


def read_values(days: Sequence[Day]) -> tuple[pa.Array, dict[int, tuple[int, bool]]]:
    """Return the flat values of all days, and for each day with an unusable one its interval and if it is blank.

    A value is a decimal number; it may be blank where its quality is N, no data.
    """
    values = split(days)
    usable = pc.match_substring_regex(values, NUMBER)
    unusable: dict[int, tuple[int, bool]] = {}
    if pc.all(usable, min_count=0).as_py():
        return values, unusable
    ends = np.cumsum([day.stream.count for day in days])
    for place in np.flatnonzero(~usable.to_numpy(zero_copy_only=False)).tolist():
        at = int(np.searchsorted(ends, place, side="right"))
        interval = place - int(ends[at]) + days[at].stream.count + 1
        blank = values[place].as_py() == ""
        if not (blank and _quality_at(days[at], interval) == "N"):
            unusable.setdefault(at, (interval, blank))
    return values, unusable


def runs(days: Sequence[Day], values: pa.Array, file: str) -> pa.RecordBatch:
    """Return the runs (schema RUNS) of usable days, whose flat values are given; blank values become null."""
    rows = [(day, flag) for day in days for flag in _cover(day)]
    ends = np.cumsum([0] + [flag.last - flag.first + 1 for _, flag in rows], dtype=np.int32)
    values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    columns = list(zip(*(_row(day, flag, file) for day, flag in rows), strict=True)) or [()] * (len(RUNS) - 1)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, RUNS.types[:-1], strict=True)]
    arrays.append(pa.ListArray.from_arrays(pa.array(ends), values))
    return pa.record_batch(arrays, names=RUNS.names).cast(RUNS)


def _row(day: Day, flag: Flag, file: str) -> tuple[str | int, ...]:
    stream = day.stream
    return (
        f"{stream.nmi}/{stream.serial}/{stream.suffix}/{day.day}", stream.nmi, stream.serial, stream.register,
        stream.suffix, stream.stream, stream.unit, flag.quality, flag.method, flag.reason, flag.text, day.updated,
        day.loaded, file, day.line, day.day, _next_day(day.day), stream.minutes, flag.first - 1,
    )  # fmt: skip


def _quality_at(day: Day, interval: int) -> str:
    return next((flag for flag in day.flags if flag.first <= interval <= flag.last), day.flag).quality


def _cover(day: Day) -> list[Flag]:
    """Return the runs of one quality that make up the day, in order: the 400 records and what lies between."""
    if not day.flags:
        return [day.flag]
    runs: list[Flag] = []
    at = 1
    rest = day.flag
    for flag in sorted(day.flags, key=lambda one: one.first):
        if flag.first > at:
            runs.append(Flag(at, flag.first - 1, rest.quality, rest.method, rest.reason, rest.text))
        runs.append(flag)
        at = flag.last + 1
    if at <= day.stream.count:
        runs.append(Flag(at, day.stream.count, rest.quality, rest.method, rest.reason, rest.text))
    return runs
