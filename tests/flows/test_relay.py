"""One object hands over to the next: its first package is read early, and given back when what is before it fails."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.errors import DataError
from isthmus.levels.replicate import load
from tests.flows.conftest import Build

LOAD = "isthmus.levels.download.load"
TWO = ("business_partner", "contract_account")


def test_the_next_object_is_read_while_the_last_package_of_one_is_written(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, early = build("schema"), []

    def watched(route: Any, run: str, worker: Any, only: Any = None, first: Any = None) -> Any:
        early.append(first is not None)
        return load(route, run, worker, only, first)

    monkeypatch.setattr(LOAD, watched)
    run = house.load(TWO)
    assert early == [True, True]
    assert house.ask("ledger", "SELECT DISTINCT state, epoch FROM ledger.packages WHERE run = %s", run) == [("done", 1)]


def test_a_package_read_early_is_given_back_when_the_object_before_fails(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build("schema")

    def failing(route: Any, *rest: Any, **named: Any) -> Any:
        load(route, *rest, **named)
        raise DataError("the last package could not be written")

    with monkeypatch.context() as patch:
        patch.setattr(LOAD, failing)
        with pytest.raises(DataError, match="the last package"):
            house.load(TWO, run="broken")
    accounts = "SELECT DISTINCT state FROM ledger.packages WHERE run = %s AND flow LIKE 'contract_account.%%'"
    assert ("claimed",) not in house.ask("ledger", accounts, "broken")
    house.load(TWO, run="broken")
    assert house.ask("ledger", accounts, "broken") == [("done",)]
    assert house.counts("broken")["contract_account"]["parked"] == 0
