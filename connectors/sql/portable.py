"""Write a change into any database: read what stands there by key, compare in Arrow, send what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql import journal
from connectors.sql.client import PortableClient
from connectors.sql.describe import Catalogue
from connectors.sql.differences import ROW, SHOWN, whole_rows
from connectors.sql.merge import equal_after
from connectors.sql.outcome import (
    Again,
    Refusals,
    Refused,
    by_halves,
    counted,
    guard_mass_change,
    prepared,
    status_of,
    verbs,
)
from connectors.sql.read import BOUND_BLOCK, column_of, tuples
from connectors.sql.standing import CHANGED, add_new, appeared_rows, changed_rows, conditions_of, locked_rows
from connectors.sql.statement import Dialect, client_of, raw
from connectors.sql.wanted import NUMBER, POSITION, Mask, Positions, Wanted, as_mask, problem_rows
from isthmus.connector import DIFFERENCES, PROBLEMS, Change, Outcome, Status, statuses

REFUSING = (1364, 1644, 3819, 4025)  # MariaDB and MySQL call these operational: no default, SIGNAL, CHECK twice

TAKEN = (1062, 1586)  # MariaDB and MySQL: the key is there already
WAITED = (1205, 3572)  # they gave up waiting for a lock
LOCKING = {"mysql": " FOR UPDATE", "mariadb": " FOR UPDATE"}
CONDITIONAL = (*LOCKING, "sqlite")  # what was read can be held: by row, or (SQLite) because one writes at a time


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with one table: final rows to insert or update, and keys to delete, by position."""

    wanted: Wanted
    rows: pa.Table
    fresh: Mask
    gone: pa.Table
    owners: Positions
    differences: pa.Table

    @property
    def positions(self) -> Positions:
        """Return the positions of rows to insert or update."""
        return np.asarray(self.rows[POSITION].to_numpy(), np.int32)

    @property
    def touched(self) -> Positions:
        """Return every position that changes something, once."""
        return np.unique(np.concatenate([self.positions, self.owners]))

    def counts(self) -> dict[str, int]:
        """Return the rows inserted, updated and deleted."""
        return verbs(self.wanted.name, self.fresh, np.full(1, len(self.owners), np.int32))

    def where(self, rows: Mask, owners: Mask) -> Decision:
        """Return the decision for these rows and owners alone."""
        return replace(
            self,
            rows=self.rows.filter(pa.array(rows)),
            fresh=self.fresh[rows],
            gone=self.gone.filter(pa.array(owners)),
            owners=self.owners[owners],
        )

    def between(self, first: int, last: int) -> Decision:
        """Return the decision for a stretch of positions."""
        rows = (self.positions >= first) & (self.positions <= last)
        return self.where(rows, (self.owners >= first) & (self.owners <= last))

    def without(self, rejected: Mask) -> Decision:
        """Return the decision for the positions that are not rejected."""
        return self.where(~rejected[self.positions], ~rejected[self.owners])


