"""The business of billing: lines, print documents, bills that were reversed or only simulated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from landscape import codes
from landscape.codes import CLIENT
from landscape.columns import NONE, Columns, Days, choose, dats, decimals, padded, when
from landscape.draw import Mask
from landscape.fill import bills as documents
from landscape.fill.billing_lines import STATISTICS, TYPES, UNITS, Lines, lines_of, trade
from landscape.fill.bills import RANGE, Bills
from landscape.plan import Chunk
from landscape.world import World

CURRENCY = "EUR"
_REVERSED, _SIMULATED = 40 * RANGE, 60 * RANGE  # added to the number of the bill that counts
PRINTED, PRINTED_FIRST = 700_000_000_000, 800_000_000_000
_PRICE_KEYS = tuple(f"P_{kind}" for kind in TYPES)


def every(world: World, chunk: Chunk) -> Iterator[Bills]:
    """Yield all bills: those that count, those that they replace, and those that were only simulated before."""
    for bills in documents.valid(world, chunk):
        yield bills
        wrong = _some(bills, world.draw.chance("bill.wrong", bills.key, 0.02))
        yield replace(wrong, number=wrong.number + _REVERSED, posted=wrong.until + 1, reversed=wrong.until + 2)
        tried = _some(bills, world.draw.chance("bill.tried", bills.key, 0.01))
        yield replace(tried, number=tried.number + _SIMULATED, posted=tried.until + 2, simulated=True)


def _some(bills: Bills, mask: Mask) -> Bills:
    names = ("number", "contract", "since", "until", "posted", "reversed")
    return replace(bills, **{name: getattr(bills, name)[mask] for name in names})


def _invoiced_twice(world: World, bills: Bills) -> Mask:
    """Return which bills were printed wrongly: their first print document was reversed five days later."""
    wrong: Mask = world.draw.chance("bill.printed", bills.key, 0.01) & (bills.reversed == NONE)
    return wrong


def _erch(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills in every(world, chunk):
        business = world.draw.chance("contract.kofiz", bills.contract, 0.12)
        printed = np.where(_invoiced_twice(world, bills) & (not bills.simulated), bills.posted + 6, NONE)
        changed = np.maximum(printed, bills.reversed)
        yield {
            **documents.document(world, bills),
            "KOFIZ": when(business, "02", "01"),
            "STORNODAT": dats(bills.reversed),
            "SIMULATION": "X" if bills.simulated else "",
            "AEDAT": dats(changed),
            "AENAM": when(changed > NONE, "BILL01", ""),
        }


def _lines(world: World, chunk: Chunk) -> Iterator[tuple[Bills, Lines]]:
    for bills in every(world, chunk):
        yield bills, lines_of(world, bills)


def _dberchz1(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills, lines in _lines(world, chunk):
        place = world.plan.installation_of(bills.contract)
        whole, rest = np.divmod(np.abs(lines.quantity), 1000)
        sign = np.sign(lines.quantity)
        yield {
            **_key(bills, lines),
            "BELZART": choose(TYPES, lines.kind),
            "BUCHREL": "X",
            "AKLASSE": when(trade(world, place)[lines.bill], "GEW", "HH"),
            "AB": dats(lines.since),
            "BIS": dats(lines.until),
            "MASSBILL": choose(UNITS, lines.unit),
            "TARIFTYP": choose(codes.PRODUCTS, lines.rate),
            "TARIFNR": choose(codes.PRODUCTS, lines.rate),
            "STATTART": choose(STATISTICS, lines.kind),
            "V_ABRMENGE": decimals(sign * whole, 17, 0),
            "N_ABRMENGE": decimals(sign * rest, 14, 3),
        }


def _dberchz3(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills, lines in _lines(world, chunk):
        yield {
            **_key(bills, lines),
            "PREIS": choose(_PRICE_KEYS, lines.kind),
            "PREISBTR": decimals(lines.price, 17, 5),
            "NETTOBTR": decimals(lines.amount, 13, 2),
            "TWAERS": CURRENCY,
        }


def _key(bills: Bills, lines: Lines) -> Columns:
    return {"MANDT": CLIENT, "BELNR": padded(bills.number[lines.bill], 12), "BELZEILE": padded(lines.number, 6)}


def _print_number(bills: Bills, first: int) -> Any:
    kind, contract = np.divmod(bills.number, RANGE)
    return padded(first + kind * (RANGE // 10) + contract, 12)


def _cancelling(bills: Bills) -> Any:
    return _print_number(bills, PRINTED_FIRST + 5 * RANGE)


def _invoiced(world: World, chunk: Chunk) -> Iterator[tuple[Bills, str, Any, Days, Days]]:
    """Yield print documents: their bills, which it is of each, its number, when it was made and when reversed."""
    for bills in every(world, chunk):
        if bills.simulated:
            continue
        twice = _invoiced_twice(world, bills)
        first = _some(bills, twice)
        yield first, "001", _print_number(first, PRINTED_FIRST), first.posted, first.posted + 5
        once, again = _some(bills, ~twice), replace(first, posted=first.posted + 6)
        yield once, "001", _print_number(once, PRINTED), once.posted, once.reversed
        yield again, "002", _print_number(again, PRINTED), again.posted, again.reversed


def _erchc(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills, place, number, made, reversed_ in _invoiced(world, chunk):
        yield {
            "MANDT": CLIENT,
            "BELNR": padded(bills.number, 12),
            "LFDNR": place,
            "OPBEL": number,
            "CPUDT": dats(made),
            "BUDAT": dats(made),
            "INTOPBEL": when(reversed_ > NONE, _cancelling(bills), ""),
            "INTCPUDT": dats(reversed_),
            "INTBUDAT": dats(reversed_),
            "INVOICED": "X",
        }


def _erdk(world: World, chunk: Chunk) -> Iterator[Columns]:
    for bills, _, number, made, reversed_ in _invoiced(world, chunk):
        account = world.plan.account_of(bills.contract)
        gone = reversed_ > NONE
        yield {
            "MANDT": CLIENT,
            "OPBEL": number,
            "PARTNER": world.partner(world.plan.partner_of(account)),
            "VKONT": world.account(account),
            "DRUCKDAT": dats(made + 1),
            "FAEDN": dats(made + 15),
            "BUDAT": dats(made),
            "BLDAT": dats(made),
            "STOKZ": when(gone, "X", ""),
            "INTOPBEL": when(gone, _cancelling(bills), ""),
            "TOTAL_AMNT": decimals(lines_of(world, bills).totals(), 13, 2),
            "TOTAL_WAER": CURRENCY,
            "PORTION": padded(1 + world.draw.below("portion", bills.contract, 240), 4, "PORT"),
            "ABRVORG": bills.process,
            "INVOICED": "X",
            "ERGRD": "01",
            "ERDAT": dats(made),
            "ERNAM": "BATCH",
            "AEDAT": dats(reversed_),
            "AENAM": when(gone, "BILL01", ""),
        }


TABLES = {"ERCH": _erch, "DBERCHZ1": _dberchz1, "DBERCHZ3": _dberchz3, "ERCHC": _erchc, "ERDK": _erdk}
