"""Records of the shared model as a store keeps them: its fields in its types, references conformed, keys in words.

What does not fit is left out and told of by key, field and reason; nothing is nulled silently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import DataError, did_you_mean
from isthmus.levels.extract import CHANGED_AT, DELETED, KEY
from warehouse.columns import arrow_type
from warehouse.held import UNREAD
from warehouse.spec import Store, StoreFeed, StoreField, Type
from warehouse.tables import AFTER, DELETE, NEW

Conform = Callable[[str, pa.Array], pa.Array]  # a field of the model and its values -> the shared values
WIDE = 38  # digits of the widest decimal


@dataclass(frozen=True, slots=True)
class Shaped:
    """Records of a store: `batch` as inbound takes them, what was left out (`UNREAD`), the objects' keys of `batch`."""

    batch: pa.RecordBatch
    unread: pa.Table
    objects: pa.Array


def shape(store: Store, feed: StoreFeed, frame: pa.RecordBatch, conform: Conform) -> Shaped:
    """Turn a flat batch of the model's fields (`extract.flat`) into records of a store.

    Raises DataError where the source does not speak of a field of the key at all.
    """
    columns: dict[str, pa.Array] = {}
    faults: list[tuple[pa.Array, str, str, str]] = []
    for item in store.fields:
        columns[item.name], wrong = fitted(_taken(store, item, frame, conform), item.type)
        faults.append((wrong, item.name, "type", f"is no {item.type}"))
        if item.name in store.key:
            said = "is empty, but it is part of the key"
            faults.append((pc.and_not(pc.is_null(columns[item.name]), wrong), item.name, "no key", said))
    objects = frame.column(KEY)
    unread = pa.concat_tables([UNREAD.empty_table(), *(_told(objects, *fault) for fault in faults)])
    good = pc.invert(reduce(pc.or_, (mask for mask, *_ in faults)))
    mode = pa.scalar(NEW if feed.mode == "new" else AFTER)
    own = {
        "record_mode": pc.if_else(frame.column(DELETED), pa.scalar(DELETE), mode),
        "sequence": _sequence(feed, frame, columns),
    }
    batch = pa.RecordBatch.from_pydict({**own, **columns})
    if not pc.all(good).as_py():
        batch, objects = batch.filter(good), objects.filter(good)
    return Shaped(batch, unread, objects)


def deletes(store: Store, keys: pa.RecordBatch) -> pa.RecordBatch:
    """Make the delete records of some keys (columns: the store's key)."""
    size = keys.num_rows
    columns: dict[str, pa.Array] = {
        "record_mode": pa.repeat(pa.scalar(DELETE), size),
        "sequence": pa.nulls(size, pa.string()),
    }
    for item in store.fields:
        kind = arrow_type(item.type)
        columns[item.name] = keys.column(item.name) if item.name in store.key else pa.nulls(size, kind)
    return pa.RecordBatch.from_pydict(columns)


def key_texts(store: Store, keys: pa.RecordBatch) -> pa.Array:
    """Return keys as people write them and as `held` keeps them: fields by `/`, moments in UTC to the second."""
    texts = [_said(keys.column(name)) for name in store.key]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "/")


