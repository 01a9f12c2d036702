"""Three-way: every field of every thing is decided as one would decide it on paper, whatever the policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from isthmus.levels.three_way import HELD, NONE, SOURCE, TARGET, VALUE, Base, Decided, View, merge
from isthmus.mapping.policy import FieldPolicy

VALUES = st.sampled_from([None, "a", "b", "c"])
PLAIN = FieldPolicy("city", pa.string(), "source", "owner", "both", "", True, True)

policies = st.builds(
    FieldPolicy,
    name=st.just("city"),
    type=st.just(pa.string()),
    owner=st.sampled_from(["source", "target"]),
    on_conflict=st.sampled_from(["owner", "hold", "newest"]),
    edits=st.sampled_from(["both", "owner"]),
    ref=st.just(""),
    writes_source=st.booleans(),
    writes_target=st.booleans(),
)
# source, target, agreed, is anything agreed, stamps, decision
things = st.tuples(VALUES, VALUES, VALUES, st.booleans(), st.sampled_from("123"), st.sampled_from("123"))


def run(policy: FieldPolicy, rows: list[tuple[Any, ...]], decided: Decided | None = None) -> Any:
    column = [pa.array([row[place] for row in rows], pa.string()) for place in range(3)]
    there = np.ones(len(rows), dtype=bool)
    views = [
        View({"city": column[side]}, there, pa.array([row[4 + side] for row in rows], pa.string())) for side in (0, 1)
    ]
    base = Base({"city": column[2]}, {"city": np.array([row[3] for row in rows])})
    return merge((policy,), views[0], views[1], base, {"city": decided} if decided else {})["city"]


def on_paper(policy: FieldPolicy, row: tuple[Any, ...]) -> str:
    """Say what becomes of one field of one thing: nothing, to target, to source, held or refused."""
    source, target, agreed, known, mine, theirs = row
    if source == target:
        return "nothing"
    moved = (not known or source != agreed), (not known or target != agreed)
    if policy.edits == "owner":
        winner = policy.owner
    elif known and moved == (True, False):
        winner = "source"
    elif known and moved == (False, True):
        winner = "target"
    elif policy.on_conflict == "owner":
        winner = policy.owner
    elif policy.on_conflict == "newest" and mine != theirs:
        winner = "source" if mine > theirs else "target"
    else:
        return "held"
    can = {"source": policy.writes_target, "target": policy.writes_source}
    if not can[winner]:
        if winner != policy.owner and can[policy.owner]:
            winner = policy.owner
        else:
            return "refused"
    return "to target" if winner == "source" else "to source"


@given(policies, st.lists(things, min_size=1, max_size=30))
def test_every_field_is_decided_as_on_paper(policy: FieldPolicy, rows: list[tuple[Any, ...]]) -> None:
    found = run(policy, rows)
    for number, row in enumerate(rows):
        said = {
            "to target": found.to_target[number],
            "to source": found.to_source[number],
            "held": found.held[number],
            "refused": found.refused[number],
        }
        expected = on_paper(policy, row)
        assert [name for name, hit in said.items() if hit] == ([] if expected == "nothing" else [expected])


@given(policies, st.lists(things, min_size=1, max_size=30))
def test_what_is_agreed_afterwards_is_what_both_sides_hold_then(
    policy: FieldPolicy, rows: list[tuple[Any, ...]]
) -> None:
    found = run(policy, rows)
    for number, (source, target, agreed, known, *_) in enumerate(rows):
        value = found.value[number].as_py()
        source = value if found.to_source[number] else source
        target = value if found.to_target[number] else target
        if found.held[number] or found.refused[number]:
            assert value == agreed
            assert bool(found.known[number]) is known
        else:
            assert source == target == value
            assert found.known[number]


@given(policies, st.lists(things, min_size=1, max_size=30))
def test_the_next_look_finds_nothing_to_do(policy: FieldPolicy, rows: list[tuple[Any, ...]]) -> None:
    found = run(policy, rows)
    later = []
    for number, row in enumerate(rows):
        value = found.value[number].as_py()
        source = value if found.to_source[number] else row[0]
        target = value if found.to_target[number] else row[1]
        later.append((source, target, value, bool(found.known[number]), *row[4:]))
    again = run(policy, later)
    assert not again.to_source.any()
    assert not again.to_target.any()
    assert (again.held == found.held).all()
    assert (again.refused == found.refused).all()


def test_a_decision_is_followed() -> None:
    row = ("a", "b", "c", True, "1", "1")
    held = replace(PLAIN, on_conflict="hold")
    for take, to_source, to_target, value in (
        (SOURCE, False, True, "a"),
        (TARGET, True, False, "b"),
        (VALUE, True, True, "z"),
        (HELD, False, False, "c"),
    ):
        found = run(held, [row], Decided(np.array([take]), pa.array(["z"])))
        assert (found.to_source[0], found.to_target[0], found.value[0].as_py()) == (to_source, to_target, value)
    assert run(held, [row], Decided(np.array([NONE]), pa.array(["z"]))).held[0]


def test_a_value_decided_on_that_one_side_has_already_travels_to_the_other_only() -> None:
    found = run(
        replace(PLAIN, on_conflict="hold"),
        [("a", "b", "c", True, "1", "1")],
        Decided(np.array([VALUE]), pa.array(["b"])),
    )
    assert (found.to_source[0], found.to_target[0]) == (True, False)


def test_a_change_undone_on_the_other_side_is_counted_as_put_right() -> None:
    found = run(replace(PLAIN, edits="owner"), [("a", "b", "a", True, "1", "1"), ("b", "a", "a", True, "1", "1")])
    assert found.put_right.tolist() == [True, False]
