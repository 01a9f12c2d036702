"""Connection objects, premises, points of delivery and installations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from landscape import codes, words
from landscape.codes import CLIENT
from landscape.columns import NONE, OPEN, Columns, Days, choose, dats, join, padded, when
from landscape.draw import Ids
from landscape.fill.partners import cities_of
from landscape.plan import Chunk
from landscape.world import World


def _stamped(world: World, stream: str, ids: Ids, created: Days) -> Columns:
    """Return the four administrative columns."""
    changed = world.changed(stream, ids, created)
    return {
        "ERDAT": dats(created),
        "ERNAM": "MIGRATION",
        "AEDAT": dats(changed),
        "AENAM": when(changed > NONE, "TECH01", ""),
    }


def _houses(world: World, chunk: Chunk) -> tuple[Ids, Columns]:
    ids = world.plan.ids("house", chunk)
    return ids, _stamped(world, "house", ids, world.created("house", ids, 20))


def _iflot(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, stamps = _houses(world, chunk)
    yield {
        "MANDT": CLIENT,
        "TPLNR": world.house(ids),
        "FLTYP": "A",
        "TPLKZ": "ISU",
        "ILOAN": padded(100_000_000 + ids, 12),
        "OBJNR": padded(100_000_000 + ids, 20, "IF"),
        **stamps,
    }
    if world.devices:
        premises = world.plan.ids("premise", chunk)
        yield {
            "MANDT": CLIENT,
            "TPLNR": world.location(premises),
            "FLTYP": "B",
            "TPLKZ": "ISU",
            "ILOAN": padded(300_000_000 + premises, 12),
            "OBJNR": padded(300_000_000 + premises, 20, "IF"),
            **_stamped(world, "location", premises, world.created("premise", premises, 20)),
        }


def _iloa(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("house", chunk)
    address = padded(500_000_000 + ids, 10)
    yield {"MANDT": CLIENT, "ILOAN": padded(100_000_000 + ids, 12), "TPLNR": world.house(ids), "ADRNR": address}
    if world.devices:
        premises = world.plan.ids("premise", chunk)
        yield {
            "MANDT": CLIENT,
            "ILOAN": padded(300_000_000 + premises, 12),
            "TPLNR": world.location(premises),
            "ADRNR": padded(500_000_000 + world.plan.house_of(premises), 10),
        }


def _ehauisu(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, stamps = _houses(world, chunk)
    yield {
        "MANDT": CLIENT,
        "HAUS": world.house(ids),
        "REGIOGROUP": padded(cities_of(world, ids) + 1, 6, "RG"),
        "REGPOLIT": padded(cities_of(world, ids) // 5 + 1, 4, "POL"),
        "GRID_ID": "GRID000001",
        "HAUS_GROESSE": padded(np.where(ids % 45 >= 40, 6, 1), 4),
        **stamps,
    }


def _iflotx(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("house", chunk)
    city = choose([c.name for c in words.CITIES], cities_of(world, ids))
    text = join(choose(("House, ", "Building, ", "Estate, "), ids % 3), city)
    yield _text(world.house(ids), text)
    if world.devices:
        premises = world.plan.ids("premise", chunk)
        yield _text(world.location(premises), choose(("Cellar", "Stairwell", "Meter room"), premises % 3))


def _text(keys: Any, text: Any) -> Columns:
    return {"MANDT": CLIENT, "TPLNR": keys, "SPRAS": "E", "PLTXT": text, "PLTXU": pa.compute.utf8_upper(text)}


def _evbs(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, draw = world.plan.ids("premise", chunk), world.draw
    flat = ids % 70 >= 40
    partners = world.plan.size("partner")
    owner = np.minimum(ids // 70 * 75 + draw.below("owner", ids, 75), partners - 1)
    kinds = list(codes.PREMISE_TYPES)
    yield {
        "MANDT": CLIENT,
        "VSTELLE": world.premise(ids),
        "HAUS": world.house(world.plan.house_of(ids)),
        "HAUS_NUM2": when(flat, padded(1 + (ids % 70 - 40) % 6, 2, "Top "), ""),
        "LGZUSATZ": when(draw.chance("lgzusatz", ids, 0.1), "Rear building", ""),
        "FLOOR": when(flat, choose(words.FLOORS, draw.below("floor", ids, len(words.FLOORS))), ""),
        "VBSART": when(flat, "FLAT", choose(kinds[1:], draw.pick("vbsart", ids, (0.8, 0.1, 0.04, 0.03, 0.03)))),
        "EIGENT": when(draw.chance("owned", ids, 0.3), world.partner(owner), ""),
        **_stamped(world, "premise", ids, world.created("premise", ids, 20)),
    }


def _egpl(world: World, chunk: Chunk) -> Iterator[Columns]:
    if not world.devices:
        return
    ids = world.plan.ids("premise", chunk)
    yield {
        "MANDT": CLIENT,
        "DEVLOC": world.location(ids),
        "PLTXT": choose(("Cellar", "Stairwell", "Meter room"), ids % 3),
        "TPLKZ": "ISU",
        "FLTYP": "B",
        "HAUS": world.house(world.plan.house_of(ids)),
        "VSTELLE": world.premise(ids),
        "STANDORT": choose(("beside the entrance", "", "left wall"), world.draw.below("standort", ids, 3)),
    }


def _euihead(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("pod", chunk)
    since = world.commissioned(world.plan.first_installation_of(ids))
    yield {
        "MANDT": CLIENT,
        "INT_UI": world.pod(ids),
        "UITYPE": "0001",
        "EUIROLE_TECH": "X",
        "EUIROLE_DEREG": "X",
        "VSTELLE": world.premise(world.plan.premise_of(ids)),
        **_stamped(world, "pod", ids, since),
    }


def external_ids(world: World, pods: Ids, version: int) -> Any:
    """Return external ids: 33 characters as in the DACH countries, the NMI for the market's meters."""
    serial = world.draw.below("ext_ui", pods, 10_000) * 10**11 + (pods * 10 + version) * 100 + 17
    usual = padded(serial, 20, "DE00056266802")
    at = world.nem_index(pods)
    nmis = [meter.nmi for meter in world.meters] or [""]
    return when(at >= 0, choose(nmis, np.maximum(at, 0)), usual)


