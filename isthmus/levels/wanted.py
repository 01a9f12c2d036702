"""What a side shall hold: its own values except where a field travels to it, spelled for it, and what stood there.

Values that do not travel are the side's own, so their columns compare as equal and are never touched.  Every row
that stood is written under the key it is spelled with there, on condition that it still stands as it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Change, Receipt, Standing, TableRows
from isthmus.ledger import EXCEPTIONS, Ledger
from isthmus.levels.identity import with_numbers, with_standing
from isthmus.levels.meeting import Met
from isthmus.levels.package import digest, promised
from isthmus.levels.pair import OTHER, Pair, Seen, Side, aligned
from isthmus.levels.resolve import parked, rejected
from isthmus.levels.three_way import FieldMerge, nulls
from isthmus.mapping.plan import REMARKS, Records, WriteTable
from isthmus.mapping.reading import select
from isthmus.mapping.writing import Identity, Written, spell

UNKNOWN_THERE = "?"  # marks a foreign key that the common key space does not know


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written on one side: `rows` are the things (positions of the set); the rest is aligned with it."""

    side: Side
    rows: np.ndarray
    records: Records
    identity: Identity
    written: Written
    standing: tuple[Standing, ...]

    def change(self, receipt: Receipt, *, dry_run: bool, allowance: int | None) -> Change:
        """Make the change that the connector applies."""
        return Change(
            self.side.route.object,
            len(self.rows),
            self.written.tables,
            receipt,
            dry_run=dry_run,
            allowance=allowance,
            standing=self.standing,
        )

    @property
    def digest(self) -> str:
        """Return a checksum of all that would be written."""
        return digest(self.written.tables)


def wanted(
    pair: Pair,
    side: Side,
    met: Met,
    merged: Mapping[str, FieldMerge],
    create: np.ndarray,
    ledger: Ledger,
    parts: np.ndarray | None = None,
) -> tuple[Wanted | None, pa.Table]:
    """Spell what one side shall hold; None when nothing is to be written there.

    `create` tells which things get a row there, `parts` of which a part that was there is made again.  The table
    tells which things wait for a parent that the side does not know yet (`EXCEPTIONS`, key of the other side); they
    are left out.
    """
    travels = {name: item.to_source if side.name == "source" else item.to_target for name, item in merged.items()}
    mask = np.logical_or.reduce([create, *travels.values()])
    rows = np.flatnonzero(mask)
    if not len(rows):
        return None, EXCEPTIONS.empty_table()
    records, waiting, told = compose(pair, side, met, merged, travels, create, rows, ledger)
    if waiting.any():
        keep = np.flatnonzero(~waiting)
        rows, records = rows[keep], select(records, pa.array(keep))
        if not len(rows):
            return None, told
    seen = met.seen(side.name)
    identity = Identity(
        ids=met.ids.take(pa.array(rows)),
        known=met.key(side.name).take(pa.array(rows)),
        paired=pa.array(seen.there[rows]),
    )
    written, identity = spelled(side, records, identity, ledger)
    bad = written.rejects.any()
    if bad is not None:
        told = pa.concat_tables([told, rejected(written.rejects.table(records.key))])
        keep = np.flatnonzero(~np.asarray(bad))
        rows, records = rows[keep], select(records, pa.array(keep))
        if not len(rows):
            return None, told
        written, identity = spelled(side, records, identity.take(pa.array(keep)), ledger)
    moved = {name: mask[rows] for name, mask in travels.items()}
    written = replace(written, tables=as_they_stand(side, seen, written, rows, moved))
    made_again = ((met.paired & ~seen.there) | (False if parts is None else parts))[rows]
    stood = (*standing(side, seen, written, rows, made_again, identity), *histories(side, identity))
    return Wanted(side, rows, records, identity, written, stood), told


def spelled(side: Side, records: Records, identity: Identity, ledger: Ledger) -> tuple[Written, Identity]:
    """Spell records for a side, with the numbers and guids that things made there need."""
    identity = with_standing(side.route, records, identity, fresh=False)
    identity = with_numbers(side.route, records, identity, ledger, identity.paired, fresh=False)
    return promised(side.route, identity, spell(side.route.write, records, identity)), identity