class PortableWriter:
    """Writes changes through SQLAlchemy: one transaction, savepoints to find the rows a database refuses."""

    def __init__(self, client: PortableClient, catalogue: Catalogue, dialect: type[Dialect]) -> None:
        self.client, self.catalogue, self.dialect = client, catalogue, dialect

    def write(self, change: Change, *, receipts: bool) -> Outcome:
        """Apply a change; raises ConflictError when fenced, DataError when too many rows are refused."""
        import sqlalchemy as sa

        refusals = Refusals(change.size, Status.CONFLICT if change.standing else Status.REJECTED)
        tables, skip = prepared(change, self.catalogue, refusals), False
        with self.client.speaking() as connection:
            while True:
                try:
                    with connection.begin() as transaction:
                        outcome = self._once(
                            connection, change, tables, refusals, receipts and not change.dry_run, skip
                        )
                        if change.dry_run:
                            transaction.rollback()
                        return outcome
                except Again:
                    tables = [wanted.without(refusals.mask) for wanted in tables]
                except sa.exc.OperationalError as error:
                    if not change.standing or not held_elsewhere(error):
                        raise
                    if skip or connection.dialect.name not in LOCKING:
                        return locked_out(change, refusals)
                    skip = True

    def _once(
        self,
        connection: Any,
        change: Change,
        tables: list[Wanted],
        refusals: Refusals,
        receipts: bool,
        skip: bool,
    ) -> Outcome:
        receipt = change.receipt if receipts else None
        if receipt is not None:
            found = journal.portable_of(connection, receipt.run, receipt.package).get(receipt.package)
            if journal.judge(found, receipt):
                counts = found.counts if found else {}
                return Outcome(statuses(size=change.size), PROBLEMS.empty_table(), already=True, counts=counts)
        if change.standing:
            self._hold(connection, change, tables, refusals, skip)
            tables = [wanted.without(refusals.mask) for wanted in tables]
        decisions = [self._decide(connection, wanted) for wanted in tables]
        shown = pa.concat_tables([d.differences for d in decisions]).sort_by("position") if change.dry_run else None
        guard_mass_change(change, status_of(change.size, decisions, refusals))
        if not change.dry_run:
            decisions = self._apply(connection, decisions, refusals)
        status, counts = status_of(change.size, decisions, refusals), counted(decisions)
        if receipt is not None:
            journal.portable_leave(connection, receipt, counts)
        return Outcome(status, refusals.table, shown, counts=counts)

    def _hold(self, connection: Any, change: Change, tables: list[Wanted], refusals: Refusals, skip: bool) -> None:
        """Lock what was read, where the database can, and take out what stands differently now."""
        locking = "" if change.dry_run else LOCKING.get(connection.dialect.name, "")
        if locking and connection.dialect.name in ("mysql", "mariadb"):
            seconds = max(1, round(self.client.settings.lock_seconds))
            connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {seconds}")
        for condition in conditions_of(change, tables, self.catalogue, refusals):
            wanted = condition.rows
            lock = f"{locking} SKIP LOCKED" if locking and skip else locking
            if condition.kind == "alone":
                add_new(refusals, appeared_rows(self._unwanted(connection, wanted)[1], wanted.name), Status.CONFLICT)
                continue
            columns = [*dict.fromkeys((*wanted.key, *wanted.compared))]
            stands = beside(wanted, self._current(connection, wanted, wanted.key, columns, lock))
            if condition.kind == "absent":
                found = as_mask(stands["there"].is_valid())
                add_new(refusals, appeared_rows(wanted.positions[found], wanted.name), Status.CONFLICT)
                continue
            if locking and skip:
                plain = beside(replace(wanted, written=()), self._current(connection, wanted, wanted.key, wanted.key))
                kept = as_mask(stands["there"].is_null()) & as_mask(plain["there"].is_valid())
                add_new(refusals, locked_rows(wanted.positions[kept], wanted.name), Status.RETRYABLE)
            add_new(refusals, different(wanted, stands), Status.CONFLICT)

    def _apply(self, connection: Any, decisions: list[Decision], refusals: Refusals) -> list[Decision]:
        touched = np.unique(np.concatenate([np.zeros(0, np.int32), *(d.touched for d in decisions)]))
        if not len(touched):
            return decisions
        before = refusals.count
        by_halves(
            touched, lambda first, last: self._attempt(connection, decisions, first, last, refusals.late), refusals
        )
        if refusals.count > before and any(d.wanted.spec.shared for d in decisions):
            raise Again
        return [decision.without(refusals.mask) for decision in decisions]

    def _attempt(self, connection: Any, decisions: list[Decision], first: int, last: int, late: Status) -> None:
        import sqlalchemy as sa

        table = ""
        try:
            with connection.begin_nested():
                parts = [decision.between(first, last) for decision in decisions]
                for part in reversed(parts):
                    table = part.wanted.name
                    self._send(connection, part.wanted, "DELETE", part.gone)
                for part in parts:
                    table = part.wanted.name
                    self._send(connection, part.wanted, "INSERT", part.rows.filter(pa.array(part.fresh)))
                    self._send(connection, part.wanted, "UPDATE", part.rows.filter(pa.array(~part.fresh)))
        except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.OperationalError) as error:
            code = (getattr(error.orig, "args", None) or ("",))[0]
            if isinstance(error, sa.exc.OperationalError) and code not in REFUSING:
                raise
            number = f" {code}" if isinstance(code, int) else ""
            refused = f"the table refuses the row ({type(error.orig).__name__}{number})"
            first = late is Status.CONFLICT and repeated_key(error)
            code, status = (CHANGED, late) if first else ("refused", Status.REJECTED)
            raise Refused(lambda at: problem_rows(np.array([at], np.int32), table, "", code, refused), status) from None

    def _send(self, connection: Any, wanted: Wanted, verb: str, rows: pa.Table) -> None:
        """Execute one statement for many rows; the driver wants them as dictionaries."""
        import sqlalchemy as sa

        dialect, shape = self.dialect(), wanted.shape
        columns = wanted.compared if verb == "UPDATE" else wanted.columns if verb == "INSERT" else ()
        used = [*dict.fromkeys((*columns, *wanted.key))]
        if not rows.num_rows or (verb == "UPDATE" and not columns):
            return
        labels = {name: f"p{i}" for i, name in enumerate(used)}
        held = {"client": client_of(self.client.settings, shape)} if shape.client else {}
        name = dialect.name
        ties = [f"{name(column)} = :{labels[column]}" for column in wanted.key]
        ties += [f"{name(shape.client)} = :client"] if shape.client else []
        table = self._table(dialect, wanted)
        if verb == "INSERT":
            names = ", ".join([*([name(shape.client)] if shape.client else []), *(name(column) for column in used)])
            marks = ", ".join([*([":client"] if shape.client else []), *(f":{labels[column]}" for column in used)])
            text = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        elif verb == "UPDATE":
            sets = ", ".join(f"{name(column)} = :{labels[column]}" for column in columns)
            text = f"UPDATE {table} SET {sets} WHERE {' AND '.join(ties)}"
        else:
            text = f"DELETE FROM {table} WHERE {' AND '.join(ties)}"
        values = pa.table([bound(rows[column]) for column in used], names=[labels[column] for column in used])
        connection.execute(sa.text(text), [{**row, **held} for row in values.to_pylist()])

    def _table(self, dialect: Dialect, wanted: Wanted) -> str:
        schema = f"{dialect.name(wanted.shape.schema)}." if wanted.shape.schema else ""
        return f"{schema}{dialect.name(wanted.shape.table.name)}"

    def _current(
        self, connection: Any, wanted: Wanted, by: Sequence[str], columns: Sequence[str], lock: str = ""
    ) -> pa.Table:
        """Return what stands in the table for the wanted rows' values of some columns, locked if asked."""
        import sqlalchemy as sa

        described = [wanted.shape.column(name) for name in columns]
        keys = wanted.data.select(list(by)).drop_null().group_by(list(by), use_threads=False).aggregate([])
        texts = [raw(keys[name].combine_chunks()).to_pylist() for name in by]
        found: list[Any] = []
        for start in range(0, keys.num_rows, BOUND_BLOCK):
            dialect = self.dialect()
            block = zip(*(column[start : start + BOUND_BLOCK] for column in texts), strict=True)
            ties = [tuples(dialect, [dialect.name(n) for n in by], [wanted.shape.column(n) for n in by], block)]
            if wanted.shape.client:
                held = dialect.value(
                    wanted.shape.column(wanted.shape.client), client_of(self.client.settings, wanted.shape)
                )
                ties.append(f"{dialect.name(wanted.shape.client)} = {held}")
            listed = ", ".join(dialect.name(name) for name in columns)
            query = f"SELECT {listed} FROM {self._table(dialect, wanted)} WHERE {' AND '.join(ties)}{lock}"
            found += connection.execute(sa.text(query), dialect.values).fetchall()
        values = zip(*found, strict=True) if found else [() for _ in columns]
        arrays = [column_of(list(v), column, column.name) for v, column in zip(values, described, strict=True)]
        return pa.table(arrays, names=list(columns))

    def _decide(self, connection: Any, wanted: Wanted) -> Decision:
        alive = wanted.only(~wanted.empty & ~wanted.repeated)
        current = self._current(connection, alive, wanted.key, [*dict.fromkeys((*wanted.key, *wanted.compared))])
        stands = beside(alive, current)
        fresh = as_mask(pc.is_null(stands["there"]))
        rows, changed, parts = alive.data, fresh.copy(), [DIFFERENCES.empty_table()]
        parts.append(whole_rows(np.unique(alive.positions[fresh])[:SHOWN], wanted.name, None, ROW))
        for name in wanted.compared:
            differs = ~fresh & unequal(stands[f"t.{name}"], rows[name])
            if name in wanted.canonical and differs.any():
                mask = pa.array(differs)
                pair = stands[f"t.{name}"].filter(mask), rows[name].filter(mask)
                differs[differs] = ~equal_after(wanted.canonical[name], *pair)
                keep = pa.array(~fresh & ~differs)
                kept = pc.if_else(keep, stands[f"t.{name}"].combine_chunks(), rows[name].combine_chunks())
                rows = rows.set_column(rows.column_names.index(name), name, kept)
            if differs.any():
                shown = pa.array(np.flatnonzero(differs)[:SHOWN])
                parts.append(field_rows(wanted, name, rows.take(shown), stands[f"t.{name}"].take(shown)))
            changed |= differs
        gone, owners = self._unwanted(connection, wanted)
        parts.append(whole_rows(np.unique(owners)[:SHOWN], wanted.name, ROW, None))
        return Decision(wanted, rows.filter(pa.array(changed)), fresh[changed], gone, owners, pa.concat_tables(parts))

    def _unwanted(self, connection: Any, wanted: Wanted) -> tuple[pa.Table, Positions]:
        """Return the keys that stand in a wanted scope and are not wanted, and the position that owns each."""
        if not wanted.scope:
            return wanted.data.select(list(wanted.key)).slice(0, 0), np.zeros(0, np.int32)
        scope, key = list(wanted.scope), list(wanted.key)
        stands = self._current(connection, wanted, scope, [*dict.fromkeys((*key, *scope))])
        owners = (
            wanted.data.select([*scope, POSITION]).group_by(scope, use_threads=False).aggregate([(POSITION, "min")])
        )
        gone = stands.join(wanted.data.select(key), key, join_type="left anti").join(owners, scope, join_type="inner")
        return gone, np.asarray(gone[f"{POSITION}_min"].to_numpy(), np.int32)


