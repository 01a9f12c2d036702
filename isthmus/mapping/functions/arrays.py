"""What every kernel needs of Arrow and numpy: text in one layout, masks, fixed-width views, faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions import Converted

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def as_text(array: pa.Array) -> pa.StringArray:
    """Return the array as plain text, whatever layout it came in (large, dictionary, view, chunked, numbers)."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if array.type == pa.string() else array.cast(pa.string())


def stripped(array: pa.Array) -> pa.StringArray:
    """Return the text without blanks around it."""
    return pc.ascii_trim(as_text(array), " ")


def is_valid(array: pa.Array) -> Mask:
    """Return a mask of the rows that hold something."""
    if array.null_count == 0:
        return np.ones(len(array), dtype=bool)
    return as_mask(array.is_valid())


def as_mask(array: pa.BooleanArray) -> Mask:
    """Return a boolean array as a numpy mask; null counts as false."""
    if array.null_count:
        array = array.fill_null(False)
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask


def lengths(array: pa.StringArray) -> npt.NDArray[np.int32]:
    """Return the lengths in bytes; nothing counts as -1."""
    if array.null_count:
        return pc.binary_length(array).fill_null(-1).to_numpy()  # type: ignore[no-any-return]
    return pc.binary_length(array).to_numpy()  # type: ignore[no-any-return]


def matrix(array: pa.StringArray, width: int, filler: str) -> tuple[Bytes, Mask]:
    """Return the rows as bytes of shape (rows, width) and a mask of those that have exactly that width.

    Rows of another width, and nothing, are filled with `filler` (one ASCII character).
    """
    if not len(array):
        return np.empty((0, width), np.uint8), np.empty(0, bool)
    fits = lengths(array) == width
    if not fits.all():
        array = pc.if_else(pa.array(fits), array, filler * width)
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(array.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(len(array), width), fits


def from_matrix(rows: Bytes) -> pa.StringArray:
    """Return bytes of shape (rows, width) as text, every row `width` long."""
    count, width = rows.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows)))


def nothing(array: pa.Array, where: Mask) -> pa.Array:
    """Return the array with nothing in the rows of the mask."""
    if not where.any():
        return array
    if array.type != pa.string():
        return pc.if_else(pa.array(where), pa.scalar(None, array.type), array)
    # Only the validity bits change: the text itself is not copied.
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    present = pa.array(is_valid(array) & ~where).buffers()[1]
    return pa.StringArray.from_buffers(len(array), pa.py_buffer(offsets), array.buffers()[2], present)


def blank_to_nothing(array: pa.StringArray) -> pa.StringArray:
    """Return the text with nothing where it is empty."""
    return nothing(array, lengths(array) == 0)


def typed(values: npt.NDArray[Any], missing: Mask, type_: pa.DataType) -> pa.Array:
    """Return numbers as a date, time or timestamp array, nothing where the mask says so."""
    return pa.array(values, mask=missing if missing.any() else None).view(type_)


def numbers_of(array: pa.Array, type_: pa.DataType, storage: pa.DataType) -> tuple[npt.NDArray[Any], Mask]:
    """Return a date, time or timestamp array as numbers (0 for nothing) and a mask of the rows that hold one."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = array if array.type == type_ else array.cast(type_)
    present = is_valid(array)
    array = array.view(storage)
    return (array.fill_null(0) if array.null_count else array).to_numpy(), present


def faults(mask: Mask) -> pa.BooleanArray | None:
    """Return the mask of failed rows, or None when there is none."""
    return pa.array(mask) if mask.any() else None


def converted(array: pa.Array, fault: Mask) -> Converted:
    """Return a kernel's result with nothing in the rows that failed."""
    return Converted((nothing(array, fault),), faults(fault))


def unchanged(arrays: tuple[pa.Array, ...]) -> Converted:
    """Return the arrays as they are: the identity kernel."""
    return Converted(arrays)
