"""Where defects are planted, how their victims are chosen, and the catalogue they are registered in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.draw import Ids, Mask
from landscape.manifest import Expected
from landscape.plan import BLOCK
from landscape.rows import Connection
from landscape.world import World

WINDOW = 500
"""One of each defect is planted in every so many contracts."""
_GROUPS = 24


@dataclass(frozen=True, slots=True)
class Site:
    """The world a defect must fit into, and both databases, each within one transaction."""

    world: World
    isu: Connection
    crm: Connection

    @property
    def contracts(self) -> Ids:
        """All contracts of customers."""
        return self.world.plan.ids("contract")

    def place(self, contracts: Ids) -> Ids:
        """Return the installations of contracts."""
        return self.world.plan.installation_of(contracts)

    def pod(self, contracts: Ids) -> Ids:
        """Return the points of delivery of contracts."""
        return self.world.plan.pod_of(self.place(contracts))

    def choose(self, number: int, mask: Mask | bool = True, among: Ids | None = None) -> Ids:
        """Return one contract per window that the mask allows, among current ones or those given.

        Slots keep defects apart: groups of four neighbours are dealt anew to the defects in each block; others serve
        only where a whole window has no fitting ones. Contracts with a meter of the market are spared.
        """
        plan, draw = self.world.plan, self.world.draw
        ids = self.contracts if among is None else among
        usual = self.world.nem_index(self.pod(ids)) < 0
        if among is None:
            usual &= ~plan.is_former(ids)
        turn = draw.below("defects.turn", ids // BLOCK, _GROUPS)
        own = (ids % BLOCK // 4 + turn) % _GROUPS == number % _GROUPS
        whole = (ids // WINDOW + 1) * WINDOW <= plan.contracts
        allowed = usual & mask & (own | whole | (among is not None))
        rank = draw.share(f"defect.{number}", ids) + np.where(own, 0.0, 1.0) + np.where(allowed, 0.0, 10.0)
        order = np.lexsort((rank, ids // WINDOW))
        best = order[np.unique((ids // WINDOW)[order], return_index=True)[1]]
        return np.sort(ids[best[rank[best] < 10.0]])

    def numbers(self, contracts: Ids) -> list[str]:
        """Return contract numbers."""
        return spelled(self.world.contract(contracts))


def spelled(column: Any) -> list[str]:
    """Return an Arrow column as a list of text."""
    return [str(value) for value in column.to_pylist()]


Planter = Callable[[Site], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Defect:
    """A kind of defect and the function that plants it and returns the keys it touched."""

    number: int
    name: str
    about: str
    table: str
    key: str
    expected: Expected
    planter: Planter


CATALOGUE: list[Defect] = []


def defect(number: int, expected: Expected, key: str) -> Callable[[Planter], Planter]:
    """Register a planter; `key` is TABLE-COLUMN of the keys it returns."""

    def register(planter: Planter) -> Planter:
        table, _, column = key.partition("-")
        about = (planter.__doc__ or "").strip()
        CATALOGUE.append(Defect(number, planter.__name__, about, table, column, expected, planter))
        return planter

    return register
