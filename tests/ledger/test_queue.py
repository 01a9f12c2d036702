"""The queue of changed things: coalescing, claimed in disjoint sets, and nothing reported is ever lost."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from time import perf_counter

import psycopg
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from isthmus.errors import ConfigError, ConflictError, DataError, SystemUnavailable
from isthmus.ledger import ClaimedKeys, Ledger, Pairs, QueueDepth, Run, Settlement
from isthmus.ledger import queue as queue_module
from tests.conftest import end_sessions
from tests.ledger.conftest import HandClock

FLOW = "contract.isu.crm"
LEASE = timedelta(minutes=5)


def things(ledger: Ledger, *keys: str) -> pa.Array:
    return ledger.keys.ids("contract", "isu", "", pa.array(keys, pa.string()))


def report(ledger: Ledger, *keys: str, system: str = "isu") -> int:
    return ledger.queue.put(FLOW, things(ledger, *keys), system, pa.array(keys, pa.string()))


def claim(ledger: Ledger, limit: int = 100, worker: str = "w") -> ClaimedKeys:
    claimed = ledger.queue.claim(FLOW, worker, LEASE, limit)
    assert claimed is not None
    return claimed


def keys_of(claimed: ClaimedKeys | None, system: str = "isu") -> list[str]:
    return [] if claimed is None else claimed.keys[system].to_pylist()


def test_reports_of_one_thing_coalesce_and_both_sides_keys_stay(ledger: Ledger) -> None:
    assert report(ledger, "1", "2", "1") == 2
    ledger.queue.put(FLOW, things(ledger, "1"), "crm", pa.array(["C1"]), gone=pa.array([True]))
    claimed = claim(ledger)
    assert claimed.ids.equals(things(ledger, "1", "2"))
    assert claimed.keys["isu"].to_pylist() == ["1", "2"]
    assert claimed.keys["crm"].to_pylist() == ["C1", None]
    assert claimed.gone["crm"].to_pylist() == [True, False]
    assert claimed.gone["isu"].to_pylist() == [False, False]


def test_a_feeds_cursor_moves_with_its_keys(ledger: Ledger) -> None:
    ledger.queue.put(FLOW, things(ledger, "1"), "isu", pa.array(["1"]), cursors={"isu": "c1", "crm": "d1"})
    assert (ledger.feeds.cursor(FLOW, "isu"), ledger.feeds.cursor(FLOW, "crm")) == ("c1", "d1")
    with pytest.raises(DataError, match="no Isthmus id"):
        ledger.queue.put(FLOW, pa.nulls(1, pa.binary(16)), "isu", pa.array(["9"]), cursors={"isu": "c2"})
    assert ledger.feeds.cursor(FLOW, "isu") == "c1"


def test_a_feed_that_brings_nothing_moves_its_cursor(ledger: Ledger) -> None:
    assert ledger.queue.put(FLOW, things(ledger), "isu", pa.array([], pa.string()), cursors={"isu": "c1"}) == 0
    assert ledger.feeds.cursor(FLOW, "isu") == "c1"


def test_a_system_that_is_not_the_flows_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="'apo' is neither"):
        report(ledger, "1", system="apo")
    with pytest.raises(ConfigError, match=r"object\.source\.target"):
        ledger.queue.put("contract", things(ledger, "1"), "isu", pa.array(["1"]))


def test_what_is_settled_is_gone(ledger: Ledger) -> None:
    report(ledger, "1", "2")
    ledger.queue.settle(claim(ledger), Settlement())
    assert ledger.queue.depth(FLOW).waiting == 0
    assert ledger.queue.claim(FLOW, "w", LEASE, 10) is None


def test_a_thing_reported_during_the_claim_waits_after_it(ledger: Ledger) -> None:
    report(ledger, "1", "2")
    claimed = claim(ledger)
    report(ledger, "2")
    assert ledger.queue.claim(FLOW, "other", LEASE, 10) is None
    ledger.queue.settle(claimed, Settlement())
    assert keys_of(claim(ledger)) == ["2"]


def test_what_goes_back_waits_at_the_end_of_the_line(ledger: Ledger) -> None:
    report(ledger, "1", "2", "3")
    claimed = claim(ledger, 2)
    end = ledger.queue.depth(FLOW).last_place
    ledger.queue.settle(claimed, Settlement(again=things(ledger, "1")))
    again = ledger.queue.claim(FLOW, "w", LEASE, 10, upto=end)
    assert keys_of(again) == ["3"]
    later = claim(ledger)
    assert (keys_of(later), later.attempts.to_pylist()) == (["1"], [1])
    with pytest.raises(DataError, match="only ids of the claim"):
        ledger.queue.settle(later, Settlement(again=things(ledger, "3")))


def test_a_lease_that_ran_out_lets_another_claim_and_fences_the_first_off(ledger: Ledger, clock: HandClock) -> None:
    report(ledger, "1")
    first = claim(ledger)
    clock.forward(minutes=4)
    ledger.queue.heartbeat(first)
    clock.forward(minutes=4)
    assert ledger.queue.claim(FLOW, "other", LEASE, 10) is None
    clock.forward(minutes=2)
    second = claim(ledger, worker="other")
    assert (keys_of(second), second.epoch > first.epoch) == (["1"], True)
    for late in (ledger.queue.heartbeat, ledger.queue.give_back, lambda lost: ledger.queue.settle(lost, Settlement())):
        with pytest.raises(ConflictError, match="void"):
            late(first)
    ledger.queue.settle(second, Settlement())
    assert ledger.queue.depth(FLOW).waiting == 0


def test_a_set_given_back_keeps_its_place_in_line(ledger: Ledger) -> None:
    report(ledger, "1", "2")
    report(ledger, "3")
    ledger.queue.give_back(claim(ledger, 2))
    assert keys_of(claim(ledger, 2)) == ["1", "2"]


def test_only_asked_things_are_claimed(ledger: Ledger) -> None:
    report(ledger, "1", "2", "3")
    asked = ledger.queue.claim(FLOW, "w", LEASE, 10, ids=things(ledger, "3", "9", "1"))
    assert keys_of(asked) == ["1", "3"]
    assert ledger.queue.claim(FLOW, "w", LEASE, 10, ids=things(ledger, "3")) is None


def test_a_thing_that_is_reported_again_and_again_does_not_lose_its_place(ledger: Ledger) -> None:
    report(ledger, "1")
    report(ledger, "2", "3")
    report(ledger, "1")
    assert keys_of(claim(ledger, 1)) == ["1"]


def test_workers_that_claim_at_the_same_time_get_disjoint_sets(ledger: Ledger) -> None:
    keys = [f"{n:05d}" for n in range(3_000)]
    report(ledger, *keys)

    def work(worker: int) -> list[str]:
        mine: list[str] = []
        while (claimed := ledger.queue.claim(FLOW, f"w{worker}", LEASE, 170)) is not None:
            mine += keys_of(claimed)
            if len(claimed.ids) == 170:  # reported again, in another order, while others claim
                report(ledger, *keys_of(claimed)[2::-1])
            ledger.queue.settle(claimed, Settlement(run="r1", counts={"read": len(claimed.ids)}))
        return mine

    with ThreadPoolExecutor(4) as pool:
        worked = [key for mine in pool.map(work, range(4)) for key in mine]
    while (rest := ledger.queue.claim(FLOW, "last", LEASE, 170)) is not None:
        worked += keys_of(rest)
        ledger.queue.settle(rest, Settlement(run="r1", counts={"read": len(rest.ids)}))
    assert set(worked) == set(keys)
    assert len(worked) - len(keys) <= 3 * len(keys) // 170
    assert ledger.queue.depth(FLOW) == QueueDepth(0, 0)
    assert ledger.queue.counts("r1") == {"read": len(worked)}


def test_a_hundred_thousand_keys_pass_in_seconds(ledger: Ledger) -> None:
    keys = pa.array([f"{n:010d}" for n in range(100_000)])
    ids = ledger.keys.ids("contract", "isu", "", keys)
    began = perf_counter()
    assert ledger.queue.put(FLOW, ids, "isu", keys) == 100_000
    sizes = []
    while (claimed := ledger.queue.claim(FLOW, "w", LEASE, 20_000)) is not None:
        sizes.append(len(claimed.ids))
        ledger.queue.settle(claimed, Settlement())
    assert sizes == [20_000] * 5
    assert perf_counter() - began < 20


def test_reports_claims_and_settlements_side_by_side_never_lock_each_other_out(ledger: Ledger) -> None:
    keys = [f"{n:04d}" for n in range(400)]

    def reporter(order: int) -> None:
        for _ in range(15):
            report(ledger, *keys[::order])

    def worker(name: str) -> None:
        for _ in range(15):
            claimed = ledger.queue.claim(FLOW, name, LEASE, 300)
            if claimed is not None:
                ledger.queue.settle(claimed, Settlement(again=claimed.ids.slice(0, 9)))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(reporter, 1), pool.submit(reporter, -1), *(pool.submit(worker, n) for n in "ab")]:
            done.result()
    assert ledger.queue.depth(FLOW).claimed == 0


def test_a_session_killed_while_it_settles_leaves_nothing_half_done(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    report(ledger, "1", "2")
    claimed, last = claim(ledger), queue_module._close
    ids, texts = things(ledger, "1", "2"), pa.array(["a", "b"])
    agreed = Settlement(
        again=ids.slice(1),
        image=pa.record_batch([ids, texts], ["id", "text"]),
        exceptions=pa.table({"key": ["9"], "state": ["rejected"]}),
        pairs=(Pairs("contract", ids, {"isu": pa.array(["1", "2"]), "crm": pa.array(["C1", "C2"])}),),
        counts={"read": 2},
        run=run.id,
    )

    def killed(connection: object, *rest: object) -> None:
        with psycopg.connect(ledger_url, autocommit=True) as other:
            end_sessions(other, within="idle in transaction")
        last(connection, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(queue_module, "_close", killed)
    with pytest.raises(SystemUnavailable):
        ledger.queue.settle(claimed, agreed)
    monkeypatch.undo()
    assert ledger.queue.depth(FLOW).claimed == 2
    assert ledger.images.count(FLOW) == ledger.keys.count("contract", "crm") == 0
    assert ledger.exceptions.list() == []
    ledger.queue.settle(claimed, agreed)
    assert (ledger.images.count(FLOW), ledger.keys.count("contract", "crm")) == (2, 2)
    assert ledger.queue.depth(FLOW).waiting == 1


def test_the_same_settlement_again_is_no_error_and_another_one_is(ledger: Ledger) -> None:
    report(ledger, "1")
    claimed = claim(ledger)
    ledger.queue.settle(claimed, Settlement(counts={"read": 1}, run="r1"))
    report(ledger, "1")
    ledger.queue.settle(claimed, Settlement(counts={"read": 1}, run="r1"))
    assert ledger.queue.depth(FLOW).waiting == 1
    with pytest.raises(ConflictError, match="void"):
        ledger.queue.settle(claimed, Settlement(counts={"read": 2}, run="r1"))


def test_dropping_a_queue_voids_its_claims(ledger: Ledger) -> None:
    report(ledger, "1", "2")
    claimed = claim(ledger, 1)
    assert ledger.queue.drop(FLOW) == 2
    with pytest.raises(ConflictError):
        ledger.queue.settle(claimed, Settlement())


class Histories(RuleBasedStateMachine):
    """Any order of reports, claims, settlements, returns and lost leases: what is reported is worked on after it."""

    ledger: Ledger
    clock: HandClock
    flows = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).flows += 1
        self.flow = f"contract.isu.crm{type(self).flows}"
        self.reported: dict[str, int] = {}  # number of the last report of a key
        self.worked: dict[str, int] = {}  # last report that a settled claim has seen
        self.held: list[tuple[ClaimedKeys, dict[str, int], datetime]] = []
        self.number = 0

    @rule(keys=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), side=st.sampled_from(["isu", "crm"]))
    def put(self, keys: list[str], side: str) -> None:
        self.number += 1
        system = side if side == "isu" else self.flow.split(".")[2]
        self.ledger.queue.put(self.flow, things(self.ledger, *keys), system, pa.array(keys))
        self.reported.update(dict.fromkeys(keys, self.number))

    @rule(limit=st.integers(1, 6), minutes=st.integers(1, 10))
    def claim(self, limit: int, minutes: int) -> None:
        claimed = self.ledger.queue.claim(self.flow, "w", timedelta(minutes=minutes), limit)
        if claimed is not None:
            names = self.names(claimed.ids)
            self.held.append((claimed, {name: self.reported[name] for name in names}, self.clock()))

    @rule(minutes=st.integers(1, 8))
    def wait(self, minutes: int) -> None:
        self.clock.forward(minutes=minutes)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), again=st.sets(st.integers(0, 5)))
    def settle(self, which: int, again: set[int]) -> None:
        claimed, seen, _ = self.held.pop(which % len(self.held))
        back = claimed.ids.take(pa.array(sorted(n for n in again if n < len(claimed.ids)), pa.int32()))
        with contextlib.suppress(ConflictError):
            self.ledger.queue.settle(claimed, Settlement(again=back))
            returned = self.names(back)
            self.worked.update({name: number for name, number in seen.items() if name not in returned})

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9))
    def give_back(self, which: int) -> None:
        claimed, *_ = self.held.pop(which % len(self.held))
        with contextlib.suppress(ConflictError):
            self.ledger.queue.give_back(claimed)

    @invariant()
    def what_is_not_worked_on_is_queued(self) -> None:
        owed = {name for name, number in self.reported.items() if self.worked.get(name, 0) < number}
        with self.ledger.database.transaction() as connection:
            asked = text("SELECT string_agg(uuid_send(id), '' ORDER BY id) FROM ledger.queue WHERE flow = :flow")
            found = connection.scalar(asked, {"flow": self.flow}) or b""
        queued = {found[at : at + 16] for at in range(0, len(found), 16)}
        assert {thing.as_py() for thing in things(self.ledger, *sorted(owed))} == queued

    def teardown(self) -> None:
        self.clock.forward(hours=1)
        owed = {name for name, number in self.reported.items() if self.worked.get(name, 0) < number}
        rest = self.ledger.queue.claim(self.flow, "last", LEASE, 100)
        assert (self.names(rest.ids) if rest else set()) == owed

    def names(self, ids: pa.Array) -> set[str]:
        known = dict(zip(things(self.ledger, *"abcdef").to_pylist(), "abcdef", strict=True))
        return {known[thing] for thing in ids.to_pylist()}


def test_no_history_loses_a_reported_key(ledger: Ledger, clock: HandClock) -> None:
    Histories.ledger, Histories.clock = ledger, clock
    run_state_machine_as_test(Histories, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
