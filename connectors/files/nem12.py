"""NEM12 and NEM13 meter data: lines into runs of interval values and accumulated readings, faults by name.

A file is 100, then 200 (a stream) with 300 (a day of values) and its 400 (quality of a range of intervals) and
500, or 250 (an accumulated reading) with 550, then 900.  A faulty record is rejected; its neighbours go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import pyarrow as pa

from connectors.files.intervals import ACCUMULATED, NUMBER, Day, Flag, Stream, read_values, runs, split
from connectors.files.source import FileFault, Note

LENGTHS = frozenset({"1", "5", "10", "15", "30"})
RECORDS = frozenset({"100", "200", "250", "300", "400", "500", "550", "900"})
_NUMBER = re.compile(NUMBER)
_QUALITY = re.compile(r"^([AVN]|[EFS]\d\d)$")


@dataclass(frozen=True, slots=True)
class Block:
    """What one block of lines gave: interval runs (schema RUNS) and readings (schema ACCUMULATED)."""

    runs: pa.RecordBatch
    accumulated: pa.RecordBatch


@lru_cache(maxsize=8192)
def is_day(text: str) -> bool:
    """Say whether a text is a day of the calendar as yyyymmdd."""
    return _day(text) is not None


@lru_cache(maxsize=8192)
def _day(text: str) -> date | None:
    if len(text) != 8 or not text.isascii() or not text.isdigit() or text == "99991231":
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def is_moment(text: str) -> bool:
    """Say whether a text is a moment as yyyymmddHHMMSS; the seconds may be left out."""
    clock = text[8:].ljust(6, "0")
    return (
        len(text) in (12, 14)
        and clock.isascii()
        and clock.isdigit()
        and is_day(text[:8])
        and clock[:2] < "24"
        and clock[2:4] < "60"
        and clock[4:] < "60"
    )


class Parser:
    """Reads the lines of one file, block by block; `rejects` and `warnings` grow as it goes."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.rejects: list[Note] = []
        self.warnings: list[Note] = []
        self._line = 0
        self._version: str | None = None
        self._begun = self._ended = False
        self._stream: Stream | None = None
        self._open: Day | None = None
        self._after_reading = False
        self._days: list[Day] = []
        self._readings: list[tuple[str | int, ...]] = []
        self._readers: dict[str, Callable[[str], None]] = {
            "200": self._stream_record,
            "300": self._day_record,
            "400": self._event_record,
            "500": self._details_record,
            "250": self._reading_record,
            "550": self._reading_details_record,
            "900": self._end_record,
        }

    def parse(self, blocks: Iterable[list[str]]) -> Iterator[Block]:
        """Yield what each block of lines gives; raises FileFault where it is no meter-data file at all."""
        for lines in blocks:
            # A record decides how the next is understood, so records go one by one; values never do.
            for line in lines:
                self._line += 1
                self._record(line.strip())
            yield self._block()
        self._close()
        self._finish()
        yield self._block()

    # --- one record -----------------------------------------------------------------------------------------------

    def _record(self, line: str) -> None:
        if not line or not line.strip(","):
            return
        kind = line.partition(",")[0].strip()
        if kind not in RECORDS:
            if not self._begun:
                raise FileFault("not_meter_data", "the file does not begin with a 100 record of NEM12 or NEM13")
            self._reject("record_type", "the record type is not one of 100, 200, 250, 300, 400, 500, 550, 900")
            return
        if kind == "100":
            self._header(line)
            return
        if not self._begun:
            self._begun = True
            self._reject("header_missing", "the file has no 100 record, so nothing of it is taken; ask for it again")
        if self._ended:
            self._reject("after_end", f"a {kind} record after the 900 record that ends the file")
            return
        if kind not in ("400", "500"):
            self._close()
        self._readers[kind](line)

    def _header(self, line: str) -> None:
        fields = _fields(line)
        version = fields[1].upper() if len(fields) > 1 else ""
        self._close()
        if self._begun:
            self._warn("header_again", "a second 100 record; what follows is read under it")
            if not self._ended:
                self._warn("end_missing", "a 100 record before the 900 record of the part before it")
        self._begun, self._ended, self._stream = True, False, None
        self._version = version if version in ("NEM12", "NEM13") else None
        if self._version is None:
            self._reject("header_unknown", "the 100 record names neither NEM12 nor NEM13, so nothing of it is taken")
        elif len(fields) < 5:
            self._warn("header_short", f"the 100 record has {len(fields)} fields, 5 are expected")
        elif not is_moment(fields[2]):
            self._warn("header_date", "the creation time of the 100 record is no time as yyyymmddHHMM")

    def _belongs(self, kind: str, version: str) -> bool:
        if self._version not in (None, version):
            self._reject(
                "header_mismatch", f"a {kind} record belongs to {version}, the 100 record says {self._version}"
            )
            return False
        return True

    def _stream_record(self, line: str) -> None:
        fields = _fields(line)
        self._stream = Stream(rejected=self._line)
        if not self._belongs("200", "NEM12"):
            return
        if len(fields) < 9:
            self._reject("fields_missing", f"the 200 record has {len(fields)} fields, at least 9 are expected")
        elif not fields[1] or not fields[4]:
            self._reject("fields_missing", "the 200 record has no NMI or no NMI suffix")
        elif fields[8] not in LENGTHS:
            self._reject("interval_length", "the interval length of the 200 record is not 1, 5, 10, 15 or 30 minutes")
        else:
            self._stream = Stream(fields[1], fields[3], fields[4], fields[5], fields[6], fields[7], int(fields[8]))
            if not fields[7]:
                self._warn("unit_missing", "the 200 record names no unit of measure")

    def _day_record(self, line: str) -> None:
        stream = self._stream
        if not self._belongs("300", "NEM12"):
            return
        if stream is None or stream.rejected:
            where = (
                f"belongs to the rejected 200 record at line {stream.rejected}" if stream else "follows no 200 record"
            )
            self._reject("stream_rejected" if stream else "order", f"the 300 record {where}")
            return
        kind, day, body, tail = self._cut(line, stream)
        good = self._version is not None and body is not None
        if not is_day(day):
            good = self._reject("date", f"the date of the {kind} record is no day of the calendar as yyyymmdd")
        updated, loaded = (tail[3], tail[4] if len(tail) > 4 else "") if len(tail) > 3 else ("", "")
        if any(moment and not is_moment(moment) for moment in (updated, loaded)):
            good = self._reject("update_time", "an update or load time of the 300 record is no time as yyyymmddHHMMSS")
        flag = Flag(1, stream.count, *_quality(tail[0]), tail[1], tail[2]) if len(tail) > 3 else Flag(1, 0, *[""] * 4)
        self._open = Day(self._line, stream, day, body, flag, updated, loaded, good)

    def _cut(self, line: str, stream: Stream) -> tuple[str, str, str | None, list[str]]:
        """Cut a 300 record into kind, day, values (None where their number is wrong) and what follows them."""
        after = line.count(",") - 1 - stream.count
        kind, _, rest = line.partition(",")
        day, _, rest = rest.partition(",")
        pieces = rest.rsplit(",", after) if after > 0 else [rest]
        tail = [piece.strip() for piece in pieces[1:]]
        if not tail or not _QUALITY.match(tail[0]):
            self._miscounted(rest.split(","), stream)
            return kind, day.strip(), None, []
        if len(tail) < 4:
            expected = stream.count + 6
            self._reject(
                "fields_missing",
                f"the 300 record has {len(tail) + stream.count + 2} fields, "
                f"at least {expected} are expected: the update time and what precedes it are missing",
            )
            return kind, day.strip(), None, tail
        if any(tail[5:]):
            self._reject("fields_extra", f"the 300 record has {len(tail) - 5} fields after its last one")
            return kind, day.strip(), None, tail
        return kind, day.strip(), pieces[0], tail

    def _miscounted(self, fields: list[str], stream: Stream) -> None:
        """Say how many values a 300 record has where they are not as many as its 200 record asks for."""
        found = next((at for at, text in enumerate(fields) if _QUALITY.match(text.strip())), None)
        asked = f"{stream.count} are expected for intervals of {stream.minutes} minutes"
        if found is None or found == stream.count:
            self._reject("quality", "the 300 record has no quality of A, V, N, Enn, Fnn or Snn after its values")
        else:
            self._reject("interval_count", f"the 300 record has {found} values, {asked}")

    def _event_record(self, line: str) -> None:
        day = self._open
        if day is None:
            lost = self._stream is not None and (self._stream.rejected or self._version is None)
            self._reject("order", "the 400 record follows no 300 record" + (" that could be used" if lost else ""))
            return
        fields = _fields(line)
        if len(fields) < 5:
            day.good = self._reject("fields_missing", f"the 400 record has {len(fields)} fields, 6 are expected")
            return
        count = day.stream.count
        first, last = (int(text) if text.isascii() and text.isdigit() else 0 for text in fields[1:3])
        if not 1 <= first <= last <= count:
            day.good = self._reject(
                "event_range",
                f"the 400 record names intervals outside 1 to {count}, the day at line {day.line} is rejected",
            )
            return
        if not _QUALITY.match(fields[3]) or fields[3] == "V":
            day.good = self._reject(
                "event_quality",
                f"the quality of the 400 record is not A, N, Enn, Fnn or Snn, the day at line {day.line} is rejected",
            )
            return
        day.flags.append(Flag(first, last, *_quality(fields[3]), fields[4], fields[5] if len(fields) > 5 else ""))
        if any(first <= other.last and other.first <= last for other in day.flags[:-1]):
            day.good = self._reject(
                "event_overlap", f"the 400 record overlaps another of the day at line {day.line}, which is rejected"
            )

    def _details_record(self, line: str) -> None:
        if self._stream is None:
            self._reject("order", "the 500 record follows no 300 record")

    def _reading_record(self, line: str) -> None:
        self._after_reading = True
        fields = _fields(line)
        if not self._belongs("250", "NEM13"):
            return
        if len(fields) < 22:
            self._reject("fields_missing", f"the 250 record has {len(fields)} fields, at least 22 are expected")
            return
        faults = list(_reading_faults(fields))
        for code, message in faults:
            self._reject(code, message)
        if faults or self._version is None:
            return
        nmi, register, suffix, stream, serial = fields[1], fields[3], fields[4], fields[5], fields[6]
        self._readings.append((
            f"{nmi}/{serial}/{suffix}/{_full(fields[9])}", nmi, serial, register, suffix, stream, fields[19],
            *_quality(fields[15]), fields[16], fields[17], fields[21], fields[22] if len(fields) > 22 else "",
            self.file, self._line, _full(fields[9]), _full(fields[14]), fields[18], fields[7], fields[8], fields[10],
            fields[13],
        ))  # fmt: skip

    def _reading_details_record(self, line: str) -> None:
        if not self._after_reading:
            self._reject("order", "the 550 record follows no 250 record")

    def _end_record(self, line: str) -> None:
        self._ended = True
        self._stream = None

    # --- a day, a block, the end ----------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close the open day: its 400 records must cover all of a day of quality V, once."""
        day, self._open = self._open, None
        if day is None:
            return
        covered = sum(flag.last - flag.first + 1 for flag in day.flags)
        variable = day.flag.quality == "V"
        if variable and day.good and covered != day.stream.count:
            day.good = self._reject_at(
                day.line,
                "event_coverage",
                f"the quality of the day varies (V), its 400 records cover {covered} of {day.stream.count} intervals",
            )
        if day.flags and not variable and day.body is not None:
            self._warn("event_unexpected", f"400 records after a day whose quality does not vary, at line {day.line}")
        if day.body is not None:
            self._days.append(day)

    def _finish(self) -> None:
        if not self._begun:
            raise FileFault("empty", "the file holds no record")
        if not self._ended:
            self._warn("end_missing", "the file has no 900 record at its end; it may be cut short")

    def _block(self) -> Block:
        days, self._days = self._days, []
        readings, self._readings = self._readings, []
        columns = list(zip(*readings, strict=True)) or [()] * len(ACCUMULATED)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, ACCUMULATED.types, strict=True)]
        return Block(self._runs(days), pa.record_batch(arrays, schema=ACCUMULATED))

    def _runs(self, days: list[Day]) -> pa.RecordBatch:
        """Turn the days of a block into runs, without those that hold an unusable value."""
        values, unusable = read_values(days)
        for at, (interval, blank) in unusable.items():
            code, what = (
                ("value_missing", "is missing, and its quality is not N") if blank else ("value", "is no number")
            )
            days[at].good = self._reject_at(days[at].line, code, f"the value of interval {interval} {what}")
        kept = [day for day in days if day.good]
        return runs(kept, values if len(kept) == len(days) else split(kept), self.file)

    def _reject(self, code: str, message: str) -> bool:
        return self._reject_at(self._line, code, message)

    def _reject_at(self, line: int, code: str, message: str) -> bool:
        self.rejects.append(Note(self.file, line, code, message))
        return False

    def _warn(self, code: str, message: str) -> None:
        self.warnings.append(Note(self.file, self._line, code, message))


