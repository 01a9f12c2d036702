"""Numbers, exact to the last digit: decimals, whole numbers, readings split at the point."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import no_arguments, one_argument, precision_and_scale, whole_number
from isthmus.mapping.functions.arrays import Mask, as_mask, as_text, faults, is_valid, lengths, nothing
from isthmus.mapping.functions.whole import signed_text, whole_numbers

_READING = pa.decimal128(31, 14)
_WHOLE, _FRACTION = pa.decimal128(17, 0), pa.decimal128(14, 14)


def _type(precision: int, scale: int) -> pa.DataType:
    return pa.decimal128(precision, scale)


def exact_decimals(array: pa.Array, type_: pa.DataType) -> tuple[pa.Array, Mask]:
    """Return text, integers or decimals as that decimal type and a mask of what does not fit it exactly.

    Blank text holds nothing.  Floating point raises TypeError: it has lost digits already.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type == type_:
        return array, np.zeros(len(array), bool)
    if pa.types.is_floating(array.type):
        raise TypeError("decimals are not read from floating point, which rounds; deliver a decimal or text")
    if pa.types.is_decimal(array.type) and not pa.types.is_decimal256(array.type):
        return _rescaled(array, type_)
    return _from_text(as_text(array), type_)


def _from_text(array: pa.StringArray, type_: pa.DataType) -> tuple[pa.Array, Mask]:
    text = signed_text(array)
    before, after, spare = type_.precision - type_.scale, type_.scale, 38 - type_.precision
    whole = f"0*[0-9]{{1,{before}}}" if before else "0+"
    # More than 38 digits would overflow unnoticed in the cast below, so the pattern counts them.
    fraction = rf"\.[0-9]{{0,{after}}}0{{0,{spare}}}"
    good = pc.match_substring_regex(text, rf"^[+-]?(?:{whole}(?:{fraction})?|\.[0-9]{{1,{after or 1}}})$")
    present = lengths(text) > 0
    wrong = present & ~as_mask(good)
    if after == 0:
        wrong |= as_mask(pc.starts_with(text, "."))
    return nothing(text, wrong | ~present).cast(type_), wrong


def _rescaled(array: pa.Array, type_: pa.DataType) -> tuple[pa.Array, Mask]:
    try:
        return array.cast(type_), np.zeros(len(array), bool)
    except pa.ArrowInvalid:
        pass  # some rows do not fit: find out which, in twice the width
    scale = max(array.type.scale, type_.scale, 0)
    wide = array.cast(pa.decimal256(76, scale))
    short = pc.cast(wide, options=pc.CastOptions(pa.decimal256(76, type_.scale), allow_decimal_truncate=True))
    limit = pa.scalar(Decimal(10 ** (type_.precision - type_.scale)), pa.decimal256(76, type_.scale))
    wrong = as_mask(pc.not_equal(short.cast(pa.decimal256(76, scale)), wide))
    wrong |= as_mask(pc.greater_equal(pc.abs(short), limit))
    return nothing(short, wrong).cast(type_), wrong


def _bind_decimal(args: tuple[str, ...], context: Context) -> Step:
    precision, scale = precision_and_scale(args)
    type_ = _type(precision, scale)

    def read(arrays: Arrays) -> Converted:
        values, wrong = exact_decimals(arrays[0], type_)
        return Converted((values,), faults(wrong))

    def write(arrays: Arrays) -> Converted:
        values, wrong = exact_decimals(arrays[0], type_)
        return Converted((_zero_filled(values),), faults(wrong))

    expects = f"a number with at most {precision - scale} digits before and {scale} after the point"
    return Step("decimal", read, write, type_, expects, raw=(type_,))


def _zero_filled(array: pa.Array) -> pa.Array:
    return array.fill_null(pa.scalar(Decimal(0), array.type)) if array.null_count else array


def _bind_integer(args: tuple[str, ...], context: Context) -> Step:
    digits = whole_number(one_argument(args, "the digits of a NUMC column"), "digits", 18) if args else 0

    def read(arrays: Arrays) -> Converted:
        values, present, wrong = whole_numbers(arrays[0])
        if digits:
            wrong |= present & ((values < 0) | (values >= 10**digits))
        missing = wrong | ~present
        return Converted((pa.array(values, mask=missing if missing.any() else None),), faults(wrong))

    def write(arrays: Arrays) -> Converted:
        values, present, wrong = whole_numbers(arrays[0])
        if not digits:
            return Converted((pa.array(np.where(wrong, 0, values)),), faults(wrong))
        wrong = wrong | (present & ((values < 0) | (values >= 10**digits)))
        text = pa.array(np.where(wrong | ~present, 0, values)).cast(pa.string())
        return Converted((pc.ascii_lpad(text, digits, "0"),), faults(wrong))

    if digits:
        return Step("integer", read, write, pa.int64(), f"at most {digits} digits")
    return Step("integer", read, write, pa.int64(), "a whole number of at most 18 digits", raw=(pa.int64(),))


# --- whole and fraction -------------------------------------------------------------------------------------------


def _read_reading(arrays: Arrays) -> Converted:
    whole, wrong_whole = exact_decimals(arrays[0], _WHOLE)
    fraction, wrong_fraction = exact_decimals(arrays[1], _FRACTION)
    wrong = wrong_whole | wrong_fraction
    missing = ~is_valid(whole) & ~is_valid(fraction)
    total = pc.add(_zero_filled(whole), _zero_filled(fraction)).cast(_READING)
    return Converted((nothing(total, missing | wrong),), faults(wrong))


def _write_reading(arrays: Arrays) -> Converted:
    values, wrong = exact_decimals(arrays[0], _READING)
    values = _zero_filled(values)
    whole = pc.trunc(values)
    return Converted((whole.cast(_WHOLE), pc.subtract(values, whole).cast(_FRACTION)), faults(wrong))


def _bind_reading(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step(
        "whole_and_fraction",
        _read_reading,
        _write_reading,
        _READING,
        "a number of 17 digits and a fraction of 14 digits",
        inputs=2,
        raw=(_WHOLE, _FRACTION),
        expects_model="a number with at most 17 digits before and 14 after the point",
    )


FUNCTIONS = (
    Function(
        "decimal",
        "A number of p digits, s of them after the point, exact; nothing is written as 0.",
        _bind_decimal,
        "p.s",
        example=(("-12.50",), "-12.50"),
        example_args=("13.2",),
    ),
    Function(
        "integer",
        "A whole number; with n, the n digits of a NUMC column. Zeros are 0, and nothing is written as 0.",
        _bind_integer,
        "[n]",
        example=(("0042",), "42"),
        example_args=("4",),
    ),
    Function(
        "whole_and_fraction",
        "A reading in two columns, before and after the point, as one number; nothing is written as 0.",
        _bind_reading,
        example=(("1234", "0.50000000000000"), "1234.50000000000000"),
    ),
)
