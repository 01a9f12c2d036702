"""Reconcile: prove that two systems agree, and where they do not, say which field of which row.

Both sides are read once in the model's values; rows are counted and hashed into buckets without regard to
order.  Only buckets that differ are looked into: their keys are read again on both sides and compared field by
field.  What is in flight (rejected, parked, queued, held for a person) is left out; it has its own list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Keys
from isthmus.ledger import Ledger
from isthmus.levels.in_flight import without_unsettled
from isthmus.levels.replicate import chunks
from isthmus.levels.resolve import canonical_key, gather, raw_key, read_raw, resolve
from isthmus.levels.route import Route
from isthmus.mapping.compile import COPY
from isthmus.mapping.plan import Records
from isthmus.mapping.reading import MASKED, select

if TYPE_CHECKING:
    import duckdb

BUCKETS = 1024
HELD_CHUNK = 10_000
NOTHING = "\x01"  # stands for null while hashing; no SAP text holds it

DIFFERENCE = pa.schema([(n, pa.string()) for n in ("key", "target_key", "field", "source", "target")])


@dataclass(slots=True)
class Sums:
    """Counts and order-free hashes per bucket of one side."""

    rows: np.ndarray = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.uint64))

    def add(self, keys: pa.Array, table: pa.Table, counts: bool) -> None:
        """Add rows: each goes into the bucket of its key."""
        if not len(table):
            return
        buckets, hashes = hashed(keys, table)
        if counts:
            np.add.at(self.rows, buckets, 1)
        np.add.at(self.hashes, buckets, hashes)

    def differ(self, other: Sums) -> np.ndarray:
        """Return the buckets that are not the same on both sides."""
        return np.flatnonzero((self.rows != other.rows) | (self.hashes != other.hashes))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison found.  `differences` follows `DIFFERENCE`; a field `(row)` means one side lacks the row.

    A row of the target without a source key is the target's own (born there, or left behind): it is told of, and
    is no difference.
    """

    flow: str
    source_rows: int
    target_rows: int
    held: int  # source rows left out because they are rejected, parked or deleted
    buckets_differing: int
    differences: pa.Table

    @property
    def agrees(self) -> bool:
        """Tell whether the target holds what the source does."""
        return not len(self.keys)

    @property
    def keys(self) -> pa.Array:
        """Return the source keys that differ, each once."""
        return pc.unique(pc.drop_null(self.differences["key"].combine_chunks()))

    @property
    def only_there(self) -> int:
        """Return how many rows of the target the key map knows nothing of."""
        return int(self.differences["key"].null_count)


def reconcile(route: Route, ledger: Ledger) -> Reconciliation:
    """Compare source and target of a flow; reads both once, and again only what differs."""
    names = compared(route)
    ours, theirs = Sums(), Sums()
    seen, unpaired = 0, [pa.array([], pa.string())]
    for records, keys, raw_rows in source_side(route, ledger, None):
        seen += raw_rows
        unpaired.append(expected(route, records).filter(pc.is_null(keys)))
        paired = select(records, pc.cast(pc.indices_nonzero(pc.is_valid(keys)), pa.int32()))
        _sum(ours, paired, pc.drop_null(keys), route, names)
    for records in target_side(route, None):
        _sum(theirs, records, records.key, route, names)
        broken = pc.unique(records.rejects["key"].combine_chunks())  # a row is there, though it cannot be read
        theirs.add(broken, pa.table({"unreadable": broken}), counts=True)
    missing = not_held(route, ledger, pc.drop_null(pa.concat_arrays(unpaired)))
    buckets = ours.differ(theirs)
    found = [details(route, ledger, names, buckets)] if len(buckets) else [DIFFERENCE.empty_table()]
    rows = int(ours.rows.sum()) + len(missing)
    differences = without_held(route, ledger, pa.concat_tables([*found, lacking(missing)]))
    differences = without_unsettled(route, ledger, differences)
    return Reconciliation(route.name, rows, int(theirs.rows.sum()), seen - rows, len(buckets), differences)