def _fields(line: str) -> list[str]:
    return [text.strip() for text in line.split(",")]


def _quality(text: str) -> tuple[str, str]:
    return text[:1], text[1:]


def _full(moment: str) -> str:
    return moment.ljust(14, "0")


def _reading_faults(fields: list[str]) -> Iterator[tuple[str, str]]:
    """Yield code and message for everything wrong with a 250 record."""
    if not fields[1] or not fields[4]:
        yield "fields_missing", "the 250 record has no NMI or no NMI suffix"
    if not is_moment(fields[9]) or not is_moment(fields[14]):
        yield "date", "a reading time of the 250 record is no time as yyyymmddHHMMSS"
    elif _full(fields[9]) >= _full(fields[14]):
        yield "period", "the current reading of the 250 record is not later than the previous one"
    if not _NUMBER.match(fields[18]):
        yield "value", "the quantity of the 250 record is not a number"
    if any(read and not _NUMBER.match(read) for read in (fields[8], fields[13])):
        yield "value", "a register reading of the 250 record is not a number"
    if any(not _QUALITY.match(quality) or quality == "V" for quality in (fields[10], fields[15])):
        yield "quality", "a quality of the 250 record is not A, N, Enn, Fnn or Snn"
    if any(moment and not is_moment(moment) for moment in fields[21:23]):
        yield "update_time", "an update or load time of the 250 record is no time as yyyymmddHHMMSS"
