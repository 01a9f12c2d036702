"""A package read and mapped: raw rows become records whose foreign keys are the target's; what must wait is parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector, Query, Where
from isthmus.ledger import EXCEPTIONS, Ledger
from isthmus.levels.failpoint import passing
from isthmus.levels.route import Route
from isthmus.mapping.plan import BoundPipe, ReadPlan, Records
from isthmus.mapping.reading import select


@dataclass(frozen=True, slots=True)
class Raw:
    """The rows of one package as the source holds them."""

    root: pa.RecordBatch
    lists: Mapping[str, pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Records whose foreign keys are the target's, and the exceptions found on the way (`EXCEPTIONS`)."""

    records: Records
    exceptions: pa.Table
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class Mapped:
    """A package in the model's values, and the same with the target's foreign keys."""

    records: Records
    resolved: Resolved


def read_raw(connector: Connector, plan: ReadPlan, where: Where) -> Raw:
    """Read the rows of a package and of its lists."""
    root = gather(connector, plan.query, where)
    lists = {}
    if root.num_rows:
        lists = {entry.name: gather(connector, entry.query, where) for entry in plan.lists}
    return Raw(root, lists)


def gather(connector: Connector, query: Query, where: Where) -> pa.RecordBatch:
    """Read a query into one batch; without rows, an empty batch of the described types."""
    batches = [batch for batch in connector.read(query, where) if batch.num_rows]
    if not batches:
        return empty(connector, query)
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def empty(connector: Connector, query: Query) -> pa.RecordBatch:
    """Make a batch of a query's columns with no rows."""
    tables = {source.alias: connector.describe(source.table) for source in query.sources}
    fields = []
    for reference in query.columns:
        column = tables[reference.alias].column(reference.column)
        fields.append((str(reference), column.type if column else pa.string()))
    return _no_rows(pa.schema(fields))


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def read_records(route: Route, plan: ReadPlan, where: Where) -> Records:
    """Read a package and map it to the model."""
    raw = read_raw(route.source, plan, where)
    passing("after read")
    return plan.apply(raw.root, raw.lists)


def mapped(route: Route, records: Records, ledger: Ledger) -> Mapped:
    """Put a package that was read beside the same with the target's foreign keys."""
    return Mapped(records, resolve(route, records, ledger))


def resolve(route: Route, records: Records, ledger: Ledger) -> Resolved:
    """Translate foreign keys into the target's; a record whose parent is not there yet is parked by key."""
    flow = route.flow
    exceptions = [rejected(records.rejects)]
    waiting = np.zeros(records.root.num_rows, dtype=bool)
    root, lists = records.root, dict(records.lists)
    for name, parent in route.write.refs.items():
        if name not in root.schema.names:
            continue
        column = root.column(name)
        found = ledger.keys.translate(parent, flow.source, flow.target, column)
        missing = np.asarray(pc.and_(pc.is_null(found), pc.is_valid(column)))
        if missing.any():
            rows = np.flatnonzero(missing)
            exceptions.append(parked(records.key.take(rows), name, parent, column.take(rows)))
            waiting |= missing
        root = root.set_column(root.schema.names.index(name), name, found)
    for list_, refs in route.write.list_refs.items():
        entry = lists.get(list_)
        for name, parent in refs.items():
            if entry is None or name not in entry.rows.schema.names:
                continue
            column = entry.rows.column(name)
            found = ledger.keys.translate(parent, flow.source, flow.target, column)
            missing = pc.and_(pc.is_null(found), pc.is_valid(column))
            if pc.any(missing).as_py():
                owners = entry.parent.filter(missing)
                exceptions.append(parked(records.key.take(owners), f"{list_}.{name}", parent, column.filter(missing)))
                waiting[np.asarray(owners)] = True
            rows = entry.rows.set_column(entry.rows.schema.names.index(name), name, found)
            entry = replace(entry, rows=rows)
        if entry is not None:
            lists[list_] = entry
    resolved = replace(records, root=root, lists=lists)
    if waiting.any():
        resolved = select(resolved, pa.array(np.flatnonzero(~waiting).astype(np.int32)))
    return Resolved(resolved, pa.concat_tables(exceptions))


def rejected(remarks: pa.Table) -> pa.Table:
    """Turn remarks of the mapping into exceptions of the ledger."""
    count = len(remarks)
    nothing = pa.nulls(count, pa.string())
    columns = [remarks["key"], constant("rejected", count)]
    columns += [remarks[name] for name in ("field", "code", "message", "value")]
    return pa.Table.from_arrays([*columns, nothing, nothing], schema=EXCEPTIONS)


def rejected_keys(keys: pa.Array, code: str, message: str) -> pa.Table:
    """Make the exceptions of things that are rejected as a whole, for one reason."""
    none = pa.nulls(len(keys), pa.string())
    said = [constant(text, len(keys)) for text in ("rejected", "key", code, message)]
    return pa.Table.from_arrays([keys, *said, none, none, none], schema=EXCEPTIONS)


def parked(keys: pa.Array, name: str, parent: str, waits: pa.Array) -> pa.Table:
    """Make the exceptions of records that wait for a parent; no payload, only keys."""
    count = len(keys)
    message = constant(f"waits for {parent}", count)
    columns = [keys, constant("parked", count), constant(name, count), constant("missing parent", count), message]
    columns += [pa.nulls(count, pa.string()), constant(parent, count), pc.cast(waits, pa.string())]
    return pa.Table.from_arrays(columns, schema=EXCEPTIONS)


def constant(text: str, count: int) -> pa.Array:
    """Repeat a text."""
    return pa.repeat(pa.scalar(text), count)


def raw_key(plan: ReadPlan, keys: pa.Array) -> tuple[pa.Array, ...]:
    """Spell canonical keys as a system's key columns.

    A source may hold a key in an odd spelling (unpadded, or in lower case where it is read as upper case): where
    the key is one text column, those are asked for too.
    """
    if any(step.write is None for step in plan.key.steps):
        return (pc.unique(pa.concat_arrays([keys, pc.utf8_lower(keys)])),)
    arrays = undone(plan.key, keys)
    if len(arrays) == 1 and pa.types.is_string(arrays[0].type):
        arrays = (pc.unique(pa.concat_arrays([arrays[0], keys])),)
    return arrays


def undone(pipe: BoundPipe, values: pa.Array) -> tuple[pa.Array, ...]:
    """Return the columns that a pipe makes these values of; a step without an inverse leaves them as they are."""
    arrays: tuple[pa.Array, ...] = (values,)
    for step in reversed(pipe.steps):
        if step.write is not None:
            arrays = step.write(arrays).arrays
    return arrays


def canonical_key(plan: ReadPlan, rows: pa.RecordBatch) -> pa.Array:
    """Read the canonical key of raw rows."""
    arrays = tuple(rows.column(name) for name in plan.key.columns)
    for step in plan.key.steps:
        arrays = step.read(arrays).arrays
    return arrays[0]