def compose(
    pair: Pair,
    side: Side,
    met: Met,
    merged: Mapping[str, FieldMerge],
    travels: Mapping[str, np.ndarray],
    create: np.ndarray,
    rows: np.ndarray,
    ledger: Ledger,
) -> tuple[Records, np.ndarray, pa.Table]:
    """Put the records together, column by column, in the side's key space; tell which rows wait for a parent."""
    here, there = met.seen(side.name), met.seen(OTHER[side.name])
    other_key = met.key(OTHER[side.name]).take(pa.array(rows))
    names = dict.fromkeys([*here.records.root.schema.names, *there.records.root.schema.names])
    columns, waiting, told = {}, np.zeros(len(rows), dtype=bool), [EXCEPTIONS.empty_table()]
    for name in names:
        take = (travels.get(name, np.zeros(len(create), dtype=bool)) | create)[rows]
        own = of(here, name, rows)
        if own is None:
            own = pa.nulls(len(rows), there.records.root.column(name).type)
        if not take.any():
            columns[name] = own
            continue
        coming, parent = incoming(pair, side, met, merged, name, rows, ledger)
        if parent:
            missing = take & np.asarray(pc.fill_null(pc.starts_with(coming, UNKNOWN_THERE), False))
            if missing.any():
                waiting |= missing
                hit = pa.array(np.flatnonzero(missing))
                waits = pc.utf8_slice_codeunits(coming.take(hit), 1)
                told.append(parked(other_key.take(hit), name, parent, waits))
        columns[name] = pc.if_else(pa.array(take), coming.cast(own.type), own)
    root = pa.RecordBatch.from_pydict(columns)
    deleted = marker(merged, here, there, travels, create, rows)
    return (
        Records(
            key=pc.fill_null(other_key, ""),
            root=root,
            lists={},
            deleted=deleted,
            known_as={},
            rejects=REMARKS.empty_table(),
            warnings=REMARKS.empty_table(),
            positions=pa.array(np.arange(len(rows), dtype=np.int32)),
            seen=len(rows),
        ),
        waiting,
        pa.concat_tables(told),
    )


def incoming(
    pair: Pair,
    side: Side,
    met: Met,
    merged: Mapping[str, FieldMerge],
    name: str,
    rows: np.ndarray,
    ledger: Ledger,
) -> tuple[pa.Array, str]:
    """Return what comes for a field, in the side's key space, and the object it refers to ('' for a plain value).

    A foreign key that the side does not know comes as `?` and the key that is waited for.
    """
    there = met.seen(OTHER[side.name])
    item = merged.get(name)
    value = item.value.take(pa.array(rows)) if item else of(there, name, rows)
    if item is None:  # only the other side speaks of it
        return (pa.nulls(len(rows)) if value is None else value), ""
    parent = side.route.write.refs.get(name, "")
    if not parent:
        return value, ""
    if side.name == "source":  # the common key space is its own
        return value, parent
    found = ledger.keys.translate(parent, pair.source.system, pair.target.system, value)
    unknown = pc.and_(pc.is_null(found), pc.is_valid(value))
    return pc.if_else(unknown, pc.binary_join_element_wise(UNKNOWN_THERE, value, ""), found), parent


def of(seen: Seen, name: str, rows: np.ndarray) -> pa.Array | None:
    """Return a field of some things as a side holds it, or None where the side does not speak of it."""
    return seen.column(name).take(pa.array(rows)) if name in seen.records.root.schema.names else None


def marker(
    merged: Mapping[str, FieldMerge],
    here: Seen,
    there: Seen,
    travels: Mapping[str, np.ndarray],
    create: np.ndarray,
    rows: np.ndarray,
) -> pa.Array | None:
    """Return the delete marker a side shall hold."""
    item = merged.get("deleted")
    own = deletion(here)[rows]
    if item is None:
        return pa.array(own)
    coming = np.asarray(pc.fill_null(item.value, False))[rows]
    return pa.array(np.where(travels["deleted"][rows] | create[rows], coming, own))


def deletion(seen: Seen) -> np.ndarray:
    """Tell which things a side marks as deleted."""
    if seen.records.deleted is None:
        return np.zeros(len(seen.at), dtype=bool)
    return np.asarray(pc.fill_null(aligned(seen.records.deleted, seen.at), False))


def as_they_stand(
    side: Side, seen: Seen, written: Written, rows: np.ndarray, moved: Mapping[str, np.ndarray]
) -> tuple[TableRows, ...]:
    """Write every row that stood under the key it has there, however oddly that is spelled, unless the key travels."""
    plans = [table for table in side.route.write.tables if not table.list]
    tables = list(written.tables)
    left: list[TableRows] = []
    for number, plan in enumerate(plans):
        batch = tables[number].rows
        place = np.asarray(batch.column("position"))
        left += left_behind(side, seen, plan, tables[number], rows, moved)
        for column in plan.columns:
            name = column.column.column
            raw = raw_name(seen, plan.alias, name)
            if column.role != "key" or raw is None:
                continue
            stood = seen.raw_column(raw).take(pa.array(rows[place]))
            changed = moved.get(column.filling.name) if column.filling.kind == "field" else None
            if changed is not None:
                stood = pc.if_else(pa.array(changed[place]), pa.scalar(None, stood.type), stood)
            spelled_ = batch.column(name)
            batch = batch.set_column(
                batch.schema.names.index(name), name, pc.coalesce(stood.cast(spelled_.type), spelled_)
            )
        tables[number] = replace(tables[number], rows=batch)
    return (*tables, *left)


