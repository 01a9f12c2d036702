"""How many of everything there are, and which belongs to which.

Everything repeats in blocks of 100 contracts: 75 partners, 80 accounts, 45 connection objects, 70 premises (4 vacant),
85 points of delivery, 100 installations (4 without a current contract), 100 installed and 10 removed or spare devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from landscape.draw import Ids, Mask

BLOCK = 100
_CURRENT = 96
_SLOTS = np.arange(BLOCK)
SWAPPED = np.arange(5, 96, 12)  # installations whose first meter was replaced
MOVED = np.array([10, 60])  # installations with a former tenant: contracts 98 and 99

_INSTALLATION_OF = np.concatenate([np.arange(98), MOVED])
_ACCOUNT_OF = np.concatenate([np.arange(_CURRENT) * 76 // 96, np.arange(76, 80)])
_PARTNER_OF = np.concatenate([np.arange(76) * 71 // 76, np.arange(71, 75)])
_POD_OF = {
    "single": np.concatenate([np.arange(_CURRENT) * 81 // 96, np.arange(81, 85)]),
    "dual": np.arange(BLOCK),
}
_PREMISE_OF = {
    "single": np.concatenate([np.arange(81) * 66 // 81, np.arange(66, 70)]),
    "dual": np.concatenate([np.arange(_CURRENT) * 66 // 96, np.arange(66, 70)]),
}
_HOUSE_OF = np.concatenate([np.arange(40), 40 + np.arange(30) // 6])


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of blocks, filled at once."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The population of a landscape of so many customer contracts, in the single or the dual model.

    In the dual model every customer contract (supply) has a twin (grid usage): ids `supply` and `supply + contracts`.
    """

    contracts: int
    dual: bool

    @property
    def model(self) -> str:
        """single or dual."""
        return "dual" if self.dual else "single"

    def _anchors(self, entity: str) -> Ids:
        """Return for each slot of a block the first contract slot that needs it, never descending."""
        premise_of_slot = _PREMISE_OF[self.model][_POD_OF[self.model]]
        needs = {
            "contract": _SLOTS,
            "installation": _SLOTS,
            "account": _ACCOUNT_OF,
            "partner": _PARTNER_OF[_ACCOUNT_OF],
            "pod": _POD_OF[self.model],
            "premise": premise_of_slot,
            "house": _HOUSE_OF[premise_of_slot],
        }
        if entity == "spare":
            return np.concatenate([SWAPPED, [99, 99]])
        return np.unique(needs[entity], return_index=True)[1]

    def size(self, entity: str) -> int:
        """Return how many contracts (of customers), installations, accounts, partners, pods, ... there are."""
        anchors = self._anchors(entity)
        blocks, rest = divmod(self.contracts, BLOCK)
        return blocks * len(anchors) + int((anchors < rest).sum())

    def per_block(self, entity: str) -> int:
        """Return how many there are in a full block."""
        return len(self._anchors(entity))

    def ids(self, entity: str, chunk: Chunk | None = None) -> Ids:
        """Return the ids of an entity, of one chunk or of all."""
        size, per = self.size(entity), self.per_block(entity)
        if chunk is None:
            return np.arange(size)
        return np.arange(min(chunk.first * per, size), min(chunk.last * per, size))

    def chunks(self, contracts: int) -> Iterator[Chunk]:
        """Yield ranges of blocks of about so many contracts."""
        blocks, step = -(-self.contracts // BLOCK), max(1, contracts // BLOCK)
        for first in range(0, blocks, step):
            yield Chunk(first, min(first + step, blocks))

    def installation_of(self, contracts: Ids) -> Ids:
        """Return the installation a contract is for."""
        return np.asarray(contracts // BLOCK * BLOCK + _INSTALLATION_OF[contracts % BLOCK])

    def account_of(self, contracts: Ids) -> Ids:
        """Return the contract account that pays a contract."""
        return np.asarray(contracts // BLOCK * 80 + _ACCOUNT_OF[contracts % BLOCK])

    def partner_of(self, accounts: Ids) -> Ids:
        """Return the business partner of an account."""
        return np.asarray(accounts // 80 * 75 + _PARTNER_OF[accounts % 80])

    def pod_of(self, installations: Ids) -> Ids:
        """Return the point of delivery of an installation."""
        return np.asarray(installations // BLOCK * self.per_block("pod") + _POD_OF[self.model][installations % BLOCK])

    def premise_of(self, pods: Ids) -> Ids:
        """Return the premise of a point of delivery."""
        per = self.per_block("pod")
        return np.asarray(pods // per * 70 + _PREMISE_OF[self.model][pods % per])

    def house_of(self, premises: Ids) -> Ids:
        """Return the connection object of a premise."""
        return np.asarray(premises // 70 * 45 + _HOUSE_OF[premises % 70])

    def first_installation_of(self, pods: Ids) -> Ids:
        """Return the first installation of a point of delivery."""
        per = self.per_block("pod")
        first = np.unique(_POD_OF[self.model], return_index=True)[1]
        return np.asarray(pods // per * BLOCK + first[pods % per])

    def is_former(self, contracts: Ids) -> Mask:
        """Return which contracts have ended."""
        return contracts % BLOCK >= _CURRENT

    def has_predecessor(self, contracts: Ids) -> Mask:
        """Return which contracts follow a former tenant of the same installation."""
        return np.isin(contracts % BLOCK, MOVED) & (contracts // BLOCK * BLOCK + 99 < self.contracts)
