"""Packages under way: one is read and one made ready while another is written and the one before it confirmed.

Four threads take turns with the servers of source, ledger and target, so that both sides of every wait have work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from isthmus.ledger import Claimed
from isthmus.levels.package import Carried, Ready
from isthmus.mapping.plan import Records

UNDER_WAY = 2  # packages on their way besides the one that is written


@dataclass(frozen=True, slots=True)
class Ahead:
    """A package claimed, read and mapped."""

    claimed: Claimed
    records: Records


@dataclass(frozen=True, slots=True)
class Item:
    """A package that is ready to be written."""

    claimed: Claimed
    ready: Ready


class Line:
    """Reads packages by `take` and makes them ready by `make`, each in a thread of its own, ahead of the caller.

    `take` gets whether to wait for what other workers hold, and gives None when there is nothing more.
    """

    def __init__(self, take: Callable[[bool], Ahead | None], make: Callable[[Ahead], Ready]) -> None:
        self._take, self._make = take, make
        self._reading, self._making, self._confirming = (
            ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("read", "ready", "confirm")
        )
        self._under_way: deque[tuple[Future[Ahead | None], Future[Item | None]]] = deque()
        self._dry = False
        self.in_hand: Claimed | None = None

    def next(self) -> Item | None:
        """Return the next package; None when there is none but those that others hold."""
        self._top_up()
        while self._under_way:
            item = self._pop()
            if item is not None:
                self._top_up()
                return item
        return None

    def wait(self) -> Item | None:
        """Return the next package, waiting for what others hold; None when there is nothing more at all."""
        self._dry = False
        self._begin(wait=True)
        return self._pop()

    def confirm(self, work: Callable[[], Carried]) -> Future[Carried]:
        """Confirm a package that was written, beside all the rest."""
        return self._confirming.submit(work)

    def abandoned(self) -> Iterator[Claimed]:
        """Yield what was claimed and will not be written: the package in hand and those under way."""
        if self.in_hand is not None:
            yield self.in_hand
        for reading, making in self._under_way:
            making.cancel()
            if reading.exception() is None and (found := reading.result()) is not None:
                yield found.claimed

    def _top_up(self) -> None:
        while len(self._under_way) < UNDER_WAY and not self._dry:
            self._begin(wait=False)

    def _begin(self, wait: bool) -> None:
        reading = self._reading.submit(self._read, wait)
        self._under_way.append((reading, self._making.submit(self._ready, reading)))

    def _read(self, wait: bool) -> Ahead | None:
        ahead = self._take(wait)
        self._dry = ahead is None
        return ahead

    def _ready(self, reading: Future[Ahead | None]) -> Item | None:
        ahead = reading.result()
        return None if ahead is None else Item(ahead.claimed, self._make(ahead))

    def _pop(self) -> Item | None:
        reading, making = self._under_way.popleft()
        ahead = reading.result()
        self.in_hand = None if ahead is None else ahead.claimed
        return making.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for beside in (self._reading, self._making, self._confirming):
            beside.shutdown()
