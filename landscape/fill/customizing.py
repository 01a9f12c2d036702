"""Code tables of both systems, the regional structure, and the products CRM sells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from landscape import codes, columns, words
from landscape.codes import CLIENT
from landscape.columns import Columns
from landscape.world import World


def _column(values: Sequence[str]) -> object:
    return columns.choose(tuple(values), np.arange(len(values)))


def isu() -> Mapping[str, Columns]:
    """Return premise types, divisions, services and the regional structure of IS-U."""
    kinds, services = list(codes.PREMISE_TYPES), [*codes.SUPPLY, *codes.GRID]
    usages = ["supply"] * 4 + ["grid usage"] * 4
    return {
        "TE102": {"MANDT": CLIENT, "VBSART": _column(kinds)},
        "TE102T": {
            "MANDT": CLIENT,
            "SPRAS": "E",
            "VBSART": _column(kinds),
            "TEXT40": _column(list(codes.PREMISE_TYPES.values())),
        },
        "TSPAT": {
            "MANDT": CLIENT,
            "SPRAS": "E",
            "SPART": _column(codes.DIVISIONS),
            "VTEXT": _column(codes.DIVISION_NAMES),
        },
        "TECDE": {
            "MANDT": CLIENT,
            "SERVICE": _column(services),
            "SPARTE": _column(codes.DIVISIONS * 2),
            "INTCODE": _column(["02"] * 4 + ["01"] * 4),
        },
        "TECDET": {
            "MANDT": CLIENT,
            "SPRAS": "E",
            "SERVICE": _column(services),
            "TEXT30": _column([f"{d}, {u}" for d, u in zip(codes.DIVISION_NAMES * 2, usages, strict=True)]),
        },
        **_regions(),
    }


def _regions() -> Mapping[str, Columns]:
    cities = list(enumerate(words.CITIES))
    streets = [(c, city, s, name) for c, city in cities for s, name in enumerate(words.streets_of(city))]
    city = {
        "CLIENT": CLIENT,
        "COUNTRY": _column([city.country for _, city in cities]),
        "CITY_CODE": _column([words.city_code(c) for c, _ in cities]),
    }
    street = {
        "CLIENT": CLIENT,
        "COUNTRY": _column([city.country for _, city, _, _ in streets]),
        "STRT_CODE": _column([words.street_code(c, s) for c, _, s, _ in streets]),
    }
    return {
        "ADRCITY": {
            **city,
            "REGION": _column([city.region for _, city in cities]),
            "REGIOGROUP": _column([f"RG{c + 1:06d}" for c, _ in cities]),
            "TIME_ZONE": _column([city.zone for _, city in cities]),
        },
        "ADRCITYT": {**city, "LANGU": "E", "CITY_NAME": _column([city.name for _, city in cities])},
        "ADRSTREET": {
            **street,
            "CITY_CODE": _column([words.city_code(c) for c, _, _, _ in streets]),
            "REGIOGROUP": _column([f"RG{c + 1:06d}" for c, _, _, _ in streets]),
        },
        "ADRSTREETT": {**street, "LANGU": "E", "STREET": _column([name for _, _, _, name in streets])},
    }


def crm(world: World) -> Mapping[str, Columns]:
    """Return classes of agreements, number ranges and the sellable products of CRM, dummies included."""
    names = [*codes.PRODUCTS, *codes.DUMMIES]
    first, last = codes.ACCOUNTS
    return {
        "CRMC_BUAG_CLASS": {
            "CLIENT": CLIENT,
            "BUAG_CLASS": _column(["STANDARD", "COLLECTIVE", "INTERNAL"]),
            "NRINT": "01",
            "NREXT": "02",
            "IS_COLL_BILL": _column(["", "X", ""]),
            "NO_REPLICATION": _column(["", "", "X"]),
        },
        "NRIV": {
            "CLIENT": CLIENT,
            "OBJECT": "CRM_BUAG",
            "NRRANGENR": _column(["01", "02"]),
            "FROMNUMBER": _column([f"{last + 1:012d}", f"{first:012d}"]),
            "TONUMBER": _column([f"{last + 10_000_000:012d}", f"{last:012d}"]),
            "EXTERNIND": _column(["", "X"]),
        },
        "COMM_PRODUCT": {
            "CLIENT": CLIENT,
            "PRODUCT_GUID": columns.guid(world.draw, "product", np.arange(len(names))),
            "PRODUCT_ID": _column(names),
            "PRODUCT_TYPE": "02",
            "LOGSYS": codes.CRM_SYSTEM,
            "TEXT40": columns.text_of(codes.PRODUCT_TEXTS, 40),
            "VALID_FROM": 20150101000000,
            "VALID_TO": 99991231235959,
            "CREATED_AT": 20150101080000,
            "CREATED_BY": "CATALOG",
        },
    }
