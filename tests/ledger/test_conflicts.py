"""Conflicts: kept with both values until a person decides, and never twice for the same disagreement."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import CONFLICTS, ClaimedKeys, Conflict, Ledger, Settlement
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
    ledger: Ledger, key: str, field: str = "text", ours: str = "Miller", theirs: str = "Meier", **more: object
) -> dict:
    told = {"id": things(ledger, key)[0].as_py(), "field": field, "kind": "both changed", "source_key": key}
    return {**told, "base": "Muller", "source_value": ours, "target_value": theirs, **more}


def settle(ledger: Ledger, keys: str, *rows: dict) -> None:
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
    ledger.queue.settle(claimed, Settlement(again=things(ledger, "2")))
    assert [state for _, state in states(ledger)] == ["closed", "open", "open"]
