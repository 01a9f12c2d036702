"""Apply a write plan: records of the model in, rows of the target's tables out, in the target's own spelling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Canonical, TableRows
from isthmus.mapping.plan import BoundPipe, Filling, ListRecords, Records, Slices, WriteColumn, WritePlan, WriteTable
from isthmus.mapping.reading import Remarks


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the records are in the target: their Isthmus ids (16 bytes), the target keys known so far (null = new).

    `paired` (boolean) tells which of them the key map knows already; the rest are known by evidence or new.
    `numbers` holds, per counter, one reserved number for every record; `standing`, per made column, the guid that
    stands in the target already (16 bytes, null = derive one).  `slices` holds, per table of slices, the whole row of
    today's slice (columns by their own names, null = there is none); `histories` the whole rows of the other slices,
    with the `position` of their record.
    """

    ids: pa.Array
    known: pa.Array
    paired: pa.Array
    numbers: Mapping[str, pa.Array] = field(default_factory=dict)
    standing: Mapping[str, pa.Array] = field(default_factory=dict)
    slices: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    histories: Mapping[str, pa.RecordBatch] = field(default_factory=dict)

    def take(self, rows: pa.Array) -> Identity:
        """Keep some records."""
        numbers = {name: column.take(rows) for name, column in self.numbers.items()}
        standing = {name: column.take(rows) for name, column in self.standing.items()}
        slices = {alias: batch.take(rows) for alias, batch in self.slices.items()}
        histories = {alias: repositioned(batch, rows) for alias, batch in self.histories.items()}
        ids, known, paired = (column.take(rows) for column in (self.ids, self.known, self.paired))
        return Identity(ids, known, paired, numbers, standing, slices, histories)


