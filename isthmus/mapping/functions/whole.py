"""Whole numbers on their way in and out of Arrow: from text, integers and decimals, without a detour over floats."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions.arrays import Ints, Mask, as_mask, as_text, is_valid, lengths, stripped

_DIGITS = 18  # digits that always fit 64 bits


def signed_text(array: pa.Array) -> pa.StringArray:
    """Return numbers as text without blanks and with the sign in front, where SAP may put it behind."""
    text = stripped(array)
    if pc.any(pc.ends_with(text, "-")).as_py():
        text = pc.replace_substring_regex(text, "^([0-9.]+)-$", r"-\1")
    return text


def whole_numbers(array: pa.Array) -> tuple[Ints, Mask, Mask]:
    """Return 64-bit numbers, a mask of the rows that hold one, and a mask of what is no whole number of 18 digits.

    Blank text holds none.  Floating point raises TypeError: it has lost digits already.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_floating(array.type):
        raise TypeError("whole numbers are not read from floating point, which rounds; deliver a decimal or text")
    if pa.types.is_integer(array.type):
        values, present = _filled(array.cast(pa.int64(), safe=False)), is_valid(array)
        return values, present, np.zeros(len(array), bool)
    if pa.types.is_decimal128(array.type):
        return _from_decimals(array)
    text = signed_text(as_text(array))
    good = pc.match_substring_regex(text, f"^[+-]?0*[0-9]{{1,{_DIGITS}}}$")
    present = lengths(text) > 0
    wrong = present & ~as_mask(good)
    if wrong.any() or not present.all():
        text = pc.if_else(pa.array(present & ~wrong), text, "0")
    return pc.ascii_ltrim(text, "+").cast(pa.int64()).to_numpy(), present, wrong


def _from_decimals(array: pa.Array) -> tuple[Ints, Mask, Mask]:
    """Read the two halves of 128-bit decimals; scaled ones must have nothing after the point."""
    present = is_valid(array)
    if not len(array):
        return np.empty(0, np.int64), present, present
    halves = np.frombuffer(array.buffers()[1], np.int64)[2 * array.offset : 2 * (array.offset + len(array))]
    low = np.where(present, halves[0::2], 0)
    wrong = present & (halves[1::2] != halves[0::2] >> 63)
    if array.type.scale > 0:
        unit = 10 ** min(array.type.scale, _DIGITS)
        wrong |= (low % unit != 0) | (array.type.scale > _DIGITS)
        low = low // unit
    wrong |= abs(low) >= 10**_DIGITS
    return np.where(wrong, 0, low), present, wrong


def decimals(numbers: Ints, precision: int) -> pa.Array:
    """Return 64-bit numbers as decimal128 of that precision and no digits after the point."""
    halves = np.empty((len(numbers), 2), np.int64)
    halves[:, 0] = numbers
    halves[:, 1] = numbers >> 63
    return pa.Array.from_buffers(pa.decimal128(precision, 0), len(numbers), [None, pa.py_buffer(halves)])


def stamp_column(numbers: Ints) -> pa.Array:
    """Return YYYYMMDDhhmmss numbers as SAP's DEC 15."""
    return decimals(numbers, 15)


def _filled(array: pa.Array) -> Ints:
    values: Ints = (array.fill_null(0) if array.null_count else array).to_numpy()
    return values
