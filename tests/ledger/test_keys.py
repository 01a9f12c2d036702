"""The key map: one id per thing, right answers for every key."""

from __future__ import annotations

import contextlib
import uuid

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import Ledger, Pairs, Run
from isthmus.ledger import keys as keys_module
from isthmus.ledger.identity import birth_ids, murmur3


def bring(ledger: Ledger, run: Run, object: str, keys: list[str | None], crm: list[str | None]) -> int:
    ids = ledger.keys.ids(object, "isu", "", pa.array(keys, pa.string()))
    pairs = Pairs(object, ids, {"isu": pa.array(keys, pa.string()), "crm": pa.array(crm, pa.string())})
    return ledger.keys.confirm_pairs(pairs, run.id)


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "00000000000000000000000000000000"),
        ("hello", "cbd8a7b341bd9b025b1e906a48ae1d19"),
        ("The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c7a433ca9c49a9347"),
    ],
)
def test_the_hash_is_the_published_one(text: str, digest: str) -> None:
    low, high = murmur3(pa.array(["other", text]), 0, 0)[1]
    assert f"{int(low):016x}{int(high):016x}" == digest


@given(st.lists(st.text(max_size=40), max_size=30))
def test_an_id_depends_on_its_own_key_alone(keys: list[str]) -> None:
    together = birth_ids("contract", "isu", "100", pa.array(keys, pa.string())).to_pylist()
    alone = [birth_ids("contract", "isu", "100", pa.array([key]))[0].as_py() for key in keys]
    assert together == alone
    assert len(set(together)) == len(set(keys))
    assert all(uuid.UUID(bytes=id).version == 8 for id in together)


def test_ids_differ_by_object_system_and_client_and_follow_the_key() -> None:
    keys = pa.array([f"{n:010d}" for n in range(0, 5000, 7)])
    ids = birth_ids("contract", "isu", "100", keys).to_pylist()
    assert ids == sorted(ids)
    others = [birth_ids(*side, keys)[1].as_py() for side in (("x", "isu", "100"), ("contract", "y", "100"))]
    assert len({ids[1], *others, birth_ids("contract", "isu", "200", keys)[1].as_py()}) == 4


def test_a_null_or_sliced_key_column_is_read_rightly() -> None:
    keys = pa.array(["a", None, "", "b" * 50])
    whole = birth_ids("o", "s", "", keys).to_pylist()
    assert whole[1] is None
    assert birth_ids("o", "s", "", keys.slice(2)).to_pylist() == whole[2:]
    assert len(birth_ids("o", "s", "", pa.array([], pa.string()))) == 0


@pytest.mark.parametrize("prepared", [False, True], ids=["indexed", "not indexed"])
def test_unknown_repeated_and_null_keys_are_translated_in_place(ledger: Ledger, run: Run, prepared: bool) -> None:
    if prepared:
        ledger.keys.prepare("contract", ["isu", "crm"])
    bring(ledger, run, "contract", ["1", "2", "3"], ["A", None, "C"])
    asked = pa.array(["3", "9", None, "1", "3", "2"])
    assert ledger.keys.translate("contract", "isu", "crm", asked).to_pylist() == ["C", None, None, "A", "C", None]
    assert ledger.keys.known("contract", "isu", asked).to_pylist() == [True, False, False, True, True, True]
    assert ledger.keys.translate("contract", "crm", "isu", pa.chunked_array([["A"], ["B"]])).to_pylist() == ["1", None]


def test_many_keys_are_asked_for_in_chunks(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "CHUNK", 7)
    keys = [f"{n:04d}" for n in range(50)]
    bring(ledger, run, "contract", list(keys), [f"C{key}" for key in keys])
    asked = pa.array([*reversed(keys), "x"])
    answer = ledger.keys.translate("contract", "isu", "crm", asked).to_pylist()
    assert answer == [*(f"C{key}" for key in reversed(keys)), None]
    batches = list(ledger.keys.pairs("contract", "isu", "crm", "0010", "0040"))
    assert [key for batch in batches for key in batch["source"].to_pylist()] == keys[10:40]
    assert max(batch.num_rows for batch in batches) == 7


def test_a_system_nothing_was_brought_to_knows_nothing(ledger: Ledger, run: Run) -> None:
    keys = pa.array(["1", None])
    assert ledger.keys.translate("contract", "isu", "crm", keys).to_pylist() == [None, None]
    ledger.keys.prepare("contract", ["isu", "crm"])
    assert ledger.keys.translate("contract", "isu", "crm", keys).to_pylist() == [None, None]
    assert ledger.keys.known("contract", "isu", keys).to_pylist() == [False, False]
    assert (ledger.keys.count("device", "isu"), list(ledger.keys.pairs("device", "isu", "crm"))) == (0, [])
    assert len(ledger.keys.translate("contract", "isu", "crm", pa.array([], pa.string()))) == 0


def test_a_load_begun_anew_brings_indexes_first_and_keeps_one_of_each_pair(ledger: Ledger, run: Run) -> None:
    ledger.keys.prepare("contract", ["isu", "crm"])
    bring(ledger, run, "contract", ["1"], ["A"])
    bring(ledger, run, "contract", ["1", "2"], ["A", "B"])
    assert ledger.keys.translate("contract", "isu", "crm", pa.array(["1"])).to_pylist() == ["A"]
    assert ledger.keys.count("contract", "isu") == 2
    ledger.keys.prepare("contract", ["isu", "crm"])
    assert bring(ledger, run, "contract", ["1", "2", "3"], ["A", "B", "C"]) == 2


