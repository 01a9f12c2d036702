"""The cells that the house's cubes must have, added up in plain Python from the records the oracle knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

from tests.warehouse.sim.oracle import Known, Oracle

NEVER = date(1, 1, 1)
BERLIN = ZoneInfo("Europe/Berlin")
Cells = dict[tuple[Any, ...], list[Decimal]]


def billing(oracle: Oracle) -> Cells:
    """Return the cells of cube `billing`: dimensions -> energy, net, minutes, price, lines, records."""
    cells: Cells = defaultdict(lambda: [Decimal(0)] * 6)
    for row in _live(oracle, "line"):
        if row.values.get("reversed") is False:
            _bill(cells, row)
    for key, row in oracle.active["visit"].items():
        if not row.deleted:
            month = key[1].astimezone(BERLIN).date().replace(day=1)
            cell = (month, NEVER, "#", "#", bool(row.values.get("settled")), "#", "#")
            minutes, price = row.values.get("minutes") or 0, row.values.get("price") or 0
            _add(cells, cell, [Decimal(0), Decimal(0), Decimal(minutes), Decimal(price), Decimal(0), Decimal(1)])
    return _kept(cells)


def lines(oracle: Oracle) -> Cells:
    """Return the cells of cube `lines`: partner, kind, currency -> net, lines, records."""
    cells: Cells = defaultdict(lambda: [Decimal(0)] * 3)
    for row in _live(oracle, "line"):
        cell = tuple(_text(row.values.get(name)) for name in ("partner", "kind", "currency"))
        _add(cells, cell, [-(row.values.get("amount") or Decimal(0)), Decimal(1), Decimal(1)])
    return _kept(cells)


def _bill(cells: Cells, row: Known) -> None:
    values = row.values
    energy = (values.get("quantity") or Decimal(0)) if values.get("kind") == "energy" else Decimal(0)
    net = values.get("amount") or Decimal(0)
    posted_on = values.get("posted_on")
    for month, until, before, days, first in _months(values.get("period_from"), values.get("period_to")):
        cell = (
            posted_on.replace(day=1) if posted_on else NEVER,
            month,
            _text(row.posted.get("segment")),
            _text(row.posted.get("region")),
            False,
            _text(values.get("unit")),
            _text(values.get("currency")),
        )
        once = Decimal(1 if first else 0)
        parts = [_share(energy, until, before, days, "0.001"), _share(net, until, before, days, "0.01")]
        _add(cells, cell, [*parts, Decimal(0), Decimal(0), once, once])


def _months(first: date | None, last: date | None) -> Iterator[tuple[date, int, int, int, bool]]:
    begin = first or last or NEVER
    end = last if first and last and last >= first else begin
    days = (end - begin).days + 1
    month = begin.replace(day=1)
    while month <= end:
        following = (month + timedelta(days=31)).replace(day=1)
        until = (min(end, following - timedelta(days=1)) - begin).days + 1
        before = max((month - begin).days, 0)
        yield month, until, before, days, month <= begin
        month = following


def _share(amount: Decimal, until: int, before: int, days: int, digit: str) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        due = [(amount * part / days).quantize(Decimal(digit), ROUND_HALF_UP) for part in (until, before)]
    return due[0] - due[1]


def _live(oracle: Oracle, store: str) -> list[Known]:
    return [row for row in oracle.active[store].values() if not row.deleted]


def _text(value: Any) -> str:
    return str(value) if value not in (None, "") else "#"


def _add(cells: Cells, cell: tuple[Any, ...], parts: list[Decimal]) -> None:
    cells[cell] = [old + new for old, new in zip(cells[cell], parts, strict=True)]


def _kept(cells: Cells) -> Cells:
    return {cell: sums for cell, sums in cells.items() if any(sums)}
