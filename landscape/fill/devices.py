"""Meters: technical devices or device info records, their registers, where they hang, what they showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from landscape import codes
from landscape.codes import CLIENT
from landscape.columns import NONE, OPEN, Columns, Days, choose, dats, padded, when
from landscape.draw import Ids
from landscape.plan import BLOCK, SWAPPED, Chunk
from landscape.world import World

MATERIALS = ("EHZ-3PH", "GAS-G4", "WATER-Q3", "HEAT-DN20")
GROUPS = ("EL-3PH", "GAS-1", "WATER-1", "HEAT-1")
_SPARES = 500_000_000  # spares are numbered from here
_PER_BLOCK = len(SWAPPED) + 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """Meters of one fate: `end` is OPEN while installed; `place` and logical number are -1 for meters in stock."""

    number: Ids
    place: Ids
    start: Days
    end: Days
    logical: Ids

    def only(self, mask: Any) -> Fleet:
        """Return the meters a mask or an index selects."""
        return Fleet(self.number[mask], self.place[mask], self.start[mask], self.end[mask], self.logical[mask])


def installed(world: World, chunk: Chunk) -> Fleet:
    """Return the meters that hang in an installation."""
    ids = world.plan.ids("installation", chunk)
    swap = world.swapped_on(ids)
    start = np.where(swap > NONE, swap + 1, world.commissioned(ids))
    return Fleet(ids, ids, start, np.full(len(ids), OPEN), 10_000_000 + ids)


def removed(world: World, chunk: Chunk) -> Fleet:
    """Return the meters that were replaced."""
    ids = world.plan.ids("spare", chunk)
    ids = ids[ids % _PER_BLOCK < len(SWAPPED)]
    place = ids // _PER_BLOCK * BLOCK + SWAPPED[ids % _PER_BLOCK]
    return Fleet(_SPARES + ids, place, world.commissioned(place), world.swapped_on(place), 900_000_000 + ids)


def stock(world: World, chunk: Chunk) -> Fleet:
    """Return the meters that were never installed."""
    ids = world.plan.ids("spare", chunk)
    ids = ids[ids % _PER_BLOCK >= len(SWAPPED)]
    nowhere = np.full(len(ids), -1)
    return Fleet(_SPARES + ids, nowhere, world.created("stock", ids, 3), np.full(len(ids), OPEN), nowhere)


def _fleets(world: World, chunk: Chunk) -> tuple[Fleet, ...]:
    hung = (installed(world, chunk), removed(world, chunk))
    return (*hung, stock(world, chunk)) if world.devices else hung


def _division(world: World, fleet: Fleet) -> Ids:
    found = world.division(world.plan.pod_of(np.maximum(fleet.place, 0)))
    return np.where(fleet.place >= 0, found, 0)


def serials(world: World, fleet: Fleet) -> Any:
    """Return serial numbers, the market's own for its meters."""
    usual = padded(40_000_000 + fleet.number, 9, "M")
    at = np.where(fleet.end == OPEN, world.meter_index(np.maximum(fleet.place, 0)), -1)
    at = np.where(fleet.place >= 0, at, -1)
    return when(at >= 0, choose([m.serial for m in world.meters] or [""], np.maximum(at, 0)), usual)


