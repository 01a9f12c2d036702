"""Random records of the house's stores: few keys, so that they meet again and again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.warehouse.sim.oracle import Key
from warehouse.spec import Store

Row = dict[str, Any]
PARTNERS = ("P1", "P2", "P3")
VISITS = tuple(datetime(2024, 2, 29, 22, 30, tzinfo=UTC) + timedelta(hours=hours) for hours in (0, 1, 2))


def some(random: Random, store: str, *, full: bool) -> list[Row]:
    """Return records of a request; a full load has no deletes, and may bring nothing at all."""
    count = random.randint(0, 7) if full else random.randint(1, 7)
    rows = [one(random, store, None) for _ in range(count)]
    for row in rows:
        if not full and random.random() < 0.2:
            row["mode"] = random.choice(("D", "D", "R"))
        elif random.random() < 0.1:
            row["mode"] = "N"
        if store != "visit" and random.random() < 0.6:
            row["seq"] = f"{random.randint(1, 30):03}"
    return rows


def unread(random: Random, store: str, source: str, rows: list[Row]) -> list[Key]:
    """Return keys that a full load could not read; they are not among its records."""
    if store != "visit" or random.random() < 0.6:
        return []
    name = (source, random.choice(VISITS), random.choice(PARTNERS))
    there = {(source, row["visited_at"], row["partner"]) for row in rows}
    return [] if name in there else [name]


def one(random: Random, store: str, name: Key | None) -> Row:
    """Return a record, of a key or of any."""
    made = {"partner": _partner, "line": _line, "visit": _visit}[store](random)
    if name is not None:
        made |= dict(zip(KEYS[store], name[1:], strict=True))
    return made


def key(store: Store, source: str, row: Mapping[str, Any]) -> Key:
    """Return what identifies a record."""
    return (source, *(row[part] for part in store.key))


def typed(overlay: Mapping[str, str]) -> Row:
    """Return what a correction of the simulation means."""
    meant: Row = {"12.34": Decimal("12.34"), "yes": True}
    return {name: meant.get(text, text) for name, text in overlay.items()}


KEYS = {"partner": ("number",), "line": ("document", "line"), "visit": ("visited_at", "partner")}


def _partner(random: Random) -> Row:
    return {
        "number": random.choice(PARTNERS),
        "segment": random.choice(("A", "B", None)),
        "region": random.choice(("N", "S", "", None)),
        "discount": random.choice((Decimal("1.50"), None)),
        "currency": "EUR",
    }


def _line(random: Random) -> Row:
    begin = date(2023, 11, 1) + timedelta(days=random.randint(0, 90))
    return {
        "document": random.choice(("D1", "D2", "D3")),
        "line": random.choice((1, 2)),
        "partner": random.choice((*PARTNERS, None)),
        "kind": random.choice(("energy", "energy", "rental", None)),
        "posted_on": random.choice((date(2024, 2, 28), date(2024, 3, 1), date(2024, 3, 5), None)),
        "period_from": random.choice((begin, begin, None)),
        "period_to": random.choice((begin + timedelta(days=random.randint(-3, 100)), begin, None)),
        "quantity": random.choice((Decimal(random.randint(-(10**6), 10**9)).scaleb(-3), None)),
        "unit": random.choice(("KWH", "MWH", None)),
        "amount": random.choice((Decimal(random.randint(-(10**5), 10**7)).scaleb(-2), Decimal("0.01"), None)),
        "currency": random.choice(("EUR", "CHF")),
        "reversed": random.choice((False, False, True, None)),
    }


def _visit(random: Random) -> Row:
    return {
        "visited_at": random.choice(VISITS),
        "partner": random.choice(PARTNERS),
        "minutes": random.choice((5, 17, None)),
        "price": random.choice((Decimal("19.9999"), Decimal("0.0001"), None)),
        "settled": random.choice((True, False, None)),
    }
