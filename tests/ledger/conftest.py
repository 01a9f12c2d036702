"""A ledger of its own for every test, and a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.ledger import Ledger, Run, migrate


class HandClock:
    def __init__(self) -> None:
        self.time = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **by: int) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger_url(fresh_database: str) -> str:
    migrate(fresh_database)
    return fresh_database


@pytest.fixture
def ledger(ledger_url: str, clock: HandClock) -> Iterator[Ledger]:
    with Ledger.open(ledger_url, clock) as opened:
        yield opened


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.runs.start("demo", "initial download", "full", {"objects": ["contract"]}, "abc")
