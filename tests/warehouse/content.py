"""A landscape with business in it, its warehouse, and what the questions answered at each stage of a story."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from isthmus.ledger import migrate
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place
from landscape.create import create
from landscape.live_billing import play_billing
from landscape.live_commerce import play_commerce
from landscape.telephony import write as write_calls
from tests.flows.house import SCENARIO, House, household
from tests.warehouse.oracle.answers import Oracle, comparable
from warehouse import orchestrate
from warehouse.depot import Depot, open_depot
from warehouse.load_spec import load_warehouse
from warehouse.query import READ_ONCE, Query, ask, load_queries
from warehouse.requests import list_requests
from warehouse.shape import apply
from warehouse.tables import Mode
from warehouse.undo import delete_request, reverse_request

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS, SEED = 200, 7
DAY_AFTER = datetime(2026, 1, 3, 8, tzinfo=UTC)
OF_LINES = ("billed_by_rate_category_and_consumption_month", "billed_kwh_and_amount_by_division_and_month")
EVERYTHING = {"months": "1200", "weeks": "9000", "days": "36500", "top": "100000"}
TELEPHONY = (
    "  tel: {connector: files, speaks: tel, path: tel/inbox, format: csv, encoding: utf-8,"
    " key: [INTERVAL_START, QUEUE, AGENT, DIRECTION]}\n"
)
Rows = list[tuple[tuple[str, str], ...]]


@dataclass
class Content:
    """The house, and for each stage what every question answered beside what it has to."""

    house: House
    depot: Depot
    answered: dict[str, dict[str, Rows]] = field(default_factory=dict)
    expected: dict[str, dict[str, Rows]] = field(default_factory=dict)
    differing: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    evening: Oracle | None = None

    @property
    def url(self) -> str:
        return self.house.urls["ledger"]

    def bring_up(self, run: str, *stores: str, mode: Mode | None = None) -> None:
        """Do all steps for some stores, or for all, and publish; nothing may go wrong."""
        depot = replace(self.depot, run=run)
        chosen = [depot.store(name) for name in stores]
        wrong = [f"{step.store}: {step.wrong}" for step in orchestrate.bring_up(depot, chosen, mode=mode) if step.wrong]
        assert not wrong
        orchestrate.publish(depot)

    def look(self, stage: str, oracle: Oracle) -> None:
        """Keep what every question answers now, and what it has to."""
        self.answered[stage] = self.ask_all()
        self.expected[stage] = {name: comparable(oracle.answer(name)) for name in self.answered[stage]}
        self.differing[stage] = orchestrate.verify(self.depot).differing

    def ask_all(self, names: Collection[str] = ()) -> dict[str, Rows]:
        """Ask questions, all if none is named, of one publication and without a limit of time."""
        with psycopg.connect(self.url, autocommit=True) as connection, connection.transaction():
            connection.execute(READ_ONCE)
            queries = load_queries(self.house.folder)
            chosen = names or [name for name in queries if has_oracle(name)]
            return {name: self._ask(connection, queries[name]) for name in chosen}

    def _ask(self, connection: psycopg.Connection[Any], query: Query) -> Rows:
        chosen = {item.name: EVERYTHING[item.name] for item in query.parameters if item.name in EVERYTHING}
        return comparable(ask(connection, query, chosen).rows.to_pylist())

    def oracle(self, moved_on: datetime | None = None, before: Oracle | None = None) -> Oracle:
        calls = list((self.house.folder / "tel/done").rglob("*.csv"))
        return Oracle(self.house.urls, calls, self.house.clock().date(), before, moved_on.date() if moved_on else None)


def has_oracle(query: str) -> bool:
    return (ROOT / f"tests/warehouse/oracle/{query}.sql").is_file()


@contextmanager
def content_house(store: Place, folder: Path) -> Iterator[Content]:
    """Make a landscape with business and defects, a project folder with the warehouse's files, and its tables."""
    names = {part: f"content_{uuid.uuid4().hex[:10]}_{part}" for part in ("isu", "crm", "ledger")}
    urls = {part: ensure_database(name, place=store) for part, name in names.items()}
    patch = pytest.MonkeyPatch()
    try:
        migrate(urls["ledger"])
        manifest = create(urls["isu"], urls["crm"], contracts=CONTRACTS, seed=SEED, model="dual", business=True)
        with household(folder, urls, "none", manifest, patch) as house:
            shutil.copytree(
                ROOT / "warehouse", folder / "warehouse", ignore=shutil.ignore_patterns("*.py", "__pycache__")
            )
            settings = folder / "isthmus.yaml"
            said = settings.read_text(encoding="utf-8").replace("scenario:", f"{TELEPHONY}scenario:", 1)
            settings.write_text(said, encoding="utf-8")
            house.load(("business_partner",))  # sales and service name customers by keys that this run pairs
            shape(house.urls["ledger"], house.folder, house.clock())
            with open_depot(house.project, SCENARIO, clock=house.clock) as depot:
                yield Content(house, depot)
    finally:
        patch.undo()
        for name in names.values():
            drop_database(name, place=store)


