"""Play one random history of requests against the engine, the oracle beside it, and check after every step."""

from __future__ import annotations

from collections.abc import Callable

from tests.warehouse.sim import check, records
from tests.warehouse.sim.oracle import Arrived
from tests.warehouse.sim.steps import WAITING, Steps
from warehouse import compress, inbound, undo, verify
from warehouse.requests import Request
from warehouse.spec import Store

FEEDS = (("partner", "crm"), ("partner", "erp"), ("line", "isu"), ("line", "tel"), ("visit", "crm"))
WEIGHTS = (3, 2, 5, 2, 2)


class Play(Steps):
    """One history: deeds drawn at random, the steps of requests among them."""

    def run(self, steps: int) -> Play:
        """Play steps and check after each; then let everything go through and compare the cells with Python's."""
        deeds: list[tuple[int, Callable[[], None]]] = [
            (8, self.deliver),
            (5, self.advance),
            (2, self.again),
            (3, self.delete),
            (2, self.reverse),
            (3, self.correct),
            (1, self.compress),
            (1, self.rebuild),
            (2, self.publish),
            (1, self.out_of_order),
            (2, self.pass_time),
        ]
        for self.step in range(steps):
            deed = self.random.choices([d for _, d in deeds], [w for w, _ in deeds])[0]
            self.tried[deed.__name__] += 1
            self.touched.clear()
            deed()
            check.everything(self.stage, self.oracle, self.touched)
        self.finish()
        return self

    def finish(self) -> None:
        while self._oldest() is not None:
            self.advance()
        self.publish()
        check.everything(self.stage, self.oracle)
        check.verified(self.stage)

    # --- deeds --------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """A request arrives, in packages, with duplicates; sometimes it is a full load."""
        store, source = self.random.choices(FEEDS, WEIGHTS)[0]
        full = store == "visit" or self.random.random() < 0.12
        rows = records.some(self.random, store, full=full)
        self._repeat(store, source, rows)
        unread = records.unread(self.random, store, source, rows) if full else []
        mode = ("FULL" if store == "visit" else "REPAIR_FULL") if full else "REPEAT"
        load = self._load(store, source, mode, rows, unread)
        while self.random.random() < 0.9 and self.states[load.id] in WAITING:
            self.advance(store)

    def advance(self, store: str | None = None) -> None:
        """The oldest request of a store goes one step on."""
        number = self._oldest(store)
        if number is None:
            return
        load, state = self.oracle.loads[number], self.states[number]
        if state == "LOADED" and load.mode in ("FULL", "REPAIR_FULL") and not load.compared:
            self._compare(load)
        elif state == "LOADED":
            self._check(load)
        elif state == "CHECKED":
            self._activate(load)
        else:
            self._roll_up(load)
        if self.states[number] == "ACTIVE" and self.random.random() < 0.6:
            self._roll_up(load)

    def again(self) -> None:
        """What was done is done once more: nothing happens."""
        if not self.requests:
            return
        number = self.random.choice(list(self.requests))
        request, state = self.requests[number], self.states[number]
        store = self.stage.store(request.store)
        if state == "DELETED":
            undo.delete_request(self.stage.connection, self.stage.warehouse, store, number, self.stage.now)
            return
        same = self.stage.open(request.store, request.source, request.mode, load_key=request.load_key)
        assert (same.id, same.already) == (number, True)
        assert inbound.loaded(self.stage.connection, store, same, now=self.stage.now).state == self.states[number]
        if state in ("CHECKED", "ACTIVE", "ROLLED_UP", "PUBLISHED", "COMPRESSED"):
            self.stage.check(request)
            self._compare_again(store, request)
        if state in ("ACTIVE", "ROLLED_UP", "PUBLISHED", "COMPRESSED"):
            self.stage.activate(request)
        if state in ("ROLLED_UP", "PUBLISHED", "COMPRESSED"):
            self.stage.roll_up(request)

    def _compare_again(self, store: Store, request: Request) -> None:
        def compare() -> Request:
            return inbound.differences_only(self.stage.connection, store, request)

        if request.mode in inbound.COMPARED:
            compare()
        else:
            self._refused(compare)

    def delete(self) -> None:
        """A request is deleted, if nothing was built upon it; most often one of the last."""
        alive = [number for number, state in self.states.items() if state != "DELETED"]
        if not alive:
            return
        changed = [number for number in alive if self.oracle.loads[number].before]
        most = changed if changed and self.random.random() < 0.7 else alive
        number = self.random.choice(most[-3:] if self.random.random() < 0.7 else most)
        load = self.oracle.loads[number]
        store = self.stage.store(load.store)

        def deleted() -> None:
            undo.delete_request(self.stage.connection, self.stage.warehouse, store, number, self.stage.now)

        may = not load.active or self.oracle.may_delete(
            load, number in self.absorbed or self.states[number] == "COMPRESSED"
        )
        if not may:
            self._refused(deleted)
            return
        self._try(deleted)
        self.states[number] = "DELETED"
        self.oracle.delete(load)
        self.touched.add(load.store)
        self.tried["deleted"] += 1

    def reverse(self) -> None:
        """A request is reversed by another one, wholly or where its keys did not change since."""
        active = [load for load in self.oracle.loads.values() if load.active and not load.deleted]
        if not active:
            return
        load = self.random.choice(active[-4:] if self.random.random() < 0.7 else active)
        partial = self.random.random() < 0.5
        store = self.stage.store(load.store)
        mine, since = load.before.keys() - load.touched, self.oracle.changed_since(load)
        taken = any(self.states[o.id] in ("LOADED", "CHECKED") and o.store == load.store for o in self._alive())
        made_already = [o for o in self._alive() if o.mode == "REVERSAL" and o.parent == load.id]

        def reverse() -> Request:
            return undo.reverse_request(
                self.stage.connection, store, load.id, now=self.stage.now, as_of=self.stage.today, partial=partial
            )

        if made_already:
            assert reverse().id == made_already[0].id
            return
        keys = sorted(mine - since, key=repr)
        if taken or not keys or (since and not partial):
            self._refused(reverse)
            return
        made = self._try(reverse)
        arrived = []
        for name in keys:
            before = load.before[name]
            live = before is not None and not before.deleted
            arrived.append(Arrived(name, "" if live else "D", None, before.values if live and before else {}, 1, 0))
        self._note(made, arrived, parent=load.id)
        self.tried["reversed"] += 1

    def correct(self) -> None:
        """A held key is put right by hand, or read from the source again."""
        store = self.random.choice(("line", "partner", "visit"))
        keys = list(self.oracle.open_keys(store))
        if not keys:
            return
        name = self.random.choice(sorted(keys, key=repr))
        if self.random.random() < 0.6:
            self._correct(store, name)
        else:
            self._resubmit(store, name)

    def compress(self) -> None:
        up_to = self.random.choice([None, *self.states]) if self.states else None
        done = [n for n, s in self.states.items() if s == "PUBLISHED" and (up_to is None or n <= up_to)]
        self._try(
            lambda: compress.compress(self.stage.connection, self.stage.warehouse, self.stage.now, days=0, up_to=up_to)
        )
        self.absorbed |= set(done)
        for number in done:
            self.states[number] = "COMPRESSED"
            self.touched.add(self.requests[number].store)

    def rebuild(self) -> None:
        """A cube is made anew: what is published is part of its totals from then on."""
        cube = self.random.choice(list(self.stage.warehouse.cubes.values()))
        self._try(lambda: verify.rebuild(self.stage.connection, self.stage.warehouse, cube, self.stage.now))
        self.absorbed |= {
            n for n, s in self.states.items() if s == "PUBLISHED" and self.requests[n].store in cube.stores
        }
        self.touched |= set(cube.stores)

    def publish(self) -> None:
        self._try(self.stage.publish)
        for number, state in self.states.items():
            if state == "ROLLED_UP":
                self.states[number] = "PUBLISHED"

    def out_of_order(self) -> None:
        """A request is activated before an earlier one: refused."""
        number = self._oldest()
        later = [o for o in self._alive() if number and o.id > number and o.store == self.requests[number].store]
        if number and later and self.states[number] in ("LOADED", "CHECKED"):
            self._refused(lambda: self.stage.activate(self.requests[later[0].id]))

    def pass_time(self) -> None:
        self.stage.later(hours=self.random.choice((1, 5, 30, 100)))