def test_the_client_is_part_of_every_key(ledger: Ledger, run: Run) -> None:
    ledger.systems.identify("isu", "host A", "100")
    bring(ledger, run, "contract", ["1"], ["A"])
    assert [(side["system"], side["client"], side["key"]) for side in ledger.keys.of("contract", ["A"])] == [
        ("crm", "", "A"),
        ("isu", "100", "1"),
    ]
    assert ledger.keys.known("contract", "isu", pa.array(["1"])).to_pylist() == [True]


def test_a_pending_key_is_promised_and_settled_by_a_confirm(ledger: Ledger, run: Run) -> None:
    ids = ledger.keys.ids("contract", "isu", "", pa.array(["1"]))
    pairs = Pairs("contract", ids, {"isu": pa.array(["1"]), "crm": pa.array(["A"])})
    ledger.keys.confirm_pairs(pairs, run.id, pending=True)
    assert ledger.keys.translate("contract", "isu", "crm", pa.array(["1"])).to_pylist() == [None]
    assert ledger.keys.confirm_pairs(pairs, run.id) == 0
    assert ledger.keys.translate("contract", "isu", "crm", pa.array(["1"])).to_pylist() == ["A"]


def test_a_retired_key_can_come_back_only_as_itself(ledger: Ledger, run: Run) -> None:
    bring(ledger, run, "contract", ["1", "2"], ["A", "B"])
    assert ledger.keys.retire("contract", "crm", pa.array(["A", "A", "Z"])) == 1
    assert ledger.keys.translate("contract", "isu", "crm", pa.array(["1"])).to_pylist() == [None]
    with pytest.raises(ConflictError, match="key A"):
        bring(ledger, run, "contract", ["3"], ["A"])
    bring(ledger, run, "contract", ["1"], ["A"])
    assert ledger.keys.translate("contract", "isu", "crm", pa.array(["1"])).to_pylist() == ["A"]
    ledger.keys.retire("contract", "crm", pa.array(["A"]))
    bring(ledger, run, "contract", ["1"], ["A2"])
    with pytest.raises(ConflictError, match="bears another key"):
        bring(ledger, run, "contract", ["1"], ["A"])


def test_names_that_are_no_names_are_refused(ledger: Ledger) -> None:
    for object in ("Contract", "a__b", "x" * 31, 'c"; DROP TABLE ledger.keys'):
        with pytest.raises(ConfigError, match="cannot be a name in the key map"):
            ledger.keys.prepare(object, ["isu"])


def test_work_for_an_unknown_run_is_refused(ledger: Ledger) -> None:
    pairs = Pairs("contract", pa.array([b"x" * 16], pa.binary(16)), {"isu": pa.array(["1"])})
    with pytest.raises(ConfigError, match="not in the ledger"):
        ledger.keys.confirm_pairs(pairs, "no such run")


KEY = st.sampled_from(["a", "b", "c", "d"])
STEP = st.one_of(
    st.tuples(st.just("bring"), st.lists(st.tuples(KEY, KEY), min_size=1, max_size=3)),
    st.tuples(st.just("retire"), st.lists(KEY, min_size=1, max_size=2)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=6))
def test_whatever_happens_a_key_is_never_given_to_another_thing(
    ledger: Ledger, run: Run, steps: list[tuple[str, list[object]]]
) -> None:
    object = f"o{uuid.uuid4().hex[:20]}"
    owner: dict[str, bytes] = {}
    for what, given_keys in steps:
        if what == "retire":
            ledger.keys.retire(object, "crm", pa.array(given_keys))
        else:
            with contextlib.suppress(ConflictError):
                bring(ledger, run, object, [pair[0] for pair in given_keys], [pair[1] for pair in given_keys])  # type: ignore[index]
        sides = [side for key in "abcd" for side in ledger.keys.of(object, [key]) if side["system"] == "crm"]
        living = [(side["key"], side["id"]) for side in sides if side["state"] != "r"]
        assert len({id for _, id in set(living)}) == len(set(living)) == len({key for key, _ in set(living)})
        for side in sides:
            assert owner.setdefault(side["key"], side["id"]) == side["id"]


def test_ids_are_found_by_key_and_keys_by_id(ledger: Ledger, run: Run) -> None:
    keys = pa.array([f"{n:010d}" for n in range(60_000)])
    ids = ledger.keys.ids("contract", "isu", "", keys)
    ledger.keys.confirm_pairs(Pairs("contract", ids, {"isu": keys}), run.id)
    asked = pa.array(["0000000007", None, "none", "0000059999", "0000000007"])
    found = ledger.keys.find("contract", "isu", asked)
    assert found.equals(ids.take(pa.array([7, None, None, 59_999, 7])))
    assert ledger.keys.of_ids("contract", "isu", found).equals(asked.take(pa.array([0, None, None, 3, 0])))
    assert ledger.keys.of_ids("contract", "crm", found).null_count == 5
    assert ledger.keys.find("contract", "isu", keys).equals(ids)
    ledger.keys.confirm_pairs(Pairs("contract", ids.slice(0, 1), {"crm": pa.array(["C0"])}), run.id, pending=True)
    assert ledger.keys.of_ids("contract", "crm", ids.slice(0, 1)).to_pylist() == [None]
    ledger.keys.retire("contract", "isu", keys.slice(0, 1))
    assert ledger.keys.find("contract", "isu", keys.slice(0, 2)).is_valid().to_pylist() == [False, True]
