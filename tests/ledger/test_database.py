"""Sessions with the ledger: one whose server has gone is replaced when it was idle, and told of when it was not."""

from __future__ import annotations

import psycopg
import pytest

from isthmus.errors import SystemUnavailable
from isthmus.ledger import Ledger, database


def end_sessions(url: str) -> None:
    """End every session with the ledger but the one that asks for it."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_session_that_was_idle_while_its_server_went_is_replaced(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.0)
    assert ledger.runs.list(1) == []
    end_sessions(ledger_url)
    assert ledger.runs.list(1) == []


def test_a_session_that_worked_a_moment_ago_is_not_asked_and_the_next_try_succeeds(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 60.0)
    assert ledger.runs.list(1) == []
    end_sessions(ledger_url)
    with pytest.raises(SystemUnavailable, match="nothing is lost, try again"):
        ledger.runs.list(1)
    assert ledger.runs.list(1) == []
