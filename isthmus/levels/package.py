"""The path of a package: read, map, resolve foreign keys, gate, spell, write, confirm.

Three short transactions: the ledger claims (before this module), the target takes rows and receipt, the ledger
confirms.  Killed between any two of them and run again, the same rows compare as unchanged and are confirmed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Change, Connector, Keys, Outcome, Query, Receipt, RowsVanished, Status, TableRows, Where
from isthmus.gate import Gate, Verdict, frame_of
from isthmus.ledger import EXCEPTIONS, Claimed, Confirmation, Ledger, Pairs
from isthmus.levels.route import Route
from isthmus.mapping.plan import ReadPlan, Records
from isthmus.mapping.reading import select
from isthmus.mapping.writing import Identity, Written, spell

PASSED = Verdict()


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
class Carried:
    """What became of one package."""

    counts: Mapping[str, int]
    outcome: Outcome | None = None
    verdict: Verdict = PASSED
    warnings: pa.Table | None = None
    exceptions: pa.Table | None = None


# --- read and map -------------------------------------------------------------------------------------------------


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


# --- resolve ------------------------------------------------------------------------------------------------------


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


# --- identity -----------------------------------------------------------------------------------------------------


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


def contradicted(route: Route, records: Records, identity: Identity, ledger: Ledger, fresh: bool) -> pa.Array | None:
    """Tell which records name a key of the target that is another thing's; None where nothing can be.

    IS-U's EVERH and CRM's CRMD_ISUEXTA4 each store the other's key: what one side says is evidence, and where
    the other side disagrees a person must look before anything is paired.
    """
    flow = route.flow
    by_evidence = pc.and_not(pc.is_valid(identity.known), identity.paired)
    if fresh or not pc.any(by_evidence).as_py():
        return None
    claimed = pc.if_else(by_evidence, identity.known, pa.scalar(None, pa.string()))
    owner = ledger.keys.translate(route.object, flow.target, flow.source, claimed)
    wrong = pc.and_(pc.is_valid(owner), pc.fill_null(pc.not_equal(owner, records.key), False))
    said = route.back.known_as.get(flow.source)
    if said is not None:
        there = standing(route, claimed, said.columns)
        arrays = tuple(there.column(name) for name in said.columns)
        for step in said.steps:
            arrays = step.read(arrays).arrays
        wrong = pc.or_(wrong, pc.fill_null(pc.and_(by_evidence, pc.not_equal(arrays[0], records.key)), False))
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
    from isthmus.mapping.compile import reference

    query = route.back.query
    wanted = tuple(dict.fromkeys([*query.key, *(reference(name) for name in columns)]))
    rows = gather(route.target, replace(query, columns=wanted), Keys(raw_key(route.back, keys)))
    found = canonical_key(route.back, rows)
    index = pc.index_in(keys, found)
    return pa.RecordBatch.from_arrays(
        [rows.column(name).take(index) for name in rows.schema.names], names=rows.schema.names
    )


def raw_key(plan: ReadPlan, keys: pa.Array) -> tuple[pa.Array, ...]:
    """Spell canonical keys as a system's key columns.

    A source may hold a key in an odd spelling (unpadded): where the key is one text column, the canonical text
    itself is asked for too.
    """
    if any(step.write is None for step in plan.key.steps):
        return (keys,)
    arrays: tuple[pa.Array, ...] = (keys,)
    for step in reversed(plan.key.steps):
        assert step.write is not None
        arrays = step.write(arrays).arrays
    if len(arrays) == 1 and pa.types.is_string(arrays[0].type):
        arrays = (pc.unique(pa.concat_arrays([arrays[0], keys])),)
    return arrays


def canonical_key(plan: ReadPlan, rows: pa.RecordBatch) -> pa.Array:
    """Read the canonical key of raw rows."""
    arrays = tuple(rows.column(name) for name in plan.key.columns)
    for step in plan.key.steps:
        arrays = step.read(arrays).arrays
    return arrays[0]


def target_keys(route: Route, records: Records, identity: Identity) -> pa.Array:
    """Return the key each record has, or would get, in the target."""
    blank = {counter: pa.repeat(pa.scalar("0"), len(records.key)) for counter in route.write.counters}
    return spell(route.write, records, replace(identity, numbers=blank)).key


# --- carry --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Care:
    """How carefully a package is carried: the gate, whether to write, how many rows may change."""

    gate: Gate
    fill: bool = False
    dry_run: bool = False
    allowance: int | None = None
    wait: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """A package in the model's values, and the same with the target's foreign keys; may be made ahead of writing."""

    records: Records
    resolved: Resolved


def map_package(route: Route, plan: ReadPlan, where: Where, ledger: Ledger) -> Mapped:
    """Read a package, map it to the model and resolve its foreign keys."""
    raw = read_raw(route.source, plan, where)
    records = plan.apply(raw.root, raw.lists)
    return Mapped(records, resolve(route, records, ledger))


def carry(route: Route, claimed: Claimed, mapped: Mapped, ledger: Ledger, care: Care) -> Carried:
    """Carry one mapped package to the target and the ledger; the gate may withhold it."""
    records = mapped.records
    verdict = care.gate.check(route.object, frame_of(records)) if care.gate.has_suite(route.object) else Verdict()
    if verdict.withheld:
        return Carried({"read": records.seen}, verdict=verdict)
    fresh = care.fill and claimed.epoch == 1
    trusting = route.target.capabilities().promises
    try:
        ready, identity, written, receipt, outcome = deliver(route, claimed, mapped, ledger, care, fresh, trusting)
    except RowsVanished:
        ready, identity, written, receipt, outcome = deliver(route, claimed, mapped, ledger, care, fresh, False)
    exceptions = pa.concat_tables([ready.exceptions, refused(outcome, ready.records)])
    counts = count(records, ready, outcome, exceptions)
    if not care.dry_run:
        done = confirmation(route, ready.records, identity, written, outcome, exceptions, counts, receipt)
        ledger.confirm(claimed, done)
    return Carried(counts, outcome, verdict, records.warnings, exceptions)


def deliver(
    route: Route, claimed: Claimed, mapped: Mapped, ledger: Ledger, care: Care, fresh: bool, trusting: bool
) -> tuple[Resolved, Identity, Written, Receipt, Outcome]:
    """Spell a package and write it.  `trusting` believes the key map that paired rows still stand in the target."""
    ready, identity, written = prepare(route, mapped.resolved, ledger, fresh, trusting)
    receipt = Receipt(claimed.run, claimed.id, claimed.epoch, digest(written.tables))
    change = Change(route.object, len(ready.records.key), written.tables, receipt, fresh, care.dry_run, care.allowance)
    return ready, identity, written, receipt, route.target.write(change)


def prepare(
    route: Route, resolved: Resolved, ledger: Ledger, fresh: bool, trusting: bool
) -> tuple[Resolved, Identity, Written]:
    """Spell the records for the target; those that do not fit, or may not be created, become exceptions."""
    resolved = without_deleted(route, resolved)
    identity = identify(route, resolved.records, ledger, fresh)
    wrong = contradicted(route, resolved.records, identity, ledger, fresh)
    if wrong is not None:
        said = f"names a {route.object} of {route.flow.target} that is another one's there"
        resolved, identity = without(resolved, identity, wrong, "key map disagrees", said)
    if route.write.create == "never":
        absent = unknown_there(route, resolved.records, identity)
        said = f"{route.flow.target} has no such {route.object} and its mapping says create: never"
        resolved, identity = without(resolved, identity, absent, "create never", said)
    trusted = identity.paired if trusting and not fresh else None
    identity = with_numbers(route, resolved.records, identity, ledger, trusted, fresh)
    written = spell(route.write, resolved.records, identity)
    bad = written.rejects.any()
    if bad is not None:
        refused_rows = rejected(written.rejects.table(resolved.records.key))
        resolved, identity = keep(resolved, identity, pc.invert(bad), refused_rows)
        written = spell(route.write, resolved.records, identity)
    return resolved, identity, promised(route, identity, written) if trusted is not None else written


def promised(route: Route, identity: Identity, written: Written) -> Written:
    """Tell the target which rows with a number are known to stand there: to insert them would be wrong."""
    numbered = {
        table.table for table in route.write.tables if any(column.filling.kind == "number" for column in table.columns)
    }
    there = pc.cast(pc.indices_nonzero(identity.paired), pa.int32())
    tables = tuple(replace(t, promised=there) if t.table in numbered else t for t in written.tables)
    return replace(written, tables=tables)


def without(
    resolved: Resolved, identity: Identity, mask: pa.Array, code: str, message: str
) -> tuple[Resolved, Identity]:
    """Reject the records under a mask for one reason."""
    if not pc.any(mask).as_py():
        return resolved, identity
    keys = resolved.records.key.filter(mask)
    none = pa.nulls(len(keys), pa.string())
    said = [constant(text, len(keys)) for text in ("rejected", "key", code, message)]
    table = pa.Table.from_arrays([keys, *said, none, none, none], schema=EXCEPTIONS)
    return keep(resolved, identity, pc.invert(mask), table)


def keep(resolved: Resolved, identity: Identity, mask: pa.Array, exceptions: pa.Table) -> tuple[Resolved, Identity]:
    """Go on with the records under a mask; the others are told of in `exceptions`."""
    rows = pc.cast(pc.indices_nonzero(mask), pa.int32())
    every = pa.concat_tables([resolved.exceptions, exceptions])
    return Resolved(select(resolved.records, rows), every, resolved.filtered), identity.take(rows)


def without_deleted(route: Route, resolved: Resolved) -> Resolved:
    """Leave out deleted records the target has no marker for; what it never had, it need not lose."""
    marker = resolved.records.deleted
    if marker is None or route.write.can_delete or not pc.any(marker).as_py():
        return resolved
    keep = pc.cast(pc.indices_nonzero(pc.invert(pc.fill_null(marker, False))), pa.int32())
    gone = len(marker) - len(keep)
    return Resolved(select(resolved.records, keep), resolved.exceptions, resolved.filtered + gone)


def unknown_there(route: Route, records: Records, identity: Identity) -> pa.Array:
    """Tell which records the target does not hold."""
    there = standing(route, target_keys(route, records, identity), ())
    return pc.is_null(there.column(0))


def refused(outcome: Outcome, records: Records) -> pa.Table:
    """Turn the target's refusals into exceptions."""
    problems = outcome.problems
    count = len(problems)
    nothing = pa.nulls(count, pa.string())
    where = pc.binary_join_element_wise(problems["table"], pc.coalesce(problems["column"], pa.scalar("")), ".")
    keys = records.key.take(problems["position"].combine_chunks()) if count else pa.array([], pa.string())
    columns = [
        keys,
        constant("rejected", count),
        where,
        problems["code"],
        problems["message"],
        nothing,
        nothing,
        nothing,
    ]
    return pa.Table.from_arrays(columns, schema=EXCEPTIONS)


