"""The Isthmus id of a new thing: 128 bits made of the key it was born with, so a retry makes the same one.

The first six bytes follow the key, the rest is a hash: things with neighbouring keys get neighbouring ids, and the
indexes of the key map and of targets that use the id as their own key are filled from left to right.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Words = npt.NDArray[np.uint64]

_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_A1, _A2 = np.uint64(0x52DCE729), np.uint64(0x38495AB5)
_BYTES_AT_ONCE = 16 << 20


def birth_ids(object: str, system: str, client: str, keys: pa.Array) -> pa.Array:
    """Return fixed_size_binary(16) ids for text keys of one object in one system; null stays null.

    Bytes 0-5 hold the low four bits of the key's last twelve characters, the others come from MurmurHash3 x64 128
    of the key, begun with the MD5 of object, system and client. Version and variant bits make it a UUID version 8.
    """
    begin = hashlib.md5("\0".join((object, system, client)).encode(), usedforsecurity=False).digest()
    first, second = np.frombuffer(begin, "<u8")
    octets = murmur3(keys, int(first), int(second)).astype("<u8").view(np.uint8).reshape(-1, 16)
    octets[:, :6] = _neighbourhood(keys)
    octets[:, 6] = octets[:, 6] & 0x0F | 0x80
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    ids = pa.Array.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(octets.tobytes())])
    return ids if not keys.null_count else pc.if_else(keys.is_valid(), ids, pa.scalar(None, pa.binary(16)))


def _neighbourhood(keys: pa.Array) -> npt.NDArray[np.uint8]:
    """Pack the last twelve characters of each key into six bytes; for digits that is their order."""
    data, offsets = _octets(keys)
    places = offsets[1:, None] - np.arange(12, 0, -1)
    inside = places >= offsets[:-1, None]
    nibbles = np.zeros(places.shape, np.uint8)
    nibbles[inside] = data[places[inside]] & 0x0F
    packed: npt.NDArray[np.uint8] = np.left_shift(nibbles[:, 0::2], np.uint8(4)) | nibbles[:, 1::2]
    return packed


def murmur3(keys: pa.Array, first: int, second: int) -> Words:
    """Return the two 64-bit halves per key, shape (n, 2); `first` and `second` are the state it begins with.

    Over whole columns: 10 ms per 100,000 keys of ten characters, where MD5 in DuckDB takes 24 ms beside its import
    and hashlib in a loop 47 ms.
    """
    data, offsets = _octets(keys)
    result = np.empty((len(keys), 2), np.uint64)
    widest = int(np.diff(offsets).max(initial=0))
    step = max(1, _BYTES_AT_ONCE // (widest + 16))
    for start in range(0, len(keys), step):
        part = offsets[start : start + step + 1]
        result[start : start + step] = _hash(data, part, np.uint64(first), np.uint64(second))
    return result


def _octets(keys: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    keys = keys.cast(pa.string())
    if keys.null_count:
        keys = keys.fill_null("")
    if not len(keys):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = keys.buffers()
    ends = np.frombuffer(offsets, np.int32, len(keys) + 1, keys.offset * 4).astype(np.int64)
    return np.frombuffer(data if data is not None else b"", np.uint8), ends


def _hash(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], first: np.uint64, second: np.uint64) -> Words:
    """Hash one chunk. A tail padded with zeros mixes like no tail at all, so all rows share one matrix."""
    lengths = np.diff(offsets)
    blocks = int(lengths.max(initial=0)) // 16 + 1
    matrix = np.zeros((len(lengths), blocks * 16), np.uint8)
    matrix[np.arange(blocks * 16) < lengths[:, None]] = data[offsets[0] : offsets[-1]]
    words = matrix.view("<u8").astype(np.uint64, copy=False)
    one, two = np.full(len(lengths), first), np.full(len(lengths), second)
    for block in range(blocks):
        one, two = _round(one, two, words[:, 2 * block], words[:, 2 * block + 1], lengths >= 16 * (block + 1))
    size = lengths.astype(np.uint64)
    one, two = one ^ size, two ^ size
    one = one + two
    two = two + one
    one, two = _finish(one), _finish(two)
    one = one + two
    return np.stack([one, two + one], axis=1)


def _round(one: Words, two: Words, low: Words, high: Words, full: npt.NDArray[np.bool_]) -> tuple[Words, Words]:
    """Mix in 16 bytes; rows whose key ends in this block get the tail's part of the mixing only."""
    one = one ^ _rotate(low * _C1, 31) * _C2
    two = two ^ (tail := _rotate(high * _C2, 33) * _C1)
    mixed = (_rotate(one, 27) + (two ^ tail)) * np.uint64(5) + _A1
    one = np.where(full, mixed, one)
    stirred = (_rotate(two, 31) + one) * np.uint64(5) + _A2
    return one, np.where(full, stirred, two)


def _rotate(words: Words, bits: int) -> Words:
    return words << np.uint64(bits) | words >> np.uint64(64 - bits)


def _finish(words: Words) -> Words:
    words = (words ^ words >> np.uint64(33)) * _M1
    words = (words ^ words >> np.uint64(33)) * _M2
    return words ^ words >> np.uint64(33)