def _years(world: World, fleet: Fleet) -> Ids:
    built = (fleet.start // 365.25).astype(np.int64) + 1970
    return built - world.draw.below("built", fleet.number, 3)


def _stamps(fleet: Fleet) -> Columns:
    out = fleet.end < OPEN
    return {
        "ERDAT": dats(fleet.start),
        "ERNAM": "FIELD01",
        "AEDAT": dats(np.where(out, fleet.end, NONE)),
        "AENAM": when(out, "FIELD02", ""),
    }


def _equi(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _fleets(world, chunk):
        yield {
            "MANDT": CLIENT,
            "EQUNR": world.device(fleet.number),
            "EQTYP": "I",
            "MATNR": choose(MATERIALS, _division(world, fleet)),
            "SERNR": serials(world, fleet),
            "OBJNR": padded(10_000_000 + fleet.number, 18, "IE"),
            "ANSDT": dats(fleet.start),
            "INBDT": dats(np.where(fleet.place >= 0, fleet.start, NONE)),
            **_stamps(fleet),
        }


def _egers(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _fleets(world, chunk):
        built = _years(world, fleet)
        yield {
            "MANDT": CLIENT,
            "EQUNR": world.device(fleet.number),
            "BAUJAHR": padded(built, 4),
            "BGLJAHR": padded(built, 4),
            "WECHSEL": padded(built + 16, 4),
            "BGLSTAT": "1",
            "LOS": padded(built % 100 * 10 + fleet.number % 10, 4, "LOT"),
            "PLOMBDAT": dats(fleet.start),
        }


def _jest(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _fleets(world, chunk):
        hung = (fleet.place >= 0) & (fleet.end == OPEN)
        yield {
            "MANDT": CLIENT,
            "OBJNR": padded(10_000_000 + fleet.number, 18, "IE"),
            "STAT": when(hung, "I0100", "I0099"),
            "CHGNR": "001",
        }


def _history(world: World, chunk: Chunk) -> Iterator[tuple[Fleet, Columns]]:
    """Yield the slices of meters: while they hung, and after that without a logical number."""
    for fleet in _fleets(world, chunk):
        hung = fleet.place >= 0
        yield (
            fleet,
            {
                "MANDT": CLIENT,
                "EQUNR": world.device(fleet.number),
                "BIS": dats(fleet.end),
                "AB": dats(fleet.start),
                "LOGIKNR": padded(np.where(hung, fleet.logical, 0), 18),
                "ZWGRUPPE": choose(GROUPS, _division(world, fleet)),
                "EINBDAT": dats(np.where(hung, fleet.start, NONE)),
                "AUSBDAT": dats(np.where(hung, fleet.end, NONE)),
                **_stamps(fleet),
            },
        )
        out = fleet.only(fleet.end < OPEN)
        if len(out.number):
            yield (
                out,
                {
                    "MANDT": CLIENT,
                    "EQUNR": world.device(out.number),
                    "BIS": "99991231",
                    "AB": dats(out.end + 1),
                    "ZWGRUPPE": choose(GROUPS, _division(world, out)),
                    "ERDAT": dats(out.end + 1),
                    "ERNAM": "FIELD02",
                },
            )


def _egerh(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet, content in _history(world, chunk):
        premise = world.plan.premise_of(world.plan.pod_of(np.maximum(fleet.place, 0)))
        hangs = (fleet.place >= 0) & ("LOGIKNR" in content)
        yield {**content, "DEVLOC": when(hangs, world.location(premise), "")}


def _egerr(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet, content in _history(world, chunk):
        yield {
            **content,
            "GERAET": serials(world, fleet),
            "MATNR": choose(MATERIALS, _division(world, fleet)),
            "BAUJAHR": padded(_years(world, fleet), 4),
        }


@dataclass(frozen=True, slots=True)
class Registers:
    """Registers of a fleet: the position of each one's meter, its number from 0, its logical number."""

    fleet: Fleet
    number: Ids
    logical: Ids


def registers(world: World, fleet: Fleet) -> Registers:
    """Return one to four registers per meter, one for a meter in stock."""
    hung = fleet.place >= 0
    count = np.where(hung, world.registers(np.maximum(fleet.place, 0)), 1)
    which = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    logical = np.where(hung[which], fleet.logical[which] * 4 + number, 0)
    return Registers(fleet.only(which), number, logical)


@cache
def _market_registers(meters: tuple[Any, ...]) -> tuple[Any, Any]:
    suffixes, units = [], []
    for meter in meters:
        named = [*meter.registers, *[("", "")] * (4 - len(meter.registers))]
        suffixes += [suffix for suffix, _ in named]
        units += [codes.MARKET_UNITS[unit] for _, unit in named]
    return pa.array(suffixes or [""]), pa.array(units or [""])


def _identity(world: World, found: Registers) -> tuple[Any, Any]:
    """Return identification (OBIS, or the suffix of the market's registers) and unit."""
    division = _division(world, found.fleet)
    first, place = choose(codes.OBIS, division), np.maximum(found.fleet.place, 0)
    obis = when(found.number == 0, first, choose(codes.OBIS_NEXT, np.maximum(found.number - 1, 0)))
    unit = choose(codes.UNITS, division)
    at = world.meter_index(place)
    market = (at >= 0) & (found.fleet.place >= 0)
    suffixes, units = _market_registers(world.meters)
    index = pa.array(np.where(market, at * 4 + found.number, 0))
    return when(market, suffixes.take(index), obis), when(market, units.take(index), unit)


def _etdz(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _fleets(world, chunk):
        found = registers(world, fleet)
        yield _register_slice(world, found, found.fleet.start, found.fleet.end, found.logical)
        out = registers(world, fleet.only(fleet.end < OPEN))
        if len(out.number):
            yield _register_slice(world, out, out.fleet.end + 1, np.full(len(out.number), OPEN), out.logical * 0)


def _register_slice(world: World, found: Registers, start: Days, end: Days, logical: Ids) -> Columns:
    identification, unit = _identity(world, found)
    return {
        "MANDT": CLIENT,
        "EQUNR": world.device(found.fleet.number),
        "ZWNUMMER": padded(found.number + 1, 3),
        "BIS": dats(end),
        "AB": dats(start),
        "LOGIKZW": padded(logical, 18),
        "KENNZIFF": identification,
        "ZWART": "HT",
        "ZWTYP": "01",
        "MASSREAD": unit,
        "STANZVOR": "06",
        "STANZNAC": "03",
        "ZWFAKT": 1,
    }


def _hung(world: World, chunk: Chunk) -> tuple[Fleet, Fleet]:
    return installed(world, chunk), removed(world, chunk)


def _eastl(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _hung(world, chunk):
        for side in world.sides:
            yield {
                "MANDT": CLIENT,
                "ANLAGE": world.installation(fleet.place, side),
                "LOGIKNR": padded(fleet.logical, 18),
                "BIS": dats(fleet.end),
                "AB": dats(fleet.start),
                "TARIFART": choose([f"{letter}RT" for letter in codes.LETTERS], _division(world, fleet)),
                **_stamps(fleet),
            }


def _easts(world: World, chunk: Chunk) -> Iterator[Columns]:
    for fleet in _hung(world, chunk):
        found = registers(world, fleet)
        for side in world.sides:
            yield {
                "MANDT": CLIENT,
                "ANLAGE": world.installation(found.fleet.place, side),
                "LOGIKZW": padded(found.logical, 18),
                "BIS": dats(found.fleet.end),
                "AB": dats(found.fleet.start),
                "ZWNABR": when(found.number >= 2, "X", ""),
                "TARIFART": choose([f"{letter}RT" for letter in codes.LETTERS], _division(world, found.fleet)),
                **_stamps(found.fleet),
            }


def readings(world: World, chunk: Chunk) -> Iterator[tuple[Registers, Ids]]:
    """Yield the registers of meters that hung somewhere, each as often as it was read, and which reading it is."""
    if not world.readings:
        return
    for fleet in _hung(world, chunk):
        once = registers(world, fleet)
        index = np.repeat(np.arange(len(once.number)), world.readings)
        turn = np.tile(np.arange(world.readings), len(once.number))
        yield Registers(once.fleet.only(index), once.number[index], once.logical[index]), turn


def read_on(world: World, found: Registers, turn: Ids) -> Days:
    """Return the day of each reading: the first when the meter was installed, the others in equal distances."""
    span = np.where(found.fleet.end >= OPEN, world.now, found.fleet.end) - found.fleet.start
    return np.asarray(found.fleet.start + span * turn // world.readings)


def document(found: Registers, turn: Ids) -> Any:
    """Return the numbers of reading documents."""
    return padded(found.logical * 100 + turn, 20)


def _eabl(world: World, chunk: Chunk) -> Iterator[Columns]:
    thousandths = [f"0.{i:03d}" for i in range(1000)]
    for found, turn in readings(world, chunk):
        passed = read_on(world, found, turn) - found.fleet.start
        shown = passed * (2_000 + world.draw.below("use", found.logical, 9_000)) + world.draw.below(
            "z", found.logical, 999
        )
        _, unit = _identity(world, found)
        when_read = dats(found.fleet.start + passed)
        yield {
            "MANDT": CLIENT,
            "ABLBELNR": document(found, turn),
            "GERNR": serials(world, found.fleet),
            "EQUNR": world.device(found.fleet.number),
            "ZWNUMMER": padded(found.number + 1, 3),
            "ADAT": when_read,
            "ATIM": "1200",
            "V_ZWSTAND": pa.array(shown // 1000),
            "N_ZWSTAND": choose(thousandths, shown % 1000),
            "MASSREAD": unit,
            "MASSBILL": unit,
            "SCHAEVER": when(world.draw.chance("estimated", found.logical * 7 + turn, 0.06), "01", ""),
            "AKTIV": "1",
            "ADATSOLL": when_read,
            "ADATTATS": when_read,
            "ABLSTAT": "1",
            "ERDAT": when_read,
            "ERNAM": "FIELD01",
        }


TABLES = {"ETDZ": _etdz, "EASTL": _eastl, "EASTS": _easts, "EABL": _eabl}
TECHNICAL = {"EQUI": _equi, "EGERS": _egers, "EGERH": _egerh, "JEST": _jest}
INFO_RECORDS = {"EGERR": _egerr}
