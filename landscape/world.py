"""The facts of a landscape that several tables share: who lives where since when, with what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from landscape import codes, columns, nem
from landscape.columns import NONE, OPEN, Days, day
from landscape.draw import Draw, Ids, Mask
from landscape.plan import BLOCK, MOVED, SWAPPED, Chunk, Plan

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class World:
    """One landscape: its plan, its randomness, its today."""

    plan: Plan
    draw: Draw
    devices: bool
    readings: int
    today: date
    meters: tuple[nem.Meter, ...] = field(default_factory=nem.homed)

    @property
    def now(self) -> int:
        """Today as a number of days."""
        return day(self.today)

    @property
    def sides(self) -> tuple[int, ...]:
        """0 supply, 1 grid usage."""
        return (0, 1) if self.plan.dual else (0,)

    # ---- installations and contracts; `ids` are those of the supply side --------

    def nem_pods(self) -> Ids:
        """Return the points of delivery that carry the market's meters, in the order of `meters`."""
        pods = self.plan.ids("pod", Chunk(0, 4))
        first = self.plan.first_installation_of(pods)
        home = pods[(first % BLOCK < 96) & ~np.isin(first % BLOCK, [*SWAPPED, *MOVED])]
        return home[1::2][: len(self.meters)]

    def nem_index(self, pods: Ids) -> Ids:
        """Return the position of the market's meter at each point of delivery, -1 where there is none."""
        homes = self.nem_pods()
        if not len(homes) or not len(pods):
            return np.full(len(pods), -1)
        at = np.minimum(np.searchsorted(homes, pods), len(homes) - 1)
        return np.where(homes[at] == pods, at, -1)

    def meter_index(self, installations: Ids) -> Ids:
        """Return the position of the market's meter in each installation, -1 where there is none."""
        pods = self.plan.pod_of(installations)
        found = self.nem_index(pods)
        return np.where(self.plan.first_installation_of(pods) == installations, found, -1)

    def division(self, pods: Ids) -> Ids:
        """Return the position of the division of each point of delivery."""
        picked = self.draw.pick("division", pods, codes.DIVISION_WEIGHTS)
        return np.where(self.nem_index(pods) >= 0, 0, picked)

    def rate(self, installations: Ids, slice_no: int) -> Ids:
        """Return the rate (a position in RATES) of an installation in its first, second or third slice."""
        kind = (self.draw.below("rate", installations, 3) + slice_no) % 3
        return self.division(self.plan.pod_of(installations)) * 3 + kind

    def commissioned(self, installations: Ids) -> Days:
        """Return when an installation was created: 3 to 25 years ago, in 2000 for the market's meters."""
        age = 1100 + self.draw.below("commissioned", installations, 8000)
        since = self.now - age
        return np.where(self.meter_index(installations) >= 0, day(date(2000, 1, 1)), since)

    def slices(self, installations: Ids) -> tuple[Days, Days]:
        """Return the first days of the second and third rate slice, OPEN where there is none.

        Every third tenant of long standing changed the rate since moving in.
        """
        since, (moved_in, _) = self.commissioned(installations), self.tenancy(installations)
        own = (installations % 3 == 1) & (installations % BLOCK < 96) & (self.now - moved_in >= 150)
        first = np.where(own, moved_in, since)
        spread = np.where(own, self.now - first - 90, self.now - first - 400)
        second = first + 30 + (self.draw.share("slice2", installations) * spread).astype(np.int64)
        third = second + 30 + (self.draw.share("slice3", installations) * (self.now - second - 60)).astype(np.int64)
        count = np.maximum(self.draw.pick("slices", installations, (0.6, 0.3, 0.1)), own)
        return np.where(count >= 1, second, OPEN), np.where(count >= 2, third, OPEN)

    def tenancy(self, contracts: Ids) -> tuple[Days, Days]:
        """Return first and last day of contracts; of former and present tenants the periods touch."""
        place = self.plan.installation_of(contracts)
        since = self.commissioned(place)
        former, follows = self.plan.is_former(contracts), self.plan.has_predecessor(contracts)
        handover = self.now - 100 - self.draw.below("handover", place, 800)
        age = np.maximum(
            60, (self.draw.share("tenancy", contracts) * np.minimum(self.now - since, 3000)).astype(np.int64)
        )
        start = np.where(former, since, np.where(follows, handover + 1, self.now - age))
        leaves = self.now + 10 + self.draw.below("leaves", contracts, 200)
        open_end = np.where(self.draw.chance("leaving", contracts, 0.05), leaves, OPEN)
        return start, np.where(former, handover, open_end)

    def renamed(self, pods: Ids) -> Mask:
        """Return which points of delivery once had another external id."""
        return self.draw.chance("ext_ui.changed", pods, 0.12) & (self.nem_index(pods) < 0)

    def renamed_on(self, pods: Ids) -> Days:
        """Return the first day of the present external id of points of delivery."""
        since = self.commissioned(self.plan.first_installation_of(pods))
        later = since + 100 + (self.draw.share("ext_ui.change", pods) * (self.now - since - 200)).astype(np.int64)
        return np.where(self.renamed(pods), later, since)

    def created(self, stream: str, ids: Ids, years: int = 12) -> Days:
        """Return a day of creation within the last years."""
        return self.now - 200 - self.draw.below(f"{stream}.created", ids, years * 365)

    def changed(self, stream: str, ids: Ids, created: Days) -> Days:
        """Return a day of the last change, NONE for those never changed."""
        since = created + (self.draw.share(f"{stream}.changed", ids) * (self.now - created)).astype(np.int64)
        return np.where(self.draw.chance(f"{stream}.touched", ids, 0.4), np.maximum(since, created), NONE)

    # ---- devices ------------------------------------------------------------------

    def swapped_on(self, installations: Ids) -> Days:
        """Return the last day of an installation's first meter, NONE where it still has the first one."""
        day_of = self.now - 30 - self.draw.below("swap", installations, 900)
        swapped = np.isin(installations % BLOCK, SWAPPED)
        return np.where(swapped, day_of, NONE)

    def registers(self, installations: Ids) -> Ids:
        """Return how many registers the meter of an installation has, one to four."""
        drawn = 1 + self.draw.pick("registers", installations, (0.2, 0.65, 0.15))
        drawn = np.where(self.division(self.plan.pod_of(installations)) == 0, drawn, 1)
        meter = self.meter_index(installations)
        counts = np.array([len(m.registers) for m in self.meters] or [0])
        return np.where(meter >= 0, counts[meter], drawn)

    # ---- keys -------------------------------------------------------------------------

    def partner(self, ids: Ids) -> Any:
        """Return business partner numbers."""
        return columns.padded(1_000_000 + ids, 10)

    def account(self, ids: Ids) -> Any:
        """Return contract account numbers."""
        return columns.padded(codes.ACCOUNTS[0] + ids, 12)

    def house(self, ids: Ids) -> Any:
        """Return connection objects."""
        return columns.padded(ids + 1, 10, "CO")

    def location(self, ids: Ids) -> Any:
        """Return device locations, one per premise."""
        return columns.padded(ids + 1, 10, "DL")

    def premise(self, ids: Ids) -> Any:
        """Return premise numbers."""
        return columns.padded(40_000_000 + ids, 10)

    def pod(self, ids: Ids) -> Any:
        """Return internal keys of points of delivery."""
        return columns.guid22(self.draw, "int_ui", ids)

    def installation(self, ids: Ids, side: int = 0) -> Any:
        """Return installation numbers of one side."""
        return columns.padded((30_000_000, 130_000_000)[side] + ids, 10)

    def contract(self, ids: Ids, side: int = 0) -> Any:
        """Return contract numbers of one side."""
        return columns.padded((100_000, 200_000_000)[side] + ids, 10)

    def device(self, ids: Ids) -> Any:
        """Return equipment numbers; spares follow far behind the installed ones."""
        return columns.padded(10_000_000 + ids, 18)
