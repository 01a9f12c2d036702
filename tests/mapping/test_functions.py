"""Promises that every function of the registry keeps."""

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.mapping.functions import Context, Function, Step
from isthmus.mapping.functions.registry import REGISTRY, bind, bind_all
from isthmus.mapping.spec import Call
from tests.mapping.shown import CODES, CONTEXT, failed, raw, raw_types, same, shown, step, text, types

EVERY = pytest.mark.parametrize("function", REGISTRY.values(), ids=list(REGISTRY))


def bound(function: Function) -> Step:
    return step(function.name, *function.example_args, columns=len(function.example[0]))


def example(function: Function) -> tuple[pa.Array, ...]:
    """Return the raw columns of a function's example, one row each."""
    return tuple(raw([value], type_) for value, type_ in zip(function.example[0], raw_types(bound(function))))


@EVERY
def test_the_example_of_a_function_is_true(function: Function) -> None:
    result = bound(function).read(example(function))
    assert result.fault is None
    values = [shown(array)[0] for array in result.arrays]
    found = values[0] if len(values) == 1 else "/".join(value or ".." for value in values)
    assert found == function.example[1]


@EVERY
def test_an_example_survives_being_written_and_read(function: Function) -> None:
    bound_ = bound(function)
    if bound_.write is None:
        return
    model = bound_.read(example(function))
    written = bound_.write(model.arrays)
    assert written.fault is None
    assert tuple(array.type for array in written.arrays) == raw_types(bound_)
    assert same(bound_.read(written.arrays).arrays, model.arrays)


@EVERY
def test_no_rows_give_no_rows(function: Function) -> None:
    bound_ = bound(function)
    result = bound_.read(tuple(pa.array([], type_) for type_ in raw_types(bound_)))
    assert [(len(array), array.type) for array in result.arrays] == [(0, type_) for type_ in types(bound_)]
    assert result.fault is None
    if bound_.write:
        back = bound_.write(result.arrays)
        assert [(len(array), array.type) for array in back.arrays] == [(0, type_) for type_ in raw_types(bound_)]


@EVERY
def test_nothing_from_a_row_that_is_not_there_is_no_fault(function: Function) -> None:
    bound_ = bound(function)
    result = bound_.read(tuple(pa.nulls(3, type_) for type_ in raw_types(bound_)))
    assert result.fault is None
    if function.name not in ("present", "default"):
        assert all(array.null_count == 3 for array in result.arrays)


@EVERY
def test_nothing_is_written_as_a_value_that_is_not_null(function: Function) -> None:
    bound_ = bound(function)
    if bound_.write is None or bound_.ref:
        return
    written = bound_.write(tuple(pa.nulls(3, type_) for type_ in types(bound_)))
    assert written.fault is None
    assert all(array.null_count == 0 and len(array) == 3 for array in written.arrays)


@EVERY
def test_a_slice_of_a_column_is_read_like_the_column(function: Function) -> None:
    bound_ = bound(function)
    columns = [
        pa.array([*array.to_pylist(), None, *array.to_pylist() * 3, None], array.type) for array in example(function)
    ]
    whole = bound_.read(tuple(columns))
    sliced = bound_.read(tuple(column.slice(1, 4) for column in columns))
    assert same(sliced.arrays, tuple(array.slice(1, 4) for array in whole.arrays))
    if bound_.write:
        back = bound_.write(tuple(array.slice(1, 4) for array in whole.arrays))
        assert same(back.arrays, tuple(array.slice(1, 4) for array in bound_.write(whole.arrays).arrays))


@EVERY
def test_a_function_says_what_it_is_for_and_what_it_expects(function: Function) -> None:
    assert function.about.endswith(".")
    assert bound(function).expects
    assert bool(function.arguments.strip("[]")) or not function.example_args


@EVERY
def test_other_layouts_of_text_are_read_alike(function: Function) -> None:
    bound_ = bound(function)
    columns = example(function)
    if any(column.type != pa.string() for column in columns) or function.name in ("first", "ref", "latest", "default"):
        return
    for layout in (pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()):
        other = bound_.read(tuple(column.cast(layout) for column in columns))
        assert same(other.arrays, bound_.read(columns).arrays)


def test_a_misspelt_function_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r'"paded"\. Did you mean "padded"'):
        bind(Call("paded", ("10",)), CONTEXT)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("padded", (), '"padded" takes one argument: the length of the column'),
        ("padded", ("ten",), 'a whole number from 1 to 255, not "ten"'),
        ("padded", ("١٢",), "a whole number"),
        ("trim", ("4",), '"trim" takes no argument, found 4'),
        ("date", ("opn",), 'knows open, not "opn". Did you mean "open"?'),
        ("guid", (), "takes one argument: raw or hex or c22"),
        ("decimal", (), "like 13.2, not nothing"),
        ("decimal", ("2.3",), "not 2.3"),
        ("decimal", ("39.2",), "1 to 38 digits"),
        ("moment", ("Europe/Berlinn",), 'no time zone "Europe/Berlinn"'),
        ("moment", ("../etc",), "no time zone"),
        ("moment", ("$zoen",), 'no setting "zoen" of isu. Did you mean "zone"?'),
        ("code", ("divison",), 'no code table "divison". Did you mean "division"?'),
        ("lines", ("40.0",), "whole number"),
        ("ref", (), "the object referred to"),
    ],
)
def test_wrong_arguments_are_refused_with_the_cure(name: str, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        bind(Call(name, args), CONTEXT)
    assert message in str(refusal.value)


def test_a_function_is_given_the_columns_it_takes() -> None:
    with pytest.raises(ValueError, match='"days" takes 2 columns, but 1 column enter'):
        step("days", columns=1)
    assert step("latest", columns=3).inputs == 3


def test_a_setting_of_the_system_can_be_an_argument() -> None:
    for name in ("$zone", "$isu.zone"):
        result = step("moment", name).read((text("20240701"), text("120000")))
        assert shown(result.array) == ["2024-07-01T10:00:00Z"]


def test_a_pipe_is_bound_left_to_right() -> None:
    calls = [Call("latest"), Call("date"), Call("default", ("2024-01-01",))]
    latest, date, default = bind_all(calls, 2, Context("isu", CODES))
    found = latest.read((text("20240201", "00000000"), text("20240301", "")))
    assert shown(default.read(date.read(found.arrays).arrays).array) == ["2024-03-01", "2024-01-01"]


def test_faults_are_null_so_later_steps_are_silent() -> None:
    padded, ref = bind_all([Call("padded", ("4",)), Call("ref", ("product",))], 1, CONTEXT)
    first = padded.read((text("0012", "123456"),))
    assert failed(first.fault, 2) == [False, True]
    assert ref.read(first.arrays).array.to_pylist() == ["12", None]