def _euitrans(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("pod", chunk)
    since, changed = world.commissioned(world.plan.first_installation_of(ids)), world.renamed(ids)
    start = world.renamed_on(ids)
    old = ids[changed]
    yield _translation(world, old, since[changed], start[changed] - 1, external_ids(world, old, 0))
    yield _translation(world, ids, start, np.full(len(ids), OPEN), external_ids(world, ids, 1))


def _translation(world: World, ids: Ids, start: Days, end: Days, external: Any) -> Columns:
    return {
        "MANDT": CLIENT,
        "INT_UI": world.pod(ids),
        "DATETO": dats(end),
        "TIMETO": "235959",
        "DATEFROM": dats(start),
        "TIMEFROM": "000000",
        "EXT_UI": external,
        "UISTRUTYP": when(world.nem_index(ids) >= 0, "NM", "MA"),
    }


def _euiinstln(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("installation", chunk)
    for side in world.sides:
        yield {
            "MANDT": CLIENT,
            "INT_UI": world.pod(world.plan.pod_of(ids)),
            "ANLAGE": world.installation(ids, side),
            "DATETO": "99991231",
            "TIMETO": "235959",
            "DATEFROM": dats(world.commissioned(ids)),
            "TIMEFROM": "000000",
        }


def _eanl(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("installation", chunk)
    pods = world.plan.pod_of(ids)
    division = world.division(pods)
    for side in world.sides:
        yield {
            "MANDT": CLIENT,
            "ANLAGE": world.installation(ids, side),
            "SPARTE": choose(codes.DIVISIONS, division),
            "VSTELLE": world.premise(world.plan.premise_of(pods)),
            "ANLART": when(world.draw.chance("anlart", ids, 0.12), "0002", "0001"),
            "SERVICE": choose((codes.SUPPLY, codes.GRID)[side], division),
            "SPEBENE": when(division == 0, "05", ""),
            "ETIMEZONE": "CET",
            **_stamped(world, "installation", ids, world.commissioned(ids)),
        }


def reading_unit(world: World, installations: Ids) -> Any:
    """Return the meter reading unit of installations: those of one street are read together."""
    houses = world.plan.house_of(world.plan.premise_of(world.plan.pod_of(installations)))
    return padded(houses // 45 % 250, 6, "AE")


def _eanlh(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("installation", chunk)
    since = world.commissioned(ids)
    second, third = world.slices(ids)
    starts, ends = (since, second, third), (second - 1, third - 1, np.full(len(ids), OPEN))
    division = world.division(world.plan.pod_of(ids))
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        there = start < OPEN
        some, rate, until = ids[there], world.rate(ids, number)[there], end[there]
        until = np.where(until >= OPEN - 1, OPEN, until)
        for side in world.sides:
            yield {
                "MANDT": CLIENT,
                "ANLAGE": world.installation(some, side),
                "BIS": dats(until),
                "AB": dats(start[there]),
                "TARIFTYP": choose(codes.RATES, rate) if side == 0 else choose(codes.GRID_RATES, division[there]),
                "AKLASSE": when(world.draw.chance("aklasse", some, 0.12), "GEW", "HH"),
                "ABLEINH": reading_unit(world, some),
                "ISTYPE": "",
            }


def _ettifn(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("installation", chunk)
    ids = ids[world.draw.chance("operand", ids, 0.15)]
    yield {
        "MANDT": CLIENT,
        "ANLAGE": world.installation(ids),
        "OPERAND": choose(("CONN_LOAD", "DISCOUNT"), world.draw.below("operand.kind", ids, 2)),
        "SAISON": "",
        "AB": dats(world.commissioned(ids)),
        "ABLFDNR": "0001",
        "BIS": "99991231",
        "WERT1": pa.array(3 + world.draw.below("operand.value", ids, 60)),
    }


TABLES = {
    "IFLOT": _iflot,
    "ILOA": _iloa,
    "EHAUISU": _ehauisu,
    "IFLOTX": _iflotx,
    "EVBS": _evbs,
    "EGPL": _egpl,
    "EUIHEAD": _euihead,
    "EUITRANS": _euitrans,
    "EUIINSTLN": _euiinstln,
    "EANL": _eanl,
    "EANLH": _eanlh,
    "ETTIFN": _ettifn,
}
