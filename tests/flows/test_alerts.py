"""Alerts: each rule tells of its cause once, and once more when it is over."""

from __future__ import annotations

import pytest

from isthmus.errors import ConfigError
from isthmus.levels.alerts import News, Rules, in_words, news, rules, told
from isthmus.levels.rounds import keep_in_step
from tests.flows.both_ways import marry, partners_in_step, persons
from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_conflicts_command import hold_names

FLOW = "business_partner.isu.crm"
QUIET = {name: 0.0 for name in ("lag_minutes", "queue", "parked_hours", "conflicts", "conflict_age_hours")}


@pytest.fixture
def house(build: Build) -> House:
    """A house whose partners are loaded and kept in step."""
    return build("schema", defects=False, begin=partners_in_step)


def hear(house: House, **asked: float) -> News:
    """Evaluate some rules, the others off, and remember what was told."""
    with house.desk() as desk:
        found = news(desk, Rules(**{**QUIET, **asked}))
        told(desk, found)
        return found


def causes(found: News) -> tuple[list[str], list[str]]:
    return [item.cause for item in found.raised], [item.cause for item in found.cleared]


def queue(house: House, many: int) -> None:
    """Let feeds report what nobody has worked on yet."""
    house.tell(
        "ledger",
        "INSERT INTO ledger.queue (flow, id, place, version, since, seen_at)"
        " SELECT %s, gen_random_uuid(), n, n, %s, %s FROM generate_series(1, %s) n",
        FLOW, house.clock(), house.clock(), many,
    )  # fmt: skip


def test_a_lag_is_told_once_and_once_more_when_it_is_over(house: House) -> None:
    queue(house, 1)
    assert not hear(house, lag_minutes=15)
    house.clock.forward(minutes=16)
    assert causes(hear(house, lag_minutes=15)) == ([f"lag {FLOW}"], [])
    house.clock.forward(minutes=16)
    assert not hear(house, lag_minutes=15)
    house.tell("ledger", "DELETE FROM ledger.queue")
    assert causes(hear(house, lag_minutes=15)) == ([], [f"lag {FLOW}"])
    assert not hear(house, lag_minutes=15)
    queue(house, 1)
    house.clock.forward(minutes=16)
    assert causes(hear(house, lag_minutes=15)) == ([f"lag {FLOW}"], [])


def test_a_flow_that_was_paused_on_purpose_has_no_lag(house: House) -> None:
    queue(house, 1)
    house.clock.forward(hours=1)
    with house.desk() as desk:
        desk.ledger.flows.pause(FLOW, "ops", "audit")
    assert not hear(house, lag_minutes=15)


def test_a_queue_that_grows_is_told(house: House) -> None:
    queue(house, 10)
    assert not hear(house, queue=10)
    assert causes(hear(house, queue=9)) == ([f"queue {FLOW}"], [])


def test_conflicts_are_told_when_they_are_many_or_old(house: House) -> None:
    hold_names(house)
    for partner in persons(house, 2):
        marry(house, partner, ours="Ours", theirs="Theirs")
    with house.desk() as desk:
        keep_in_step(desk, desk.flow("business_partner"))
    assert not hear(house, conflicts=2, conflict_age_hours=48)
    assert causes(hear(house, conflicts=1)) == ([f"conflicts {FLOW}"], [])
    house.clock.forward(hours=49)
    assert causes(hear(house, conflicts=1, conflict_age_hours=48)) == ([f"conflict_age {FLOW}"], [])


@pytest.mark.parametrize("way", ["contract.isu.crm", "contract.crm.isu"])
def test_rows_parked_for_long_are_told_whichever_way_they_travel(house: House, way: str) -> None:
    import pyarrow as pa

    from isthmus.ledger import EXCEPTIONS

    row = {"key": "4711", "state": "parked", "waits_object": "premise", "waits_key": "1"}
    with house.desk() as desk:
        desk.ledger.exceptions.put(way, pa.Table.from_pylist([row], schema=EXCEPTIONS), "first")
    assert not hear(house, parked_hours=24)
    house.clock.forward(hours=25)
    assert causes(hear(house, parked_hours=24)) == ([f"parked {way}"], [])


def test_a_change_that_waits_for_approval_is_told_and_may_be_copied(house: House) -> None:
    with house.desk() as desk:
        desk.ledger.approvals.ask("first", FLOW, "mass change", 0.4)
    found = hear(house)
    assert causes(found) == ([f"approval {FLOW}"], [])
    assert f"isthmus approve first {FLOW}" in in_words(found)


def test_what_was_not_sent_is_told_again(house: House) -> None:
    queue(house, 1)
    house.clock.forward(hours=1)
    with house.desk() as desk:
        first, again = (news(desk, Rules()) for _ in range(2))
    assert causes(first) == causes(again) == ([f"lag {FLOW}"], [])


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ({"lag_minute": "5"}, 'alerts.lag_minute is not a rule. Did you mean "lag_minutes"'),
        ({"queue": "many"}, "alerts.queue is 'many', expected a number from 0"),
        ({"conflicts": "-1"}, "alerts.conflicts is '-1', expected a number from 0"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(said: dict[str, str], because: str) -> None:
    with pytest.raises(ConfigError) as raised:
        rules(said)
    assert because in str(raised.value)


def test_rules_are_read_as_the_file_says_them() -> None:
    found = rules({"lag_minutes": "5", "email": ["ops@example.org"], "webhook": "chat"})
    assert (found.lag_minutes, found.queue, found.email, found.webhook) == (5, 10_000, ("ops@example.org",), "chat")
