"""Engines that are broken on purpose: each must be caught, or the histories prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from connectors.sql import feeds, feeds_clock, feeds_pointer
from connectors.sql.feeds_cursor import ClockCursor
from isthmus.connector import Comparison
from isthmus.ledger import CONFLICTS, queue
from isthmus.levels import examine, feed, pair, settlement, synchronize, wanted
from isthmus.levels.changed import Changed
from isthmus.levels.route import flow_name
from isthmus.levels.watch import feed_of
from isthmus.mapping.policy import policies
from tests.sim.world import Kinds

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A broken engine, the feeds under which it shows, and the fault that brings it out (none: any)."""

    name: str
    breaks: Break
    kinds: Kinds
    first: tuple[str, str] | None = None


def no_delete_marker(patch: pytest.MonkeyPatch) -> None:
    """The delete marker does not travel."""
    real = policies

    def without(*given: Any) -> Any:
        return tuple(policy for policy in real(*given) if policy.name != "deleted")

    patch.setattr(pair, "policies", without)


def no_vanishing(patch: pytest.MonkeyPatch) -> None:
    """What a feed says is gone is not reported."""
    real = feed.poll_side

    def without(*given: Any, **more: Any) -> Changed:
        found = real(*given, **more)
        return replace(found, gone=found.gone.slice(0, 0))

    patch.setattr(synchronize, "poll_side", without)


def equal_stamps_skipped(patch: pytest.MonkeyPatch) -> None:
    """A feed reads what is newer than the last reading, not what is as old."""

    def last_reading(kind: Any, cursor: str, *rest: Any) -> Any:
        return ClockCursor.parse(cursor).at

    def newer(left: Any, operator: Any, right: Any) -> Any:
        return real(left, ">" if operator == ">=" else operator, right)

    real = Comparison
    patch.setattr(feeds, "since", last_reading)
    patch.setattr(feeds_clock, "Comparison", newer)


def cursor_first(patch: pytest.MonkeyPatch) -> None:
    """The cursor is stored when the feed was read, before the keys are in the queue."""
    real = feed.poll_side

    def early(desk: Any, flow: Any, name: Any, **more: Any) -> Changed:
        found = real(desk, flow, name, **more)
        system = flow.source if name == "source" else flow.target
        desk.ledger.feeds.advance(flow_name(flow), system, found.cursor)
        return found

    patch.setattr(synchronize, "poll_side", early)


def no_image(patch: pytest.MonkeyPatch) -> None:
    """What was agreed is not remembered, so that the engine's own writes look like edits."""
    real = settlement.image

    def only_new(found: Any, agreed: np.ndarray) -> Any:
        return real(found, agreed & ~found.imaged)

    patch.setattr(settlement, "image", only_new)


def unconditional(patch: pytest.MonkeyPatch) -> None:
    """What was read does not have to stand there any more."""
    patch.setattr(wanted, "standing", lambda *given: ())


def root_only(patch: pytest.MonkeyPatch) -> None:
    """A change in a part table is no change of the object."""
    real = feed_of

    def narrow(*given: Any) -> Any:
        found = real(*given)
        return replace(found, watched=tuple(table for table in found.watched if table.root))

    patch.setattr(feed, "feed_of", narrow)


def ascending_numbers(patch: pytest.MonkeyPatch) -> None:
    """A pointer feed goes on behind the highest number it has seen."""
    real = feeds_pointer.state

    def highest(session: Any) -> Any:
        snapshot, *rest = real(session)
        top = snapshot.split(":")[1]
        return (f"{top}:{top}:", *rest)

    patch.setattr(feeds_pointer, "state", highest)


def report_lost(patch: pytest.MonkeyPatch) -> None:
    """A key that is reported again while it is worked on leaves the queue all the same."""
    patch.setattr(queue, "_NEWER", queue._NEWER + " AND false")


def stale_decision(patch: pytest.MonkeyPatch) -> None:
    """A person's decision is applied, whatever stands there by now."""
    patch.setattr(examine, "same", lambda left, right: np.ones(len(left), dtype=bool))


def no_epoch(patch: pytest.MonkeyPatch) -> None:
    """A worker whose lease ran out settles as if it still held its claim."""
    patch.setattr(queue, "_hold", lambda connection, claimed: None)


def base_ignored(patch: pytest.MonkeyPatch) -> None:
    """Every difference counts as changed on both sides."""
    real = examine.base_of

    def nothing(*given: Any) -> Any:
        found = real(*given)
        return replace(found, known={name: np.zeros_like(known) for name, known in found.known.items()})

    patch.setattr(examine, "base_of", nothing)


def conflict_lost(patch: pytest.MonkeyPatch) -> None:
    """What is held for a person is told to nobody."""
    patch.setattr(settlement, "conflicts", lambda *given: CONFLICTS.empty_table())


def rejects_lost(patch: pytest.MonkeyPatch) -> None:
    """What a mapping rejects is told to nobody."""
    real = settlement.unreadable_rows

    def silent(*given: Any, **more: Any) -> Mapping[str, pa.Table]:
        return {way: rows.slice(0, 0) for way, rows in real(*given, **more).items()}

    patch.setattr(settlement, "unreadable_rows", silent)


POINTERS: Kinds = ("pointer", "pointer")
STAMPS: Kinds = ("timestamp", "timestamp")
MUTANTS = (
    Mutant("no delete marker", no_delete_marker, POINTERS),
    Mutant("vanished rows not reported", no_vanishing, POINTERS),
    Mutant("equal stamps skipped", equal_stamps_skipped, ("date", "timestamp")),
    Mutant("cursor before outcome", cursor_first, POINTERS, ("died", "after poll")),
    Mutant("echo not recognised: no image", no_image, POINTERS),
    Mutant("echo not recognised: base ignored", base_ignored, POINTERS),
    Mutant("unconditional write-back", unconditional, POINTERS, ("edits_both", "before write target")),
    Mutant("part table without change source", root_only, POINTERS),
    Mutant("pointers trusted to ascend", ascending_numbers, POINTERS, ("slow_commit", "after enqueue")),
    Mutant("report during the claim lost", report_lost, POINTERS, ("edits_and_twice", "after read")),
    Mutant("decision applied to changed values", stale_decision, STAMPS),
    Mutant("settle without epoch", no_epoch, POINTERS, ("zombie", "after read")),
    Mutant("conflicts told to nobody", conflict_lost, STAMPS),
    Mutant("rejects told to nobody", rejects_lost, STAMPS),
)
