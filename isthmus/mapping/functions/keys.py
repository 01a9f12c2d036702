"""Keys: numbers with leading zeros, GUIDs in their three spellings, references to other objects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import choice, one_argument, whole_number
from isthmus.mapping.functions.arrays import (
    Bytes,
    Mask,
    as_mask,
    as_text,
    blank_to_nothing,
    converted,
    faults,
    from_matrix,
    is_valid,
    lengths,
    matrix,
    nothing,
    stripped,
    unchanged,
)

_HEX = np.array([f"{byte:02X}".encode() for byte in range(256)], dtype="S2").view(np.uint16)


def _values_of(alphabet: bytes) -> Bytes:
    """Return a table from a character's byte to its place in the alphabet; 255 for any other."""
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(alphabet, np.uint8)] = np.arange(len(alphabet), dtype=np.uint8)
    return table


_HEX_VALUES = _values_of(b"0123456789ABCDEF")
_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz{}"
_SIXTY_FOUR = np.frombuffer(_ALPHABET, np.uint8)
_SIXTY_FOUR_VALUES = _values_of(_ALPHABET)


# --- padded -------------------------------------------------------------------------------------------------------


def _bind_padded(args: tuple[str, ...], context: Context) -> Step:
    width = whole_number(one_argument(args, "the length of the column"), "the length of the column", 255)

    def read(arrays: Arrays) -> Converted:
        text = stripped(arrays[0])
        digits = pc.ascii_is_decimal(text)
        bare = pc.ascii_ltrim(text, "0")
        if digits.false_count:
            bare = pc.if_else(digits, bare, text)
        return converted(blank_to_nothing(bare), _longer(bare, width))

    def write(arrays: Arrays) -> Converted:
        text = as_text(arrays[0]).fill_null("")
        digits = pc.ascii_is_decimal(text)
        fault = _longer(text, width) | (lengths(stripped(text)) != lengths(text))
        fault |= as_mask(pc.and_(digits, pc.starts_with(text, "0")))
        padded = pc.ascii_lpad(text, width, "0")
        if digits.false_count or fault.any():
            padded = pc.if_else(pc.and_(digits, pa.array(~fault)), padded, pc.if_else(pa.array(fault), "", text))
        return Converted((padded,), faults(fault))

    return Step(
        "padded",
        read,
        write,
        pa.string(),
        f"at most {width} digits or characters",
        expects_model=f"at most {width} digits or characters, without leading zeros or blanks around them",
    )


def _longer(text: pa.StringArray, width: int) -> Mask:
    """Return a mask of the rows with more characters; bytes decide first, as they are free to count."""
    if not (lengths(text) > width).any():
        return np.zeros(len(text), bool)
    return as_mask(pc.greater(pc.utf8_length(text), width))


# --- GUIDs --------------------------------------------------------------------------------------------------------


def _from_raw(array: pa.Array) -> tuple[Bytes, Mask]:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_binary(array.type):
        array = array.cast(pa.binary())
    size = pc.binary_length(array).fill_null(0).to_numpy()
    wrong = ~np.isin(size, (0, 16))
    if (size != 16).any():
        array = pc.if_else(pa.array(size == 16), array, pa.scalar(bytes(16), pa.binary()))
    if not len(array):
        return np.empty((0, 16), np.uint8), wrong
    start = np.frombuffer(array.buffers()[1], np.int32)[array.offset]
    data = np.frombuffer(array.buffers()[2], np.uint8)[start : start + 16 * len(array)]
    return data.reshape(-1, 16), wrong


def _to_raw(rows: Bytes) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.Array.from_buffers(pa.binary(16), len(rows), [None, data])


def _from_text(array: pa.Array, width: int, values: Bytes) -> tuple[Bytes, Mask]:
    """Return the digits of a spelling and a mask of the rows that are not blank and not of that spelling."""
    text = as_text(array)
    if (lengths(text) != width).any():
        text = stripped(text)
    rows, fits = matrix(text, width, "0")
    digits = values[rows]
    wrong = digits.max(axis=1, initial=0) == 255 if (digits == 255).any() else np.zeros(len(rows), bool)
    return np.where(wrong[:, None], np.uint8(0), digits), wrong | (~fits & (lengths(text) > 0))


def _from_hex(array: pa.Array) -> tuple[Bytes, Mask]:
    digits, wrong = _from_text(array, 32, _HEX_VALUES)
    rows: Bytes = digits[:, 0::2] << np.uint8(4) | digits[:, 1::2]
    return rows, wrong


def _to_hex(rows: Bytes) -> pa.StringArray:
    return from_matrix(_HEX[rows].view(np.uint8).reshape(-1, 32))


