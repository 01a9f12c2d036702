"""Neighbouring keys are translated by stretches of the map, scattered ones by look-ups; the answers are the same."""

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.ledger import Ledger, Pairs, Run
from isthmus.ledger import keys as key_map

OBJECT = "contract"


@pytest.fixture
def filled(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr(key_map, "STRETCH", 10)
    keys = pa.array([f"{n}" for n in range(1000, 2000)])
    ids = ledger.keys.ids(OBJECT, "isu", "", keys)
    crm = pa.array([f"C{n}" for n in range(1000, 2000)])
    ledger.keys.confirm_pairs(Pairs(OBJECT, ids, {"isu": keys, "crm": crm}), run.id)
    return ledger


def translated(ledger: Ledger, numbers: list[int]) -> list[str | None]:
    found: list[str | None] = ledger.keys.translate(
        OBJECT, "isu", "crm", pa.array([f"{n}" for n in numbers])
    ).to_pylist()
    return found


def test_neighbouring_keys_are_read_as_one_stretch(filled: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_map, "_TRANSLATE", "SELECT no look-up is made")
    asked = [n for n in range(1100, 1200) if n % 3]
    assert translated(filled, asked) == [f"C{n}" for n in asked]


def test_scattered_keys_are_looked_up_and_not_tried_as_a_stretch_again(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list(range(1000, 2000, 37))
    assert translated(filled, asked) == [f"C{n}" for n in asked]
    monkeypatch.setattr(key_map, "_STRETCH", "SELECT no stretch is read")
    assert translated(filled, list(range(1100, 1200))) == [f"C{n}" for n in range(1100, 1200)]


def test_a_stretch_knows_neither_unknown_nor_retired_keys(filled: Ledger) -> None:
    filled.keys.retire(OBJECT, "crm", pa.array(["C1510"]))
    asked = [*range(1500, 1520), 1504, 999_999 // 666]
    expected = [None if n == 1510 else f"C{n}" for n in asked]
    assert translated(filled, asked) == expected
    assert translated(filled, [*range(1990, 2010)]) == [f"C{n}" if n < 2000 else None for n in range(1990, 2010)]


def test_scattered_ids_behind_neighbouring_keys_are_looked_up(
    ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_map, "STRETCH", 10)
    keys = pa.array([f"{n}" for n in range(1000, 2000)])
    # Things that were born in CRM: their ids follow CRM's keys, not ours.
    crm = pa.array([f"{(n * 7919) % 1000:04d}" for n in range(1000, 2000)])
    ids = ledger.keys.ids(OBJECT, "crm", "", crm)
    ledger.keys.confirm_pairs(Pairs(OBJECT, ids, {"isu": keys, "crm": crm}), run.id)
    assert translated(ledger, list(range(1100, 1150))) == [f"{(n * 7919) % 1000:04d}" for n in range(1100, 1150)]
