"""How alike two records are: values without case, accents, punctuation and blanks, compared field by field."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.spec import Scoring

# letters that have no accent to take off, and spellings of one sound or word
LETTERS = (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("ø", "o"), ("đ", "d"), ("ł", "l"), ("þ", "th"), ("ı", "i"))
WORDS = ((r"([aou])e", r"\1"), (r"strasse|straat|street", "str"))  # Mueller is Müller
GRAM = 2


def normalised(values: pa.Array) -> pa.StringArray:
    """Return values as lower-case letters and digits; what has none of these is null.

    >>> normalised(pa.array(["  O'Neil-Müller ", "Mueller, ONeil", "-"])).to_pylist()
    ['oneilmuller', 'mulleroneil', None]
    """
    text = pc.utf8_lower(pc.utf8_normalize(pc.cast(values, pa.string()), form="NFKD"))
    text = pc.replace_substring_regex(text, r"\p{M}+", "")
    for letter, plain in LETTERS:
        text = pc.replace_substring(text, letter, plain)
    text = pc.replace_substring_regex(text, r"[^\p{L}\p{N}]+", "")
    for pattern, plain in WORDS:
        text = pc.replace_substring_regex(text, pattern, plain)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def score(rules: Scoring, left: pa.RecordBatch, right: pa.RecordBatch) -> pa.DoubleArray:
    """Return how alike each row of `left` is to the row of `right` beside it, 0 to 1.

    A field counts with its weight where one of the two has a value; a value beside none counts as unlike, so little
    known never makes two records the same.  Fields that a batch does not have are left out.
    """
    size = left.num_rows
    known = total = pa.repeat(pa.scalar(0.0), size)
    for name, weight in rules.weights.items():
        if name not in left.schema.names or name not in right.schema.names:
            continue
        one, other = normalised(left.column(name)), normalised(right.column(name))
        said = pc.cast(pc.or_(pc.is_valid(one), pc.is_valid(other)), pa.float64())
        alike = likeness(one, other) if pa.types.is_string(left.column(name).type) else _equal(one, other)
        total = pc.add(total, pc.multiply(pc.multiply(alike, said), weight))
        known = pc.add(known, pc.multiply(said, weight))
    return pc.if_else(pc.greater(known, 0.0), pc.divide(total, pc.max_element_wise(known, 1e-9)), 0.0)


def likeness(one: pa.StringArray, other: pa.StringArray) -> pa.DoubleArray:
    """Return how many pairs of letters two texts share (Dice), 1 for equal texts, 0 beside nothing.

    An initial is like the name it begins, by half.
    """
    left, right = _grams(one), _grams(other)
    shared = left.join(right, keys=["row", "gram"], right_suffix="_other", join_type="inner")
    both = pc.min_element_wise(shared["count"], shared["count_other"])
    common = _per_row(pa.table({"row": shared["row"], "count": both}), len(one))
    every = pc.add(_per_row(left, len(one)), _per_row(right, len(one)))
    dice = pc.divide(pc.multiply(common, 2.0), pc.max_element_wise(every, 1.0))
    short = pc.min_element_wise(pc.utf8_length(one), pc.utf8_length(other), skip_nulls=False)
    begins = pc.equal(pc.utf8_slice_codeunits(one, 0, 1), pc.utf8_slice_codeunits(other, 0, 1))
    initial = pc.fill_null(pc.and_(pc.equal(short, 1), begins), False)
    dice = pc.if_else(initial, pc.max_element_wise(dice, 0.5), dice)
    return pc.if_else(pc.fill_null(pc.equal(one, other), False), 1.0, dice)


def _equal(one: pa.Array, other: pa.Array) -> pa.DoubleArray:
    return pc.cast(pc.fill_null(pc.equal(one, other), False), pa.float64())


def _grams(texts: pa.StringArray) -> pa.Table:
    """Return every pair of neighbouring letters with its row and how often it stands there; ends count as letters."""
    rows = pa.array(np.arange(len(texts), dtype=np.int32))
    framed = pc.binary_join_element_wise("^", texts, "$", "")
    longest = pc.max(pc.utf8_length(framed)).as_py() or 0
    pieces = [pa.table({"row": rows, "gram": pc.utf8_slice_codeunits(framed, i, i + GRAM)}) for i in range(longest - 1)]
    whole = pa.concat_tables(pieces) if pieces else pa.table({"row": rows, "gram": pa.nulls(len(rows), pa.string())})
    full = whole.filter(pc.fill_null(pc.equal(pc.utf8_length(whole["gram"]), GRAM), False))
    counted = full.group_by(["row", "gram"]).aggregate([([], "count_all")])
    return pa.table({"row": counted["row"], "gram": counted["gram"], "count": counted["count_all"]})


def _per_row(table: pa.Table, size: int) -> pa.DoubleArray:
    """Sum counts by row; rows that do not occur have 0."""
    summed = table.group_by("row").aggregate([("count", "sum")])
    at = pc.index_in(pa.array(np.arange(size, dtype=np.int32)), summed["row"].combine_chunks())
    return pc.cast(pc.fill_null(summed["count_sum"].combine_chunks().take(at), 0), pa.float64())
