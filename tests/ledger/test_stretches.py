"""Neighbouring keys are translated by stretches of the map, scattered ones by look-ups; the answers are the same."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from isthmus.ledger import Ledger, Pairs, Run, stretches
from isthmus.ledger import keys as key_map

OBJECT = "contract"


@pytest.fixture
def filled(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr(stretches, "STRETCH", 10)
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
    monkeypatch.setattr(stretches, "_KEYS", "SELECT no stretch is read")
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
    monkeypatch.setattr(stretches, "STRETCH", 10)
    keys = pa.array([f"{n}" for n in range(1000, 2000)])
    # Things that were born in CRM: their ids follow CRM's keys, not ours.
    crm = pa.array([f"{(n * 7919) % 1000:04d}" for n in range(1000, 2000)])
    ids = ledger.keys.ids(OBJECT, "crm", "", crm)
    ledger.keys.confirm_pairs(Pairs(OBJECT, ids, {"isu": keys, "crm": crm}), run.id)
    assert translated(ledger, list(range(1100, 1150))) == [f"{(n * 7919) % 1000:04d}" for n in range(1100, 1150)]


def test_both_ways_give_the_same_over_keys_of_every_kind(
    ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Born here, born there (adopted), promised, retired on either side, unknown: by ids made here or by both sides."""
    monkeypatch.setattr(stretches, "STRETCH", 10)
    systems = [("isu", pa.array([f"{n}" for n in range(1000, 1100)])), ("crm", pa.array([f"C{n}" for n in range(100)]))]
    for part, born in ((slice(0, 40), "isu"), (slice(40, 60), "crm"), (slice(60, 100), "isu")):
        keys = {name: column[part] for name, column in systems}
        ledger.keys.confirm_pairs(Pairs(OBJECT, ledger.keys.ids(OBJECT, born, "", keys[born]), keys), run.id)
    promised = pa.array([f"{n}" for n in range(1100, 1110)])
    asked = pa.array([f"{n}" for n in range(990, 1120)])
    steps: list[Callable[[], int]] = [
        lambda: ledger.keys.retire(OBJECT, "crm", pa.array(["C3", "C44"])),
        lambda: ledger.keys.confirm_pairs(
            Pairs(
                OBJECT, ledger.keys.ids(OBJECT, "isu", "", promised), {"crm": pa.array([f"D{n}" for n in range(10)])}
            ),
            run.id,
            pending=True,
        ),
        lambda: ledger.keys.retire(OBJECT, "isu", pa.array(["1007", "1051"])),
        lambda: ledger.keys.confirm_pairs(
            Pairs(OBJECT, ledger.keys.ids(OBJECT, "isu", "", promised), {"isu": promised}), run.id, pending=True
        ),
    ]
    seen = []
    for step in (lambda: 0, *steps):
        step()
        fast = ledger.keys.translate(OBJECT, "isu", "crm", asked)
        with monkeypatch.context() as patch:
            patch.setattr(stretches, "STRETCH", 1_000_000)
            assert fast.equals(ledger.keys.translate(OBJECT, "isu", "crm", asked))
        seen.append(len(asked) - fast.null_count)
    assert seen == [100, 98, 98, 96, 96]
