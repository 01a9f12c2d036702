"""What a year of a quotation brings and costs, so that the contribution margins can be told from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape import codes
from landscape.draw import Ids, Mask
from landscape.fill.billing_lines import cents, yearly
from landscape.world import World

# Hundred-thousandths of a euro for a unit of each product, and cents for a year of each division.
_PRICE = np.array([31_500, 33_900, 29_900, 107_000, 118_000, 99_500, 209_000, 224_000, 206_000,
                   9_750_000, 10_400_000, 9_380_000, 9_150, 31_800, 64_500, 2_160_000])  # fmt: skip
_BASE = np.array([11_988, 14_388, 5_940, 23_880])
_GRID, _GRID_BASE = _PRICE[len(codes.RATES) :], np.array([6_370, 7_090, 4_180, 9_290])
_PROCURED = np.array([11_240, 42_600, 58_000, 4_390_000])
_GREEN = 108  # percent: green energy costs more to buy
_PROCESSED = np.array([2_150, 2_380, 1_720, 2_960])
_WON = np.array([3_240, 1_810, 905, 2_560, 2_890])  # by the channel of the customer
_CALLED = 1_250  # more for a customer of a campaign


@dataclass(frozen=True, slots=True)
class Plan:
    """Plans for a year: thousandths of the unit of the division, and cents."""

    quantity: Ids
    amount: Ids
    grid: Ids
    procurement: Ids
    processing: Ids
    sales: Ids


def planned(world: World, ids: Ids, contract: Ids, product: Ids, channel: Ids, called: Mask) -> Plan:
    """Return the plans of quotations; `product` and `channel` are positions.

    An item of grid usage passes on what the grid costs.  Where there is one, the item of the supply has no such cost.
    """
    place = world.plan.installation_of(contract)
    division = world.division(world.plan.pod_of(place))
    quantity = yearly(world, place) * (90 + world.draw.below("quotation.guess", ids, 21)) // 100
    quantity = np.where(division == 3, quantity, quantity // 1000 * 1000)
    nothing = np.zeros(len(ids), np.int64)
    grid = cents(quantity, _GRID[division]) + _GRID_BASE[division]
    usage = product >= len(codes.RATES)
    green = ~usage & (product % 3 == 1)
    bought = np.where(green, _PROCURED[division] * _GREEN // 100, _PROCURED[division])
    return Plan(
        quantity,
        np.where(usage, grid, cents(quantity, _PRICE[product]) + _BASE[division]),
        np.where(usage | (not world.plan.dual), grid, nothing),
        np.where(usage, nothing, cents(quantity, bought)),
        np.where(usage, nothing, _PROCESSED[division]),
        np.where(usage, nothing, _WON[channel] + _CALLED * called),
    )
