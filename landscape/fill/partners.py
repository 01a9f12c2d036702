"""Business partners, their addresses and contract accounts; addresses of connection objects live in ADRC as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from landscape import columns, words
from landscape.codes import CLIENT
from landscape.columns import NONE, Columns, choose, dats, join, padded, when
from landscape.draw import Ids, Mask
from landscape.plan import Chunk
from landscape.world import World

_SECONDS = 86_400


def organisations(world: World, ids: Ids) -> Mask:
    """Return which partners are organisations."""
    return world.draw.chance("organisation", ids, 0.12)


def names(world: World, ids: Ids) -> tuple[Any, Any, Any]:
    """Return organisation name, last name and first name of partners; blank where they do not apply."""
    draw, firm = world.draw, organisations(world, ids)
    last = choose(words.LAST_NAMES, draw.below("last", ids, len(words.LAST_NAMES)))
    first = choose(words.FIRST_NAMES, draw.below("first", ids, len(words.FIRST_NAMES)))
    trade = choose(words.TRADES, draw.below("trade", ids, len(words.TRADES)))
    form = choose(words.LEGAL_FORMS, draw.below("form", ids, len(words.LEGAL_FORMS)))
    return when(firm, join(trade, " ", last, " ", form), ""), when(firm, "", last), when(firm, "", first)


def _but000(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, draw = world.plan.ids("partner", chunk), world.draw
    firm = organisations(world, ids)
    organisation, last, first = names(world, ids)
    created = world.created("partner", ids)
    changed = world.changed("partner", ids, created)
    touched = changed > NONE
    clock = draw.below("partner.clock", ids, _SECONDS)
    yield {
        "CLIENT": CLIENT,
        "PARTNER": world.partner(ids),
        "TYPE": when(firm, "2", "1"),
        "BU_GROUP": "UTIL",
        "BPEXT": when(draw.chance("bpext", ids, 0.3), padded(7_000_000 + ids, 10, "L"), ""),
        "BU_SORT1": pa.compute.utf8_upper(pa.compute.utf8_slice_codeunits(when(firm, organisation, last), 0, 18)),
        "TITLE": when(firm, "0003", when(draw.chance("ms", ids, 0.5), "0001", "0002")),
        "NAME_ORG1": organisation,
        "NAME_LAST": last,
        "NAME_FIRST": first,
        "BIRTHDT": dats(np.where(firm, NONE, world.now - 18 * 365 - draw.below("birth", ids, 70 * 365))),
        "PARTNER_GUID": columns.guid(draw, "partner", ids),
        "CRUSR": "MIGRATION",
        "CRDAT": dats(created),
        "CRTIM": columns.tims(clock),
        "CHUSR": when(touched, "AGENT01", ""),
        "CHDAT": dats(changed),
        "CHTIM": when(touched, columns.tims((clock + 3601) % _SECONDS), "000000"),
    }


def _but020(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("partner", chunk)
    yield {
        "CLIENT": CLIENT,
        "PARTNER": world.partner(ids),
        "ADDRNUMBER": padded(10_000_000 + ids, 10),
        "XDFADR": "X",
        "ADDRESS_GUID": columns.guid(world.draw, "address", ids),
        "ADDR_VALID_FROM": 10101000000,
        "ADDR_VALID_TO": 99991231235959,
    }


def _places(world: World, stream: str, ids: Ids, cities: Ids) -> Columns:
    """Return the columns of an address in one of the regional structure's streets."""
    draw, count = world.draw, len(words.STREETS)
    street = draw.below(f"{stream}.street", ids, count)
    at = cities * count + street
    codes = [words.street_code(c, s) for c in range(len(words.CITIES)) for s in range(count)]
    streets = [name for city in words.CITIES for name in words.streets_of(city)]
    number = pa.compute.cast(pa.array(1 + draw.below(f"{stream}.number", ids, 180)), pa.string())
    suffix = choose(("", "a", "b", "c"), draw.pick(f"{stream}.suffix", ids, (0.8, 0.1, 0.06, 0.04)))
    return {
        "CLIENT": CLIENT,
        "DATE_FROM": "00010101",
        "DATE_TO": "99991231",
        "CITY1": choose([city.name for city in words.CITIES], cities),
        "POST_CODE1": choose([city.postal for city in words.CITIES], cities),
        "STREET": choose(streets, at),
        "HOUSE_NUM1": number,
        "HOUSE_NUM2": suffix,
        "COUNTRY": choose([city.country for city in words.CITIES], cities),
        "REGION": choose([city.region for city in words.CITIES], cities),
        "REGIOGROUP": padded(cities + 1, 6, "RG"),
        "CITY_CODE": choose([words.city_code(c) for c in range(len(words.CITIES))], cities),
        "STRT_CODE": choose(codes, at),
        "TIME_ZONE": choose([city.zone for city in words.CITIES], cities),
        "LANGU": when(cities >= 25, "E", "D"),
    }


