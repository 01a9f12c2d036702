"""Who the records of a package are in the target: the keys and numbers they have there, or get."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import ColumnRef, Keys
from isthmus.ledger import Ledger
from isthmus.levels.resolve import canonical_key, gather, raw_key
from isthmus.levels.route import Route
from isthmus.mapping.compile import reach, reference
from isthmus.mapping.plan import Records, WriteTable
from isthmus.mapping.reading import select
from isthmus.mapping.writing import Identity, hex_of, spell


def identify(route: Route, records: Records, ledger: Ledger, fresh: bool) -> Identity:
    """Tell who the records are in the target: ids, keys known so far, numbers they have or get.

    `fresh` says that the target holds none of them, so nothing needs to be looked up.
    """
    flow = route.flow
    ids = ledger.keys.ids(route.object, flow.source, route.source_client, records.key)
    if fresh:
        known = pa.nulls(len(records.key), pa.string())
    else:
        known = ledger.keys.translate(route.object, flow.source, flow.target, records.key)
    paired = pc.is_valid(known)
    evidence = records.known_as.get(flow.target)
    return Identity(ids, known if evidence is None else pc.coalesce(known, evidence), paired)


def by_evidence(identity: Identity) -> pa.Array:
    """Tell which records have a key in the target only because their own system says so."""
    return pc.and_not(pc.is_valid(identity.known), identity.paired)


def contradicted(route: Route, records: Records, identity: Identity, ledger: Ledger, fresh: bool) -> pa.Array | None:
    """Tell which records name a key of the target that is another thing's; None where nothing can be.

    IS-U's EVERH and CRM's CRMD_ISUEXTA4 each store the other's key: what one side says is evidence, and where
    the other side disagrees a person must look before anything is paired.
    """
    flow = route.flow
    guessed = by_evidence(identity)
    if fresh or not pc.any(guessed).as_py():
        return None
    claimed = pc.if_else(guessed, identity.known, pa.scalar(None, pa.string()))
    owner = ledger.keys.translate(route.object, flow.target, flow.source, claimed)
    wrong = pc.and_(pc.is_valid(owner), pc.fill_null(pc.not_equal(owner, records.key), False))
    said = route.back.known_as.get(flow.source)
    if said is not None:
        there = standing(route, claimed, said.columns)
        arrays = tuple(there.column(name) for name in said.columns)
        for step in said.steps:
            arrays = step.read(arrays).arrays
        wrong = pc.or_(wrong, pc.fill_null(pc.and_(guessed, pc.not_equal(arrays[0], records.key)), False))
    return wrong if pc.any(wrong).as_py() else None


def with_numbers(
    route: Route, records: Records, identity: Identity, ledger: Ledger, trusted: pa.Array | None, fresh: bool
) -> Identity:
    """Give every record its numbers: those it has in the target stay, new ones are reserved in the ledger.

    `trusted` are the records whose rows are known to stand in the target with a number already: what they get
    here is never written, so nothing is looked up or reserved for them.  `fresh`: the target holds none at all.
    """
    if not route.write.counters:
        return identity
    size = len(records.key)
    asked = pa.array(np.arange(size)) if trusted is None else pc.indices_nonzero(pc.invert(trusted))
    known = len(asked) and not fresh
    standing = standing_numbers(route, select(records, asked), identity.take(asked)) if known else {}
    numbers = {}
    for counter in route.write.counters:
        has = standing.get(counter, pa.nulls(len(asked), pa.string()))
        missing = has.null_count
        first = ledger.counters.reserve(f"{route.flow.target}.{counter}", missing) if missing else 0
        numbers[counter] = scattered(fill_numbers(has, first), asked, size)
    return replace(identity, numbers=numbers)


def with_standing(route: Route, records: Records, identity: Identity, fresh: bool) -> Identity:
    """Find the parts of things that were not made here: an item known by evidence keeps the header it has.

    A thing whose target key derives from its id was made here, and so were its parts: nothing is looked up for it.
    """
    identity = with_slices(route, identity, fresh)
    sources = {source.alias for source in route.back.query.sources}
    columns = {made: above for made, above in route.write.stands_in.items() if reference(above).alias in sources}
    if fresh or not columns:
        return identity
    own = pc.equal(identity.known, hex_of(identity.ids)) if route.write.key_from == "made" else pa.scalar(False)
    asked = pc.indices_nonzero(pc.and_not(pc.is_valid(identity.known), pc.fill_null(own, False)))
    if not len(asked):
        return identity
    there = standing(route, identity.known.take(asked), tuple(columns.values()))
    found = {made: _spread(there.column(above), asked, len(records.key)) for made, above in columns.items()}
    return replace(identity, standing=found)


def with_slices(route: Route, identity: Identity, fresh: bool) -> Identity:
    """Read today's slices of the tables that are written by splitting, whole: what no field says is carried over."""
    tables = [table for table in route.write.tables if table.slices is not None]
    if fresh or not tables:
        return identity
    names = tuple(str(column.column) for table in tables for column in table.columns)
    there = standing(route, identity.known, names)
    found = {}
    for table in tables:
        columns = [column.column for column in table.columns]
        arrays = [there.column(str(reference)) for reference in columns]
        found[table.alias] = pa.RecordBatch.from_arrays(arrays, names=[reference.column for reference in columns])
    histories = {
        table.alias: other_slices(route, table, identity.known, found[table.alias])
        for table in tables
        if table.slices is not None and table.slices.history is not None
    }
    return replace(identity, slices=found, histories=histories)


