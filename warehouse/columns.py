"""Lists of a store's columns for the templates of statements: quoted, and led by the table they are taken from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from warehouse.expression import quoted
from warehouse.spec import Store, Type


def fields(store: Store) -> list[str]:
    """Return the names of what the source says of a record, the key included."""
    return [item.name for item in store.fields]


def posted(store: Store) -> list[str]:
    """Return the names of the attributes that are looked up when a record is activated."""
    return [item.name for item in store.posted]


def values(store: Store) -> list[str]:
    """Return the fields that are not of the key, and the posted attributes: what a tombstone does not have."""
    return [name for name in fields(store) if name not in store.key] + posted(store)


def key(store: Store) -> list[str]:
    """Return what identifies a record: its source and its key."""
    return ["source", *store.key]


def former(name: str) -> str:
    """Return the name of the column that holds what a field was before; no field can be called so."""
    return f"former {name}"


def listed(names: Iterable[str], of: str = "") -> str:
    """Return columns by comma, each after another one where there are any.

    >>> listed(["source", "number"], "a")
    'a."source", a."number"'
    """
    return ", ".join(column(name, of) for name in names)


def column(name: str, of: str = "") -> str:
    """Return one column, quoted."""
    return f"{of}.{quoted(name)}" if of else quoted(name)


def more(names: Iterable[str], of: str = "") -> str:
    """Return columns that follow others: each with a comma before it, so that there may be none."""
    return "".join(f", {column(name, of)}" for name in names)


def same(names: Sequence[str], left: str, right: str) -> str:
    """Return the condition that two rows have the same key; key columns are never null.

    >>> same(["source", "number"], "a", "w")
    'a."source" = w."source" AND a."number" = w."number"'
    """
    return " AND ".join(f"{column(name, left)} = {column(name, right)}" for name in names)


def differ(names: Sequence[str], left: str, right: str) -> str:
    """Return the condition that two rows differ in any of some columns; nothing equals nothing."""
    if not names:
        return "false"
    return f"({listed(names, left)}) IS DISTINCT FROM ({listed(names, right)})"


def assigned(names: Iterable[str], of: str) -> str:
    """Return the assignments of an UPDATE that takes columns from another table, each followed by a comma."""
    return "".join(f"{quoted(name)} = {column(name, of)}, " for name in names)


def nulled(names: Iterable[str]) -> str:
    """Return the assignments of an UPDATE that empties columns, each followed by a comma."""
    return "".join(f"{quoted(name)} = NULL, " for name in names)


def key_text(store: Store, of: str) -> str:
    """Return SQL for a record's key as people write it: its fields by `/`, moments in UTC to the second."""
    parts = []
    for name in store.key:
        field = store.field(name)
        kind = field.type.kind if field else "text"
        value = column(name, of)
        if kind == "moment":
            value = f"""to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
        elif kind == "date":
            value = f"to_char({value}, 'YYYY-MM-DD')"
        parts.append(value if kind in ("text", "code") else f"({value})::text")
    joined = " || '/' || ".join(parts)
    return f"({joined})" if len(parts) > 1 else joined


def arrow_type(type_: Type) -> pa.DataType:
    """Return the type in which a field's values travel in Arrow; money and quantities are decimals.

    >>> arrow_type(Type("amount", ("currency",)))
    Decimal128Type(decimal128(15, 2))
    """
    match type_.kind:
        case "text" | "code":
            return pa.string()
        case "date":
            return pa.date32()
        case "moment":
            return pa.timestamp("us", "UTC")
        case "integer" | "count":
            return pa.int64()
        case "boolean":
            return pa.bool_()
        case "amount":
            return pa.decimal128(15, 2)
        case "quantity":
            return pa.decimal128(17, 3)
        case "decimal":
            precision, _, scale = (type_.args[0] if type_.args else "38").partition(".")
            return pa.decimal128(int(precision), int(scale or 0))