def repositioned(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    """Keep the rows of some records, each with the new `position` of its record."""
    place = pc.index_in(batch.column("position"), pc.cast(rows, pa.int32()))
    number = batch.schema.names.index("position")
    return batch.set_column(number, "position", place).filter(pc.is_valid(place))


@dataclass(frozen=True, slots=True)
class Written:
    """The rows to write, the key each record has in the target, and the records that could not be spelled."""

    tables: tuple[TableRows, ...]
    key: pa.Array
    rejects: Remarks


def spell(plan: WritePlan, records: Records, identity: Identity) -> Written:
    """Spell records in the target's columns.  A value that does not fit rejects its record in `rejects`."""
    remarks = Remarks(records.root.num_rows)
    made = hex_of(identity.ids)
    key = pc.coalesce(identity.known, made) if plan.key_from == "made" else None
    speller = Speller(plan, records, identity, key, remarks)
    own = [table for table in plan.tables if not table.list]
    main = {table.alias: speller.columns(table, None) for table in own if table.slices is None}
    if key is None:
        key = _key_from_fields(plan.key, speller)
    lists = [(t, speller.columns(t, records.lists[t.list])) for t in plan.tables if t.list and t.list in records.lists]
    positions = pa.array(np.arange(records.root.num_rows, dtype=np.int32))
    tables = [
        _rows(table, main[table.alias], positions) if table.slices is None else split_rows(speller, table, table.slices)
        for table in own
    ]
    tables += [_list_rows(speller, table, arrays, records.lists[table.list].parent) for table, arrays in lists]
    return Written(tuple(tables), key, remarks)


def split_rows(speller: Speller, table: WriteTable, slices: Slices) -> TableRows:
    """Spell the slices that change: today's ends the day before, and a new one takes over all it does not say itself.

    A slice that began today is changed in place.  Where no slice is valid today there is none to split, and a record
    that brings a value for it is rejected.  Columns that are filled in split nothing: every slice that leaves them
    blank gets them, and what another slice says there stays.
    """
    size = speller.records.root.num_rows
    names = [column.column.column for column in table.columns]
    types = {column.column.column: column.type for column in table.columns}
    nothing = pa.RecordBatch.from_arrays([pa.nulls(size, kind) for kind in types.values()], names=names)
    standing = speller.identity.slices.get(table.alias, nothing)
    there, changed = pc.is_valid(standing.column(slices.end)), pa.repeat(pa.scalar(False), size)
    before, filled = filled_in(speller, table, standing, pa.array(np.arange(size)))
    after = {name: fit(before.column(name), types[name]) for name in names}
    for column in (column for column in table.columns if column.role == "written"):
        name, value = column.column.column, fit(speller.array(column, table, None), column.type)
        changed = pc.or_(changed, pc.and_(there, _differs(value, after[name], column.canonical)))
        lost = pc.and_not(pc.is_valid(speller.model(column.filling.name)), there)
        said = f"no row of {table.table} is valid today, so there is no slice to change"
        speller.remarks.add(lost, column.filling.name, "no slice", said)
        after[name] = value
    began = pc.and_(changed, pc.less(after[slices.start], _day(slices.today, types[slices.start])))
    ended = {name: before.column(name) for name in names}
    ended[slices.end] = pa.repeat(_day(slices.before, types[slices.end]), size)
    after[slices.start] = pc.if_else(began, _day(slices.today, types[slices.start]), after[slices.start])
    positions = pa.array(np.arange(size, dtype=np.int32))
    written = [(ended, positions, began), (after, positions, pc.or_(changed, pc.and_(there, filled)))]
    if table.alias in speller.identity.histories:
        others = speller.identity.histories[table.alias]
        whose = others.column("position")
        rest, missing = filled_in(speller, table, others, whose)
        written.append(({name: rest.column(name) for name in names}, whose, missing))
    parts = [
        pa.table({**{name: fit(arrays[name], types[name]) for name in names}, "position": whose}).filter(mask)
        for arrays, whose, mask in written
    ]
    whole = pa.concat_tables(parts).combine_chunks()
    rows = pa.RecordBatch.from_arrays([_one(column) for column in whole.columns], schema=whole.schema)
    key = tuple(name for name in names if name.casefold() in {part.casefold() for part in slices.key})
    return TableRows(
        table=table.table,
        rows=rows,
        key=key,
        written=tuple(name for name in names if name not in key),
        canonical={c.column.column: c.canonical for c in table.columns if c.canonical is not None},
    )


def filled_in(
    speller: Speller, table: WriteTable, slices: pa.RecordBatch, whose: pa.Array
) -> tuple[pa.RecordBatch, pa.BooleanArray]:
    """Write what belongs to the whole history into slices that leave it blank; tell which slices that changes.

    `whose` are the positions of the records that the slices belong to.
    """
    changed = pa.repeat(pa.scalar(False), slices.num_rows)
    for column in (column for column in table.columns if column.role == "filled"):
        name = column.column.column
        value = fit(speller.array(column, table, None), column.type).take(whose)
        stands = fit(slices.column(name), column.type)
        missing = pc.and_(_says_nothing(column, stands), pc.is_valid(speller.model(column.filling.name).take(whose)))
        number = slices.schema.names.index(name)
        slices = slices.set_column(number, name, pc.if_else(missing, value, stands))
        changed = pc.or_(changed, missing)
    return slices, changed


def _says_nothing(column: WriteColumn, raw: pa.Array) -> pa.BooleanArray:
    """Tell where a column reads as nothing, however that is spelled."""
    assert column.filling.pipe is not None
    arrays: tuple[pa.Array, ...] = (raw,)
    for step in column.filling.pipe.steps:
        arrays = step.read(arrays).arrays
    return pc.is_null(arrays[column.filling.output if len(arrays) > 1 else 0])


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _day(text: str, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(text) if pa.types.is_string(kind) else pa.scalar(datetime.strptime(text, "%Y%m%d").date(), kind)


def _differs(value: pa.Array, standing: pa.Array, canonical: Canonical | None) -> pa.BooleanArray:
    """Tell where two spellings say different things; nothing equals nothing."""
    if canonical is not None:
        value, standing = canonical(value), canonical(standing)
    return pc.fill_null(pc.not_equal(value, standing), pc.xor(pc.is_null(value), pc.is_null(standing)))


def _list_rows(speller: Speller, table: WriteTable, arrays: list[pa.Array], parent: pa.Array) -> TableRows:
    """Spell a list; where rows may go missing, an owner whose list is empty says so by a row of its scope alone."""
    rows = _rows(table, arrays, pc.cast(parent, pa.int32()))
    if rows.missing != "delete":
        return rows
    everyone = pa.array(np.arange(speller.records.root.num_rows, dtype=np.int32))
    without = everyone.filter(pc.invert(pc.is_in(everyone, rows.rows.column("position"))))
    if not len(without):
        return rows
    said = [
        pc.take(fit(speller.root_column(column.filling.name), column.type), without)
        if column.filling.kind == "parent"
        else pa.nulls(len(without), column.type)
        for column in table.columns
    ]
    nobody = pa.RecordBatch.from_arrays([*said, without], schema=rows.rows.schema)
    whole = pa.Table.from_batches([rows.rows, nobody]).combine_chunks().to_batches()[0]
    return replace(rows, rows=whole)


@dataclass(slots=True)
class Speller:
    """Fills target columns for one package; a pipe that fills several columns runs once."""

    plan: WritePlan
    records: Records
    identity: Identity
    key: pa.Array | None
    remarks: Remarks
    outputs: dict[tuple[str, ...], tuple[pa.Array, ...]] = field(default_factory=dict)

    def columns(self, table: WriteTable, entries: ListRecords | None) -> list[pa.Array]:
        """Return the arrays of a table's columns, in the order of the plan."""
        return [fit(self.array(column, table, entries), column.type) for column in table.columns]

    def array(self, column: WriteColumn, table: WriteTable, entries: ListRecords | None) -> pa.Array:
        """Return the content of one column."""
        filling = column.filling
        size = entries.rows.num_rows if entries else self.records.root.num_rows
        if filling.kind == "parent":
            assert entries is not None
            return pc.take(self.root_column(filling.name), entries.parent)
        if filling.kind == "constant":
            return pa.repeat(pa.scalar(filling.value), size)
        if filling.kind in ("made", "number"):
            return self.made(filling)
        return self.piped(filling, table.list, entries)[filling.output]

    def made(self, filling: Filling) -> pa.Array:
        """Return derived guids or reserved numbers."""
        if filling.kind == "number":
            return self.identity.numbers[filling.value]
        derived = tagged(self.identity.ids, filling.value)
        standing = self.identity.standing.get(filling.name)
        return derived if standing is None else pc.coalesce(standing, derived)

    def piped(self, filling: Filling, list_: str, entries: ListRecords | None) -> tuple[pa.Array, ...]:
        """Send model values through the inverses of a pipe, once per pipe."""
        assert filling.pipe is not None
        token = (list_, filling.kind, filling.name, *filling.pipe.columns)
        if token not in self.outputs:
            self.outputs[token] = self._inverse(filling, list_, entries)
        return self.outputs[token]

    def _inverse(self, filling: Filling, list_: str, entries: ListRecords | None) -> tuple[pa.Array, ...]:
        assert filling.pipe is not None
        arrays = self._values(filling, entries)
        for step in reversed(filling.pipe.steps):
            assert step.write is not None
            converted = step.write(arrays)
            if converted.fault is not None:
                fault = converted.fault
                if entries is not None:
                    hit = entries.parent.filter(pc.fill_null(fault, False))
                    fault = pc.is_in(pa.array(np.arange(self.remarks.size, dtype=np.int32)), hit)
                self.remarks.add(
                    fault,
                    filling.name or "key",
                    step.name,
                    f"does not fit {filling.pipe.columns[0]}: expected {step.expects_model or step.expects}",
                )
            arrays = converted.arrays
        return arrays

    def _values(self, filling: Filling, entries: ListRecords | None) -> tuple[pa.Array, ...]:
        assert filling.pipe is not None
        if filling.kind == "key":
            assert self.key is not None
            return (self.key,)
        if filling.kind == "deleted":
            marker = self.records.deleted
            return (marker if marker is not None else pa.repeat(pa.scalar(False), self.records.root.num_rows),)
        rows = entries.rows if entries else self.records.root
        if filling.kind == "period":
            return rows.column("from"), rows.column("until")
        if filling.name not in rows.schema.names:  # another variant of the object has this field
            return (pa.nulls(rows.num_rows, filling.pipe.type),)
        return (rows.column(filling.name),)

    def model(self, name: str) -> pa.Array:
        """Return a field of the model, null where the records do not have it."""
        root = self.records.root
        return root.column(name) if name in root.schema.names else pa.nulls(root.num_rows)

    def root_column(self, name: str) -> pa.Array:
        """Return the content of a column of the object's own tables, by the head of its tied class."""
        for table in self.plan.tables:
            for column in table.columns:
                if not table.list and _same_column(column, name):
                    return fit(self.array(column, table, None), column.type)
        raise KeyError(name)


def _same_column(column: WriteColumn, name: str) -> bool:
    return str(column.column).casefold() == name.casefold()


def _key_from_fields(key: BoundPipe, speller: Speller) -> pa.Array:
    arrays = tuple(speller.root_column(name) for name in key.columns)
    for step in key.steps:
        arrays = step.read(arrays).arrays
    return arrays[0]


def _rows(table: WriteTable, arrays: list[pa.Array], positions: pa.Array) -> TableRows:
    names = [column.column.column for column in table.columns]
    batch = pa.RecordBatch.from_arrays([*arrays, positions], names=[*names, "position"])
    if table.optional:
        batch = batch.filter(_present(table, batch))
    return TableRows(
        table=table.table,
        rows=batch,
        key=_named(table, "key"),
        written=_named(table, "written"),
        initial=_named(table, "initial"),
        canonical={c.column.column: c.canonical for c in table.columns if c.canonical is not None},
        scope=_scope(table, names),
        missing="delete" if table.missing == "delete" else "keep",
        shared=table.shared,
    )


def _scope(table: WriteTable, names: list[str]) -> tuple[str, ...]:
    wanted = {column.casefold() for column in table.scope}
    return tuple(name for name in names if name.casefold() in wanted)


def _named(table: WriteTable, role: str) -> tuple[str, ...]:
    return tuple(column.column.column for column in table.columns if column.role == role)


def _present(table: WriteTable, batch: pa.RecordBatch) -> pa.Array:
    """An optional table gets a row only where its key has something to say: what is not constant is not initial."""
    masks = []
    for column in table.columns:
        if column.role != "key" or column.filling.kind == "constant":
            continue
        array = batch.column(column.column.column)
        blank = pa.scalar("", pa.string()) if pa.types.is_string(array.type) else None
        mask = pc.is_valid(array) if blank is None else pc.not_equal(pc.utf8_trim(array, "0 "), blank)
        masks.append(pc.fill_null(mask, False))
    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_(result, mask)
    return result


def fit(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Cast an array to a target column's type where it differs."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if array.type.equals(type_) else pc.cast(array, type_)


def hex_of(ids: pa.Array) -> pa.Array:
    """Spell 16-byte ids as 32 upper-case hex digits."""
    raw = np.frombuffer(ids.buffers()[1], dtype=np.uint8)[ids.offset * 16 : (ids.offset + len(ids)) * 16]
    digits = np.frombuffer(b"0123456789ABCDEF", dtype=np.uint8)
    text = np.empty(len(raw) * 2, dtype=np.uint8)
    text[0::2], text[1::2] = digits[raw >> 4], digits[raw & 15]
    offsets = np.arange(0, len(text) + 1, 32, dtype=np.int32) if len(text) else np.zeros(1, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(text))


def tagged(ids: pa.Array, tag: str) -> pa.Array:
    """Derive a second id from each: the same thing always gets the same one, another tag gives another."""
    if not tag:
        return ids.cast(pa.binary())
    raw = np.frombuffer(ids.buffers()[1], dtype=np.uint8)[ids.offset * 16 : (ids.offset + len(ids)) * 16]
    mask = np.frombuffer(hashlib.blake2b(tag.encode(), digest_size=16).digest(), dtype=np.uint8)
    mixed = (raw.reshape(-1, 16) ^ mask).tobytes()
    return pa.Array.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(mixed)]).cast(pa.binary())


Spell = Callable[[WritePlan, Records, Identity], Written]
