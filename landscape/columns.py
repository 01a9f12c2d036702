"""Whole columns in SAP's spellings: padded numbers, DATS, GUIDs, constants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from landscape.draw import Draw, Ids, Mask

Days = Ids  # days since 1970-01-01
Columns = dict[str, Any]  # column name -> Arrow array, or one value for all rows
OPEN = 10**7  # the day that is written 99991231
NONE = -(10**7)  # the day that is written 00000000
_FIRST = date(1900, 1, 1)
_FIRST_DAY = (_FIRST - date(1970, 1, 1)).days
_DAYS = 80_000
_TICK = 7919
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_QUADS = np.frombuffer("".join(f"{i:04d}" for i in range(10_000)).encode(), dtype=np.uint8).reshape(-1, 4)


def day(value: date) -> int:
    """Return the day's number, counted from 1970-01-01."""
    return (value - date(1970, 1, 1)).days


def text(matrix: npt.NDArray[np.uint8]) -> Any:
    """Return the rows of a byte matrix as strings of one width."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    data = np.ascontiguousarray(matrix)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))


def digits(values: Ids, width: int) -> npt.NDArray[np.uint8]:
    """Return whole numbers as zero-padded digits, one byte each."""
    groups = -(-width // 4)
    out = np.empty((len(values), groups * 4), dtype=np.uint8)
    rest = values
    for group in range(groups - 1, -1, -1):
        rest, quad = np.divmod(rest, 10_000)
        out[:, group * 4 : group * 4 + 4] = _QUADS[quad]
    return out[:, groups * 4 - width :]


def padded(values: Ids, width: int, prefix: str = "") -> Any:
    """Return whole numbers zero-padded to a width, behind a constant prefix."""
    body = digits(values, width)
    if prefix:
        head = np.tile(np.frombuffer(prefix.encode(), dtype=np.uint8), (len(values), 1))
        body = np.hstack([head, body])
    return text(body)


def decimals(values: Ids, precision: int, scale: int) -> Any:
    """Return whole numbers of the last place (cents, thousandths) as exact decimals."""
    words = np.stack([values, values >> 63], axis=1).astype("<i8")  # a sign-extended integer of 16 bytes
    return pa.Array.from_buffers(pa.decimal128(precision, scale), len(values), [None, pa.py_buffer(words)])


@cache
def _calendar() -> Any:
    days = [(_FIRST + timedelta(days=i)).strftime("%Y%m%d") for i in range(_DAYS)]
    return pa.array(["00000000", "99991231", *days])


def dats(days: Days) -> Any:
    """Return days as DATS; OPEN becomes 99991231 and NONE 00000000."""
    index = np.where(days >= OPEN, 1, np.where(days <= NONE, 0, days - _FIRST_DAY + 2))
    return _calendar().take(pa.array(index))


def stamps(days: Days, seconds: Ids) -> Any:
    """Return DEC15 time stamps YYYYMMDDhhmmss as whole numbers; OPEN becomes 99991231235959."""
    number = pc.cast(dats(days), pa.int64()).to_numpy()
    clock = np.where(days >= OPEN, 235959, _clock(seconds))
    return pa.array(np.where(days <= NONE, 0, number * 1_000_000 + clock))


def _clock(seconds: Ids) -> Ids:
    return seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60


def tims(seconds: Ids) -> Any:
    """Return seconds of a day as TIMS."""
    return padded(_clock(seconds), 6)


def choose(words: Sequence[str], index: Ids) -> Any:
    """Return the word at each index."""
    return pa.array(list(words), pa.string()).take(pa.array(index))


def when(mask: Mask, yes: Any, no: Any) -> Any:
    """Return one of two columns or values, row by row."""
    return pc.if_else(pa.array(mask), yes, no)


def join(*parts: Any) -> Any:
    """Return text columns and constants joined without a separator."""
    return pc.binary_join_element_wise(*parts, "")


def guid(draw: Draw, stream: str, ids: Ids) -> Any:
    """Return a RAW16 for every id, ascending in id as time-based GUIDs are."""
    tick = ids * _TICK + draw.below(f"{stream}.tick", ids, _TICK)
    high = tick.astype(np.uint64) | np.uint64(0x0050 << 48)
    data = np.stack([high, draw.bits(stream, ids)], axis=1).astype(">u8")
    flat = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(data)])
    return flat.cast(pa.binary())


def guid22(draw: Draw, stream: str, ids: Ids) -> Any:
    """Return a CHAR22 GUID for every id, ascending in id."""
    tick = (ids * _TICK + draw.below(f"{stream}.tick", ids, _TICK)).astype(np.uint64)
    out = np.empty((len(ids), 22), dtype=np.uint8)
    for place in range(10, -1, -1):
        tick, digit = np.divmod(tick, np.uint64(62))
        out[:, place] = _ALPHABET[digit.astype(np.int64)]
    rest = draw.bits(stream, ids)
    for place in range(21, 10, -1):
        rest, digit = np.divmod(rest, np.uint64(62))
        out[:, place] = _ALPHABET[digit.astype(np.int64)]
    return text(out)


def text_of(words: Sequence[str], width: int) -> Any:
    """Return words as a column, cut to a width in characters."""
    return pa.array([word[:width] for word in words], pa.string())