def _from_c22(array: pa.Array) -> tuple[Bytes, Mask]:
    digits, wrong = _from_text(array, 22, _SIXTY_FOUR_VALUES)
    sixes = np.zeros((len(digits), 6, 4), np.uint8)
    sixes.reshape(-1, 24)[:, :22] = digits
    rows = np.empty((len(digits), 6, 3), np.uint8)
    rows[..., 0] = sixes[..., 0] << 2 | sixes[..., 1] >> 4
    rows[..., 1] = sixes[..., 1] << 4 | sixes[..., 2] >> 2
    rows[..., 2] = sixes[..., 2] << 6 | sixes[..., 3]
    flat = rows.reshape(-1, 18)
    # 22 characters hold 132 bits: the last four are not part of the id and must be zero.
    return flat[:, :16], wrong | (flat[:, 16] != 0)


def _to_c22(rows: Bytes) -> pa.StringArray:
    padded = np.zeros((len(rows), 18), np.uint8)
    padded[:, :16] = rows
    threes = padded.reshape(-1, 6, 3)
    sixes = np.empty((len(rows), 6, 4), np.uint8)
    sixes[..., 0] = threes[..., 0] >> 2
    sixes[..., 1] = (threes[..., 0] & 3) << 4 | threes[..., 1] >> 4
    sixes[..., 2] = (threes[..., 1] & 15) << 2 | threes[..., 2] >> 6
    sixes[..., 3] = threes[..., 2] & 63
    return from_matrix(_SIXTY_FOUR[sixes.reshape(-1, 24)[:, :22]])


def _upper_hex(array: pa.Array) -> tuple[Bytes, Mask]:
    return _from_hex(pc.ascii_upper(as_text(array)))


Decode = Callable[[pa.Array], tuple[Bytes, Mask]]  # (rows, 16) bytes, rows that are no GUID
Encode = Callable[[Bytes], pa.Array]
_SPELLINGS: dict[str, tuple[Decode, Encode, str, pa.DataType]] = {
    "raw": (_from_raw, _to_raw, "16 bytes", pa.binary(16)),
    "hex": (_upper_hex, _to_hex, "32 hexadecimal digits", pa.string()),
    "c22": (_from_c22, _to_c22, "a GUID of 22 characters (0-9, A-Z, a-z, { and })", pa.string()),
}


def _bind_guid(args: tuple[str, ...], context: Context) -> Step:
    spelling = choice(args, _SPELLINGS)
    decode, encode, expects, raw = _SPELLINGS[spelling]

    def read(arrays: Arrays) -> Converted:
        rows, wrong = decode(arrays[0])
        return Converted((nothing(_to_hex(rows), wrong | _zero(rows)),), faults(wrong))

    def write(arrays: Arrays) -> Converted:
        text = as_text(arrays[0])
        rows, wrong = _from_hex(text)
        # The model knows no zero GUID and no blanks around one: they would read back as something else.
        wrong |= is_valid(text) & (lengths(text) > 0) & ((lengths(text) != 32) | _zero(rows))
        empty = wrong | _zero(rows)
        if empty.any():
            rows = np.where(empty[:, None], np.uint8(0), rows)
        array = encode(rows)
        if empty.any() and raw == pa.string():
            array = pc.if_else(pa.array(empty), "", array)
        return Converted((array,), faults(wrong))

    return Step(
        "guid",
        read,
        write,
        pa.string(),
        expects,
        exact=spelling == "raw",
        raw=(raw,),
        expects_model="a GUID as 32 hexadecimal digits in upper case",
    )


def _zero(rows: Bytes) -> Mask:
    halves = np.ascontiguousarray(rows).view(np.uint64)
    zero: Mask = (halves[:, 0] | halves[:, 1]) == 0
    return zero


# --- references ---------------------------------------------------------------------------------------------------


def _bind_ref(args: tuple[str, ...], context: Context) -> Step:
    object_ = one_argument(args, "the object referred to, like ref(contract_account)")
    return Step("ref", unchanged, unchanged, pa.string(), f"the key of a {object_}", exact=True, ref=object_)


FUNCTIONS = (
    Function(
        "padded",
        "A number that SAP pads with zeros to n places (ALPHA exit); text that is not all digits stays as it is.",
        _bind_padded,
        "n",
        example=(("0000004711",), "4711"),
        example_args=("10",),
    ),
    Function(
        "guid",
        "A GUID as 32 hexadecimal digits; raw: 16 bytes, hex: 32 digits, c22: 22 characters. The alphabet of c22 "
        "(0-9 A-Z a-z { }) and its order of bits (highest first, four zero bits at the end) are an inference.",
        _bind_guid,
        "raw|hex|c22",
        example=(("0050568d25ca1ed78b8c1b4f3f8b20b2",), "0050568D25CA1ED78B8C1B4F3F8B20B2"),
        example_args=("raw",),
    ),
    Function(
        "ref",
        "The key of another object; what it means in the other system is the key map's answer.",
        _bind_ref,
        "object",
        example=(("4711",), "4711"),
        example_args=("contract_account",),
    ),
)
