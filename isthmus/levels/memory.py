"""Memory that a package took goes back to the machine when the package is done, so that a load stays small."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import pyarrow as pa

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # glibc, malloc.h
ARENAS = 2  # heaps that threads share; each keeps what is free in it
OWN_PAGES = 256 << 10  # bytes; what is as large gets pages of its own, which are given back at once


def give_back() -> None:
    """Let this process give back what it frees; elsewhere than on glibc only as far as Arrow's memory goes.

    Arrow's default allocator kept 100 MB of it, and glibc, which raises its threshold as it goes, another 30 MB.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, OWN_PAGES)
        mallopt(M_ARENA_MAX, ARENAS)
