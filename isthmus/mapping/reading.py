"""Apply a read plan: raw columns in, records of the model and reasons for rejection out.  Columns, never rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.mapping.plan import (
    REMARKS,
    BoundPipe,
    ListRecords,
    ReadField,
    ReadList,
    ReadPlan,
    ReadRule,
    Records,
    Stamp,
)
from isthmus.mapping.slices import slice_faults

MASKED = "•••"


@dataclass(slots=True)
class Remarks:
    """Collects masks with their reasons for one batch; a batch without faults costs nothing."""

    size: int
    masks: list[pa.Array] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)

    def add(self, mask: pa.Array | None, name: str, code: str, message: str, value: pa.Array | None = None) -> None:
        """Note that the rows under `mask` have this fault."""
        if mask is None:
            return
        mask = pc.fill_null(mask, False)
        positions = pc.cast(pc.indices_nonzero(mask), pa.int32())
        if not len(positions):
            return
        self.masks.append(mask)
        shown = pc.cast(pc.take(value, positions), pa.string()) if value is not None else None
        self.tables.append(remark_table(positions, name, code, message, shown))

    def any(self) -> pa.Array | None:
        """Return the rows that have a fault, or None if none has."""
        if not self.masks:
            return None
        total = self.masks[0]
        for mask in self.masks[1:]:
            total = pc.or_(total, mask)
        return total

    def table(self, keys: pa.Array) -> pa.Table:
        """Return all remarks with the keys of their rows."""
        if not self.tables:
            return REMARKS.empty_table()
        whole = pa.concat_tables(self.tables)
        key = pc.take(keys, whole["position"].combine_chunks())
        return whole.set_column(1, "key", key).cast(REMARKS)


def remark_table(positions: pa.Array, name: str, code: str, message: str, value: pa.Array | None) -> pa.Table:
    """Make remarks of one kind for some positions; keys come later."""
    count = len(positions)
    empty = pa.nulls(count, pa.string())
    columns = [
        positions,
        empty,
        pa.repeat(pa.scalar(name), count),
        pa.repeat(pa.scalar(code), count),
        pa.repeat(pa.scalar(message), count),
        empty if value is None else value,
    ]
    return pa.Table.from_arrays(columns, schema=REMARKS)


def run(pipe: BoundPipe, batch: pa.RecordBatch) -> tuple[tuple[pa.Array, ...], list[tuple[pa.Array, str, str]]]:
    """Send columns through a pipe; return its outputs and (mask, function, expected) of what could not pass."""
    arrays = tuple(batch.column(name) for name in pipe.columns)
    faults: list[tuple[pa.Array, str, str]] = []
    for step in pipe.steps:
        converted = step.read(arrays)
        if converted.fault is not None:
            faults.append((converted.fault, step.name, step.expects))
        arrays = converted.arrays
    return arrays, faults


def read_records(plan: ReadPlan, root: pa.RecordBatch, lists: Mapping[str, pa.RecordBatch]) -> Records:
    """Apply `plan` to the raw rows of one package."""
    remarks, warnings = Remarks(root.num_rows), Remarks(root.num_rows)
    key = _key(plan, root, remarks)
    columns = {item.name: _read_field(item, root, remarks) for item in plan.fields}
    for name, value in plan.constants.items():
        columns[name] = pa.repeat(pa.scalar(value), root.num_rows)
    for presence in plan.presences:
        tied = pc.is_valid(root.column(presence.tied[0]))
        missing = pc.and_(pc.is_null(root.column(presence.column)), tied)
        said = f"no row in {presence.table} for {presence.tied[0]} as it is spelled (tables are tied by what they hold)"
        remarks.add(missing, presence.table, "missing row", f"{said}: complete the table or correct the spelling")
    model = pa.RecordBatch.from_pydict(columns) if columns else root.select([])
    _rules(plan.rejects, model, "reject rule", remarks)
    _rules(plan.warns, model, "warn rule", warnings)
    found = {}
    for entry in plan.lists:
        if entry.name in lists:
            found[entry.name] = _read_list(entry, plan, root, lists[entry.name], remarks)
            _warn_of_slices(entry, found[entry.name], warnings)
    deleted = run(plan.deleted, root)[0][0] if plan.deleted else None
    known = {other: run(pipe, root)[0][0] for other, pipe in plan.known_as.items()}
    changed_at, changed_by = last_change(plan.stamps, root)
    records = Records(
        key=key,
        root=model,
        lists=found,
        deleted=deleted,
        known_as=known,
        rejects=remarks.table(key),
        warnings=warnings.table(key),
        positions=pa.array(np.arange(root.num_rows, dtype=np.int32)),
        seen=root.num_rows,
        apart={entry.name: entry.apart for entry in plan.lists},
        changed_at=changed_at,
        changed_by=changed_by,
    )
    return _passing(records, remarks.any())


def last_change(stamps: Sequence[Stamp], root: pa.RecordBatch) -> tuple[pa.Array | None, pa.Array | None]:
    """Return when each row was changed last, and by whom; None where the columns were not read or do not exist.

    Of several tables the one with the latest stamp counts: an address changed after its partner names its own clerk.
    """
    there = set(root.schema.names)
    known = [item for item in stamps if there.issuperset((*item.at, *item.by))]
    if not known or len(known) < len(stamps):
        return None, None
    at = by = pa.nulls(root.num_rows, pa.string())
    for item in known:
        when = pc.max_element_wise(*(_said(root.column(name)) for name in item.at))
        who = pc.coalesce(*(_said(root.column(name)) for name in item.by), pa.scalar(None, pa.string()))
        later = pc.fill_null(pc.greater_equal(when, pc.fill_null(at, "")), False)
        at, by = pc.if_else(later, when, at), pc.if_else(later, who, by)
    return at, by if any(item.by for item in known) else None


def _said(array: pa.Array) -> pa.Array:
    """Return a column as text; what is blank or zero says nothing."""
    text = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
    return pc.if_else(pc.equal(pc.utf8_ltrim(text, "0"), ""), pa.scalar(None, pa.string()), text)


def _key(plan: ReadPlan, root: pa.RecordBatch, remarks: Remarks) -> pa.Array:
    outputs, faults = run(plan.key, root)
    for mask, code, expects in faults:
        remarks.add(mask, "key", code, f"expected {expects}", root.column(plan.key.columns[0]))
    key = outputs[0]
    remarks.add(pc.is_null(key), "key", "required", "the row has no key")
    if len(key) > 1 and pc.count_distinct(key).as_py() < len(key):
        counts = pc.value_counts(key)
        twice = pc.filter(counts.field(0), pc.greater(counts.field(1), 1))
        remarks.add(
            pc.and_(pc.is_in(key, twice), pc.is_valid(key)),
            "key",
            "ambiguous",
            "the key occurs more than once: two rows of a tied table fit, or two spellings of one key",
        )
    return pc.fill_null(key, "")


def _read_field(item: ReadField, batch: pa.RecordBatch, remarks: Remarks, under: str = "") -> pa.Array:
    outputs, faults = run(item.pipe, batch)
    name = f"{under}{item.name}"
    for mask, code, expects in faults:
        remarks.add(mask, name, code, f"expected {expects}", _shown(item, batch))
    if item.required:
        mask = pc.is_null(outputs[0])
        if faults:
            for fault, _, _ in faults:
                mask = pc.and_not(mask, pc.fill_null(fault, False))
        remarks.add(mask, name, "required", f"{' + '.join(item.pipe.columns)} is empty, the model requires it")
    return outputs[0]


def _shown(item: ReadField, batch: pa.RecordBatch) -> pa.Array:
    if item.personal:
        return pa.repeat(pa.scalar(MASKED), batch.num_rows)
    raw = [_as_text(batch.column(name)) for name in item.pipe.columns]
    return raw[0] if len(raw) == 1 else pc.binary_join_element_wise(*raw, " + ", null_handling="replace")


def _as_text(array: pa.Array) -> pa.Array:
    if pa.types.is_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        return pa.repeat(pa.scalar("(bytes)"), len(array))
    return pc.cast(array, pa.string())


def _rules(rules: Sequence[ReadRule], model: pa.RecordBatch, code: str, remarks: Remarks) -> None:
    for rule in rules:
        remarks.add(rule.mask(model), " ".join(rule.fields), code, rule.because)


def _read_list(
    entry: ReadList, plan: ReadPlan, root: pa.RecordBatch, raw: pa.RecordBatch, remarks: Remarks
) -> ListRecords:
    """Read the entries of a list; a fault in an entry is a fault of its object."""
    parent = _parents(root, plan.key_columns, raw, entry.parent)
    known = pc.is_valid(parent)
    if parent.null_count:
        raw, parent = raw.filter(known), parent.filter(known)
    inner = Remarks(raw.num_rows)
    columns = {item.name: _read_field(item, raw, inner, f"{entry.name}.") for item in entry.fields}
    if entry.period is not None:
        (columns["from"], columns["until"]), faults = run(entry.period, raw)
        for mask, code, expects in faults:
            inner.add(mask, f"{entry.name}.period", code, f"expected {expects}")
        backwards = pc.fill_null(pc.less_equal(columns["until"], columns["from"]), False)
        inner.add(backwards, f"{entry.name}.period", "period", "the slice ends before it starts")
    for mask, table in zip(inner.masks, inner.tables, strict=True):
        rows = pc.take(parent, table["position"].combine_chunks())
        remarks.tables.append(table.set_column(0, "position", rows))
        remarks.masks.append(_spread(pc.filter(parent, mask), root.num_rows))
    return ListRecords(parent, pa.RecordBatch.from_pydict(columns) if columns else raw.select([]))


def _warn_of_slices(entry: ReadList, records: ListRecords, warnings: Remarks) -> None:
    if not entry.history:
        return
    overlapping, gapped = slice_faults(records.parent, records.rows, entry.apart)
    for parents, code, message in (
        (overlapping, "slices overlap", "two time slices are valid on one day"),
        (gapped, "slices gap", "no time slice is valid on some days between two"),
    ):
        if len(parents):
            warnings.add(_spread(parents, warnings.size), entry.name, code, message)


def _parents(root: pa.RecordBatch, key: Sequence[str], raw: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    if len(key) == 1:
        return pc.index_in(raw.column(columns[0]), root.column(key[0]))
    wide = [
        pc.binary_join_element_wise(*(batch.column(name) for name in names), "\x1f")
        for batch, names in ((raw, columns), (root, key))
    ]
    return pc.index_in(wide[0], wide[1])


def _spread(positions: pa.Array, size: int) -> pa.Array:
    """Return a mask of `size` rows that is true at `positions`."""
    return pc.is_in(pa.array(np.arange(size, dtype=np.int32)), pc.cast(positions, pa.int32()))


def _passing(records: Records, bad: pa.Array | None) -> Records:
    """Leave out the rows under `bad`; what is rejected is not warned of as well."""
    if bad is None:
        return records
    warned = records.warnings.filter(pc.invert(pc.take(bad, records.warnings["position"])))
    return select(replace(records, warnings=warned), pc.cast(pc.indices_nonzero(pc.invert(bad)), pa.int32()))


def select(records: Records, rows: pa.Array) -> Records:
    """Keep some records (ascending row numbers), with the list entries that belong to them."""
    lists = {}
    for name, entry in records.lists.items():
        parent = pc.index_in(entry.parent, rows)
        kept = pc.is_valid(parent)
        lists[name] = ListRecords(parent.filter(kept), entry.rows.filter(kept))
    return replace(
        records,
        key=records.key.take(rows),
        root=records.root.take(rows),
        lists=lists,
        deleted=None if records.deleted is None else records.deleted.take(rows),
        known_as={other: column.take(rows) for other, column in records.known_as.items()},
        positions=records.positions.take(rows),
        changed_at=None if records.changed_at is None else records.changed_at.take(rows),
        changed_by=None if records.changed_by is None else records.changed_by.take(rows),
    )
