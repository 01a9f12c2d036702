"""The rows of a change, resolved against the described tables: typed, sorted by key, numbered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.describe import Shape
from connectors.sql.read import sorted_by
from isthmus.connector import PROBLEMS, Canonical, TableRows
from isthmus.errors import ConfigError

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.int32]]
KEEP_BITS = 62  # columns whose spelling is kept, per word
NUMBER, POSITION = "n\0", "position\0"  # no column of a database can be called so


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted rows of one table.

    `data` has the row number, the position and the table's columns in their described types, sorted by key;
    names are the physical ones.  `empty` marks rows that only say "this owner's list is empty": every key
    column outside the scope is null.
    """

    spec: TableRows
    shape: Shape
    data: pa.Table
    columns: tuple[str, ...]
    key: tuple[str, ...]
    written: tuple[str, ...]
    scope: tuple[str, ...]
    canonical: Mapping[str, Canonical]
    asked: Mapping[str, str]  # physical names to those the change uses

    @property
    def name(self) -> str:
        """Return the table's name as the change calls it."""
        return self.spec.table

    @property
    def positions(self) -> Positions:
        """Return the position of each row."""
        return np.asarray(self.data[POSITION].to_numpy(), np.int32)

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the columns that are compared and updated: those written, without the key."""
        return tuple(name for name in self.written if name not in self.key)

    @property
    def words(self) -> int:
        """Return how many words of bits it takes to say which spellings are kept."""
        return -(-len(self.canonical) // KEEP_BITS)

    @property
    def empty(self) -> Mask:
        """Return which rows only name an owner whose list is empty."""
        return owners_only(self.data, self.key, self.scope)

    def without(self, rejected: Mask) -> Wanted:
        """Return the rows of the positions that are not rejected."""
        return self.only(~rejected[self.positions]) if rejected.any() else self

    def only(self, rows: Mask) -> Wanted:
        """Return these rows alone, with the numbers they have."""
        return self if rows.all() else replace(self, data=self.data.filter(pa.array(rows)))

    @property
    def repeated(self) -> Mask:
        """Return which rows bring a key that a row before them brings."""
        found: Mask = np.logical_and(repeats(self.data, self.key), ~self.empty)
        return found


def owners_only(data: pa.Table, key: Iterable[str], scope: Iterable[str]) -> Mask:
    """Return which rows have nulls in every key column outside the scope."""
    own = [name for name in key if name not in set(scope)]
    if not tuple(scope) or not own or not all(data[name].null_count for name in own):
        return np.zeros(data.num_rows, np.bool_)
    found: Mask = np.logical_and.reduce([as_mask(pc.is_null(data[name])) for name in own])
    return found


def repeats(data: pa.Table, key: Iterable[str]) -> Mask:
    """Return which rows of a table sorted by key have the key of the row before."""
    again = np.ones(max(data.num_rows - 1, 0), np.bool_)
    for name in key:
        column = data[name].combine_chunks()
        again &= as_mask(pc.fill_null(pc.equal(column.slice(0, len(again)), column.slice(1)), False))
        if not again.any():
            break
    return np.concatenate([np.zeros(min(data.num_rows, 1), np.bool_), again])


def as_mask(array: pa.Array | pa.ChunkedArray) -> Mask:
    """Return a Boolean Arrow array as a mask."""
    return np.asarray(
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy(), np.bool_
    )


def resolve_rows(spec: TableRows, shape: Shape) -> Wanted:
    """Resolve the names of wanted rows; raises ConfigError with the nearest name, or for a missing key."""
    given = [name for name in spec.rows.schema.names if name != "position"]
    if "position" not in spec.rows.schema.names:
        raise ConfigError(f'The rows for table "{spec.table}" have no column "position".')
    physical = {name: shape.column(name).name for name in given}
    kept = [name for name in given if physical[name] != shape.client]
    missing = [name for name in (*spec.key, *spec.scope) if shape.column(name).name not in physical.values()]
    if missing or not spec.key:
        raise ConfigError(
            f'The rows for table "{spec.table}" lack key columns: {", ".join(missing) or "none is named"}.'
        )
    rows = pa.table(
        [spec.rows.column("position").cast(pa.int32()), *(spec.rows.column(name) for name in kept)],
        names=[POSITION, *(physical[name] for name in kept)],
    )

    def named(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(n for n in (shape.column(name).name for name in names) if n != shape.client)

    return Wanted(
        spec=spec,
        shape=shape,
        data=rows,
        columns=tuple(physical[name] for name in kept),
        key=named(spec.key),
        written=tuple(n for n in named(spec.written) if n in rows.column_names),
        scope=named(spec.scope) if spec.missing == "delete" else (),
        canonical={shape.column(name).name: kernel for name, kernel in spec.canonical.items()},
        asked={physical[name]: name for name in kept},
    )


def numbered(wanted: Wanted) -> Wanted:
    """Return the rows sorted by key, then position, and numbered; writers that sort do not deadlock."""
    data = sorted_by(wanted.data, [*wanted.key, POSITION])
    return replace(wanted, data=data.add_column(0, NUMBER, pa.array(np.arange(data.num_rows, dtype=np.int32))))


def problem_rows(positions: Positions, table: str, column: str, code: str, message: str) -> pa.Table:
    """Make rows of `PROBLEMS`: one reason for many positions."""
    size = len(positions)
    said = [pa.repeat(pa.scalar(text, pa.string()), size) for text in (table, column, code, message)]
    return pa.Table.from_arrays([pa.array(positions, pa.int32()), *said], schema=PROBLEMS)
