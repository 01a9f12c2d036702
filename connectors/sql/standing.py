"""Hold a change to what was read: rows that stand differently now take their position out of every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.client import Settings
from connectors.sql.describe import Catalogue
from connectors.sql.merge import looked_up, matched, unwanted
from connectors.sql.outcome import Refusals
from connectors.sql.precheck import fit
from connectors.sql.stage import Stage, encodable, fetch, quoted, target
from connectors.sql.statement import literal
from connectors.sql.wanted import POSITION, Mask, Positions, Wanted, as_mask, numbered, problem_rows, resolve_rows
from isthmus.connector import PROBLEMS, Change, Standing, Status, TableRows

CHANGED = "changed meanwhile"
DIFFERENT = "the row stands differently than when it was read"
GONE = "the row that was read is gone"
APPEARED = "a row stands where none was read"
LOCKED = "another session holds the row; the same change may go through later"
TEXTS = ("varchar", "text", "bpchar")


@dataclass(frozen=True, slots=True)
class Condition:
    """Rows of one table and what must hold of them.

    `stands`: each is there as it is.  `absent`: none of these keys is there.  `alone`: the lists they are of hold
    no other row.
    """

    rows: Wanted
    kind: Literal["stands", "absent", "alone"]


def conditions_of(
    change: Change, tables: Sequence[Wanted], catalogue: Catalogue, refusals: Refusals
) -> list[Condition]:
    """Resolve what a change says was read, by table name, so that two writers lock in one order.

    A value that does not even fit its column cannot stand there: its position is taken out at once.
    Raises ConfigError for a table or column that is not there.
    """
    found: list[Condition] = []
    for standing in sorted(change.standing, key=lambda standing: standing.table.casefold()):
        stood = _typed(_resolved(standing, standing.rows, catalogue), refusals)
        own = [wanted for wanted in tables if wanted.shape.table.name == stood.shape.table.name]
        found.append(Condition(stood, "stands"))
        if standing.absent_keys is not None:
            keys = standing.absent_keys.select([*dict.fromkeys((*standing.key, "position"))])
            found.append(Condition(_typed(_resolved(standing, keys, catalogue), refusals), "absent"))
        covered = _covered(change.size, standing)
        unkeyed = covered & ~_marked(change.size, standing.rows) & ~_marked(change.size, standing.absent_keys)
        found += [Condition(_keys(wanted, unkeyed), "absent") for wanted in own if not wanted.scope]
        found += [Condition(_listed(wanted, stood, covered), "alone") for wanted in own if wanted.scope]
    return [
        replace(condition, rows=numbered(condition.rows.without(refusals.mask)))
        for condition in found
        if condition.rows.data.num_rows
    ]


def _resolved(standing: Standing, rows: pa.RecordBatch, catalogue: Catalogue) -> Wanted:
    written = tuple(name for name in rows.schema.names if name != "position")
    return resolve_rows(TableRows(standing.table, rows, standing.key, written), catalogue.shape(standing.table))


def _typed(wanted: Wanted, refusals: Refusals) -> Wanted:
    """Bring the rows to the types of their columns; a row without a key says nothing and falls out."""
    columns, unfit = [wanted.data[POSITION]], np.zeros(wanted.data.num_rows, np.bool_)
    for name in wanted.columns:
        array, bad = fit(wanted.data[name].combine_chunks(), wanted.shape.column(name).type)
        columns.append(array)
        unfit |= bad
    add_new(refusals, problem_rows(wanted.positions[unfit], wanted.name, "", CHANGED, DIFFERENT), Status.CONFLICT)
    data = pa.table(columns, names=[POSITION, *wanted.columns])
    keyed = ~unfit & np.logical_and.reduce([as_mask(data[name].is_valid()) for name in wanted.key])
    return replace(wanted, data=data.filter(pa.array(keyed)))


def _marked(size: int, rows: pa.RecordBatch | None) -> Mask:
    mask = np.zeros(size, np.bool_)
    if rows is not None:
        mask[rows.column("position").to_numpy(zero_copy_only=False)] = True
    return mask


def _covered(size: int, standing: Standing) -> Mask:
    """Return the positions of which it is known what stood in this table."""
    mask = _marked(size, standing.rows) | _marked(size, standing.absent_keys)
    if standing.absent is not None:
        mask[standing.absent.to_numpy(zero_copy_only=False)] = True
    return mask


def _keys(wanted: Wanted, positions: Mask) -> Wanted:
    """Return the keys that these positions would bring: where nothing was read, none of them may stand there."""
    rows = wanted.only(positions[wanted.positions]).data.select([POSITION, *wanted.key]).drop_null()
    return replace(wanted, data=rows, columns=wanted.key, written=())


def _listed(wanted: Wanted, stood: Wanted, positions: Mask) -> Wanted:
    """Return the keys of the list that were read, and each owner once: a list may have been empty."""
    scope = list(wanted.scope)
    owners = wanted.only(positions[wanted.positions]).data.select([*scope, POSITION])
    owners = owners.group_by([*scope, POSITION], use_threads=False).aggregate([])
    own = [name for name in wanted.key if name not in scope]
    known = stood.data.select([POSITION, *wanted.key]).join(
        owners.select(scope).group_by(scope, use_threads=False).aggregate([]), scope, join_type="left semi"
    )
    blank = [pa.nulls(owners.num_rows, wanted.shape.column(name).type) for name in own]
    names = [POSITION, *scope, *own]
    rows = pa.table([owners[POSITION], *(owners[name] for name in scope), *blank], names=names)
    data = pa.concat_tables([known.select(names), rows])
    return replace(wanted, data=data, columns=(*scope, *own), written=(), spec=replace(wanted.spec, shared=False))


def add_new(refusals: Refusals, problems: pa.Table, status: Status) -> None:
    """Take positions out that are not out already."""
    fresh = ~refusals.mask[problems["position"].to_numpy()]
    if fresh.any():
        refusals.add([problems.filter(pa.array(fresh))], status)


def changed_rows(positions: pa.Array, table: str, columns: pa.Array) -> pa.Table:
    """Make rows of `PROBLEMS` for rows that differ (in these columns) or are gone (column is empty)."""
    messages = pc.if_else(pc.equal(columns, ""), GONE, DIFFERENT)
    said = [pa.repeat(pa.scalar(text, pa.string()), len(positions)) for text in (table, CHANGED)]
    return pa.Table.from_arrays([positions, said[0], columns, said[1], messages], schema=PROBLEMS)


def appeared_rows(positions: Positions, table: str) -> pa.Table:
    """Make rows of `PROBLEMS` for rows that stand where none did."""
    return problem_rows(np.unique(positions).astype(np.int32), table, "", CHANGED, APPEARED)


def locked_rows(positions: Positions, table: str) -> pa.Table:
    """Make rows of `PROBLEMS` for rows that another session holds."""
    return problem_rows(np.unique(positions).astype(np.int32), table, "", "locked", LOCKED)


class Held:
    """The conditions of one change in PostgreSQL: staged, locked, and compared as often as it takes."""

    def __init__(
        self, session: Any, stages: Sequence[Stage], conditions: Sequence[Condition], settings: Settings
    ) -> None:
        self._session, self._settings = session, settings
        self._parts = list(zip(stages, conditions, strict=True))

    def hold(self, refusals: Refusals, *, lock: bool) -> None:
        """Lock what was read, then take out every position of which something stands differently."""
        if lock:
            self.patience(self._settings.lock_seconds)
        for stage, condition in self._parts:
            stage.load(self._session)
            if lock and condition.kind == "stands":
                self._lock(stage, refusals)
        self.judge(refusals)

    def patience(self, seconds: float) -> None:
        """Wait no longer than this for a lock, until the transaction ends."""
        self._session.execute(f"SET LOCAL lock_timeout = {max(1, int(seconds * 1000))}")

    def judge(self, refusals: Refusals) -> None:
        """Compare what stands there with what was read; a statement of its own sees what the lock waited for."""
        for stage, condition in self._parts:
            for problems in self._broken(stage, condition):
                add_new(refusals, problems, Status.CONFLICT)

    def _lock(self, stage: Stage, refusals: Refusals) -> None:
        import psycopg

        try:
            with self._session.transaction():
                self._session.execute(f"SELECT count(*) FROM ({self._locking(stage)}) q")
        except psycopg.errors.LockNotAvailable:
            # Somebody keeps some of the rows: take all others, and leave the positions of these for later.
            taken = self._numbers(self._locking(stage, " SKIP LOCKED"))
            there = self._numbers(
                f"SELECT s.n FROM {stage.rows} s JOIN {looked_up(stage, self._settings, stage.wanted.key)}"
            )
            kept = stage.wanted.positions[np.setdiff1d(there, taken)]
            add_new(refusals, locked_rows(kept, stage.wanted.name), Status.RETRYABLE)

    def _locking(self, stage: Stage, skip: str = "") -> str:
        """Return the query that locks the rows in key order; NO KEY lets others add children that refer to them.

        Without an index the table is joined once, or each row would look through all of it.
        """
        tie, table = matched(stage, self._settings, stage.wanted.key), target(stage.wanted.shape)
        lock = f"FOR NO KEY UPDATE OF t{skip}"
        if stage.wanted.shape.indexed(stage.wanted.key):
            ordered = f"(SELECT * FROM {stage.rows} ORDER BY n) s"
            return f"SELECT s.n FROM {ordered}, LATERAL (SELECT 1 FROM {table} t WHERE {tie} {lock}) l"
        return f"SELECT s.n FROM {stage.rows} s JOIN {table} t ON {tie} ORDER BY s.n {lock}"

    def _numbers(self, query: str) -> Positions:
        return np.asarray(fetch(self._session, query, {"n": pa.int32()})["n"].to_numpy(), np.int32)

    def _broken(self, stage: Stage, condition: Condition) -> Iterator[pa.Table]:
        name, settings = stage.wanted.name, self._settings
        if condition.kind == "stands":
            query = _different(stage, settings)
            found = fetch(self._session, query, {"position": pa.int32(), "column": pa.string()}).combine_chunks()
            yield changed_rows(found["position"], name, pc.fill_null(found["column"], ""))
        elif condition.kind == "absent":
            join = looked_up(stage, settings, stage.wanted.key)
            query = f"SELECT s.position FROM {stage.rows} s JOIN {join}"
            yield appeared_rows(self._numbers(query), name)
        else:
            yield appeared_rows(unwanted(self._session, stage, settings)[0], name)


def _different(stage: Stage, settings: Settings) -> str:
    """Return the query for positions whose row is gone (no column) or differs (the columns that do)."""
    wanted = stage.wanted
    differs = {name: _differs(stage, name) for name in wanted.compared}
    missing = f"t.{quoted(wanted.key[0])} IS NULL"
    said = ", ".join(f"CASE WHEN {text} THEN {literal(wanted.asked[name])} END" for name, text in differs.items())
    return (
        f"SELECT s.position, CASE WHEN NOT {missing} THEN concat_ws(', ', VARIADIC ARRAY[{said}]::text[]) END "
        f"FROM {stage.rows} s LEFT JOIN {looked_up(stage, settings, wanted.key)} "
        f"WHERE {' OR '.join([missing, *differs.values()])}"
    )


def _differs(stage: Stage, name: str) -> str:
    """Return the condition that a column differs from what was read, in its own type and to the letter."""
    shape, staged, current = stage.wanted.shape, stage.at(name), f"t.{quoted(name)}"
    if shape.kind(name) in TEXTS:
        return f'{current} COLLATE "C" IS DISTINCT FROM {staged} COLLATE "C"'
    if encodable(shape, name) or shape.kind(name) == "numeric":
        return f"{current} IS DISTINCT FROM {staged}"
    return f"{current}::text IS DISTINCT FROM s.{quoted(name)}"  # read as text; some types (json) know no equality
