"""Who carries packages, with everything that is not a pure value, and what became of what it carried."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from isthmus.gate import Gate
from isthmus.ledger import Ledger
from isthmus.levels.package import Carried
from isthmus.levels.route import Route


@dataclass(frozen=True, slots=True)
class Worker:
    """Who loads, and what it may use: everything that is not a pure value is passed in here."""

    name: str
    ledger: Ledger
    gate: Gate
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[Route, Carried], None] = lambda route, carried: None
    parents: Callable[[], object] = lambda: None  # waits until the keys of all parents are in the key map
    idle: Callable[[], object] = lambda: None  # is told, once or more, that nothing is left to be read


@dataclass(slots=True)
class Tally:
    """Adds up what became of the packages one worker carried."""

    counts: Counter[str] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    withheld: list[str] = field(default_factory=list)

    def add(self, carried: Carried) -> None:
        """Add one package."""
        self.counts.update(carried.counts)