def beside(wanted: Wanted, current: pa.Table) -> pa.Table:
    """Return what stands in the table beside each wanted row, as `t.NAME`; `there` is null where nothing does."""
    key = list(wanted.key)
    copies = [(f"t.{name}", current[name]) for name in wanted.compared]
    right = pa.table([*(current[name] for name in key), *(c for _, c in copies)], names=[*key, *(n for n, _ in copies)])
    right = right.append_column("there", pa.repeat(True, right.num_rows))
    joined = wanted.data.select([NUMBER, *key]).join(right, key, join_type="left outer").sort_by(NUMBER)
    first = np.unique(joined[NUMBER].to_numpy(), return_index=True)[1]
    return joined.take(pa.array(first))


def different(wanted: Wanted, stands: pa.Table) -> pa.Table:
    """Return rows of `PROBLEMS` for what is gone or stands differently, naming the columns that differ."""
    gone = as_mask(stands["there"].is_null())
    said = np.full(len(gone), "", object)
    for name in wanted.compared:
        differs = ~gone & unequal(stands[f"t.{name}"], wanted.data[name])
        said[differs] = [f"{text}, {wanted.asked[name]}" if text else wanted.asked[name] for text in said[differs]]
    broken = gone | (said != "")
    return changed_rows(
        pa.array(wanted.positions[broken], pa.int32()), wanted.name, pa.array(said[broken], pa.string())
    )