def count(records: Records, resolved: Resolved, outcome: Outcome, exceptions: pa.Table) -> dict[str, int]:
    """Count a package so that read = inserted + updated + unchanged + rejected + parked + filtered."""
    tally = np.bincount(np.asarray(outcome.status), minlength=len(Status))
    parked_keys = exceptions.filter(pc.equal(exceptions["state"], "parked"))["key"]
    parked_rows = int(pc.count_distinct(parked_keys).as_py())
    done = {
        "inserted": int(tally[Status.INSERTED]),
        "updated": int(tally[Status.UPDATED]),
        "unchanged": int(tally[Status.UNCHANGED]),
    }
    rest = records.seen - sum(done.values()) - parked_rows - resolved.filtered
    warned = int(pc.count_distinct(records.warnings["key"]).as_py())
    return {
        "read": records.seen,
        **done,
        "rejected": rest,
        "parked": parked_rows,
        "filtered": resolved.filtered,
        "warned": warned,
    }


def confirmation(
    route: Route,
    records: Records,
    identity: Identity,
    written: Written,
    outcome: Outcome,
    exceptions: pa.Table,
    counts: Mapping[str, int],
    receipt: Receipt,
) -> Confirmation:
    """Say what the ledger shall remember of a package: new pairs of keys, exceptions, counts."""
    status = np.asarray(outcome.status)
    arrived = status <= Status.UPDATED
    new = np.flatnonzero(arrived & ~np.asarray(identity.paired))
    pairs: tuple[Pairs, ...] = ()
    if len(new):
        systems = {route.flow.source: records.key.take(new), route.flow.target: written.key.take(new)}
        systems.update({other: column.take(new) for other, column in records.known_as.items() if other not in systems})
        pairs = (Pairs(route.object, identity.ids.take(new), systems),)
    return Confirmation(
        counts=counts,
        pairs=pairs,
        exceptions=exceptions,
        resolved_keys=records.key.filter(pa.array(arrived)),
        digest=receipt.digest,
    )


def digest(tables: tuple[TableRows, ...]) -> str:
    """Return a checksum of everything a package would write."""
    total = 0
    for table in tables:
        for column in table.rows.columns:
            for buffer in column.buffers():
                if buffer is not None:
                    total = zlib.crc32(buffer, total)
    return f"{total:08x}"
