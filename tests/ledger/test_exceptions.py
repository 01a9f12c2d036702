"""Rejected and parked rows: kept by key, freed by their parent."""

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.errors import DataError
from isthmus.ledger import Ledger, Pairs, Run
from tests.ledger.conftest import HandClock


def parked(*waits: tuple[str, str, str]) -> pa.Table:
    keys, objects, parents = zip(*waits, strict=True)
    return pa.table(
        {
            "key": keys,
            "state": ["parked"] * len(waits),
            "field": ["account"] * len(waits),
            "code": ["no parent"] * len(waits),
            "message": ["its parent has not arrived"] * len(waits),
            "waits_object": objects,
            "waits_key": parents,
        }
    )


def arrive(ledger: Ledger, run: Run, object: str, *keys: str) -> None:
    ids = ledger.keys.ids(object, "isu", "", pa.array(keys))
    ledger.keys.confirm_pairs(Pairs(object, ids, {"isu": pa.array(keys), "crm": pa.array(keys)}), run.id)


def test_exactly_the_rows_whose_parent_came_are_released(ledger: Ledger, run: Run) -> None:
    waits = [("1", "account", "10"), ("2", "account", "20"), ("3", "partner", "10"), ("4", "premise", "10")]
    ledger.exceptions.put("contract", parked(*waits), run.id)
    ledger.exceptions.put("other", parked(("5", "account", "10")), run.id)
    arrive(ledger, run, "account", "10", "30")
    arrive(ledger, run, "partner", "10")
    assert ledger.exceptions.release("contract", "isu").to_pylist() == ["1", "3"]
    assert [held.key for held in ledger.exceptions.list("contract", "open")] == ["2", "4"]
    assert [held.state for held in ledger.exceptions.list("other")] == ["open"]


def test_a_released_row_is_offered_until_it_passes(ledger: Ledger, run: Run) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10")), run.id)
    arrive(ledger, run, "account", "10")
    for _ in range(2):
        assert ledger.exceptions.release("contract", "isu").to_pylist() == ["1"]
    assert ledger.exceptions.resolve("contract", pa.array(["1", "2", None])) == 1
    assert ledger.exceptions.release("contract", "isu").to_pylist() == []


def test_a_retired_parent_frees_nobody(ledger: Ledger, run: Run) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10")), run.id)
    arrive(ledger, run, "account", "10")
    ledger.keys.retire("account", "isu", pa.array(["10"]))
    assert ledger.exceptions.release("contract", "isu").to_pylist() == []


def test_the_same_fault_again_is_one_row_seen_twice(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10")), run.id)
    began = clock()
    clock.forward(hours=1)
    ledger.exceptions.put("contract", parked(("1", "account", "11")), run.id, "contract/00002")
    (held,) = ledger.exceptions.list()
    assert (held.times, held.waits_key, held.package) == (2, "11", "contract/00002")
    assert (held.first_seen, held.last_seen) == (began, clock())


def test_a_fault_after_passing_counts_anew(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10")), run.id)
    ledger.exceptions.resolve("contract", pa.array(["1"]))
    clock.forward(days=1)
    ledger.exceptions.put("contract", parked(("1", "account", "10")), run.id)
    (held,) = ledger.exceptions.list()
    assert (held.state, held.times, held.first_seen) == ("open", 1, clock())


def test_counts_are_by_reason_the_most_frequent_first(ledger: Ledger, run: Run) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10"), ("2", "account", "11")), run.id)
    bad = pa.table({"key": ["3"], "state": ["rejected"], "code": ["date"], "field": ["starts_on"]})
    ledger.exceptions.put("contract", bad, run.id)
    counted = [(reason.kind, reason.code, reason.waits_object, reason.rows) for reason in ledger.exceptions.counts()]
    assert counted == [("parked", "no parent", "account", 2), ("rejected", "date", None, 1)]
    assert ledger.exceptions.waited_for() == {"contract": {"account"}}
    assert ledger.exceptions.counts(run="another") == []


def test_a_row_without_a_key_is_refused(ledger: Ledger, run: Run) -> None:
    for bad in ({"key": [None], "state": ["parked"]}, {"key": ["1"], "state": ["odd"]}):
        with pytest.raises(DataError, match="have no key, or a state"):
            ledger.exceptions.put("contract", pa.table(bad), run.id)


def test_pruning_keeps_what_is_open(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.exceptions.put("contract", parked(("1", "account", "10"), ("2", "account", "10")), run.id)
    ledger.exceptions.resolve("contract", pa.array(["1"]))
    clock.forward(days=400)
    assert ledger.prune(clock())["exceptions"] == 1
    assert [held.key for held in ledger.exceptions.list()] == ["2"]
