"""Sessions with the ledger: one whose server has gone is replaced when it was idle, and told of when it was not."""

from __future__ import annotations

import psycopg
import pytest

from isthmus.errors import SystemUnavailable
from isthmus.ledger import Ledger, database
from tests.conftest import end_sessions


def test_a_session_that_was_idle_while_its_server_went_is_replaced(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.0)
    assert ledger.runs.list(1) == []
    with psycopg.connect(ledger_url, autocommit=True) as server:
        end_sessions(server)
    assert ledger.runs.list(1) == []


def test_a_session_that_worked_a_moment_ago_is_not_asked_and_the_next_try_succeeds(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 60.0)
    assert ledger.runs.list(1) == []
    with psycopg.connect(ledger_url, autocommit=True) as server:
        end_sessions(server)
    with pytest.raises(SystemUnavailable, match="nothing is lost, try again"):
        ledger.runs.list(1)
    assert ledger.runs.list(1) == []
