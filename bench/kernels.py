"""Rows per second of every mapping function, read and written, over a million values: `python -m bench.kernels`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa

from isthmus.mapping.functions import Arrays, Context, Step
from isthmus.mapping.functions.civil import dates_of, spell
from isthmus.mapping.functions.registry import bind
from isthmus.mapping.spec import Call, CodeTable

_CODES = {
    "division": CodeTable("division", "", {"isu": {"electricity": ("01", "07"), "gas": ("02",), "water": ("03",)}})
}


def _columns(rows: int) -> Iterator[tuple[str, tuple[str, ...], Arrays]]:
    """Yield functions with their arguments and raw columns; every block has some initial values."""
    random = np.random.default_rng(7)
    day = dates_of(random.integers(10000, 21000, rows))[0]
    dates = spell(np.where(random.random(rows) < 0.05, 0, day), 8)
    ends = spell(np.where(random.random(rows) < 0.5, 99991231, day), 8)
    times = spell(random.integers(0, 24, rows) * 10000 + random.integers(0, 60, rows), 6)
    keys = spell(random.integers(1, 10**8, rows), 8)
    mixed = pa.array(np.where(random.random(rows) < 0.05, "AB-1", keys.to_numpy(zero_copy_only=False)).astype(object))
    names = pa.array(
        np.array(["Main Street  ", "", "Northern Regional Water Board"], object)[random.integers(0, 3, rows)]
    )
    raw = pa.Array.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(random.bytes(16 * rows))])
    amounts = pa.array(random.integers(0, 10**9, rows)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(38, 2))
    whole = pa.array(random.integers(0, 10**9, rows)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(17, 0))
    fraction = pa.repeat(pa.scalar(Decimal("0.5"), pa.decimal128(14, 14)), rows)
    stamps = pa.array(day * 1_000_000 + 123000).cast(pa.decimal128(19, 0)).cast(pa.decimal128(15, 0))
    codes = pa.array(np.array(["01", "07", "02", ""], object)[random.integers(0, 4, rows)])
    flags = pa.array(np.array(["X", ""], object)[random.integers(0, 2, rows)])
    yield from [
        ("trim", (), (names,)),
        ("upper", (), (names,)),
        ("lines", ("20",), (names, keys)),
        ("join", ("/",), (keys, times)),
        ("padded", ("10",), (keys,)),
        ("padded", ("10",), (mixed,)),
        ("guid", ("raw",), (raw,)),
    ]
    hexed, spelled = (bind(Call("guid", (name,)), Context("isu")) for name in ("hex", "c22"))
    model = bind(Call("guid", ("raw",)), Context("isu")).read((raw,)).arrays
    assert hexed.write and spelled.write
    yield "guid", ("hex",), hexed.write(model).arrays
    yield "guid", ("c22",), spelled.write(model).arrays
    yield from [
        ("ref", ("product",), (keys,)),
        ("date", (), (dates,)),
        ("date", ("open",), (ends,)),
        ("time", (), (times,)),
        ("moment", (), (dates, times)),
        ("moment", ("Europe/Berlin",), (dates, times)),
        ("stamp", (), (stamps,)),
        ("days", (), (dates, ends)),
        ("moments", (), (dates, times, ends, times)),
        ("decimal", ("13.2",), (amounts,)),
        ("decimal", ("13.2",), (amounts.cast(pa.string()),)),
        ("integer", ("8",), (keys,)),
        ("whole_and_fraction", (), (whole, fraction)),
        ("code", ("division",), (codes,)),
        ("flag", (), (flags,)),
        ("present", (), (flags,)),
        ("default", ("UTC",), (flags,)),
        ("latest", (), (dates, ends)),
        ("first", (), (keys,)),
    ]


def _million_per_second(kernel: Callable[[Arrays], object], arrays: Arrays) -> float:
    """Return the best of three runs in million rows per second."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        kernel(arrays)
        best = min(best, time.perf_counter() - start)
    return len(arrays[0]) / best / 1e6


def main(rows: int = 1_000_000) -> None:
    """Print one line per function: million rows a second read and written."""
    print(f"{'function':<24}{'reads':>10}{'writes':>10}  million rows/s, one core, {rows} rows")
    for name, args, arrays in _columns(rows):
        step: Step = bind(Call(name, args), Context("isu", _CODES, columns=len(arrays)))
        reads = _million_per_second(step.read, arrays)
        writes = f"{_million_per_second(step.write, step.read(arrays).arrays):>10.1f}" if step.write else f"{'-':>10}"
        print(f"{f'{name}({args[0]})' if args else name:<24}{reads:>10.1f}{writes}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
