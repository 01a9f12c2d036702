"""Codes and flags: spellings of a code table, X or blank, present or not; the pick of one value among several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import did_you_mean
from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import no_arguments, one_argument
from isthmus.mapping.functions.arrays import as_mask, as_text, converted, faults, is_valid, lengths, unchanged
from isthmus.mapping.functions.text import without_trailing_blanks
from isthmus.mapping.spec import CodeTable

_SHOWN = 8  # values an error message lists


# --- code ---------------------------------------------------------------------------------------------------------


def _spellings(table: CodeTable, system: str) -> dict[str, str]:
    """Return spelling -> model value, in the order of the file; ValueError where one spelling has two meanings."""
    if system not in table.systems:
        raise ValueError(f'finds no "{system}" in code table {table.name}, only {", ".join(table.systems)}')
    found: dict[str, str] = {}
    for value, spellings in table.systems[system].items():
        for spelling in spellings:
            spelling = "|".join(part.rstrip(" ") for part in spelling.split("|"))
            if found.setdefault(spelling, value) != value:
                raise ValueError(f'finds "{spelling}" as {found[spelling]} and as {value} in code table {table.name}')
    return found


def _columns(table: CodeTable, spellings: Sequence[str], columns: int) -> int:
    """Return how many columns the spellings fill; ValueError where one does not fit."""
    wanted = columns or max((spelling.count("|") + 1 for spelling in spellings), default=1)
    for spelling in spellings:
        if wanted > 1 and spelling and spelling.count("|") + 1 != wanted:
            raise ValueError(f'finds "{spelling}" in code table {table.name}; {wanted} columns need {wanted} parts')
    return wanted


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(value or '""' for value in values[:_SHOWN])
    return f"{shown}, … ({len(values)} in all)" if len(values) > _SHOWN else shown


def _bind_code(args: tuple[str, ...], context: Context) -> Step:
    name = one_argument(args, "a code table")
    if name not in context.codes:
        raise ValueError(f'finds no code table "{name}".{did_you_mean(name, context.codes)}')
    table = context.codes[name]
    meaning = _spellings(table, context.system)
    columns = _columns(table, tuple(meaning), context.columns)
    blank = "|" * (columns - 1)
    if columns > 1 and "" in meaning:
        meaning.setdefault(blank, meaning.pop(""))
    otherwise = table.otherwise.get(context.system, "reject")
    first = {value: next(key for key, own in meaning.items() if own == value) for value in meaning.values()}
    known, values = pa.array(list(meaning), pa.string()), pa.array(list(meaning.values()), pa.string())
    codes, written = pa.array(list(first), pa.string()), pa.array(list(first.values()), pa.string())
    no_blank = blank not in meaning

    def read(arrays: Arrays) -> Converted:
        missing = np.logical_and.reduce([~is_valid(array) for array in arrays])
        text = _spelled(arrays)
        found = pc.index_in(text, value_set=known)
        value = values.take(found)
        unknown = ~is_valid(found) & ~missing
        if no_blank and unknown.any():
            unknown &= ~as_mask(pc.equal(text, blank))
        if otherwise == "reject":
            return converted(value, unknown)
        return Converted((pc.if_else(pa.array(unknown), otherwise, value) if unknown.any() else value,))

    def write(arrays: Arrays) -> Converted:
        text = as_text(arrays[0])
        found = pc.index_in(text, value_set=codes)
        unknown = ~is_valid(found) & (lengths(text) > 0)
        spelled = written.take(found).fill_null(blank)
        if columns == 1:
            return Converted((spelled,), faults(unknown))
        flat = pc.split_pattern(spelled, "|").flatten()
        parts = [flat.take(pa.array(np.arange(part, len(flat), columns))) for part in range(columns)]
        return Converted(tuple(parts), faults(unknown))

    return Step(
        "code",
        read,
        write,
        pa.string(),
        f"one of {_listed(tuple(meaning))} (code table {name})",
        inputs=columns,
        expects_model=f"one of {_listed(tuple(first))} (code table {name})",
    )


def _spelled(arrays: Arrays) -> pa.StringArray:
    """Return the columns in the code table's spelling: without blanks at their ends, a bar between them."""
    parts = [without_trailing_blanks(array) for array in arrays]
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, "|", null_handling="replace", null_replacement="")


# --- flag, present ------------------------------------------------------------------------------------------------


def _read_flag(arrays: Arrays) -> Converted:
    text = without_trailing_blanks(arrays[0])
    value = pc.equal(text, "X")
    return converted(value, ~as_mask(value) & (lengths(text) > 0))


def _write_flag(arrays: Arrays) -> Converted:
    value = arrays[0].cast(pa.bool_())
    return Converted((pc.if_else(value.fill_null(False) if value.null_count else value, "X", ""),))


def _bind_flag(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step("flag", _read_flag, _write_flag, pa.bool_(), "X or blank", expects_model="yes or no")


def _read_present(arrays: Arrays) -> Converted:
    array = arrays[0]
    if pa.types.is_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        # Bytes are trimmed like text: all zero is the initial value of a RAW column.
        array = pc.ascii_trim(array.cast(pa.binary()).view(pa.string()), "\0")
    return Converted((pa.array(lengths(without_trailing_blanks(array)) > 0),))


def _bind_present(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step("present", _read_present, None, pa.bool_(), "anything or nothing")


# --- default, latest, first ---------------------------------------------------------------------------------------


def _bind_default(args: tuple[str, ...], context: Context) -> Step:
    text = one_argument(args, "the value that stands for nothing")
    try:
        value = pa.scalar(text).cast(context.entering)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f'cannot take "{text}" for {context.entering}') from None

    def read(arrays: Arrays) -> Converted:
        array = arrays[0]
        if pa.types.is_string(array.type) or value.type == pa.string():
            array = as_text(array)
            filled = pa.array(lengths(without_trailing_blanks(array)) > 0)
            return Converted((pc.if_else(filled, array, text),))
        return Converted((array.fill_null(value),))

    return Step("default", read, None, value.type, f"{text} or another value")


def _bind_latest(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)

    def read(arrays: Arrays) -> Converted:
        # Dates and stamps are spelled so that they sort; blank and zero stand before every real one.
        return Converted((pc.max_element_wise(*arrays) if len(arrays) > 1 else arrays[0],))

    return Step("latest", read, None, context.entering, "dates or stamps of one type", inputs=context.columns or 1)


def _bind_first(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step("first", unchanged, None, context.entering, "a value", exact=True)


FUNCTIONS = (
    Function(
        "code",
        "One or several columns through a code table: every spelling is read, the first is written; the parts of "
        "several columns have a bar between them.",
        _bind_code,
        "table",
        example=(("07",), "electricity"),
        example_args=("division",),
    ),
    Function("flag", "Yes for X, no for blank; nothing is written as blank.", _bind_flag, example=(("X",), "yes")),
    Function(
        "present",
        "Whether anything stands in the column; read only.",
        _bind_present,
        example=(("GRID_NORTH",), "yes"),
    ),
    Function(
        "default",
        "A value where there is nothing; read only.",
        _bind_default,
        "value",
        example=((None,), "UTC"),
        example_args=("UTC",),
    ),
    Function(
        "latest",
        "The latest of several dates or stamps as they are spelled; read only.",
        _bind_latest,
        example=(("20240101", "20240630"), "20240630"),
    ),
    Function(
        "first",
        "Of a list, the value of its first entry; read only.",
        _bind_first,
        example=(("4711",), "4711"),
    ),
)
