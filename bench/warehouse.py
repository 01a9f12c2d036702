"""The warehouse at size: initial load, deltas from what arrived to what analysts see, questions, compression; and dbt.

Everything runs through the warehouse's own functions on the shipped store `billing_line` and its cubes, with the
contracts and customers whose attributes its records keep.  The gate is not in these figures: it is measured where Great
Expectations is (`python -m bench run`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow as pa

from bench import dbt_peer, measure, server
from bench.lines import Lines
from isthmus.project import Project
from warehouse import control, shape
from warehouse.activate import activate
from warehouse.compress import compress
from warehouse.inbound import loaded, write_package
from warehouse.load_spec import load_warehouse
from warehouse.posting import cube_sql
from warehouse.publish import publish
from warehouse.query import ask, load_queries
from warehouse.requests import load_key, open_request, set_state
from warehouse.rollup import roll_up
from warehouse.spec import Store, Warehouse
from warehouse.tables import Mode, active
from warehouse.verify import verify

DATABASE = "bench_warehouse"
AS_OF = date(2026, 1, 2)
ASKED = (
    "billed_kwh_and_amount_by_division_and_month",
    "billed_by_rate_category_and_consumption_month",
    "top_customers_by_billed_amount",
    "top_products",
    "as_posted_against_current_region",
)
BY_HAND = "SELECT division, posting_month, sum(energy), sum(net) FROM {cells} AS cells GROUP BY 1, 2 ORDER BY 1, 2"


@dataclass
class Took:
    """Seconds of each part of a measurement, by name, and what was counted."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part; the same name adds up."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        """Return the seconds of all parts."""
        return sum(self.seconds.values())


class House:
    """A warehouse on the benchmark's server."""

    def __init__(self, count: int) -> None:
        self.lines = Lines(count)
        self.postmaster = server.start()
        server.create(DATABASE)
        project = Project.load(server.ROOT)
        self.warehouse: Warehouse = load_warehouse(project.folder, project.catalogue)
        self.connection = psycopg.connect(server.url(DATABASE), autocommit=True)
        shape.apply(self.connection, self.warehouse, now())
        for kind in ("store", "cube"):  # nothing is to be loaded anew because a file changed
            for item in control.waiting(self.connection, kind):
                control.done(self.connection, kind, item.name, now())
        self.number = 0

    @property
    def store(self) -> Store:
        """Return the store of billing lines."""
        return self.warehouse.stores["billing_line"]

    def members(self) -> None:
        """Load contracts and customers, whose attributes the lines keep as posted."""
        for name, said in self.lines.members():
            store = self.warehouse.stores[name]
            empty = {item.name: pa.nulls(said.num_rows, pa.string()) for item in store.fields}
            columns = dict(zip(said.schema.names, said.columns, strict=True))
            self.deliver(store, "INIT", [pa.RecordBatch.from_pydict(empty | columns)], Took())
        self.connection.execute("VACUUM ANALYZE")

    def deliver(self, store: Store, mode: Mode, packages: Iterable[pa.RecordBatch], took: Took) -> int:
        """Take a request from what arrives to what analysts see; returns its number."""
        self.number += 1
        connection, key = self.connection, load_key(store.name, "isu", mode, str(self.number))
        cursor = None if mode == "INIT" else str(self.number - 1)
        found = open_request(connection, store, "isu", mode, key, as_of=AS_OF, now=now(), cursor_from=cursor)
        for number, batch in enumerate(packages, start=1):
            with took.part("inbound"):
                write_package(connection, store, found, number, batch)
        with took.part("inbound"):
            loaded(connection, store, found, now=now(), cursor_to=str(self.number))
            set_state(connection, found.id, "CHECKED", now())
        with took.part("activate"):
            done = activate(connection, self.warehouse, store, found.id, now())
        with took.part("roll up"):
            took.counts["cells"] = roll_up(connection, self.warehouse, store, found.id, now())
        with took.part("publish"):
            publish(connection, "bench", now())
        took.counts |= {"entered": done.entered, "changed": done.changed, "left": done.left}
        return found.id

    def close(self) -> None:
        """Close the session; the database stays until the next benchmark."""
        self.connection.close()


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


def timed(do: Callable[[], object], times: int = 3) -> float:
    """Return the median seconds of a few runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        found.append(time.perf_counter() - began)
    return measure.median(found)


def questions(house: House) -> dict[str, float]:
    """Time each question on the cube, and one of them on active data as well."""
    found = {name: timed(lambda name=name: ask(house.connection, load_queries(server.ROOT)[name])) for name in ASKED}  # type: ignore[misc]
    cube = house.warehouse.cubes["billing"]
    relation = f"(SELECT *, 1 AS sign FROM {active(house.store)} WHERE NOT deleted)"
    cells = cube_sql(cube, house.warehouse.stores, lambda store: relation, request=False)
    found["division and month, on the cube"] = on_the_cube(house)
    on_active = BY_HAND.format(cells=f"({cells})")
    found["the same on active data"] = timed(lambda: house.connection.execute(on_active.encode()).fetchall(), 1)
    return found


def on_the_cube(house: House) -> float:
    """Time what was billed by division and month, asked by hand of the cube."""
    statement = BY_HAND.format(cells="analysis.billing").encode()
    return timed(lambda: house.connection.execute(statement).fetchall())


def raw_lines(house: House, request: int, arrived: int) -> None:
    """Give dbt what arrived: the same records, in the order of arrival; a deleted line carries its last values."""
    columns = ", ".join(f'"{name}"' for name in (*(item.name for item in house.store.fields),))
    posted = ", ".join(f'"{item.name}"' for item in house.store.posted)
    house.connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    house.connection.execute(
        f"CREATE TABLE IF NOT EXISTS raw.lines AS SELECT 0 AS arrived, false AS deleted, source, {columns}, {posted} "
        "FROM warehouse.active_billing_line WITH NO DATA".encode()
    )
    house.connection.execute(
        f"INSERT INTO raw.lines SELECT {arrived}, image = 'R', source, {columns}, {posted} "
        f"FROM warehouse.changes_billing_line WHERE request_id = {request} AND image IN ('N', '', 'R')".encode()
    )


def dbt_agrees(house: House) -> bool:
    """Tell whether dbt's cubes and ours have the same sums."""
    return all(
        house.connection.execute(f"SELECT sum(net), sum(lines) FROM analysis.{cube}".encode()).fetchone()
        == house.connection.execute(f"SELECT sum(net), sum(lines) FROM dbt_dbt.{cube}".encode()).fetchone()
        for cube in dbt_peer.PARTITIONS
    )


