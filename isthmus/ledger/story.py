"""The story of one thing: its keys everywhere, the packages that covered it, its faults, what people did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.ledger.ledger import Ledger
from isthmus.ledger.values import Event, Package, RowException

LONGEST = 40


@dataclass(frozen=True, slots=True)
class Story:
    """What the ledger knows of one thing; `sides` has id, system, client, key, state and run."""

    object: str
    key: str
    sides: Sequence[Mapping[str, Any]]
    packages: Sequence[Package]
    exceptions: Sequence[RowException]
    events: Sequence[Event]

    @property
    def is_empty(self) -> bool:
        """Say whether the ledger has never met the thing."""
        return not (self.sides or self.exceptions or self.events)


def story(ledger: Ledger, object: str, key: str) -> Story:
    """Collect what happened to the thing of an object that people call `key`, in any system's spelling."""
    spelt = spellings(key)
    sides = ledger.keys.of(object, spelt)
    keys = sorted({*spelt, *(spelling for side in sides for spelling in spellings(side["key"]))})
    exceptions = [held for held in ledger.exceptions.of(keys) if object_of(held.flow) == object]
    flows = [flow for flow in ledger.packages.flows() if object_of(flow) == object]
    met = [side["key"] for side in sides] or [held.key for held in exceptions] or [key]
    known = sorted({spelling for one in met for spelling in spellings(one)})
    packages = ledger.packages.covering(known, flows) if flows else []
    return Story(
        object,
        key,
        sides,
        [package for package in packages if _covers(package, known)],
        exceptions,
        ledger.events.of(object, keys),
    )


def spellings(key: str) -> list[str]:
    """Return the ways a key may be stored: as given and, for a number, without and with zeros in front.

    >>> spellings("0042")[:4]
    ['42', '042', '0042', '00042']
    """
    if not key.isdigit():
        return [key]
    bare = key.lstrip("0") or "0"
    return [bare.zfill(length) for length in range(len(bare), max(LONGEST, len(key)) + 1)]


def object_of(flow: str) -> str:
    """Return the object a flow carries: the part of its name before the first dot."""
    return flow.split(".", 1)[0]


def _covers(package: Package, keys: Sequence[str]) -> bool:
    """Say whether the range holds one of the keys; a key as long as no bound compares by accident only."""
    low, high = package.range.low, package.range.high
    lengths = {len(bound[0]) for bound in (low, high) if bound}
    return any(
        (not lengths or len(key) in lengths) and (low is None or low <= (key,)) and (high is None or (key,) < high)
        for key in keys
    )
