"""Flows: the cursor comes first, the delta waits, people are in the trail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import Ledger, Run
from tests.ledger.conftest import HandClock


def test_the_delta_starts_where_the_load_began(ledger: Ledger, run: Run, clock: HandClock) -> None:
    assert ledger.flows.state("contract").state == "never"
    began = ledger.flows.begin_load("contract", run.id, "cursor 1", fill=True)
    assert (began.state, began.cursor, began.cursor_taken_at, began.fill) == ("loading", "cursor 1", clock(), True)
    assert ledger.flows.watermark("contract") is None
    done = ledger.flows.finish_load("contract", run.id)
    assert (done.state, done.watermark, done.fill) == ("loaded", "cursor 1", False)
    ledger.flows.advance("contract", "cursor 2", run.id)
    assert ledger.flows.watermark("contract") == "cursor 2"


def test_a_load_that_goes_on_keeps_its_first_cursor(ledger: Ledger, run: Run) -> None:
    ledger.flows.begin_load("contract", run.id, "cursor 1", fill=True)
    assert ledger.flows.begin_load("contract", run.id, "cursor 2").fill
    other = ledger.runs.start("demo", "initial download", "full", {}, "abc")
    resumed = ledger.flows.begin_load("contract", other.id, "cursor 3")
    assert (resumed.cursor, resumed.fill, resumed.load_run) == ("cursor 1", False, other.id)
    with pytest.raises(ConflictError, match="cannot finish a load"):
        ledger.flows.finish_load("contract", run.id)


def test_filling_needs_the_flow_for_itself(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.flows.begin_load("contract", run.id, None, fill=True)
    ledger.packages.plan(run.id, "contract", [KeyRange()])
    ledger.packages.claim(run.id, "contract", "w", timedelta(minutes=5))
    other = ledger.runs.start("demo", "initial download", "full", {}, "abc")
    with pytest.raises(ConflictError, match="another run works on it"):
        ledger.flows.begin_load("contract", other.id, None, fill=True)
    clock.forward(minutes=6)
    assert ledger.flows.begin_load("contract", other.id, None, fill=True).fill


def test_who_paused_a_flow_and_why_is_known(ledger: Ledger) -> None:
    ledger.flows.pause("contract", "ops", "billing run")
    ledger.flows.throttle("contract", 500, "ops", "month end")
    state = ledger.flows.state("contract")
    assert (state.paused, state.paused_by, state.paused_why, state.throttle_rows_per_s) == (
        True,
        "ops",
        "billing run",
        500,
    )
    ledger.flows.resume("contract", "ops")
    assert not ledger.flows.state("contract").paused
    assert [event.what for event in ledger.events.list(flow="contract")] == ["resumed", "throttled", "paused"]
    with pytest.raises(ConfigError, match="at least 1 row"):
        ledger.flows.throttle("contract", 0, "ops", "")
