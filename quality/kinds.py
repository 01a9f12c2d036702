"""The closed list of expectations a suite may use: their keys, their Great Expectations class, its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One expectation by its short name; `needs` and `may` are the keys it takes beside `about` and `severity`.

    `build` turns the file's arguments into those of the class `name` of `great_expectations.expectations`.
    `rows` tells that it judges rows one by one, so that `mostly` applies and keys can be named.
    """

    about: str
    name: str
    build: Callable[[Arguments], dict[str, Any]]
    needs: tuple[str, ...] = ("column",)
    may: tuple[str, ...] = ()
    rows: bool = True


def _column(given: Arguments) -> dict[str, Any]:
    return {"column": given["column"]}


def _bounds(given: Arguments) -> dict[str, Any]:
    return {"min_value": given.get("from"), "max_value": given.get("to")}


def _pair(given: Arguments) -> dict[str, Any]:
    return {"column_A": given["column"], "column_B": given["other"], "ignore_row_if": "either_value_is_missing"}


KINDS: Mapping[str, Kind] = {
    "not_null": Kind("the field has a value", "ExpectColumnValuesToNotBeNull", _column),
    "unique": Kind("no value occurs twice in a package", "ExpectColumnValuesToBeUnique", _column),
    "unique_together": Kind(
        "no combination of values occurs twice in a package",
        "ExpectCompoundColumnsToBeUnique",
        lambda given: {"column_list": list(given["columns"])},
        needs=("columns",),
    ),
    "in_set": Kind(
        "the value is one of a few",
        "ExpectColumnValuesToBeInSet",
        lambda given: {**_column(given), "value_set": list(given["values"])},
        needs=("column", "values"),
    ),
    "between": Kind(
        "the value lies between two others",
        "ExpectColumnValuesToBeBetween",
        lambda given: {**_column(given), **_bounds(given)},
        may=("from", "to"),
    ),
    "zero": Kind(
        "the count is zero, such as overlaps or gaps of a list",
        "ExpectColumnValuesToBeInSet",  # `isin` of whole columns; "between" calls Python for every value
        lambda given: {**_column(given), "value_set": [0]},
    ),
    "matches": Kind(
        "the text matches a pattern",
        "ExpectColumnValuesToMatchRegex",
        lambda given: {**_column(given), "regex": given["pattern"]},
        needs=("column", "pattern"),
    ),
    "no_longer_than": Kind(
        "the text has at most so many characters",
        "ExpectColumnValueLengthsToBeBetween",
        lambda given: {**_column(given), "max_value": given["length"]},
        needs=("column", "length"),
    ),
    "at_least": Kind(
        "the value is not smaller than that of another field",
        "ExpectColumnPairValuesAToBeGreaterThanB",
        lambda given: {**_pair(given), "or_equal": True},
        needs=("column", "other"),
    ),
    "same_as": Kind(
        "the value equals that of another field", "ExpectColumnPairValuesToBeEqual", _pair, needs=("column", "other")
    ),
    "rows": Kind(
        "a package has so many rows",
        "ExpectTableRowCountToBeBetween",
        _bounds,
        needs=(),
        may=("from", "to"),
        rows=False,
    ),
    "distinct": Kind(
        "a package has so many different values",
        "ExpectColumnUniqueValueCountToBeBetween",
        lambda given: {**_column(given), **_bounds(given)},
        may=("from", "to"),
        rows=False,
    ),
    "mean": Kind(
        "the mean of a package lies between two numbers",
        "ExpectColumnMeanToBeBetween",
        lambda given: {**_column(given), **_bounds(given)},
        may=("from", "to"),
        rows=False,
    ),
}
