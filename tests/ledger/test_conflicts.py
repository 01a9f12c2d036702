"""Conflicts: kept with both values until a person decides, and never twice for the same disagreement."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import CONFLICTS, ClaimedKeys, Ledger, Settlement
from tests.ledger.conftest import HandClock

FLOW = "contract.isu.crm"
LEASE = timedelta(minutes=5)


def things(ledger: Ledger, *keys: str) -> pa.Array:
    return ledger.keys.ids("contract", "isu", "", pa.array(keys, pa.string()))


def claim(ledger: Ledger, *keys: str) -> ClaimedKeys:
    ledger.queue.put(FLOW, things(ledger, *keys), "isu", pa.array(keys, pa.string()))
    claimed = ledger.queue.claim(FLOW, "w", LEASE, 100)
    assert claimed is not None
    return claimed


def row(
    ledger: Ledger, key: str, field: str = "text", ours: str = "Miller", theirs: str = "Meier", **more: Any
) -> dict[str, Any]:
    told = {"id": things(ledger, key)[0].as_py(), "field": field, "kind": "both changed", "source_key": key}
    return {**told, "base": "Muller", "source_value": ours, "target_value": theirs, **more}


def settle(ledger: Ledger, keys: str, *rows: dict[str, Any]) -> None:
    told = pa.Table.from_pylist(list(rows), schema=CONFLICTS)
    ledger.queue.settle(claim(ledger, *keys), Settlement(conflicts=told, run="r1"))


def states(ledger: Ledger) -> list[tuple[int, str]]:
    return [(conflict.number, conflict.state) for conflict in ledger.conflicts.open(state=None)]


def test_a_conflict_shows_both_values_and_the_base(ledger: Ledger, clock: HandClock) -> None:
    settle(ledger, "12", row(ledger, "1", target_by="AGENT7", target_at="20240331010000", score=0.8))
    (found,) = ledger.conflicts.open(FLOW)
    assert (found.base, found.source_value, found.target_value) == ("Muller", "Miller", "Meier")
    assert (found.kind, found.field, found.source_key, found.target_by, found.score) == (
        "both changed",
        "text",
        "1",
        "AGENT7",
        0.8,
    )
    assert (found.opened_at, found.times, found.run) == (clock(), 1, "r1")
    assert ledger.conflicts.show(found.number) == found
    (count,) = ledger.conflicts.counts()
    assert (count.conflicts, count.state, count.oldest) == (1, "open", clock())


def test_a_conflict_seen_again_is_the_same_and_one_with_other_values_another(ledger: Ledger, clock: HandClock) -> None:
    settle(ledger, "1", row(ledger, "1"))
    clock.forward(hours=1)
    settle(ledger, "1", row(ledger, "1"))
    (found,) = ledger.conflicts.open(FLOW)
    assert (found.times, found.last_seen - found.opened_at) == (2, timedelta(hours=1))
    settle(ledger, "1", row(ledger, "1", theirs="Maier"))
    assert [state for _, state in states(ledger)] == ["superseded", "open"]
    assert [conflict.target_value for conflict in ledger.conflicts.open(FLOW)] == ["Maier"]


def test_a_conflict_seen_no_more_is_closed_and_one_that_goes_back_stays(ledger: Ledger) -> None:
    settle(ledger, "123", row(ledger, "1"), row(ledger, "2"), row(ledger, "3"))
    claimed = claim(ledger, "1", "2")
    told = pa.Table.from_pylist([row(ledger, "2", theirs="Maier")], schema=CONFLICTS)
    ledger.queue.settle(claimed, Settlement(again=things(ledger, "2"), conflicts=told))
    assert [state for _, state in states(ledger)] == ["closed", "open", "open"]


def test_a_decision_puts_the_thing_into_the_queue_and_waits_to_be_applied(ledger: Ledger, clock: HandClock) -> None:
    settle(ledger, "12", row(ledger, "1"), row(ledger, "2", target_key="C2"))
    assert ledger.queue.depth(FLOW).waiting == 0
    first, second = (conflict.number for conflict in ledger.conflicts.open(FLOW))
    assert ledger.conflicts.decide([first], "source", by="anna", why="letter of 1 March") == 1
    assert ledger.conflicts.decide([second], "value", "Mueller", by="anna") == 1
    found = ledger.conflicts.decisions(FLOW, things(ledger, "2", "1", "3"))
    assert found["id"].combine_chunks().equals(things(ledger, "1", "2"))
    assert found["take"].to_pylist() == ["source", "value"]
    assert found["value"].to_pylist() == [None, "Mueller"]
    assert found["target_value"].to_pylist() == ["Meier", "Meier"]
    claimed = ledger.queue.claim(FLOW, "w", LEASE, 10)
    assert claimed is not None
    assert claimed.keys["crm"].to_pylist() == [None, "C2"]
    ledger.queue.settle(claimed, Settlement(run="r2"))
    shown = ledger.conflicts.show(first)
    assert (shown.state, shown.decided_by, shown.decided_at, shown.why) == (
        "applied",
        "anna",
        clock(),
        "letter of 1 March",
    )
    assert ledger.conflicts.decisions(FLOW, things(ledger, "1", "2")).num_rows == 0
    assert [event.who for event in ledger.events.list(flow=FLOW)] == ["anna", "anna"]


def test_a_decision_made_while_the_thing_is_worked_on_is_looked_at_next(ledger: Ledger) -> None:
    settle(ledger, "1", row(ledger, "1"))
    (open_one,) = ledger.conflicts.open(FLOW)
    claimed = claim(ledger, "1")
    ledger.conflicts.decide([open_one.number], "target", by="anna")
    ledger.queue.settle(claimed, Settlement(conflicts=pa.Table.from_pylist([row(ledger, "1")], schema=CONFLICTS)))
    assert states(ledger) == [(open_one.number, "decided")]
    again = claim(ledger, "1")
    ledger.conflicts.decide([open_one.number], "source", by="bert")
    ledger.queue.settle(again, Settlement())
    assert states(ledger) == [(open_one.number, "decided")]
    last = ledger.queue.claim(FLOW, "w", LEASE, 10)
    assert last is not None
    assert ledger.conflicts.decisions(FLOW, last.ids)["take"].to_pylist() == ["source"]
    ledger.queue.settle(last, Settlement())
    assert states(ledger) == [(open_one.number, "applied")]


def test_a_decision_on_values_that_stand_no_more_is_superseded(ledger: Ledger) -> None:
    settle(ledger, "1", row(ledger, "1"))
    ledger.conflicts.decide([1], "source", by="anna")
    settle(ledger, "1", row(ledger, "1", ours="Mahler"))
    assert states(ledger) == [(1, "superseded"), (2, "open")]
    with pytest.raises(ConflictError, match=r"conflict 1 \(superseded\) does not wait"):
        ledger.conflicts.decide([1, 2], "source", by="anna")
    assert states(ledger) == [(1, "superseded"), (2, "open")]
    assert ledger.queue.depth(FLOW).waiting == 0


def test_what_is_no_decision_is_refused(ledger: Ledger) -> None:
    settle(ledger, "1", row(ledger, "1"))
    with pytest.raises(ConfigError, match="no conflict 7"):
        ledger.conflicts.decide([1, 7], "source", by="anna")
    with pytest.raises(ConfigError, match="no conflict 7"):
        ledger.conflicts.show(7)
    for take, value in (("value", None), ("source", "x"), ("both", None)):
        with pytest.raises(ConfigError, match="takes source, target"):
            ledger.conflicts.decide([1], take, value, by="anna")  # type: ignore[arg-type]
    assert states(ledger) == [(1, "open")]
    assert ledger.conflicts.decide([], "source", by="anna") == 0


def test_conflicts_of_other_things_or_unknown_kinds_are_refused_without_telling_values(ledger: Ledger) -> None:
    for odd in (row(ledger, "9"), row(ledger, "1", kind="odd"), row(ledger, "1") | {"id": None}):
        with pytest.raises(DataError) as caught:
            settle(ledger, "1", odd)
        assert "Miller" not in f"{caught.value} {caught.value.__cause__}"
        ledger.queue.drop(FLOW)
    assert states(ledger) == []


def test_values_show_in_no_text(ledger: Ledger) -> None:
    settle(ledger, "1", row(ledger, "1", because="Miller is no Meier"))
    ledger.conflicts.decide([1], "value", "Mueller", by="anna")
    told = repr(ledger.conflicts.show(1)) + repr(ledger.events.list(flow=FLOW))
    assert not [value for value in ("Miller", "Meier", "Muller", "Mueller") if value in told]


def test_conflicts_are_listed_page_by_page_by_kind_and_field(ledger: Ledger) -> None:
    ones = [row(ledger, key, field) for key in "123" for field in ("city", "text")]
    settle(ledger, "123", *ones, row(ledger, "1", "text", kind="refused", because="billed"))
    assert [conflict.field for conflict in ledger.conflicts.open(FLOW, field="city", limit=2)] == ["city", "city"]
    every = ledger.conflicts.open(FLOW, limit=4)
    rest = ledger.conflicts.open(FLOW, after=every[-1].number)
    assert len(every) + len(rest) == 7
    assert [conflict.because for conflict in ledger.conflicts.open(kind="refused")] == ["billed"]
    assert {(count.field, count.kind): count.conflicts for count in ledger.conflicts.counts()} == {
        ("city", "both changed"): 3,
        ("text", "both changed"): 3,
        ("text", "refused"): 1,
    }
    assert len(ledger.conflicts.of(FLOW, [every[0].id])) == 3


def test_ended_conflicts_are_pruned_and_standing_ones_stay(ledger: Ledger, clock: HandClock) -> None:
    settle(ledger, "12", row(ledger, "1"), row(ledger, "2"))
    settle(ledger, "1")
    clock.forward(days=500)
    assert ledger.prune(clock() - timedelta(days=400))["conflicts"] == 1
    assert [state for _, state in states(ledger)] == ["open"]


def test_people_decide_while_workers_settle_and_nobody_waits_for_ever(ledger: Ledger) -> None:
    keys = "abcdefghijklmnop"
    settle(ledger, keys, *(row(ledger, key) for key in keys))
    numbers = [number for number, _ in states(ledger)]

    def people(step: int) -> None:
        for _ in range(15):
            ledger.conflicts.decide(numbers[::step], "source", by=f"p{step}")

    def worker(name: str) -> None:
        told = pa.Table.from_pylist([row(ledger, key) for key in keys], schema=CONFLICTS)
        for _ in range(15):
            claimed = ledger.queue.claim(FLOW, name, LEASE, 7)
            if claimed is not None:
                mine = told.filter(pc.is_in(told["id"], claimed.ids))
                ledger.queue.settle(claimed, Settlement(conflicts=mine))

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(people, 1), pool.submit(people, -1), pool.submit(worker, "v"), pool.submit(worker, "w")]
        for done in work:
            done.result()
    assert {state for _, state in states(ledger)} == {"decided"}