def expected(route: Route, records: Records) -> pa.Array:
    """Return the keys of records, null where a deleted one is not expected in the target."""
    if records.deleted is None or route.write.can_delete:
        return records.key
    return pc.if_else(pc.fill_null(records.deleted, False), pa.scalar(None, pa.string()), records.key)


def not_held(route: Route, ledger: Ledger, keys: pa.Array) -> pa.Array:
    """Leave out keys that the ledger holds back for a reason of their own."""
    kept = [pa.array([], pa.string())]
    for chunk in chunks(keys, HELD_CHUNK):
        faults = ledger.exceptions.of(chunk.to_pylist())
        held = [fault.key for fault in faults if fault.flow == route.name and fault.state != "resolved"]
        kept.append(chunk.filter(pc.invert(pc.is_in(chunk, pa.array(held, pa.string())))))
    return pa.concat_arrays(kept)


def without_held(route: Route, ledger: Ledger, differences: pa.Table) -> pa.Table:
    """Leave out rows that came once and are rejected or parked now: they stand in the target as they last were."""
    gone = pc.and_(pc.equal(differences["field"], "(row)"), pc.is_null(differences["source"]))
    stale = pc.drop_null(differences.filter(gone)["key"].combine_chunks())
    held = stale.filter(pc.invert(pc.is_in(stale, not_held(route, ledger, stale))))
    return differences.filter(pc.invert(pc.is_in(differences["key"], held))) if len(held) else differences


def lacking(keys: pa.Array) -> pa.Table:
    """Tell of source rows that the target lacks."""
    none = pa.nulls(len(keys), pa.string())
    row, present = same("(row)", len(keys)), same("present", len(keys))
    return pa.Table.from_arrays([keys, none, row, present, none], schema=DIFFERENCE)


def compared(route: Route) -> tuple[str, ...]:
    """Return the fields that both sides speak of: what the source offers and the target reads back, copies too."""
    offered = {item.name for plan in route.reads for item in plan.fields} | {
        n for p in route.reads for n in p.constants
    }
    written = {
        c.filling.name for t in route.write.tables for c in t.columns if c.filling.kind == "field" and not t.list
    }
    return tuple(item.name for item in route.audit.fields if item.name.removesuffix(COPY) in offered & written)


def source_side(route: Route, ledger: Ledger, keys: pa.Array | None) -> Iterator[tuple[Records, pa.Array, int]]:
    """Yield the source's records with foreign keys of the target, their target keys, and how many rows were read."""
    flow = route.flow
    for plan in route.reads:
        if keys is not None:
            wheres: Sequence[Keys | object] = [Keys(raw_key(plan, chunk)) for chunk in chunks(keys, route.package_rows)]
        else:
            wheres = route.source.partitions(plan.query, route.package_rows)
        for where in wheres:
            raw = read_raw(route.source, plan, where)  # type: ignore[arg-type]
            records = resolve(route, plan.apply(raw.root, raw.lists), ledger).records
            known = ledger.keys.translate(route.object, flow.source, flow.target, records.key)
            yield records, known, raw.root.num_rows


def target_side(route: Route, keys: pa.Array | None) -> Iterator[Records]:
    """Yield the target's rows as records of the model."""
    plan = route.audit
    if keys is not None:
        wheres: Sequence[object] = [Keys(raw_key(plan, chunk)) for chunk in chunks(keys, route.package_rows)]
    else:
        wheres = route.target.partitions(plan.query, route.package_rows)
    for where in wheres:
        raw = read_raw(route.target, plan, where)  # type: ignore[arg-type]
        yield plan.apply(raw.root, raw.lists)


