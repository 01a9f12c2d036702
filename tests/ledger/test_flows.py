"""Flows: the cursor comes first, the delta waits, people are in the trail."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import Blackout, Ledger, Run
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


def test_a_draining_flow_is_said_so_until_it_is_resumed(ledger: Ledger) -> None:
    ledger.flows.drain("contract", "ops", "upgrade tonight")
    assert ledger.flows.state("contract").draining
    ledger.flows.resume("contract", "ops")
    assert not ledger.flows.state("contract").draining
    assert [event.what for event in ledger.events.list(flow="contract")] == ["resumed", "draining"]


def berlin(day: int, clock: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-{day}T{clock}").replace(tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("at", "on"),
    [
        (berlin(29, "21:59"), False),
        (berlin(29, "22:00"), True),  # Friday
        (berlin(30, "05:59"), True),
        (berlin(30, "06:00"), False),
        (berlin(30, "23:00"), True),  # Saturday, until the Sunday that has no 02:30
        (berlin(31, "05:59"), True),
        (berlin(31, "23:00"), False),
        (berlin(25, "03:00"), False),  # Monday
    ],
)
def test_a_weekly_blackout_goes_by_the_clock_on_the_wall_over_midnight(ledger: Ledger, at: datetime, on: bool) -> None:
    window = Blackout("*", "billing run", "ops", (5, 6), time(22), time(6), "Europe/Berlin")
    ledger.flows.black_out(window)
    assert ledger.flows.blackout("contract", at) == ("billing run" if on else None)


def test_a_blackout_from_and_until_holds_one_flow_and_can_be_lifted(ledger: Ledger, clock: HandClock) -> None:
    ends = clock() + timedelta(hours=2)
    number = ledger.flows.black_out(Blackout("contract", "moving", "ops", starts_at=clock(), ends_at=ends))
    assert ledger.flows.blackout("contract") == "moving"
    assert ledger.flows.blackout("device") is None
    assert [window.number for window in ledger.flows.blackouts("contract")] == [number]
    assert ledger.flows.lift(number, "ops").reason == "moving"
    assert ledger.flows.blackout("contract") is None
    with pytest.raises(ConfigError, match="that stands"):
        ledger.flows.lift(number, "ops")
    ledger.flows.black_out(Blackout("contract", "again", "ops", starts_at=clock(), ends_at=ends))
    clock.forward(hours=2)
    assert (ledger.flows.blackout("contract"), ledger.flows.blackouts()) == (None, [])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"from_time": time(1)},
        {"from_time": time(1), "until_time": time(2), "zone": "Mars/North"},
        {"from_time": time(1), "until_time": time(2), "weekdays": (0,)},
        {"ends_at": datetime(2024, 4, 1)},
        {"ends_at": datetime(2024, 4, 1, tzinfo=UTC), "weekdays": (1,)},
        {"ends_at": datetime(2024, 4, 1, tzinfo=UTC), "reason": " "},
    ],
)
def test_a_blackout_that_makes_no_window_is_refused(ledger: Ledger, odd: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="blackout of contract"):
        ledger.flows.black_out(Blackout(**{"flow": "contract", "reason": "r", "made_by": "ops", **odd}))
    assert ledger.flows.blackouts() == []


def test_lag_is_how_long_the_oldest_change_waits(ledger: Ledger, clock: HandClock) -> None:
    flow, ids = "contract.isu.crm", ledger.keys.ids("contract", "isu", "", pa.array(["1"]))
    assert ledger.flows.lag(flow, "isu").behind == timedelta()
    ledger.queue.put(flow, ids, "isu", pa.array(["1"]))
    began = clock()
    clock.forward(minutes=7)
    found = ledger.flows.lag(flow, "isu", newest_change_at=began)
    assert (found.waiting, found.behind, found.newest_change_at) == (1, timedelta(minutes=7), began)
    assert ledger.flows.lags() == [found]
    assert [lag.waiting for lag in ledger.flows.lag_history(flow, began)] == [0, 1]
