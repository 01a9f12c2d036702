"""Confirming a package: all of it or nothing, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pyarrow as pa
import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConflictError, SystemUnavailable
from isthmus.ledger import Claimed, Confirmation, Ledger, Pairs, Run
from isthmus.ledger import confirm as confirm_module
from tests.conftest import end_sessions

KEYS = pa.array(["1", "2", "3"])
EXCEPTIONS = pa.table(
    {
        "key": ["8", "9", "8"],
        "state": ["parked", "rejected", "rejected"],
        "field": ["account", "starts_on", "ends_on"],
        "code": ["no parent", "date", "order"],
        "message": ["account 77 is not there", "not a date", "ends before it starts"],
        "value": [None, "2023****", None],
        "waits_object": ["contract_account", None, None],
        "waits_key": ["77", None, None],
    }
)


@pytest.fixture
def claim(ledger: Ledger, run: Run) -> Callable[[], Claimed]:
    ledger.packages.plan(run.id, "contract", [KeyRange()] * 5)

    def take() -> Claimed:
        claimed = ledger.packages.claim(run.id, "contract", "w", timedelta(minutes=5))
        assert claimed is not None
        return claimed

    return take


def told(ledger: Ledger, keys: pa.Array = KEYS, digest: str = "d1") -> Confirmation:
    ids = ledger.keys.ids("contract", "isu", "", keys)
    pairs = Pairs("contract", ids, {"isu": keys, "crm": pa.array([f"C{key}" for key in keys.to_pylist()])})
    return Confirmation({"read": 5, "inserted": 3}, (pairs,), EXCEPTIONS, pa.array(["9"]), digest)


def test_a_confirmed_package_leaves_keys_exceptions_and_counts(ledger: Ledger, claim: Callable[[], Claimed]) -> None:
    ledger.confirm(claim(), told(ledger))
    assert ledger.keys.translate("contract", "isu", "crm", KEYS).to_pylist() == ["C1", "C2", "C3"]
    held = {held.key: held for held in ledger.exceptions.list("contract")}
    assert held["9"].state == "resolved"
    assert (held["8"].kind, held["8"].field, held["8"].faults) == ("rejected", "ends_on", 2)
    assert held["8"].message == "account 77 is not there; ends before it starts"
    done = ledger.packages.list(claim().run, "contract")[0]
    assert (done.state, done.digest, done.counts) == ("done", "d1", {"read": 5, "inserted": 3})


def test_the_same_confirmation_again_is_no_error_and_adds_nothing(ledger: Ledger, claim: Callable[[], Claimed]) -> None:
    first = claim()
    ledger.confirm(first, told(ledger))
    ledger.confirm(first, told(ledger))
    assert ledger.exceptions.list("contract")[0].times == 1
    with pytest.raises(ConflictError):
        ledger.confirm(first, told(ledger, digest="another"))


@pytest.mark.parametrize("prepared", [False, True], ids=["indexed", "not indexed"])
def test_a_later_run_that_brings_the_same_pairs_adds_nothing(
    ledger: Ledger, claim: Callable[[], Claimed], prepared: bool
) -> None:
    if prepared:
        ledger.keys.prepare("contract", ["isu", "crm"])
    for _ in range(2):
        ledger.confirm(claim(), told(ledger))
    ledger.keys.index("contract")
    assert ledger.keys.count("contract", "isu") == ledger.keys.count("contract", "crm") == 3
    ledger.confirm(claim(), told(ledger))
    assert ledger.keys.count("contract", "crm") == 3
    assert ledger.keys.translate("contract", "crm", "isu", pa.array(["C2"])).to_pylist() == ["2"]


def test_a_session_killed_in_between_leaves_nothing(
    ledger: Ledger, ledger_url: str, claim: Callable[[], Claimed], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed, last = claim(), confirm_module._done

    def killed(connection: object, *rest: object) -> None:
        with psycopg.connect(ledger_url, autocommit=True) as other:
            end_sessions(other, within="idle in transaction")
        last(connection, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(confirm_module, "_done", killed)
    with pytest.raises(SystemUnavailable):
        ledger.confirm(claimed, told(ledger))
    monkeypatch.undo()
    assert ledger.keys.count("contract", "isu") == 0
    assert ledger.exceptions.list("contract") == []
    assert ledger.packages.list(claimed.run, "contract")[0].state == "claimed"
    ledger.confirm(claimed, told(ledger))
    assert ledger.keys.count("contract", "isu") == 3


def test_a_key_that_points_to_another_thing_stops_the_whole_package(
    ledger: Ledger, claim: Callable[[], Claimed]
) -> None:
    ledger.confirm(claim(), told(ledger))
    ids = ledger.keys.ids("contract", "isu", "", pa.array(["4", "5"]))
    stolen = Pairs("contract", ids, {"isu": pa.array(["4", "5"]), "crm": pa.array(["C1", "C5"])})
    with pytest.raises(ConflictError, match="key C1 points to another thing"):
        ledger.confirm(claim(), Confirmation({"read": 2}, (stolen,), digest="x"))
    assert ledger.keys.known("contract", "isu", pa.array(["4", "5"])).to_pylist() == [False, False]
    second_key = Pairs("contract", ledger.keys.ids("contract", "isu", "", pa.array(["1"])), {"crm": pa.array(["C9"])})
    with pytest.raises(ConflictError, match="key C9"):
        ledger.confirm(claim(), Confirmation({"read": 1}, (second_key,), digest="x"))
