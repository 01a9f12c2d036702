"""The steps of a request against the engine, and what the oracle makes of each; any may die and be done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import pyarrow as pa

from isthmus.errors import ConflictError, DataError
from tests.warehouse.engine import Stage, batch
from tests.warehouse.sim import check, records
from tests.warehouse.sim.crash import Died, crashing
from tests.warehouse.sim.oracle import Arrived, Entry, Key, Load, Oracle
from warehouse import held, inbound, undo
from warehouse.requests import Request

Result = TypeVar("Result")
WAITING = ("LOADED", "CHECKED", "ACTIVE")


class Steps:
    """What was loaded, what waits for its next step, and how often anything was tried."""

    def __init__(self, stage: Stage, seed: int, *, crashes: float = 0.15) -> None:
        self.stage, self.random, self.crashes = stage, Random(seed), crashes
        self.oracle = Oracle(stage.warehouse)
        self.requests: dict[int, Request] = {}
        self.waiting: list[tuple[str, int]] = []  # (state, request) that has its next step before it
        self.states: dict[int, str] = {}
        self.absorbed: set[int] = set()
        self.step = 0
        self.touched: set[str] = set()  # stores that the last step may have changed
        self.tried: Counter[str] = Counter()

    def _repeat(self, store: str, source: str, rows: list[dict[str, Any]]) -> None:
        """Let some records say what holds already."""
        spec = self.stage.store(store)
        for row in rows:
            known = self.oracle.active[store].get(records.key(spec, source, row))
            if known and not known.deleted and row.get("mode", "") in ("", "N") and self.random.random() < 0.3:
                row.update(known.values | {name: row[name] for name in ("mode", "seq") if name in row})

    # --- steps of a request -------------------------------------------------------------------------------------

    def _load(
        self, store: str, source: str, mode: Any, rows: list[dict[str, Any]], unread: list[Key], **more: Any
    ) -> Load:
        packages = self.random.choice((1, 1, 2, 3))
        spec, delivery = self.stage.store(store), f"load {self.random.getrandbits(60)}"
        parts = [rows[number::packages] for number in range(packages)]

        def load() -> Request:
            made = self.stage.open(store, source, mode, load_key=delivery, **more)
            for number, part in enumerate(parts, start=1):
                inbound.write_package(self.stage.connection, spec, made, number, batch(spec, part))
            if unread and made.state == "OPEN":
                held.hold_unread(self.stage.connection, spec, made, 1, _rejects(unread), self.stage.now)
            return inbound.loaded(self.stage.connection, spec, made, now=self.stage.now)

        made = self._try(load)
        arrived = [
            Arrived(records.key(spec, source, row), row.get("mode", ""), row.get("seq"), row, package, number)
            for package, part in enumerate(parts, start=1)
            for number, row in enumerate(part)
        ]
        noted = self._note(made, arrived)
        for name in unread:
            self.oracle.held.append(Entry(made.id, name, "unread", None))
        return noted

    def _note(self, made: Request, arrived: list[Arrived], parent: int | None = None) -> Load:
        load = Load(made.id, made.store, made.source, made.mode, made.as_of, arrived, parent=parent)
        assert made.as_of == max([o.as_of for o in self._alive() if o.store == made.store] + [self.stage.today])
        self.oracle.loads[made.id], self.requests[made.id], self.states[made.id] = load, made, "LOADED"
        return load

    def _compare(self, load: Load) -> None:
        store = self.stage.store(load.store)

        def compare() -> Request:
            return inbound.differences_only(self.stage.connection, store, self.requests[load.id])

        live = any(k[0] == load.source and not v.deleted for k, v in self.oracle.active[load.store].items())
        if not load.records and live:
            self._refused(compare, DataError)
            self._try(
                lambda: undo.delete_request(self.stage.connection, self.stage.warehouse, store, load.id, self.stage.now)
            )
            self.states[load.id] = "DELETED"
            self.oracle.delete(load)
            return
        made = self._try(compare)
        assert (made.control["differing"], made.control["gone"]) == self.oracle.compare(load)

    def _check(self, load: Load) -> None:
        store, request = self.stage.store(load.store), self.requests[load.id]
        chosen = [record for record in load.records if record.mode != "D" and self.random.random() < 0.06]
        if load.compared or load.mode == "REVERSAL":
            self._find_numbers(load)
        if chosen:
            findings = pa.table(
                {
                    "package_no": [record.package for record in chosen],
                    "record_no": [record.number for record in chosen],
                    "field": ["amount"] * len(chosen),
                    "code": ["range"] * len(chosen),
                    "message": ["is out of range"] * len(chosen),
                }
            )
            self._try(lambda: held.hold(self.stage.connection, store, request, findings, self.stage.now))
            for record in chosen:
                record.held = True
                self.oracle.held.append(Entry(load.id, record.key, "refused", record))
        self._try(lambda: self.stage.check(request))
        self.oracle.follow(load)
        self.states[load.id] = "CHECKED"

    def _find_numbers(self, load: Load) -> None:
        """Ask the engine which number each record was given that it made itself: their order is nobody's business."""
        store = self.stage.store(load.store)
        names = ", ".join(f'"{name}"' for name in ("source", *store.key))
        rows = self.stage.ask(
            f"SELECT package_no, record_no, {names} FROM warehouse.inbound_{store.name} WHERE request_id = %s", load.id
        )
        numbers = {row[2:]: row[:2] for row in rows}
        assert numbers.keys() == {record.key for record in load.records}
        for record in load.records:
            record.package, record.number = numbers[record.key]

    def _activate(self, load: Load) -> None:
        self._try(lambda: self.stage.activate(self.requests[load.id]))
        self.oracle.activate(load)
        self.touched.add(load.store)
        self.states[load.id] = "ACTIVE"

    def _roll_up(self, load: Load) -> None:
        self._try(lambda: self.stage.roll_up(self.requests[load.id]))
        self.states[load.id] = "ROLLED_UP"
        self.touched.add(load.store)

    def _correct(self, store: str, name: Key) -> None:
        spec = self.stage.store(store)
        newest = self.oracle.newest(store, name)
        overlay = {"line": {"amount": "12.34"}, "partner": {"region": "N"}, "visit": {"settled": "yes"}}[store]

        def correct() -> Request:
            return held.correct(
                self.stage.connection,
                spec,
                check.text_of(name),
                overlay,
                by="a person",
                why="misread",
                now=self.stage.now,
                as_of=self.stage.today,
                source=name[0],
            )

        if newest is None:
            self._refused(correct, DataError)
            return
        made = self._try(correct)
        values = newest.values | records.typed(overlay)
        self._note(made, [Arrived(name, newest.mode, newest.seq, values, 1, 0)])
        self.oracle.end(store, name, made.id)
        self.tried["corrected"] += 1

    def _resubmit(self, store: str, name: Key) -> None:
        spec = self.stage.store(store)
        row = records.one(self.random, store, name)
        load = self._load(store, name[0], "CORRECTION", [row], [])
        made = self.requests[load.id]
        keys = [check.text_of(name)]
        self._try(
            lambda: held.supersede(
                self.stage.connection, spec, made, keys, by="a person", why="mended", now=self.stage.now
            )
        )
        self.oracle.end(store, name, made.id)
        self.tried["resubmitted"] += 1

    # --- trying -------------------------------------------------------------------------------------------------

    def _try(self, step: Callable[[], Result]) -> Result:
        """Do a step; sometimes it dies behind one of its statements and is done again."""
        if self.random.random() >= self.crashes:
            return step()
        try:
            return crashing(step, self.random.randint(1, 40))
        except Died:
            self.tried["crashed"] += 1
            return step()

    def _refused(self, step: Callable[[], object], error: type[Exception] = ConflictError) -> None:
        try:
            step()
        except error:
            self.tried["refused"] += 1
            return
        raise check.Broken(f"{step} went through, expected {error.__name__}")

    def _alive(self) -> list[Load]:
        return [load for load in self.oracle.loads.values() if not load.deleted]

    def _oldest(self, store: str | None = None) -> int | None:
        """Return the oldest request of a store that has a step before it; of any store if none is named."""
        first: dict[str, int] = {}
        for load in self._alive():
            if self.states[load.id] in WAITING and store in (None, load.store):
                first.setdefault(load.store, load.id)
        return self.random.choice(sorted(first.values())) if first else None


def _rejects(unread: list[Key]) -> pa.Table:
    return pa.table(
        {
            "key": [check.text_of(name) for name in unread],
            "field": ["price"] * len(unread),
            "code": ["number"] * len(unread),
            "message": ["is no number"] * len(unread),
        }
    )
