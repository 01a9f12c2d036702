"""The ledger's feeds: cursors move when told to, snapshots are compared as sets, and count only once moved to."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from isthmus.ledger import Ledger, Run
from isthmus.ledger.feeds import SEEN

FLOW = "contract.isu.crm"


def seen(**rows: str) -> pa.Table:
    prints = [hashlib.md5(value.encode()).digest() for value in rows.values()]
    return pa.table([pa.array(list(rows)), pa.array(prints, pa.binary(16))], schema=SEEN)


def test_a_feed_that_was_never_read_has_no_cursor(ledger: Ledger) -> None:
    assert ledger.feeds.cursor(FLOW, "isu") is None


def test_a_cursor_moves_for_its_flow_and_system_alone(ledger: Ledger, run: Run) -> None:
    ledger.feeds.advance(FLOW, "isu", "one", run.id)
    ledger.feeds.advance(FLOW, "crm", "two", run.id)
    ledger.feeds.advance(FLOW, "isu", "three", run.id)
    assert ledger.feeds.cursor(FLOW, "isu") == "three"
    assert ledger.feeds.cursor(FLOW, "crm") == "two"
    assert ledger.feeds.of_system("crm") == {FLOW: "two"}


def test_a_snapshot_finds_new_changed_and_vanished_rows(ledger: Ledger) -> None:
    ledger.feeds.compare(FLOW, "isu", seen(a="1", b="1", c="1"), "first")
    ledger.feeds.advance(FLOW, "isu", "first")
    found = ledger.feeds.compare(FLOW, "isu", seen(a="1", b="2", d="1"), "second")
    assert (sorted(found.changed.to_pylist()), found.gone.to_pylist()) == (["b", "d"], ["c"])


def test_a_snapshot_that_was_not_moved_to_is_found_again(ledger: Ledger) -> None:
    for cursor in ("first", "second"):
        assert len(ledger.feeds.compare(FLOW, "isu", seen(a="1"), cursor).changed) == 1
    ledger.feeds.advance(FLOW, "isu", "first")  # an older snapshot's cursor: only what that one saw counts
    assert len(ledger.feeds.compare(FLOW, "isu", seen(a="1"), "third").changed) == 0
    assert len(ledger.feeds.compare(FLOW, "isu", seen(a="2"), "fourth").changed) == 1


def test_a_forgotten_feed_begins_with_everything(ledger: Ledger) -> None:
    ledger.feeds.compare(FLOW, "isu", seen(a="1"), "first")
    ledger.feeds.advance(FLOW, "isu", "first")
    ledger.feeds.forget(FLOW, "isu")
    assert ledger.feeds.cursor(FLOW, "isu") is None
    assert ledger.feeds.compare(FLOW, "isu", seen(a="1"), "second").changed.to_pylist() == ["a"]