def held_elsewhere(error: Any) -> bool:
    """Return whether a database gave up waiting for what another session holds."""
    code = (getattr(error.orig, "args", None) or ("",))[0]
    return code in WAITED or "database is locked" in str(code)


def repeated_key(error: Any) -> bool:
    """Return whether a database refused a row because its key, or another unique one, is taken."""
    args = getattr(error.orig, "args", None) or ("",)
    return args[0] in TAKEN or "UNIQUE constraint failed" in str(args[0])


def locked_out(change: Change, refusals: Refusals) -> Outcome:
    """Make the outcome of a change that waited in vain: nothing was written, all of it may go through later."""
    add_new(refusals, locked_rows(np.arange(change.size, dtype=np.int32), change.object), Status.RETRYABLE)
    return Outcome(status_of(change.size, [], refusals), refusals.table)


def unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Mask:
    """Return which pairs differ; two nulls are equal."""
    both = pc.and_(pc.is_null(left), pc.is_null(right))
    return ~as_mask(pc.or_(pc.fill_null(pc.equal(left, right), False), both))


def field_rows(wanted: Wanted, name: str, rows: pa.Table, current: pa.ChunkedArray) -> pa.Table:
    """Return one difference for each of these rows in one column."""
    said = [pa.repeat(pa.scalar(text, pa.string()), rows.num_rows) for text in (wanted.name, wanted.asked[name])]
    texts = [raw(array.combine_chunks()) for array in (current, rows[name])]
    return pa.Table.from_arrays([rows[POSITION].combine_chunks(), *said, *texts], schema=DIFFERENCES)


def bound(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as drivers bind it: exact numbers and dates as text, the rest as it is."""
    if pa.types.is_decimal(array.type) or pa.types.is_temporal(array.type):
        return array.cast(pa.string())
    return array