def left_behind(
    side: Side, seen: Seen, plan: WriteTable, table: TableRows, rows: np.ndarray, moved: Mapping[str, np.ndarray]
) -> Iterator[TableRows]:
    """Yield the rows of a part that a row under another key replaces: they stay, without what marked them as the one.

    A partner who gets another standard address keeps the former one, which is the standard no more.
    """
    source = next((item for item in side.plan.query.sources if item.alias == plan.alias), None)
    marks = [term.left.column for term in source.on if isinstance(term.right, str)] if source and plan.optional else []
    keys = {name.casefold() for name in table.key}
    marks = [name for name in marks if name.casefold() not in keys]
    fills = [c.filling.name for c in plan.columns if c.role == "key" and c.filling.kind == "field"]
    travels = [moved[name] for name in fills if name in moved]
    if not marks or not travels:
        return
    place = np.asarray(table.rows.column("position"))
    stood = {name: seen.raw_column(raw_name(seen, plan.alias, name) or f"{plan.alias}.{name}") for name in table.key}
    hit = place[np.logical_or.reduce(travels)[place]]
    hit = hit[np.logical_and.reduce([~nulls(stood[name])[rows[hit]] for name in table.key])]
    if len(hit):
        columns = {name: stood[name].take(pa.array(rows[hit])) for name in table.key}
        columns |= {name: pa.repeat(pa.scalar(""), len(hit)) for name in marks}
        columns["position"] = pa.array(hit.astype(np.int32))
        yield TableRows(table.table, pa.RecordBatch.from_pydict(columns), table.key, tuple(marks))


def standing(
    side: Side, seen: Seen, written: Written, rows: np.ndarray, made_again: np.ndarray, identity: Identity
) -> tuple[Standing, ...]:
    """Say what stood in every table that is written, column for column as it was read, and where no row stood.

    A table that only takes copies is not read, so nothing is said of it.  A thing that is made again may find parts
    that were left behind; nothing is said of these either.  Of a history only the slices that stand are spoken of.
    """
    plans = [table for table in side.route.write.tables if not table.list]
    read = {name.rpartition(".")[0] for name in seen.raw.schema.names}
    return tuple(
        _standing(side, seen, plan, table, rows, (made_again & (number > 0)) | (plan.alias in identity.histories))
        for number, (plan, table) in enumerate(zip(plans, written.tables, strict=False))
        if plan.alias in read
    )


def histories(side: Side, identity: Identity) -> Iterator[Standing]:
    """Say what stood in the other slices where something is filled in: what came there meanwhile stays."""
    for plan in side.route.write.tables:
        if plan.alias in identity.histories and plan.slices is not None:
            stood = identity.histories[plan.alias].select([*plan.slices.key, *plan.slices.filled, "position"])
            yield Standing(plan.table, plan.slices.key, stood)


def _standing(
    side: Side, seen: Seen, plan: WriteTable, table: TableRows, rows: np.ndarray, silent: np.ndarray
) -> Standing:
    own = [name for name in seen.raw.schema.names if name.rpartition(".")[0] == plan.alias]
    key = tuple(side.connector.describe(plan.table).key)
    columns = {name.rpartition(".")[2]: seen.raw_column(name).take(pa.array(rows)) for name in own}
    spelled_key = {name.casefold(): name for name in columns}
    present = np.ones(len(rows), dtype=bool)
    for name in key:
        present &= (
            np.asarray(pc.is_valid(columns[spelled_key[name.casefold()]])) if name.casefold() in spelled_key else False
        )
    positions = np.arange(len(rows), dtype=np.int32)
    stood = pa.RecordBatch.from_pydict({**columns, "position": pa.array(positions)}).filter(pa.array(present))
    absent = pa.array(positions[~present & ~silent])
    wanted_here = table.rows.filter(pc.is_in(table.rows.column("position"), absent))
    named = [name for name in wanted_here.schema.names if name.casefold() in {k.casefold() for k in key}]
    absent_keys = wanted_here.select([*named, "position"])
    return Standing(table.table, key, stood, absent, absent_keys if wanted_here.num_rows else None)


def raw_name(seen: Seen, alias: str, column: str) -> str | None:
    """Return the raw column's name as it was read, whatever its case."""
    wanted_ = f"{alias}.{column}".casefold()
    return next((name for name in seen.raw.schema.names if name.casefold() == wanted_), None)
