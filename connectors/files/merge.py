"""Wanted rows against the rows of a file, block by block: what is updated, added, deleted or already so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import DIFFERENCES, PROBLEMS, TableRows


def keyed(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Return the key columns as one text a row; lengths stand before the values, so no two keys look alike."""
    pieces: list[pa.Array] = []
    for name in columns:
        column = table.column(name)
        text = column.cast(pa.string()) if not pa.types.is_binary(column.type) else column.cast(pa.large_binary())
        text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
        if pa.types.is_large_binary(text.type):
            text = pa.array([None if value is None else value.hex() for value in text.to_pylist()], pa.string())
        pieces += [pc.utf8_length(text).cast(pa.string()), pa.repeat(":", len(text)), text]
    return pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="-")


def differs(left: pa.Array, right: pa.Array) -> pa.Array:
    """Say where two arrays differ; two missing values are equal, a missing and an empty one are not."""
    return pc.coalesce(pc.not_equal(left, right), pc.xor(pc.is_null(left), pc.is_null(right)))


def judge(rows: TableRows, schema: pa.Schema) -> tuple[pa.Table, pa.Table]:
    """Return the wanted rows in the types of the target, and the problems (schema PROBLEMS) of those refused.

    Refused are values that are not of the column's type, missing keys, values missing where the file has none
    missing, and, of a table that is not shared, a key wanted twice.
    """
    table = pa.Table.from_batches([rows.rows])
    found: list[pa.Table] = []
    columns: dict[str, pa.Array] = {"position": rows.rows.column("position")}

    def refuse(places: pa.Array, column: str, code: str, message: str) -> None:
        size = len(places)
        texts = [pa.repeat(text, size) for text in (rows.table, column, code, message)]
        found.append(pa.table([columns["position"].take(places), *texts], schema=PROBLEMS))

    nothing = empty_lists(rows, table)
    for field in schema:
        if field.name not in table.column_names:
            continue
        column = rows.rows.column(field.name)
        wrong = _uncastable(column, field.type)
        if wrong:
            refuse(pa.array(wrong), field.name, "type", f"the value is not of the column's type {field.type}")
            mask = np.ones(len(column), bool)
            mask[wrong] = False
            column = pc.if_else(pa.array(mask), column, pa.scalar(None, column.type))
        columns[field.name] = column.cast(field.type)
        lacking = pc.indices_nonzero(pc.and_not(columns[field.name].is_null(), nothing))
        if len(lacking) and field.name in rows.key:
            refuse(lacking, field.name, "key_missing", "a part of the key is missing")
        elif len(lacking) and not field.nullable:
            refuse(lacking, field.name, "missing", "the column takes no missing value")
    wanted = pa.table(columns)
    if not rows.shared:
        again = pc.indices_nonzero(pc.and_not(_repeated(keyed(wanted, rows.key)), nothing))
        if len(again):
            message = "the package brings this key twice; the first row stays"
            refuse(again, rows.key[0], "duplicate key in the package", message)
    return wanted, pa.concat_tables([PROBLEMS.empty_table(), *found])


def _uncastable(array: pa.Array, kind: pa.DataType, start: int = 0) -> list[int]:
    """Return the places of values that cannot be cast: halves are tried only where a whole fails."""
    try:
        array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        half = len(array) // 2
        if not half:
            return [start]
        return _uncastable(array[:half], kind, start) + _uncastable(array[half:], kind, start + half)
    return []


def empty_lists(rows: TableRows, table: pa.Table) -> pa.Array:
    """Say which rows only name an owner whose list is empty: every key column outside the scope is missing."""
    own = [table[name].combine_chunks().is_null() for name in rows.key if name not in rows.scope]
    return reduce(pc.and_, own) if rows.scope and own else pa.array(np.zeros(len(table), bool))


def accepted(rows: TableRows, wanted: pa.Table, refused: pa.Array) -> pa.Table:
    """Return the rows of positions that are not refused; of a shared row only the first that is left."""
    kept = wanted.filter(pc.invert(pc.is_in(wanted["position"], value_set=refused)))
    return kept.filter(pc.invert(_repeated(keyed(kept, rows.key)))) if rows.shared else kept


