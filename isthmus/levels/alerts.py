"""Alerts: what operations should hear of, once for every cause until it clears.

Rules stand in `isthmus.yaml` under `alerts:`; a rule that is 0 is off.  What was told is kept in the trail, so that
whoever evaluates next (another worker, the command line) knows; sending is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from isthmus.errors import ConfigError, did_you_mean
from isthmus.home import MARKER
from isthmus.ledger.values import FlowState
from isthmus.levels.download import Desk
from isthmus.levels.rounds import age
from isthmus.levels.route import flow_name

RAISED, CLEARED = "alert raised", "alert cleared"
OBJECT = "alert"  # what the trail calls the things alerts are about
WHO = "alerts"


@dataclass(frozen=True, slots=True)
class Rules:
    """From when on something is told of, and to whom; `webhook` names an Airflow connection."""

    lag_minutes: float = 15
    queue: float = 10_000
    parked_hours: float = 24
    conflicts: float = 100
    conflict_age_hours: float = 48
    webhook: str = ""
    email: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One cause: which rule, of which flow, and what is the matter in words."""

    rule: str
    flow: str
    text: str

    @property
    def cause(self) -> str:
        """Return what tells this alert from others; the same cause is told once."""
        return f"{self.rule} {self.flow}"


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told: causes that are new, causes that are over (their texts as they were told)."""

    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]

    def __bool__(self) -> bool:
        return bool(self.raised or self.cleared)


def rules(said: Mapping[str, Any]) -> Rules:
    """Read `alerts:`; raises ConfigError for a name it does not know or a number that is none."""
    known = [item.name for item in fields(Rules)]
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name not in known:
            raise ConfigError(
                f"{MARKER}: alerts.{name} is not a rule.{did_you_mean(name, known)} Known: {', '.join(known)}."
            )
        if name == "email":
            found[name] = (value,) if isinstance(value, str) else tuple(value)
        elif name == "webhook":
            found[name] = str(value)
        else:
            found[name] = _number(name, value)
    return Rules(**found)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if number < 0:
        raise ConfigError(f"{MARKER}: alerts.{name} is {value!r}, expected a number from 0 (0 turns the rule off)")
    return number


# --- what is the matter -------------------------------------------------------------------------------------------


def alarms(desk: Desk, asked: Rules) -> list[Alert]:
    """Return everything that is beyond its rule now."""
    found = list(waiting_approvals(desk))
    for flow in desk.flows():
        name = flow_name(flow)
        state = desk.ledger.flows.state(name)
        if flow.level == "synchronize":
            found += queue_alerts(desk, name, state, asked)
            found += conflict_alerts(desk, name, asked)
        found += parked_alerts(desk, name, asked)
    return found


def queue_alerts(desk: Desk, flow: str, state: FlowState, asked: Rules) -> Iterator[Alert]:
    """Tell of a queue that grows or does not move; whoever paused a flow knows that it does not."""
    depth = desk.ledger.queue.depth(flow)
    waiting, behind = depth.waiting + depth.claimed, age(depth.oldest, desk.clock()) / 60
    if asked.queue and waiting > asked.queue:
        yield Alert("queue", flow, f"{waiting:,} changes wait in {flow}, more than {asked.queue:,.0f}")
    still = state.paused or bool(desk.ledger.flows.blackout(flow, desk.clock()))
    if asked.lag_minutes and behind > asked.lag_minutes and not still:
        yield Alert("lag", flow, f"{flow} is {behind:,.0f} minutes behind, more than {asked.lag_minutes:,.0f}")


def conflict_alerts(desk: Desk, flow: str, asked: Rules) -> Iterator[Alert]:
    """Tell of conflicts that pile up or grow old."""
    open_ = [count for count in desk.ledger.conflicts.counts(flow) if count.state == "open"]
    many = sum(count.conflicts for count in open_)
    if asked.conflicts and many > asked.conflicts:
        yield Alert(
            "conflicts", flow, f"{many:,} conflicts of {flow} wait for a person, more than {asked.conflicts:,.0f}"
        )
    hours = max((age(count.oldest, desk.clock()) for count in open_), default=0.0) / 3600
    if asked.conflict_age_hours and hours > asked.conflict_age_hours:
        said = f"a conflict of {flow} has waited {hours:,.0f} hours, longer than {asked.conflict_age_hours:,.0f}"
        yield Alert("conflict_age", flow, said)


def parked_alerts(desk: Desk, flow: str, asked: Rules) -> Iterator[Alert]:
    """Tell of rows that wait for a parent for too long, whichever way they travel."""
    if not asked.parked_hours:
        return
    object_, source, target = flow.split(".")
    since = desk.clock() - timedelta(hours=asked.parked_hours)
    for way in (flow, f"{object_}.{target}.{source}"):
        old = desk.ledger.exceptions.parked_before(way, since)
        if old:
            yield Alert(
                "parked", way, f"{old:,} rows of {way} are parked for more than {asked.parked_hours:,.0f} hours"
            )


def waiting_approvals(desk: Desk) -> Iterator[Alert]:
    """Tell of changes that are held until a person approves them."""
    for asked in desk.ledger.approvals.waiting():
        said = f"{asked.flow} would change {asked.share:.1%} of its rows; `isthmus approve {asked.run} {asked.flow}`"
        yield Alert("approval", asked.flow, said)


# --- once ---------------------------------------------------------------------------------------------------------


def news(desk: Desk, asked: Rules) -> News:
    """Return what was not told yet: new causes, and causes that are over."""
    now = {alert.cause: alert for alert in alarms(desk, asked)}
    told = standing(desk)
    raised = tuple(alert for cause, alert in now.items() if cause not in told)
    return News(raised, tuple(alert for cause, alert in told.items() if cause not in now))


def told(desk: Desk, found: News) -> None:
    """Remember that this was told; call it after it was sent, so that a crash tells twice rather than never."""
    for what, alerts in ((RAISED, found.raised), (CLEARED, found.cleared)):
        for alert in alerts:
            desk.ledger.events.put(
                WHO,
                what,
                flow=alert.flow,
                object=OBJECT,
                key=alert.cause,
                details={"rule": alert.rule, "text": alert.text},
            )


def standing(desk: Desk) -> dict[str, Alert]:
    """Return the alerts that were raised and not cleared since, by cause."""
    latest: dict[str, Alert | None] = {}
    for event in desk.ledger.events.of(OBJECT, causes(desk)):
        if event.object != OBJECT or event.key is None:
            continue
        said = event.details
        latest[event.key] = Alert(said["rule"], event.flow or "", said["text"]) if event.what == RAISED else None
    return {cause: alert for cause, alert in latest.items() if alert is not None}


def causes(desk: Desk) -> list[str]:
    """Return every cause there can be: each rule of each flow, whichever way it travels."""
    names = ("lag", "queue", "conflicts", "conflict_age", "parked", "approval")
    flows = [flow_name(flow) for flow in desk.flows()]
    flows += [f"{flow.object}.{flow.target}.{flow.source}" for flow in desk.flows()]
    return [f"{name} {flow}" for name in names for flow in flows]


def in_words(found: News) -> str:
    """Write news as a message of plain text; it holds no value of any record."""
    lines = [*(f"ALERT  {alert.text}" for alert in found.raised), *(f"over   {alert.text}" for alert in found.cleared)]
    return "\n".join(lines)


__all__ = ["Alert", "News", "Rules", "alarms", "in_words", "news", "rules", "standing", "told"]