def run_dbt(house: House, *, since: int, full: bool) -> float:
    """Return the wall seconds of one `dbt run`."""
    return dbt_peer.run(house.postmaster, DATABASE, since=since, full=full).wall


def run(count: int, *, dbt: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything at one size, tell it as it comes, and return it."""
    house = House(count)
    said: dict[str, Any] = {"lines": count}
    try:
        house.members()
        first = Took()
        request = house.deliver(house.store, "INIT", house.lines.packages(), first)
        said["initial"] = tell(say, f"initial load of {count:,} lines", first)
        if dbt:
            dbt_peer.project(house.warehouse, house.store)
            raw_lines(house, request, 0)
        house.connection.execute("VACUUM ANALYZE")
        if dbt:
            said["dbt full"] = told(say, "dbt, full refresh", run_dbt(house, since=-1, full=True))
        deltas: list[dict[str, Any]] = []
        for seed, rows in enumerate((1_000, 1_000, 1_000, count // 100), start=1):
            took = Took()
            request = house.deliver(house.store, "DELTA", [house.lines.delta(rows, seed)], took)
            deltas.append({"rows": rows, **tell(say, f"delta of {rows:,}", took)})
            if dbt:
                raw_lines(house, request, seed)
                deltas[-1]["dbt"] = told(say, f"dbt, increment of {rows:,}", run_dbt(house, since=seed - 1, full=False))
        said["deltas"] = deltas
        if dbt:
            said["dbt agrees"] = dbt_agrees(house)
            say(f"  dbt's cubes have the same sums: {said['dbt agrees']}")
        said["questions"] = questions(house)
        for name, seconds in said["questions"].items():
            told(say, name, seconds)
        ended = Took()
        with ended.part("compress"):
            compress(house.connection, house.warehouse, now(), days=0)
        found = []
        for cube in house.warehouse.cubes_of(house.store.name):
            with ended.part("verify"):
                found.append(verify(house.connection, house.warehouse, cube, now()))
        ended.counts = {item.cube: item.cells for item in found} | {"differing": sum(item.differing for item in found)}
        said["ended"] = tell(say, "at the end", ended)
        said["after compression"] = told(say, "division and month, on the cube, compressed", on_the_cube(house))
        return said
    finally:
        house.close()


def told(say: Callable[[str], None], what: str, seconds: float) -> float:
    """Tell one figure and return it."""
    say(f"  {what}: {seconds:.2f} s")
    return round(seconds, 3)


def tell(say: Callable[[str], None], what: str, took: Took) -> dict[str, Any]:
    """Tell the parts of a measurement and return them."""
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in took.seconds.items())
    say(f"  {what}: {took.total:.2f} s ({parts}); {took.counts}")
    return {
        "total": round(took.total, 3),
        **{name: round(value, 3) for name, value in took.seconds.items()},
        **took.counts,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return what was found at each size, side by side, as a Markdown table."""
    rows: dict[str, list[str]] = {}

    def put(name: str, seconds: object) -> None:
        rows.setdefault(name, []).append(f"{seconds:.2f}" if isinstance(seconds, float) else str(seconds))

    for said in found:
        put("initial load and roll-up, s", said["initial"]["total"])
        small = [item for item in said["deltas"] if item["rows"] == 1_000]
        large = [item for item in said["deltas"] if item["rows"] != 1_000]
        put("1,000-row delta, inbound to published, s", measure.median([item["total"] for item in small]))
        put("1 % delta, s", large[-1]["total"] if large else "")
        if "dbt full" in said:
            put("dbt: full refresh, s", said["dbt full"])
            put("dbt: increment of 1,000, s", measure.median([item["dbt"] for item in small]))
            put("dbt: increment of 1 %, s", large[-1]["dbt"] if large else "")
        for name, seconds in said["questions"].items():
            put(f"{name}, s", seconds)
        put("division and month on the cube, compressed, s", said["after compression"])
        put("compression of all requests, s", said["ended"]["compress"])
        put("verification of all cubes, s", said["ended"]["verify"])
        put("cells", sum(said["ended"][cube] for cube in dbt_peer.PARTITIONS))
        put("cells that differ from a recomputation", said["ended"]["differing"])
    sizes = [f"{said['lines']:,} lines" for said in found]
    head = f"| what | {' | '.join(sizes)} |"
    lines = [
        head,
        "|---" * (len(found) + 1) + "|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]
    return "\n".join(lines)