def cities_of(world: World, houses: Ids) -> Ids:
    """Return the city of connection objects: houses of one block stand in one city."""
    return world.draw.below("city", houses // 45, len(words.CITIES))


def _adrc(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("partner", chunk)
    cities = world.draw.below("city", ids // 75, len(words.CITIES))
    organisation, last, first = names(world, ids)
    firm = organisations(world, ids)
    yield {
        "ADDRNUMBER": padded(10_000_000 + ids, 10),
        "NAME1": when(firm, organisation, join(first, " ", last)),
        **_places(world, "partner", ids, cities),
    }
    houses = world.plan.ids("house", chunk)
    yield {"ADDRNUMBER": padded(500_000_000 + houses, 10), **_places(world, "house", houses, cities_of(world, houses))}


def _fkkvk(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids = world.plan.ids("account", chunk)
    created = world.created("account", ids)
    changed = world.changed("account", ids, created)
    yield {
        "MANDT": CLIENT,
        "VKONT": world.account(ids),
        "APPLK": "R",
        "VKTYP": "01",
        "VKONA": when(world.draw.chance("vkona", ids, 0.3), padded(ids, 10, "OLD"), ""),
        "VKBEZ": _title(world, ids),
        "ERDAT": dats(created),
        "ERNAM": "MIGRATION",
        "AEDAT": dats(changed),
        "AENAM": when(changed > NONE, "AGENT01", ""),
    }


def _title(world: World, ids: Ids) -> Any:
    organisation, last, _ = names(world, world.plan.partner_of(ids))
    return pa.compute.utf8_slice_codeunits(join("Account ", organisation, last), 0, 35)


def _fkkvkp(world: World, chunk: Chunk) -> Iterator[Columns]:
    ids, draw = world.plan.ids("account", chunk), world.draw
    created = world.created("account", ids)
    changed = world.changed("account.part", ids, created)
    debit = draw.chance("debit", ids, 0.6)
    yield {
        "MANDT": CLIENT,
        "VKONT": world.account(ids),
        "GPART": world.partner(world.plan.partner_of(ids)),
        "VKBEZ": _title(world, ids),
        "GUID": columns.guid(draw, "agreement", ids),
        "EXVKO": when(draw.chance("exvko", ids, 0.1), padded(ids, 8, "REF-"), ""),
        "OPBUK": "1000",
        "STDBK": "1000",
        "EZAWE": when(debit, "D", ""),
        "ZAHLKOND": choose(("NT14", "NT30", "SOFO"), draw.below("terms", ids, 3)),
        "MAHNV": "01",
        "KOFIZ_SD": when(draw.chance("kofiz", ids, 0.15), "02", "01"),
        "EBVTY": when(debit, "0001", ""),
        "ERDAT": dats(created),
        "ERNAM": "MIGRATION",
        "AEDATP": dats(changed),
        "AENAMP": when(changed > NONE, "AGENT02", ""),
    }


TABLES = {"BUT000": _but000, "BUT020": _but020, "ADRC": _adrc, "FKKVK": _fkkvk, "FKKVKP": _fkkvkp}