def other_slices(route: Route, table: WriteTable, keys: pa.Array, today: pa.RecordBatch) -> pa.RecordBatch:
    """Read the slices of things besides today's, whole: columns by their own names, and `position` (int32)."""
    assert table.slices is not None
    assert table.slices.history is not None
    query, history = route.back.query, table.slices.history
    above = {term.right.alias for term in history.on if isinstance(term.right, ColumnRef)}
    sources = [source for source in reach(query, above) if source.alias != table.alias]
    columns = [column.column for column in table.columns]
    wanted = tuple(dict.fromkeys([*query.key, *columns]))
    query = replace(query, sources=(*sources, history), columns=wanted)
    rows = gather(route.target, query, Keys(raw_key(route.back, keys)))
    position = pc.index_in(canonical_key(route.back, rows), keys)
    arrays = [rows.column(str(column)) for column in columns]
    batch = pa.RecordBatch.from_arrays([*arrays, position], names=[*(c.column for c in columns), "position"])
    batch = batch.filter(pc.is_valid(position))
    same = pa.repeat(pa.scalar(True), batch.num_rows)
    for name in table.slices.key:
        stands = today.column(name).take(batch.column("position"))
        same = pc.and_(same, pc.fill_null(pc.equal(batch.column(name), stands), False))
    return batch.filter(pc.invert(same))


def _spread(guids: pa.Array, rows: pa.Array, size: int) -> pa.Array:
    """Put guids at their rows among `size`; the rest, and what is initial (zero bytes), is null."""
    blank = pc.fill_null(pc.equal(guids, pa.scalar(bytes(16), guids.type)), False)
    places = np.full(size, -1, dtype=np.int64)
    places[np.asarray(rows)] = np.arange(len(guids))
    shown = pc.if_else(blank, pa.scalar(None, guids.type), guids)
    return shown.take(pa.array(places, mask=places < 0)).cast(pa.binary())


def scattered(values: pa.Array, rows: pa.Array, size: int) -> pa.Array:
    """Put values at their rows among `size`; the rest holds a number nobody has."""
    if len(values) == size:
        return values
    places = np.full(size, -1, dtype=np.int64)
    places[np.asarray(rows)] = np.arange(len(values))
    return pc.fill_null(values.take(pa.array(places, mask=places < 0)), "0" * 10)


def fill_numbers(has: pa.Array, first: int) -> pa.Array:
    """Put consecutive 10-digit numbers from `first` where there is none."""
    gaps = np.asarray(pc.is_null(has))
    fresh = np.cumsum(gaps) - 1 + first
    text = pc.utf8_lpad(pc.cast(pa.array(fresh), pa.string()), 10, "0")
    return pc.coalesce(has, text)


def standing_numbers(route: Route, records: Records, identity: Identity) -> dict[str, pa.Array]:
    """Read the numbers that the target's rows already have, in the order of the records."""
    keys = target_keys(route, records, identity)
    columns = {
        c.filling.value: f"{c.column.alias}.{c.column.column}"
        for t in route.write.tables
        for c in t.columns
        if c.filling.kind == "number"
    }
    there = standing(route, keys, tuple(columns.values()))
    found = {}
    for counter, column in columns.items():
        array = there.column(column)
        blank = pc.equal(pc.utf8_trim(array, "0 "), "")
        found[counter] = pc.if_else(pc.fill_null(blank, True), pa.scalar(None, pa.string()), array)
    return found


def standing(route: Route, keys: pa.Array, columns: tuple[str, ...]) -> pa.RecordBatch:
    """Read columns of the target's rows by canonical key, aligned with `keys` (null where there is no row)."""
    query = route.back.query
    wanted = tuple(dict.fromkeys([*query.key, *(reference(name) for name in columns)]))
    rows = gather(route.target, replace(query, columns=wanted), Keys(raw_key(route.back, keys)))
    found = canonical_key(route.back, rows)
    index = pc.index_in(keys, found)
    return pa.RecordBatch.from_arrays(
        [rows.column(name).take(index) for name in rows.schema.names], names=rows.schema.names
    )


def target_keys(route: Route, records: Records, identity: Identity) -> pa.Array:
    """Return the key each record has, or would get, in the target."""
    blank = {counter: pa.repeat(pa.scalar("0"), len(records.key)) for counter in route.write.counters}
    return spell(route.write, records, replace(identity, numbers=blank)).key


def unknown_there(route: Route, records: Records, identity: Identity) -> pa.Array:
    """Tell which records the target does not hold."""
    there = standing(route, target_keys(route, records, identity), ())
    return pc.is_null(there.column(0))
