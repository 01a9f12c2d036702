"""What engine tests share: the house's warehouse in a database of its own, and the usual way of a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from warehouse import activate, held, inbound, publish, requests, rollup, shape
from warehouse.activate import Activated
from warehouse.columns import arrow_type
from warehouse.load_spec import load_warehouse
from warehouse.requests import Request
from warehouse.spec import Store, Warehouse
from warehouse.statement import Connection
from warehouse.tables import Mode

HOUSE = Path(__file__).parent / "house"
MORNING = datetime(2024, 3, 1, 8, tzinfo=UTC)
Record = Mapping[str, Any]


def house() -> Warehouse:
    """Return what the house's files say."""
    return load_warehouse(HOUSE, None)


def batch(store: Store, records: Iterable[Record]) -> pa.RecordBatch:
    """Lay records out as a package; `mode` and `seq` are record mode and sequence, what is not named is null."""
    rows = list(records)
    columns = {
        "record_mode": pa.array([row.get("mode", "") for row in rows], pa.string()),
        "sequence": pa.array([row.get("seq") for row in rows], pa.string()),
    }
    for item in store.fields:
        columns[item.name] = pa.array([row.get(item.name) for row in rows], arrow_type(item.type))
    return pa.record_batch(list(columns.values()), list(columns))


@dataclass
class Stage:
    """One warehouse in one database, with a clock that tests move and load keys that count up."""

    connection: Connection
    warehouse: Warehouse
    now: datetime = MORNING
    loads: int = field(default=0)

    @property
    def today(self) -> date:
        return self.now.date()

    def store(self, name: str) -> Store:
        return self.warehouse.stores[name]

    def later(self, **by: int) -> None:
        self.now += timedelta(**by)

    def open(self, store: str, source: str, mode: Mode = "REPEAT", **more: Any) -> Request:
        self.loads += 1
        key = more.pop("load_key", f"load {self.loads}")
        named = {"as_of": self.today, "now": self.now} | more
        return requests.open_request(self.connection, self.store(store), source, mode, key, **named)

    def load(
        self,
        store: str,
        source: str,
        records: Sequence[Record],
        mode: Mode = "REPEAT",
        *,
        packages: int = 1,
        **more: Any,
    ) -> Request:
        """Open a request, write its records in packages, and say that it is loaded."""
        made = self.open(store, source, mode, **more)
        for number in range(packages):
            part = batch(self.store(store), records[number::packages])
            inbound.write_package(self.connection, self.store(store), made, number + 1, part)
        return inbound.loaded(self.connection, self.store(store), made, now=self.now)

    def check(self, request: Request) -> Request:
        return held.checked(self.connection, self.store(request.store), request, self.now)

    def activate(self, request: Request) -> Activated:
        store = self.store(request.store)
        return activate.activate(self.connection, self.warehouse, store, request.id, self.now)

    def roll_up(self, request: Request) -> int:
        return rollup.roll_up(self.connection, self.warehouse, self.store(request.store), request.id, self.now)

    def publish(self) -> int:
        return publish.publish(self.connection, "run", self.now)

    def bring(self, store: str, source: str, records: Sequence[Record], mode: Mode = "REPEAT", **more: Any) -> Request:
        """Bring records all the way into the cubes."""
        made = self.load(store, source, records, mode, **more)
        if mode in ("FULL", "REPAIR_FULL"):
            made = inbound.differences_only(self.connection, self.store(store), made)
        self.check(made)
        self.activate(made)
        self.roll_up(made)
        self.publish()
        return requests.request(self.connection, made.id)

    def ask(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(text.encode(), values or None).fetchall()

    def state(self, request: Request) -> str:
        return requests.request(self.connection, request.id).state


@contextmanager
def standing(url: str) -> Iterator[Stage]:
    """Apply the house's warehouse to an empty database and connect to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        built = house()
        shape.apply(connection, built, MORNING)
        yield Stage(connection, built)


def emptied(stage: Stage) -> Stage:
    """Return a stage on the same tables, all of them empty."""
    rows = stage.ask(
        "SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = 'warehouse'"
        " AND tablename NOT IN ('shapes', 'calendar')"
    )
    stage.connection.execute(f"TRUNCATE {', '.join(name for (name,) in rows)}".encode())
    return replace(stage, now=MORNING, loads=0)


def line(document: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a record of a bill's line; what is named replaces what it says usually."""
    usual = {
        "document": document,
        "line": number,
        "partner": "P1",
        "kind": "energy",
        "posted_on": date(2024, 2, 10),
        "period_from": date(2024, 1, 1),
        "period_to": date(2024, 1, 31),
        "quantity": Decimal("100.001"),
        "unit": "KWH",
        "amount": Decimal("33.33"),
        "currency": "EUR",
        "reversed": False,
    }
    return usual | more


def partner(number: str = "P1", **more: Any) -> dict[str, Any]:
    """Return a record of a partner."""
    usual = {"number": number, "segment": "A", "region": "N", "discount": Decimal("1.50"), "currency": "EUR"}
    return usual | more


def visit(hour: int, who: str = "P1", **more: Any) -> dict[str, Any]:
    """Return a record of a visit."""
    at = datetime(2024, 3, 1, hour, tzinfo=UTC)
    return {"visited_at": at, "partner": who, "minutes": 10, "price": Decimal("1.0001"), "settled": True} | more