def as_keys(store: Store, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Turn rows of key values, one at least, into columns of the store's types."""
    kinds = {item.name: arrow_type(item.type) for item in store.fields}
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_pydict(
        {name: pa.array(values, kinds[name]) for name, values in zip(store.key, columns, strict=True)}
    )


def key_columns(store: Store, texts: Sequence[str]) -> pa.RecordBatch:
    """Turn keys as people write them into columns of the store's types; raises DataError for one that is none."""
    parts = [text.split("/") if len(store.key) > 1 else [text] for text in texts]
    wrong = next((text for text, part in zip(texts, parts, strict=True) if len(part) != len(store.key)), None)
    if wrong is not None:
        raise DataError(
            f"{wrong!r} is no key of store {store.name}: expected {'/'.join(store.key)}, {len(store.key)} parts by /"
        )
    columns = {}
    for place, name in enumerate(store.key):
        item = store.field(name)
        assert item is not None
        columns[name], faults = fitted(pa.array([part[place] for part in parts], pa.string()), item.type)
        if pc.any(faults).as_py():
            first = parts[pc.index(faults, True).as_py()][place]
            raise DataError(f"{first!r} is no {item.type}, as {store.name}.{name} is; look at `isthmus warehouse held`")
    return pa.RecordBatch.from_pydict(columns)


# --- values that fit a type ---------------------------------------------------------------------------------------


def fitted(values: pa.Array, type_: Type) -> tuple[pa.Array, pa.Array]:
    """Return values in the type a store keeps them in, null where they do not fit, and a mask of those rows.

    Decimals are rounded half away from zero to the places their type has.
    """
    kind = arrow_type(type_)
    if values.type == kind:
        return values, pa.repeat(pa.scalar(False), len(values))
    if pa.types.is_decimal(kind):
        return _decimals(values, kind)
    if pa.types.is_string(values.type) and not pa.types.is_string(kind):
        return _parsed(values, kind)
    if pa.types.is_string(kind):
        return _said(values), pa.repeat(pa.scalar(False), len(values))
    return _cast(values, kind)


def _decimals(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    wrong = pa.repeat(pa.scalar(False), len(values))
    if pa.types.is_string(values.type):
        bad = pc.invert(pc.match_substring_regex(values, r"^-?\d{1,24}(\.\d{1,14})?$"))
        wrong = pc.fill_null(bad, False)
        values = _without(values, wrong).cast(pa.decimal128(WIDE, 14))
    elif not pa.types.is_decimal(values.type):
        values = values.cast(pa.decimal128(WIDE, 0))
    if values.type.scale > kind.scale:
        values = pc.round(values, kind.scale, "half_towards_infinity")
    wide = values.cast(pa.decimal128(WIDE, kind.scale))
    limit = pa.scalar(Decimal(10 ** (kind.precision - kind.scale)), pa.decimal128(WIDE, kind.scale))
    over = pc.fill_null(pc.greater_equal(pc.abs(wide), limit), False)
    return _without(wide, over).cast(kind), pc.or_(wrong, over)


_SHAPES = {
    pa.date32(): r"^\d{4}-\d\d-\d\d$",
    pa.int64(): r"^-?\d{1,18}$",
    pa.bool_(): r"^(yes|no|true|false)$",
    pa.timestamp("us", "UTC"): r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?Z?$",
}


def _parsed(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    wrong = pc.fill_null(pc.invert(pc.match_substring_regex(values, _SHAPES[kind])), False)
    texts = _without(values, wrong)
    if kind == pa.bool_():
        return pc.is_in(texts, pa.array(["yes", "true"])), wrong
    if pa.types.is_timestamp(kind):
        texts = pc.utf8_rtrim(texts, "Z").cast(pa.timestamp("us"))
        return pc.assume_timezone(texts, "UTC"), wrong
    found, late = _cast(texts, kind)  # 2024-02-30 has the shape of a date
    return found, pc.or_(wrong, late)


def _cast(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    try:
        return values.cast(kind), pa.repeat(pa.scalar(False), len(values))
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, kind), pa.array([True])
    half = len(values) // 2  # the few that fail are found by halves
    parts = [_cast(values.slice(0, half), kind), _cast(values.slice(half), kind)]
    found, wrong = (pa.concat_arrays(list(side)) for side in zip(*parts, strict=True))
    return found, wrong


def _without(values: pa.Array, wrong: pa.Array) -> pa.Array:
    return pc.if_else(wrong, pa.scalar(None, values.type), values)


def _said(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_timestamp(values.type):
        whole = pc.floor_temporal(values, unit="second").cast(pa.timestamp("s", values.type.tz))
        return pc.strftime(whole, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "yes", "no")
    return values.cast(pa.string())


# --- where values come from ---------------------------------------------------------------------------------------


def _taken(store: Store, item: StoreField, frame: pa.RecordBatch, conform: Conform) -> pa.Array:
    source = item.source or item.name
    if source not in frame.schema.names:
        if item.name in store.key and frame.num_rows:
            hint = did_you_mean(source, frame.schema.names)
            raise DataError(f"store {store.name}: nothing is read into {item.name} of the key, from {source}.{hint}")
        return pa.nulls(frame.num_rows, arrow_type(item.type))  # this system does not speak of it, another may
    return conform(source, frame.column(source))


def _sequence(feed: StoreFeed, frame: pa.RecordBatch, columns: dict[str, pa.Array]) -> pa.Array:
    """Return what tells the newer of two records: a text that sorts like the values of the field."""
    if not feed.sequence:
        return pa.nulls(frame.num_rows, pa.string())
    if feed.sequence in columns:
        values = columns[feed.sequence]
        if pa.types.is_timestamp(values.type):
            return pc.strftime(values, format="%Y-%m-%dT%H:%M:%S")  # seconds carry their fraction in Arrow
        return _said(values)
    return frame.column(CHANGED_AT)


def _told(objects: pa.Array, mask: pa.Array, name: str, code: str, message: str) -> pa.Table:
    keys = objects.filter(mask)
    size = len(keys)
    words = [pa.repeat(pa.scalar(text), size) for text in (name, code, message)]
    return pa.Table.from_arrays([keys, *words], schema=UNREAD)
