"""Slices are compared after sorting, half-open, per object and per parallel history."""

import itertools
from datetime import date, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from isthmus.mapping.slices import slice_faults

DAY = date(2024, 1, 1)


def rows(entries: list[tuple[int, str, int, int | None]]) -> tuple[pa.Array, pa.RecordBatch]:
    parent = pa.array([entry[0] for entry in entries], pa.int32())
    days = [DAY + timedelta(days=entry[2]) for entry in entries]
    ends = [None if entry[3] is None else DAY + timedelta(days=entry[3]) for entry in entries]
    columns = {"register": pa.array([entry[1] for entry in entries], pa.string()), "from": pa.array(days, pa.date32())}
    return parent, pa.RecordBatch.from_pydict({**columns, "until": pa.array(ends, pa.date32())})


def faults(entries: list[tuple[int, str, int, int | None]]) -> tuple[list[int], list[int]]:
    overlaps, gaps = slice_faults(*rows(entries), ("register",))
    return overlaps.to_pylist(), gaps.to_pylist()


def test_slices_that_follow_each_other_are_sound() -> None:
    assert faults([(0, "1", 10, None), (0, "1", 0, 10)]) == ([], [])


def test_a_day_in_two_slices_is_an_overlap() -> None:
    assert faults([(3, "1", 0, 11), (3, "1", 10, None)]) == ([3], [])


def test_a_day_in_no_slice_is_a_gap() -> None:
    assert faults([(3, "1", 0, 9), (3, "1", 10, None)]) == ([], [3])


def test_an_open_slice_overlaps_everything_after_it() -> None:
    assert faults([(1, "1", 0, None), (1, "1", 50, 60)]) == ([1], [])


def test_parallel_registers_are_told_apart() -> None:
    assert faults([(1, "1", 0, None), (1, "2", 0, None)]) == ([], [])


def test_no_slices_have_no_faults() -> None:
    assert faults([]) == ([], [])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["1", "2"]), st.integers(0, 30), st.integers(1, 10)),
        max_size=12,
        unique_by=lambda entry: entry[:3],
    )
)
def test_neighbours_are_judged_as_by_hand(entries: list[tuple[int, str, int, int]]) -> None:
    spans = [(parent, register, first, first + length) for parent, register, first, length in entries]
    overlaps, gaps = faults(list(spans))
    ordered = sorted(spans)
    pairs = [(a, b) for a, b in itertools.pairwise(ordered) if a[:2] == b[:2]]
    assert sorted(overlaps) == sorted(b[0] for a, b in pairs if a[3] > b[2])
    assert sorted(gaps) == sorted(b[0] for a, b in pairs if a[3] < b[2])
