"""The queue of changed things: coalescing, claimed in disjoint sets, and nothing reported is ever lost."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import ClaimedKeys, Ledger, Settlement
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
