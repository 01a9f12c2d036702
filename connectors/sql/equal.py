"""Leave out of a change what stands in the table as it is wanted: one read of a stretch, compared here in columns.

Packages follow the key, so their rows stand together.  Reading that stretch costs the server a third of staging the
rows and looking each one up.  Whatever is not surely equal goes on to the stage and is compared there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.client import PostgresClient
from connectors.sql.merge import equal_after
from connectors.sql.read import typed
from connectors.sql.stage import quoted, target
from connectors.sql.statement import Postgres, client_of, literal
from connectors.sql.wanted import Mask, Wanted, as_mask

WORTH = 500  # rows; fewer are staged at once
AGAIN = 64  # a table whose rows were scattered is tried again after 1, 2, 4 … at most so many packages
OUTLIERS = 200  # one row in so many, at each end, may lie far off: the stretch does without it
MOST_CODES = 2**62

Codes = np.ndarray[Any, np.dtype[np.int64]]
Ends = tuple[pa.Scalar, pa.Scalar]


@dataclass(slots=True)
class Equals:
    """Finds equal rows through one client.

    Remembers for how many packages each table whose rows were scattered is still left alone, and was the last time.
    """

    client: PostgresClient
    scattered: dict[str, int] = field(default_factory=dict)
    waited: dict[str, int] = field(default_factory=dict)

    def left_out(self, wanted: Wanted) -> Wanted:
        """Return the rows without those that surely stand as they are wanted, and whose lists do so."""
        name, rows = target(wanted.shape), wanted.data.num_rows
        lead = leading(wanted)
        if rows < WORTH or lead is None:
            return wanted
        if self.scattered.get(name, 0):
            self.scattered[name] -= 1
            return wanted
        ends = ends_of(wanted, lead)
        found = self._stretch(wanted, lead, ends, 2 * rows)
        if found is None:
            self.scattered[name] = self.waited[name] = min(AGAIN, 2 * self.waited.get(name, 0) or 1)
            return wanted
        self.waited.pop(name, None)
        return wanted.only(~equal_rows(wanted, found, _inside(wanted, lead, ends)))

    def _stretch(self, wanted: Wanted, lead: str, ends: Ends, most: int) -> pa.Table | None:
        """Read the rows between two ends; None when there are too many others."""
        names = list(dict.fromkeys([*wanted.key, *wanted.scope, *wanted.compared]))
        statement = stretch_of(wanted, self.client.settings, lead, ends, names, most)
        columns = [wanted.shape.column(name) for name in names]
        batches, size = [], 0
        for batch in self.client.stream(statement):
            arrays = [typed(array, column, column.name) for array, column in zip(batch.columns, columns, strict=True)]
            batches.append(pa.RecordBatch.from_arrays(arrays, names=names))
            size += batch.num_rows
        if size >= most:
            return None
        schema = pa.schema([(column.name, column.type) for column in columns])
        return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema).combine_chunks()


def leading(wanted: Wanted) -> str | None:
    """Return the key column by which an index finds a stretch; one of the scope where lists are compared whole."""
    for name in wanted.scope or wanted.key:
        if name in wanted.key and any(columns[:1] == (name,) for columns in wanted.shape.indexes):
            return name
    return None


def ends_of(wanted: Wanted, lead: str) -> Ends:
    """Return the first and the last value of a stretch that leaves a few far rows out."""
    values = wanted.data[lead].combine_chunks().drop_null()
    order, far = pc.sort_indices(values), len(values) // OUTLIERS
    return values[order[far].as_py()], values[order[len(values) - 1 - far].as_py()]


def _inside(wanted: Wanted, lead: str, ends: Ends) -> Mask:
    """Return which rows are surely between the ends; of texts only the database knows how it orders them."""
    column = wanted.data[lead].combine_chunks()
    if pa.types.is_string(column.type):
        return np.zeros(len(column), np.bool_)
    between = pc.and_(pc.greater_equal(column, ends[0]), pc.less_equal(column, ends[1]))
    return as_mask(pc.fill_null(between, False))


def stretch_of(wanted: Wanted, settings: Any, lead: str, ends: Ends, names: Sequence[str], most: int) -> str:
    """Return the statement that reads columns of a stretch, at most so many rows of it."""
    shape, dialect = wanted.shape, Postgres()
    shown = [dialect.shown(shape, shape.column(name), quoted(name)) for name in names]
    low, high = (dialect.value(shape.column(lead), _text(end.as_py())) for end in ends)
    tie = f"{quoted(shape.client)} = {literal(client_of(settings, shape))} AND " if shape.client else ""
    return (
        f"SELECT {', '.join(shown)} FROM {target(shape)} "
        f"WHERE {tie}{quoted(lead)} >= {low} AND {quoted(lead)} <= {high} LIMIT {most}"
    )


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def equal_rows(wanted: Wanted, found: pa.Table, inside: Mask) -> Mask:
    """Return which wanted rows stand so already; rows of a list only if the whole list does.

    An owner whose list is wanted empty is equal where none of its rows was found, though all would have been
    (`inside` the stretch).
    """
    nothing = np.zeros(wanted.data.num_rows, np.bool_)
    keys = coded(wanted.data, found, wanted.key)
    if keys is None:
        return nothing
    ours, theirs = keys
    order = np.argsort(theirs, kind="stable")
    known = theirs[order]
    if len(known) and (known[1:] == known[:-1]).any():
        return nothing  # a key that is not unique in the table is for the server to judge
    place = np.searchsorted(known, ours)
    there = np.zeros(len(ours), np.bool_)
    low = place < len(known)
    there[low] = known[place[low]] == ours[low]
    same = there.copy()
    rows = np.flatnonzero(there)
    if len(rows):
        same[rows] = _same(wanted, rows, found.take(pa.array(order[place[rows]])))
    if wanted.spec.shared:  # of a row that several positions bring the first one counts, so they go together
        group = np.cumsum(~wanted.repeated)
        same &= ~np.isin(group, group[~same])
    return _whole_lists(wanted, found, same, inside, np.isin(theirs, ours[there])) if wanted.scope else same


def _same(wanted: Wanted, rows: np.ndarray[Any, Any], found: pa.Table) -> Mask:
    """Compare wanted rows with the rows found for them, column by column."""
    same = np.ones(len(rows), np.bool_)
    data = wanted.data.take(pa.array(rows))
    for name in wanted.compared:
        left, right = found[name].combine_chunks(), data[name].combine_chunks()
        if left.type != right.type:
            return np.zeros(len(rows), np.bool_)
        equal = as_mask(pc.fill_null(pc.equal(left, right), False))
        if not equal.all() and left.null_count and right.null_count:
            equal |= as_mask(pc.and_(pc.is_null(left), pc.is_null(right)))
        if not equal.all() and name in wanted.canonical:
            odd = pa.array(np.flatnonzero(~equal))
            kernel = wanted.canonical[name]
            equal[~equal] = equal_after(kernel, found[name].take(odd), data[name].take(odd))
        same &= equal
    return same


def _whole_lists(wanted: Wanted, found: pa.Table, same: Mask, inside: Mask, matched: Mask) -> Mask:
    """Take back what is equal of a list that is not equal as a whole, or holds a row that is not wanted."""
    owners = coded(wanted.data, found, wanted.scope)
    if owners is None:
        return np.zeros(len(same), np.bool_)
    ours, theirs = owners
    same = same | (wanted.empty & inside & ~np.isin(ours, theirs))
    broken = np.concatenate([ours[~same], theirs[~matched]])
    return same & ~np.isin(ours, broken)


def coded(left: pa.Table, right: pa.Table, names: Sequence[str]) -> tuple[Codes, Codes] | None:
    """Return one number for each distinct combination of columns, the same in both tables; None when too many."""
    size = left.num_rows
    codes, most = np.zeros(size + right.num_rows, np.int64), 1
    for name in names:
        kind = left[name].type
        both = pa.chunked_array([*left[name].chunks, *right[name].cast(kind).chunks], kind).combine_chunks()
        encoded = both.dictionary_encode(null_encoding="encode")
        most *= len(encoded.dictionary) + 1
        if most > MOST_CODES:
            return None
        codes = codes * (len(encoded.dictionary) + 1) + encoded.indices.to_numpy()
    return codes[:size], codes[size:]
