"""Runs, the trail and the small registers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import Ledger, Run
from tests.ledger.conftest import HandClock


def test_a_run_is_started_found_and_finished(ledger: Ledger, clock: HandClock) -> None:
    run = ledger.runs.start("demo", "initial download", "full", {"objects": ["contract"]}, "abc", id="one")
    assert ledger.runs.start("demo", "initial download", "full", {}, "abc", id="one") == run
    clock.forward(minutes=3)
    ledger.runs.finish("one", "done", {"rows": 5})
    found = ledger.runs.get("one")
    assert (found.state, found.finished_at, found.summary) == ("done", clock(), {"rows": 5})
    assert [listed.id for listed in ledger.runs.list()] == ["one"]
    with pytest.raises(ConflictError, match="is there already"):
        ledger.runs.start("demo", "initial download", "full", {}, "abc", id="one")
    for deed in (lambda: ledger.runs.get("two"), lambda: ledger.runs.finish("two", "done", {})):
        with pytest.raises(ConfigError, match="not in this ledger"):
            deed()


def test_numbers_are_given_out_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        firsts = sorted(pool.map(lambda _: ledger.counters.reserve("crm guid", 10), range(20)))
    assert firsts == list(range(1, 200, 10))
    with pytest.raises(ConfigError):
        ledger.counters.reserve("crm guid", 0)


def test_a_system_that_is_another_one_is_refused(ledger: Ledger) -> None:
    ledger.systems.identify("crm", "production", "100")
    ledger.systems.identify("crm", "production", "100")
    assert ledger.systems.client("crm") == "100"
    for fingerprint, client in (("test", "100"), ("production", "200")):
        with pytest.raises(ConflictError, match="not the one this ledger knows"):
            ledger.systems.identify("crm", fingerprint, client)


def test_verdicts_are_kept_with_their_details(ledger: Ledger, run: Run) -> None:
    ledger.gate_results.put("contract", "failed", {"expectations": [1]}, run.id, "contract/00001")
    ledger.gate_results.put("device", "passed", {}, run.id)
    ledger.reconciliations.put("contract", "equal", {"partitions": 3}, run.id)
    (failed,) = ledger.gate_results.list("contract")
    assert (failed.verdict, failed.package, failed.result) == ("failed", "contract/00001", {"expectations": [1]})
    assert [result.verdict for result in ledger.reconciliations.list(run=run.id)] == ["equal"]


def test_what_is_said_of_a_package_again_is_not_kept_again(ledger: Ledger, run: Run) -> None:
    ledger.packages.plan(run.id, "contract", [KeyRange()])
    first = ledger.gate_results.keep("contract", "warned", {"warnings": [{"rows": 2}]}, run.id, "contract/00001")
    again = ledger.runs.start("demo", "initial_download", "full", {}, "h").id
    ledger.packages.plan(again, "contract", [KeyRange()])
    said = {"warnings": [{"rows": 2}]}
    assert ledger.gate_results.keep("contract", "warned", said, again, "contract/00001") == first
    assert [result.id for result in ledger.gate_results.list(run=again)] == [first]
    changed = ledger.gate_results.keep("contract", "warned", {"warnings": []}, again, "contract/00001")
    assert [result.id for result in ledger.gate_results.list(run=again)] == [changed]
    assert [result.id for result in ledger.gate_results.list(run=run.id)] == [first]
    assert ledger.gate_results.keep("contract", "warned", said, run.id, "contract/00002") not in (first, changed)


def test_an_approval_covers_no_greater_change_than_was_asked_for(ledger: Ledger, run: Run) -> None:
    ledger.approvals.ask(run.id, "contract", "delete", 0.2)
    assert not ledger.approvals.is_approved(run.id, "contract", "delete")
    ledger.approvals.approve(run.id, "contract", "delete", "ops")
    assert ledger.approvals.ask(run.id, "contract", "delete", 0.1).approved_by == "ops"
    assert ledger.approvals.is_approved(run.id, "contract", "delete")
    ledger.approvals.ask(run.id, "contract", "delete", 0.9)
    assert not ledger.approvals.is_approved(run.id, "contract", "delete")
    assert [waiting.share for waiting in ledger.approvals.waiting()] == [0.9]
    with pytest.raises(ConfigError, match="nobody asked"):
        ledger.approvals.approve(run.id, "device", "delete", "ops")


def test_the_trail_is_kept_by_month_and_dropped_by_month(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.events.put("ops", "corrected", object="contract", key="1", run=run.id)
    clock.forward(days=1)
    ledger.events.put("ops", "resubmitted", object="contract", key="1", details={"field": "starts_on"})
    assert [event.what for event in ledger.events.of("contract", ["1"])] == ["corrected", "resubmitted"]
    assert ledger.events.prune(clock()) == 1
    assert [event.what for event in ledger.events.list()] == ["resubmitted"]


def test_pruning_takes_finished_runs_with_their_packages(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.packages.plan(run.id, "contract", [KeyRange()])
    going_on = ledger.runs.start("demo", "delta", "full", {}, "abc")
    ledger.runs.finish(run.id, "done", {})
    clock.forward(days=90)
    assert ledger.prune(clock())["runs"] == 1
    assert [left.id for left in ledger.runs.list()] == [going_on.id]
    assert ledger.packages.list(run.id) == []
