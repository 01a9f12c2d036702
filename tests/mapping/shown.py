"""Model values as text, raw columns from text: what the tests of the function registry share."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from isthmus.mapping.functions import Arrays, Context, Step
from isthmus.mapping.functions.registry import bind
from isthmus.mapping.spec import Call, CodeTable

CODES = {
    "division": CodeTable(
        "division",
        "what is delivered",
        {"isu": {"electricity": ("01", "07"), "gas": ("02",)}, "crm": {"electricity": ("E",), "gas": ("G",)}},
    ),
    "region": CodeTable(
        "region", "country and region", {"isu": {"baden": ("DE|08", "DE|8"), "vienna": ("AT|W",), "abroad": ("",)}}
    ),
    "kind": CodeTable("kind", "with a way out", {"isu": {"main": ("1",), "other": ("9",)}}, {"isu": "other"}),
}
CONTEXT = Context("isu", CODES, {"zone": "Europe/Berlin"})


def step(name: str, *args: str, columns: int = 0) -> Step:
    """Bind a function for the system isu."""
    return bind(Call(name, args), Context("isu", CODES, {"zone": "Europe/Berlin"}, columns))


def text(*values: str | None) -> pa.Array:
    """Return a column of text."""
    return pa.array(values, pa.string())


def raw(values: Iterable[str | None], type_: pa.DataType) -> pa.Array:
    """Return a raw column from text; bytes are given as hexadecimal digits."""
    if pa.types.is_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.array([None if value is None else bytes.fromhex(value) for value in values], type_)
    return pa.array(values, pa.string()).cast(type_)


def shown(array: pa.Array) -> list[str | None]:
    """Return model values as a mapping file writes them."""
    if array.type == pa.bool_():
        return [None if value is None else "yes" if value else "no" for value in array.to_pylist()]
    if pa.types.is_decimal(array.type):
        return [None if value is None else f"{value:f}" for value in array.to_pylist()]
    found: list[str | None] = array.cast(pa.string()).to_pylist()
    if pa.types.is_timestamp(array.type):
        return [value and value.replace(" ", "T") for value in found]
    return found


def read(bound: Step, *columns: pa.Array) -> list[str | None]:
    """Read raw columns and return the only output as text."""
    return shown(bound.read(columns).array)


def failed(mask: pa.Array | None, rows: int) -> list[bool]:
    """Return which rows failed."""
    return [False] * rows if mask is None else mask.to_pylist()


def types(bound: Step) -> tuple[pa.DataType, ...]:
    """Return the types of the model side, one per output."""
    return tuple(bound.type.field(i).type for i in range(bound.outputs)) if bound.outputs > 1 else (bound.type,)


def raw_types(bound: Step) -> tuple[pa.DataType, ...]:
    """Return the types of the raw side, one per input."""
    return bound.raw or (pa.string(),) * bound.inputs


def same(left: Arrays, right: Arrays) -> bool:
    """Tell whether two results hold the same values, nothing equal to nothing."""
    return [array.to_pylist() for array in left] == [array.to_pylist() for array in right]
