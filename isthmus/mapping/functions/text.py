"""Text: trailing blanks, lines wrapped over several columns, upper case."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.functions import Arrays, Context, Converted, Function, Step
from isthmus.mapping.functions.arguments import no_arguments, one_argument, whole_number
from isthmus.mapping.functions.arrays import Mask, as_mask, as_text, blank_to_nothing, converted, is_valid


def without_trailing_blanks(array: pa.Array) -> pa.StringArray:
    """Return the text as SAP compares it: CHAR columns do not know blanks at their end."""
    return pc.ascii_rtrim(as_text(array), " ")


def differ(left: pa.StringArray, right: pa.StringArray) -> Mask:
    """Return a mask of the rows where two texts differ; nothing equals the empty text."""
    return as_mask(pc.not_equal(left.fill_null(""), right.fill_null("")))


def _read_trim(arrays: Arrays) -> Converted:
    return Converted((blank_to_nothing(without_trailing_blanks(arrays[0])),))


def _write_trim(arrays: Arrays) -> Converted:
    return Converted((without_trailing_blanks(arrays[0]).fill_null(""),))


def _bind_trim(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step("trim", _read_trim, _write_trim, pa.string(), "text")


def _read_upper(arrays: Arrays) -> Converted:
    return Converted((pc.utf8_upper(as_text(arrays[0])),))


def _bind_upper(args: tuple[str, ...], context: Context) -> Step:
    no_arguments(args)
    return Step("upper", _read_upper, None, pa.string(), "text")


def _read_lines(arrays: Arrays) -> Converted:
    lines = [blank_to_nothing(without_trailing_blanks(array)) for array in arrays]
    if len(lines) == 1:
        return Converted((lines[0],))
    # Each line brings its own blank: joining with null_handling="skip" loses rows where every line is missing.
    led = [pc.binary_join_element_wise("", line, " ") for line in lines]
    text = pc.binary_join_element_wise(*led, "", null_handling="replace")
    return Converted((blank_to_nothing(pc.utf8_slice_codeunits(text, 1)),))


def _wrap(text: pa.StringArray, width: int) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the first line, wrapped at the last blank that lets it fit, and what remains after that blank."""
    fits = pc.less_equal(pc.utf8_length(text), width)
    if pc.all(fits).as_py() is not False:
        return text, pa.repeat(pa.scalar(""), len(text))
    # A line may be followed by its blank, so one character more is looked at.
    head = pc.utf8_slice_codeunits(text, 0, width + 1)
    parted = pc.if_else(pc.match_substring(head, " "), head, " ")
    parts = pc.split_pattern(parted, " ", max_splits=1, reverse=True)
    rest = pc.binary_join_element_wise(pc.list_element(parts, 1), pc.utf8_slice_codeunits(text, width + 1), "")
    return pc.if_else(fits, text, pc.list_element(parts, 0)), pc.if_else(fits, "", rest)


def _bind_lines(args: tuple[str, ...], context: Context) -> Step:
    parts = one_argument(args, "the width of a line, or of each: lines(40) or lines(40.35)").split(".")
    widths = [whole_number(part, "widths of lines", 1333) for part in parts]
    columns = context.columns or max(len(widths), 1)
    if len(widths) == 1:
        widths = widths * columns
    if len(widths) != columns:
        raise ValueError(f"is given {len(widths)} widths for {columns} columns")

    def write(arrays: Arrays) -> Converted:
        whole = rest = without_trailing_blanks(arrays[0]).fill_null("")
        lines = []
        for width in widths:
            line, rest = _wrap(rest, width)
            lines.append(line)
        # Text that reads back otherwise has a word longer than a line, too many words, or blanks at a break.
        unfit = differ(_read_lines(tuple(lines)).array, whole)
        if not unfit.any():
            return Converted(tuple(lines))
        keep = pa.array(~unfit)
        return Converted(tuple(pc.if_else(keep, line, "") for line in lines), pa.array(unfit))

    sizes = ", ".join(map(str, widths))
    return Step(
        "lines",
        _read_lines,
        write,
        pa.string(),
        "text",
        inputs=columns,
        expects_model=f"text that fits lines of {sizes} characters when wrapped at single blanks",
    )


def _read_join(arrays: Arrays, separator: str) -> Converted:
    parts = [without_trailing_blanks(array).fill_null("") for array in arrays]
    joined = pc.binary_join_element_wise(*parts, separator)
    blank = np.logical_and.reduce([as_mask(pc.equal(part, "")) for part in parts])
    missing = np.logical_or.reduce([~is_valid(array) for array in arrays])  # a table without a row says nothing
    split, counted = _split(joined, separator, len(parts))
    fault = ~counted
    for part, again in zip(parts, split, strict=True):
        fault |= differ(part, again)
    fault &= ~(blank | missing)
    result = converted(joined, fault | blank | missing)
    return Converted(result.arrays, pa.array(fault) if fault.any() else None)


def _split(text: pa.StringArray, separator: str, parts: int) -> tuple[list[pa.StringArray], Mask]:
    """Return the parts of each row and a mask of the rows that have that many; other rows give empty parts."""
    count = pc.list_value_length(pc.split_pattern(text, separator)).fill_null(0).to_numpy() == parts
    regular = text if count.all() else pc.if_else(pa.array(count), text, separator * (parts - 1))
    flat = pc.split_pattern(regular, separator).flatten()
    return [flat.take(pa.array(np.arange(part, len(flat), parts))) for part in range(parts)], count


def _bind_join(args: tuple[str, ...], context: Context) -> Step:
    separator = one_argument(args, "what stands between the parts, like join(/)")
    columns = context.columns or 2

    def read(arrays: Arrays) -> Converted:
        return _read_join(arrays, separator)

    def write(arrays: Arrays) -> Converted:
        text = as_text(arrays[0])
        empty = ~is_valid(text) | as_mask(pc.equal(text, ""))
        parts, counted = _split(text, separator, columns)
        fault = ~empty & (~counted | differ(_read_join(tuple(parts), separator).array, text))
        if fault.any():
            keep = pa.array(~fault)
            return Converted(tuple(pc.if_else(keep, part, "") for part in parts), pa.array(fault))
        return Converted(tuple(parts))

    return Step(
        "join",
        read,
        write,
        pa.string(),
        f'text without "{separator}" in each of {columns} columns',
        inputs=columns,
        expects_model=f'{columns} parts with "{separator}" between them',
    )


FUNCTIONS = (
    Function(
        "trim",
        "Text without the blanks at its end; blank is nothing.",
        _bind_trim,
        example=(("Main Street  ",), "Main Street"),
    ),
    Function(
        "lines",
        "One text from several columns, joined by blanks; written, it wraps at blanks. n is the width of every column, "
        "or one width per column with points between: lines(40.35).",
        _bind_lines,
        "n",
        example=(("Northern Regional", "Water Board"), "Northern Regional Water Board"),
        example_args=("20",),
    ),
    Function(
        "join",
        "One text from several columns with a separator that none of them contains; written, it is split again.",
        _bind_join,
        "separator",
        example=(("DE", "BW"), "DE/BW"),
        example_args=("/",),
    ),
    Function("upper", "Text in upper case; read only.", _bind_upper, example=(("Müller",), "MÜLLER")),
)
