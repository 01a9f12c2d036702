"""What the catalogue refuses, found on the Arrow block first: a refused row costs its own position only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.wanted import POSITION, Mask, Wanted, as_mask, owners_only, problem_rows
from isthmus.connector import Column

Fault = tuple[Mask, str, str]  # which rows, code, message


def check_rows(wanted: Wanted) -> tuple[Wanted, list[pa.Table]]:
    """Bring every column to its described type and return what the catalogue would refuse, as `PROBLEMS` rows."""
    positions = np.asarray(wanted.data[POSITION].to_numpy(), np.int32)
    ghosts = owners_only(wanted.data, wanted.key, wanted.scope)
    columns, problems = [wanted.data[POSITION]], []
    for name in wanted.columns:
        column = wanted.shape.column(name)
        array, faults = check_column(wanted.data[name].combine_chunks(), column, name in wanted.key)
        columns.append(array)
        for mask, code, message in faults:
            if (mask & ~ghosts).any():
                found = positions[mask & ~ghosts]
                problems.append(problem_rows(found, wanted.name, wanted.asked[name], code, message))
    return replace(wanted, data=pa.table(columns, names=[POSITION, *wanted.columns])), problems


def check_column(array: pa.Array, column: Column, key: bool) -> tuple[pa.Array, list[Fault]]:
    """Return the array in its described type (what does not fit is null there) and its faults."""
    nulls = array.null_count
    faults: list[Fault] = []
    if nulls and (key or not column.nullable):
        faults.append((as_mask(array.is_null()), "null", f'"{column.name}" must not be empty (NOT NULL)'))
    typed, unfit = fit(array, column.type)
    if unfit.any():
        code, limit = ("precision", _digits(column)) if column.precision else ("type", f"a value of type {typed.type}")
        faults.append((unfit, code, f'"{column.name}" takes {limit}'))
    if pa.types.is_string(typed.type):
        faults += _text_faults(typed, column)
    return typed, faults


def _digits(column: Column) -> str:
    return f"{(column.precision or 0) - (column.scale or 0)} digits before and {column.scale} after the point"


def _text_faults(array: pa.Array, column: Column) -> list[Fault]:
    faults: list[Fault] = []
    longest = pc.max(pc.binary_length(array)).as_py() or 0
    if column.length is not None and longest > column.length:
        long = as_mask(pc.fill_null(pc.greater(pc.utf8_length(array), column.length), False))
        if long.any():
            faults.append((long, "length", f'"{column.name}" takes at most {column.length} characters'))
    if _has_zero(array):
        zero = as_mask(pc.fill_null(pc.match_substring(array, "\0"), False))
        faults.append((zero, "character", f'"{column.name}" cannot hold a zero character'))
    return faults


def _has_zero(array: pa.Array) -> bool:
    data = array.buffers()[2]
    return (
        data is not None
        and bool((np.frombuffer(data, np.uint8) == 0).any())
        and bool(pc.any(pc.match_substring(array, "\0")).as_py())
    )


def fit(array: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, Mask]:
    """Cast without loss; return the array (null where a value does not fit) and which values do not fit."""
    unfit = np.zeros(len(array), np.bool_)
    if array.type == wanted:
        return array, unfit
    try:
        return _cast(array, wanted), unfit
    except pa.ArrowInvalid:
        _halve(array, wanted, 0, unfit)
        return _cast(pc.if_else(pa.array(unfit), pa.scalar(None, array.type), array), wanted), unfit


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_binary(array.type) and pa.types.is_binary(wanted):
        return array.cast(wanted)
    return pc.cast(array, wanted, safe=True)


def _halve(array: pa.Array, wanted: pa.DataType, start: int, unfit: Mask) -> None:
    """Mark the values that do not fit by halving: few casts where few are bad."""
    try:
        _cast(array, wanted)
    except pa.ArrowInvalid:
        if len(array) == 1:
            unfit[start] = True
            return
        middle = len(array) // 2
        _halve(array.slice(0, middle), wanted, start, unfit)
        _halve(array.slice(middle), wanted, start + middle, unfit)
