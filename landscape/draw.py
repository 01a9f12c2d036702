"""Random columns that depend on nothing but the seed, a stream's name and an entity's number.

So a landscape is the same whatever the size of its chunks and the order in which its tables are filled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Draw:
    """A counter-based generator (splitmix64) with one independent stream per name."""

    seed: int

    def bits(self, stream: str, ids: Ids) -> Bits:
        """Return 64 random bits for every id."""
        start = hashlib.blake2b(f"{self.seed}:{stream}".encode(), digest_size=8).digest()
        x = ids.astype(np.uint64)
        x *= np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64(int.from_bytes(start, "little"))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x ^= x >> np.uint64(shift)
            x *= np.uint64(factor)
        x ^= x >> np.uint64(31)
        return x

    def share(self, stream: str, ids: Ids) -> npt.NDArray[np.float64]:
        """Return a number in [0, 1) for every id."""
        return (self.bits(stream, ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, stream: str, ids: Ids, limit: int) -> Ids:
        """Return a whole number in [0, limit) for every id."""
        return ((self.bits(stream, ids) >> np.uint64(33)) % np.uint64(limit)).astype(np.int64)

    def chance(self, stream: str, ids: Ids, probability: float) -> Mask:
        """Return true for about that share of the ids."""
        return self.share(stream, ids) < probability

    def pick(self, stream: str, ids: Ids, weights: Sequence[float]) -> Ids:
        """Return the position of one weight for every id, as often as it weighs."""
        bounds = np.cumsum(np.asarray(weights, dtype=np.float64))
        return np.searchsorted(bounds / bounds[-1], self.share(stream, ids), side="right").astype(np.int64)
