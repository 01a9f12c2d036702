"""The first load, checked by SQL over CRM's tables that knows nothing of the engine's mapping."""

from __future__ import annotations

from tests.flows.house import House


def test_the_counts_of_every_package_add_up(loaded: House) -> None:
    rows = loaded.ask("ledger", "SELECT counts FROM ledger.packages WHERE run = 'first'")
    parts = ("inserted", "updated", "unchanged", "rejected", "parked", "filtered")
    assert rows
    assert all(counts["read"] == sum(counts[part] for part in parts) for (counts,) in rows)
    assert all(min(counts.values()) >= 0 for (counts,) in rows)
