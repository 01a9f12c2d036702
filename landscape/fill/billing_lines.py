"""What stands on a bill: energy by rate and tariff time, capacity, base price, rental, bonus; quantities and prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from landscape import codes
from landscape.columns import OPEN, Days
from landscape.draw import Ids, Mask
from landscape.fill.bills import YEAR, Bills
from landscape.world import World

TYPES = ("ENERGY", "ENERHT", "ENERNT", "CORREC", "DEMAND", "BASE", "RENTAL", "BONUS",
         "GRIDEN", "GRIDBA", "METERG", "CONCES")  # fmt: skip
"""Line types (BELZART); a kind is its position."""
STATISTICS = ("ENERGY", "HT", "NT", "ENERGY", "DEMAND", "FLAT", "RENTAL", "BONUS", "ENERGY", "FLAT", "RENTAL", "LEVY")
"""The rate type for statistics of each line type."""
UNITS = (*codes.UNITS, "KW", "")
KILOWATT, NO_UNIT = len(codes.UNITS), len(codes.UNITS) + 1

# Prices in hundred-thousandths of a euro for a unit of each rate in 2024, and in cents for a year of each division.
_ENERGY = np.array([31_900, 34_200, 29_900, 108_000, 118_500, 99_000, 210_000, 225_000, 205_000,
                    9_800_000, 10_450_000, 9_350_000])  # fmt: skip
_GRID = np.array([9_120, 31_500, 64_000, 2_150_000])
_LEVY = np.array([1_590, 2_200, 0, 0])
_BASE = np.array([11_988, 14_388, 5_940, 23_880])
_GRID_BASE = np.array([4_380, 5_100, 2_190, 7_300])
_RENTAL, _DEMAND = 1_990, 7_800_000  # cents a year; hundred-thousandths of a euro for a kilowatt and year
_LOW = 82  # percent of the price at low tariff times
_USUAL = np.array([2_900, 1_300, 110, 11])  # units a household uses in a year, at least half and at most twice of it


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of bills: `bill` is a position among the bills, `number` counts from 1 in each.

    `kind` is a position in TYPES, `rate` in PRODUCTS, `unit` in UNITS. Quantities are thousandths of a unit, prices
    hundred-thousandths of a euro, amounts cents.
    """

    bill: Ids
    number: Ids
    kind: Ids
    since: Days
    until: Days
    rate: Ids
    quantity: Ids
    unit: Ids
    price: Ids
    amount: Ids

    def totals(self) -> Ids:
        """Return the sum of each bill in cents; every bill has a line."""
        return np.add.reduceat(self.amount, np.flatnonzero(self.number == 1)) if len(self.bill) else self.amount


def trade(world: World, places: Ids) -> Mask:
    """Return which installations are billed as trade."""
    return world.draw.chance("aklasse", places, 0.12)