def _repeated(keys: pa.Array) -> pa.Array:
    """Say for each key whether the same one stands before it."""
    first = pc.index_in(keys, value_set=keys.unique())
    _, places = np.unique(first.to_numpy(), return_index=True)
    again = np.ones(len(keys), bool)
    again[places] = False
    return pa.array(again)


class Merge:
    """The wanted rows of one table, and what each met while the file's rows pass by."""

    def __init__(self, rows: TableRows, wanted: pa.Table, schema: pa.Schema) -> None:
        self.rows = rows
        self.schema = schema
        self._scopes = keyed(wanted, rows.scope) if rows.scope and rows.missing == "delete" else None
        self._owners = wanted["position"].to_numpy()
        self._shortened = np.zeros(len(wanted), bool)  # owners whose lists lost a row
        wanted = wanted.filter(pc.invert(empty_lists(rows, wanted))).combine_chunks()
        self.wanted = wanted
        self.position = wanted["position"].to_numpy()
        self.seen = np.zeros(len(wanted), bool)
        self.changed = np.zeros(len(wanted), bool)
        self.updated = self.deleted = 0
        self.differences: list[pa.Table] = []
        self._keys = keyed(wanted, rows.key)

    @property
    def touched(self) -> npt.NDArray[np.int32]:
        """Return the positions that changed something."""
        return np.concatenate([self.position[self.changed | ~self.seen], self._owners[self._shortened]])

    @property
    def idle(self) -> bool:
        """Say whether the file is already as wanted."""
        return not (self.updated or self.deleted) and bool(self.seen.all())

    def through(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a block of the file as it is to be: updated by key, without the rows of a list that went."""
        at = pc.index_in(keyed(batch, self.rows.key), value_set=self._keys)
        matched = at.is_valid()
        places = at.drop_null().to_numpy()
        self.seen[places] = True
        touched = pa.array(np.zeros(len(batch), bool))
        columns = {name: batch.column(name) for name in batch.schema.names}
        for name in self.rows.written:
            current, wanted = columns[name], self.wanted[name].combine_chunks().take(at)
            same = self.rows.canonical.get(name, lambda array: array)
            different = pc.and_(matched, differs(same(current), same(wanted)))
            columns[name] = pc.if_else(different, wanted, current)
            touched = pc.or_(touched, different)
            self._note(name, different, at, current, wanted)
        self.changed[at.filter(touched).to_numpy()] = True
        self.updated += touched.true_count
        return self._without_gone(pa.record_batch(columns, schema=self.schema), matched)

    def added(self) -> pa.Table:
        """Return the rows the file did not have, with what nobody mapped left missing."""
        fresh = self.wanted.filter(pa.array(~self.seen))
        given = {*self.rows.key, *self.rows.written, *self.rows.initial}
        columns = [
            fresh[field.name]
            if field.name in given and field.name in fresh.column_names
            else pa.nulls(len(fresh), field.type)
            for field in self.schema
        ]
        return pa.table(columns, schema=self.schema)

    def _without_gone(self, batch: pa.RecordBatch, matched: pa.Array) -> pa.RecordBatch:
        if self._scopes is None:
            return batch
        owner = pc.index_in(keyed(batch, self.rows.scope), value_set=self._scopes)
        gone = pc.and_(owner.is_valid(), pc.invert(matched))
        self._shortened[owner.filter(gone).to_numpy()] = True
        self.deleted += gone.true_count
        return batch.filter(pc.invert(gone))

    def _note(self, name: str, different: pa.Array, at: pa.Array, current: pa.Array, wanted: pa.Array) -> None:
        if not different.true_count:
            return
        size = different.true_count
        positions = pa.array(self.position[at.filter(different).to_numpy()], pa.int32())
        texts = [column.filter(different).cast(pa.string()) for column in (current, wanted)]
        labels = [pa.repeat(self.rows.table, size), pa.repeat(name, size)]
        self.differences.append(pa.table([positions, *labels, *texts], schema=DIFFERENCES))