def shape(url: str, folder: Path, now: datetime) -> None:
    """Bring the warehouse's tables to what the files of a project folder say."""
    with psycopg.connect(url, autocommit=True) as connection:
        apply(connection, load_warehouse(folder, None), now)


@contextmanager
def told(content: Content) -> Iterator[Content]:
    """Load, play a day, take requests back and deliver them again; at each stage every question is asked."""
    deliver_calls(content, 3)
    content.bring_up("first")
    with closing(content.oracle()) as morning:
        content.look("loaded", morning)
        a_day_goes_by(content)
        content.bring_up("second")
        content.images = {
            "consumption": images_of_today(content, "consumption", "value_origin"),
            "contact_outcome": images_of_today(content, "contact_outcome", "resolved_first::text"),
        }
        content.evening = content.oracle(DAY_AFTER, morning)
    with closing(content.evening) as evening:
        content.look("a day later", evening)
        take_back(content, "billing_line", "quotation", "contact")
        content.bring_up("third", "billing_line", "quotation", "contact")
        content.look("deleted and delivered again", evening)
        reverse(content, "billing_line")
        content.answered["reversed"] = content.ask_all(OF_LINES)
        content.bring_up("fourth", "billing_line", mode="REPAIR_FULL")
        content.look("reversed and repaired", evening)
        yield content


def deliver_calls(content: Content, days: int) -> None:
    inbox = content.house.folder / "tel/inbox"
    write_calls(inbox, contracts=CONTRACTS * 4, days=days, seed=SEED, now=content.house.clock())


def a_day_goes_by(content: Content) -> None:
    """Bills, reversals and corrections; decisions and contacts; a customer moves, a contract ends, calls come in."""
    house = content.house
    house.clock.time = DAY_AFTER
    play_billing(house.urls["isu"], bills=40, seed=3, now=DAY_AFTER)
    play_commerce(house.urls["crm"], changes=60, seed=3, now=DAY_AFTER)
    moves = "UPDATE adrc SET region = CASE region WHEN '06' THEN '08' ELSE '06' END WHERE addrnumber = ANY(%s)"
    movers = house.ask(
        "isu",
        "SELECT DISTINCT b.partner, a.addrnumber FROM but020 a JOIN but000 b USING (client, partner)"
        " JOIN erch e ON e.gpartner = b.partner WHERE b.xdele = '' ORDER BY 1 LIMIT 12",
    )
    house.tell("isu", moves, [row[1] for row in movers])
    house.tell("isu", "UPDATE but000 SET chdat = '20260103' WHERE partner = ANY(%s)", [row[0] for row in movers])
    house.tell(
        "isu",
        "UPDATE ever SET auszdat = '20260115', kuenddat = '20260103', sswtcreason = '02', aedat = '20260103'"
        " WHERE vertrag IN (SELECT vertrag FROM ever WHERE mandt = '100' AND auszdat = '99991231' AND loevm = ''"
        " ORDER BY 1 LIMIT 5)",
    )
    deliver_calls(content, 1)


def images_of_today(content: Content, store: str, said: str) -> set[tuple[str, str]]:
    """Return which images the newest request of a store has, with what they say."""
    asked = (
        f"SELECT DISTINCT image, {said} FROM warehouse.changes_{store} WHERE request_id = (SELECT max(request_id) FROM"
    )
    return set(content.house.ask("ledger", f"{asked} warehouse.changes_{store})"))


def take_back(content: Content, *stores: str) -> None:
    """Delete the newest request of each store, published as it is."""
    depot = content.depot
    for name in stores:
        newest = list_requests(depot.connection, name, ["PUBLISHED"], limit=1)[0]
        assert delete_request(depot.connection, depot.warehouse, depot.store(name), newest.id, depot.clock()).again


def reverse(content: Content, name: str) -> None:
    """Compress everything, then reverse the newest request of a store by another one, and publish."""
    depot = content.depot
    store, now = depot.store(name), depot.clock()
    orchestrate.compress(depot, days=0)
    newest = list_requests(depot.connection, name, ["COMPRESSED"], limit=1)[0]
    reverse_request(depot.connection, store, newest.id, now=now, as_of=now.date(), run="reverse")
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    orchestrate.roll_up(depot, store)
    orchestrate.publish(depot)