def yearly(world: World, places: Ids) -> Ids:
    """Return what is used in an installation in a usual year, in thousandths of the unit of its division."""
    division = world.division(world.plan.pod_of(places))
    used = _USUAL[division] * (500 + world.draw.below("use.year", places, 1500))
    used = np.where(trade(world, places), used * 8, used)
    return np.where(division == 3, used, used // 1000 * 1000)


def lines_of(world: World, bills: Bills) -> Lines:
    """Return the lines of bills, in the order of the bills."""
    pieces = list(_grid(world, bills) if bills.side else _supply(world, bills))
    joined = {f.name: np.concatenate([getattr(piece, f.name) for piece in pieces]) for f in fields(Lines)}
    order = np.argsort(joined["bill"], kind="stable")
    whole = {name: values[order] for name, values in joined.items()}
    first = np.searchsorted(whole["bill"], whole["bill"])
    return Lines(**{**whole, "number": np.arange(len(order)) - first + 1})


def _line(
    where: Mask, kind: int, since: Days, until: Days, rate: Ids, quantity: Ids, unit: Ids | int, price: Ids, amount: Ids
) -> Lines:
    """Return the lines of one type: `where` tells the bills that have one, the rest is said of all bills."""
    at = np.flatnonzero(where)
    said = np.broadcast_arrays(where, since, until, rate, quantity, unit, price, amount)[1:]
    return Lines(at, at, np.full(len(at), kind), *(np.asarray(values, np.int64)[at] for values in said))


def cents(quantity: Ids, price: Ids) -> Ids:
    """Return quantity times price in cents, half a cent rounded away from zero."""
    exact = quantity * price
    return np.asarray(np.sign(exact) * ((np.abs(exact) + 500_000) // 1_000_000))


def _supply(world: World, bills: Bills) -> Iterator[Lines]:
    place = world.plan.installation_of(bills.contract)
    division, days = world.division(world.plan.pod_of(place)), bills.until - bills.since + 1
    every, nothing = np.ones(len(place), bool), np.zeros(len(place), np.int64)
    change = _change(world, place, bills)
    used = consumption(world, bills)
    before = used * np.clip(change - bills.since, 0, days) // days
    first = np.minimum(bills.until, change - 1)
    yield from _energy(world, bills, every, bills.since, first, before)
    yield from _energy(world, bills, change <= bills.until, change, bills.until, used - before)
    rate = _rate(world, place, bills.since)
    power = np.where(trade(world, place) & (division == 0), 10_000 + world.draw.below("power", place, 80_000), 0)
    asked = cents(power, np.full(len(place), _DEMAND)) * days // YEAR
    yield _line(power > 0, 4, bills.since, bills.until, rate, power, KILOWATT, nothing + _DEMAND, asked)
    base = _BASE[division] * days // YEAR
    yield _line(every, 5, bills.since, bills.until, rate, nothing, NO_UNIT, nothing, base)
    metered = ~every if world.plan.dual else world.draw.chance("rental", place, 0.8)
    yield _line(metered, 6, bills.since, bills.until, rate, nothing, NO_UNIT, nothing, nothing + _RENTAL * days // YEAR)
    thanks = world.draw.chance("bonus", bills.key, 0.08) & (bills.back == 1)
    given = -(2_000 + world.draw.below("bonus.cents", bills.key, 10_000))
    last = _rate(world, place, bills.until)
    yield _line(thanks, 7, bills.until, bills.until, last, nothing, NO_UNIT, nothing, given)


def _energy(world: World, bills: Bills, where: Mask, since: Days, until: Days, used: Ids) -> Iterator[Lines]:
    """Yield the energy of one rate: at high and low tariff times where there are registers for both."""
    place = world.plan.installation_of(bills.contract)
    division = world.division(world.plan.pod_of(place))
    rate = _rate(world, place, since)
    price = _priced(_ENERGY[rate], since)
    cheap = price * _LOW // 100
    two = (division == 0) & (world.registers(place) >= 2)
    low = np.where(two, used * (25 + world.draw.below("use.low", place, 20)) // 100, 0)
    high = used - low
    yield _line(where & ~two, 0, since, until, rate, used, division, price, cents(used, price))
    yield _line(where & two, 1, since, until, rate, high, division, price, cents(high, price))
    yield _line(where & two, 2, since, until, rate, low, division, cheap, cents(low, cheap))
    # What an estimate of the year before had billed too much comes off again.
    too_much = -(used // 20)
    wrong = where & world.draw.chance("correction", bills.key, 0.015) & (since == bills.since)
    yield _line(wrong, 3, since, until, rate, too_much, division, price, cents(too_much, price))


def _grid(world: World, bills: Bills) -> Iterator[Lines]:
    place = world.plan.installation_of(bills.contract)
    division, days = world.division(world.plan.pod_of(place)), bills.until - bills.since + 1
    every, nothing = np.ones(len(place), bool), np.zeros(len(place), np.int64)
    used, rate = consumption(world, bills), len(codes.RATES) + division
    price, levy = _priced(_GRID[division], bills.since), _LEVY[division]
    period = (bills.since, bills.until, rate)
    yield _line(every, 8, *period, used, division, price, cents(used, price))
    yield _line(every, 9, *period, nothing, NO_UNIT, nothing, _GRID_BASE[division] * days // YEAR)
    yield _line(every, 10, *period, nothing, NO_UNIT, nothing, nothing + _RENTAL * days // YEAR)
    yield _line(levy > 0, 11, *period, used, division, levy, cents(used, levy))


def consumption(world: World, bills: Bills) -> Ids:
    """Return what a bill is for, in thousandths of a unit; some places stand empty."""
    place = world.plan.installation_of(bills.contract)
    days, mood = bills.until - bills.since + 1, 90 + world.draw.below("use.mood", bills.key, 21)
    used = yearly(world, place) * days // YEAR * mood // 100
    used = np.where(world.draw.chance("empty", bills.key, 0.03), 0, used)
    division = world.division(world.plan.pod_of(place))
    return np.where(division == 3, used, used // 1000 * 1000)


def _change(world: World, places: Ids, bills: Bills) -> Days:
    """Return the first day of another rate within each bill, OPEN where it stays the same."""
    change = np.full(len(places), OPEN)
    for day in reversed(world.slices(places)):
        change = np.where((day > bills.since) & (day <= bills.until), day, change)
    return change


def _rate(world: World, places: Ids, day: Days) -> Ids:
    """Return the rate of installations on a day."""
    second, third = world.slices(places)
    rates = [world.rate(places, number) for number in range(3)]
    return np.where(day >= third, rates[2], np.where(day >= second, rates[1], rates[0]))


def _priced(price: Ids, day: Days) -> Ids:
    """Return a price of 2024 as it is in the year of a day; prices rise by three percent a year."""
    year = day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return np.asarray(price * (100 + 3 * (np.clip(year, 2000, 2100) - 2024)) // 100)