def _sum(sums: Sums, records: Records, keys: pa.Array, route: Route, names: tuple[str, ...]) -> None:
    known = pc.fill_null(keys, "")
    sums.add(known, as_text(records.root, names), counts=True)
    for name, entry in records.lists.items():
        shown = list_fields(route, name, entry.rows)
        owners = known.take(entry.parent)
        sums.add(
            owners, as_text(entry.rows, shown).append_column("list", pa.repeat(pa.scalar(name), len(owners))), False
        )


def list_fields(route: Route, name: str, rows: pa.RecordBatch) -> tuple[str, ...]:
    """Return the fields of a list that both sides speak of."""
    offered = [set(_list_names(plan.lists, name)) for plan in route.reads]
    both = set.union(*offered) & set(_list_names(route.back.lists, name)) if offered else set()
    return tuple(sorted(both & set(rows.schema.names)))


def _list_names(lists: Sequence[object], name: str) -> list[str]:
    return [
        item
        for entry in lists
        if entry.name == name  # type: ignore[attr-defined]
        for item in [*(f.name for f in entry.fields), *(("from", "until") if entry.period else ())]  # type: ignore[attr-defined]
    ]


def as_text(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Table:
    """Lay out fields as text, null as a sign of its own, so that both sides' types compare."""
    return pa.table({name: _text(batch, name) for name in names})


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:  # what a copy repeats, or a field of another variant
        name = name.removesuffix(COPY)
    if name not in batch.schema.names:
        return same(NOTHING, batch.num_rows)
    return pc.fill_null(pc.cast(batch.column(name), pa.string()), NOTHING)


def hashed(keys: pa.Array, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the bucket of every key and a 64-bit hash of every row (key and fields)."""
    rows = table.append_column("the key", keys)
    columns = ", ".join(f'"{name}"' for name in rows.schema.names)
    connection = _set_work()
    connection.register("rows", rows)
    found = connection.sql(
        f'select hash("the key") % {BUCKETS} as bucket, hash({columns}) as hash from rows'
    ).fetchnumpy()
    connection.close()
    return np.asarray(found["bucket"]).astype(np.int64), np.asarray(found["hash"]).astype(np.uint64)


# --- what differs -------------------------------------------------------------------------------------------------


def details(route: Route, ledger: Ledger, names: tuple[str, ...], buckets: np.ndarray) -> pa.Table:
    """Read the keys of the differing buckets again on both sides and compare field by field."""
    found = [DIFFERENCE.empty_table()]
    seen: list[pa.Array] = []
    for pairs in ledger.keys.pairs(route.object, route.flow.source, route.flow.target):
        chosen = pairs.filter(in_buckets(pairs.column("target"), buckets))
        if len(chosen.column("target")):
            seen.append(chosen.column("target"))
            found.append(compare(route, ledger, names, chosen.column("source"), chosen.column("target")))
    found.append(unknown_to_ledger(route, names, buckets, seen))
    return pa.concat_tables(found)


def in_buckets(keys: pa.Array, buckets: np.ndarray) -> pa.Array:
    """Tell which keys fall into these buckets."""
    own, _ = hashed(keys, pa.table({"k": keys}))
    return pa.array(np.isin(own, buckets))


def compare(route: Route, ledger: Ledger, names: tuple[str, ...], source: pa.Array, target: pa.Array) -> pa.Table:
    """Compare some pairs of rows field by field."""
    ours = pa.concat_tables(
        [flat(route, records, keys, names) for records, keys, _ in source_side(route, ledger, source)]
    )
    theirs = pa.concat_tables([flat(route, records, records.key, names) for records in target_side(route, target)])
    names_of = pa.table({"key": source, "target_key": target})
    personal = {item.name for plan in (*route.reads, route.audit) for item in plan.fields if item.personal}
    connection = _set_work()
    for name, table in (("ours", ours), ("theirs", theirs), ("names_of", names_of)):
        connection.register(name, table)
    result = connection.sql(
        """
        select n.key, n.target_key, coalesce(o.field, t.field) as field, o.value as source, t.value as target
        from ours o full join theirs t on o.target_key = t.target_key and o.field = t.field
        join names_of n on n.target_key = coalesce(o.target_key, t.target_key)
        where o.value is distinct from t.value
        order by all
        """
    ).to_arrow_table()
    connection.close()
    return mask(result.cast(DIFFERENCE), personal)


def flat(route: Route, records: Records, keys: pa.Array, names: tuple[str, ...]) -> pa.Table:
    """Turn records into (target key, field, value) rows; a list is one value, its entries sorted."""
    parts = [
        pa.table(
            {
                "target_key": keys,
                "field": pa.repeat(pa.scalar("(row)"), len(keys)),
                "value": pa.repeat(pa.scalar("present"), len(keys)),
            }
        )
    ]
    text = as_text(records.root, names)
    for name in names:
        parts.append(
            pa.table({"target_key": keys, "field": pa.repeat(pa.scalar(name), len(keys)), "value": text[name]})
        )
    for name, entry in records.lists.items():
        shown = list_fields(route, name, entry.rows)
        rows = as_text(entry.rows, shown)
        joined = pc.binary_join_element_wise(*(rows[item] for item in shown), " ") if shown else None
        if joined is not None:
            owners = keys.take(entry.parent)
            parts.append(grouped(owners, name, joined))
    return pa.concat_tables([part.cast(FLAT) for part in parts])


def same(text: str, size: int) -> pa.Array:
    """Repeat a text."""
    return pa.repeat(pa.scalar(text), size)


FLAT = pa.schema([("target_key", pa.string()), ("field", pa.string()), ("value", pa.string())])


def grouped(owners: pa.Array, name: str, values: pa.Array) -> pa.Table:
    """Bring the entries of each owner's list together in one sorted text."""
    connection = _set_work()
    connection.register("entries", pa.table({"owner": owners, "value": values}))
    result = connection.sql("select owner, string_agg(value, '; ' order by value) as value from entries group by owner")
    table = result.to_arrow_table()
    connection.close()
    label = pa.repeat(pa.scalar(name), len(table))
    return pa.table({"target_key": table["owner"], "field": label, "value": table["value"]}).cast(FLAT)


def mask(differences: pa.Table, personal: set[str]) -> pa.Table:
    """Hide personal values and spell the sign for null."""
    hidden = pc.is_in(differences["field"], pa.array(sorted(personal), pa.string()))
    for name in ("source", "target"):
        column = pc.replace_substring(differences[name], NOTHING, "(nothing)")
        shown = pc.if_else(pc.and_(hidden, pc.is_valid(column)), pa.scalar(MASKED), column)
        differences = differences.set_column(differences.schema.names.index(name), name, shown)
    return differences


def unknown_to_ledger(route: Route, names: tuple[str, ...], buckets: np.ndarray, seen: list[pa.Array]) -> pa.Table:
    """Find rows of the target that no pair of keys explains."""
    known = pa.concat_arrays(seen) if seen else pa.array([], pa.string())
    strange = []
    query = route.back.query
    for part in route.target.partitions(query, 200_000):
        keys = gather(route.target, query, part)
        found = _key_of(route, keys)
        if len(found):
            odd = pc.and_(in_buckets(found, buckets), pc.invert(pc.is_in(found, known)))
            strange.append(found.filter(odd))
    keys = pa.concat_arrays(strange) if strange else pa.array([], pa.string())
    size = len(keys)
    columns = [
        pa.nulls(size, pa.string()),
        keys,
        pa.repeat(pa.scalar("(row)"), size),
        pa.nulls(size, pa.string()),
        pa.repeat(pa.scalar("present"), size),
    ]
    return pa.Table.from_arrays(columns, schema=DIFFERENCE)


def _key_of(route: Route, rows: pa.RecordBatch) -> pa.Array:
    return canonical_key(route.back, rows)


def _set_work() -> duckdb.DuckDBPyConnection:
    """Open DuckDB, which compares sets; a load that compares nothing does not import it."""
    import duckdb

    return duckdb.connect(config={"threads": 1})
