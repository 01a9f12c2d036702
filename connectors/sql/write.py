"""Write a change into PostgreSQL: rows, deletions and receipt in one transaction, one status per position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.sql import journal
from connectors.sql.client import PostgresClient
from connectors.sql.describe import Catalogue
from connectors.sql.differences import differences
from connectors.sql.merge import Plan, compare, delete_rows, load_todo, refused_by_rules, write_rows
from connectors.sql.precheck import check_rows
from connectors.sql.stage import Stages, copy_in, encodable, target
from connectors.sql.statement import client_of
from connectors.sql.wanted import POSITION, Mask, Positions, Wanted, numbered, problem_rows, resolve_rows
from isthmus.connector import PROBLEMS, Change, Outcome, Status, statuses
from isthmus.errors import DataError

REPEATED = "the package brings this key twice; the first row stays"


class Again(Exception):
    """Positions fell out late that others share rows with: the package is compared once more without them."""


@dataclass
class Refusals:
    """Which positions are out, and why; grows while a package is written."""

    size: int
    mask: Mask = field(init=False)
    problems: list[pa.Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask = np.zeros(self.size, np.bool_)

    def add(self, problems: Sequence[pa.Table]) -> None:
        """Take positions out, with their reasons."""
        for rows in problems:
            self.mask[rows["position"].to_numpy()] = True
            self.problems.append(rows)

    @property
    def table(self) -> pa.Table:
        """Return all reasons as `PROBLEMS` rows, by position."""
        if not self.problems:
            return PROBLEMS.empty_table()
        return pa.concat_tables(self.problems).sort_by("position").combine_chunks()

    @property
    def budget(self) -> int:
        """Return how many rows may be found bad by trying, before the block fails: 0.5 %, at least 10."""
        return max(10, self.size // 200)


def prepared(change: Change, catalogue: Catalogue, refusals: Refusals) -> list[Wanted]:
    """Resolve, check and sort the rows of every table; what the catalogue refuses is taken out."""
    tables = []
    for spec in change.tables:
        wanted, problems = check_rows(resolve_rows(spec, catalogue.shape(spec.table)))
        refusals.add(problems)
        tables.append(wanted)
    tables = [numbered(wanted.without(refusals.mask)) for wanted in tables]
    for wanted in tables:
        if not wanted.spec.shared and wanted.repeated.any():
            found = np.unique(wanted.positions[wanted.repeated])
            name, key = wanted.name, ", ".join(wanted.asked[column] for column in wanted.key)
            refusals.add([problem_rows(found, name, key, "duplicate key in the package", REPEATED)])
    return [wanted.without(refusals.mask) for wanted in tables]


def first_of_shared(plan: Plan, refused: Mask) -> Plan:
    """Leave of a shared row only the first position that brings it and is not refused."""
    wanted = plan.stage.wanted
    if not wanted.spec.shared:
        return plan
    alive = wanted.without(refused)
    later = alive.data.column(0).to_numpy()[alive.repeated]
    out = np.isin(plan.numbers, later)
    rows = ~out
    return Plan(
        plan.stage,
        plan.numbers[rows],
        plan.positions[rows],
        plan.fresh[rows],
        [w[rows] for w in plan.keep],
        plan.owners,
        plan.doomed,
    )


class Writer:
    """Writes changes through one client; keeps the session's temporary tables."""

    def __init__(self, client: PostgresClient, catalogue: Catalogue) -> None:
        self.client, self.catalogue = client, catalogue
        self._stages = Stages()

    def write(self, change: Change, *, receipts: bool) -> Outcome:
        """Apply a change; raises ConflictError when fenced, DataError when too many rows are refused."""
        import psycopg

        refusals = Refusals(change.size)
        tables = prepared(change, self.catalogue, refusals)
        with self.client.speaking() as session:
            try:
                return self._transaction(session, change, tables, refusals, receipts)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                tables = [wanted.without(refusals.mask) for wanted in tables]
                return self._transaction(session, change, tables, refusals, receipts)

    def _transaction(
        self, session: Any, change: Change, tables: list[Wanted], refusals: Refusals, receipts: bool
    ) -> Outcome:
        stages = self._stages.ready(session, tables)
        with session.transaction(force_rollback=change.dry_run):
            session.execute("SET CONSTRAINTS ALL IMMEDIATE")
            receipt = change.receipt if receipts and not change.dry_run else None
            if receipt is not None:
                found = journal.stored(session, receipt)
                if journal.judge(found, receipt):
                    counts = found.counts if found else {}
                    return Outcome(statuses(size=change.size), PROBLEMS.empty_table(), already=True, counts=counts)
            outcome = self._fill(session, change, tables, refusals) if change.fill and not change.dry_run else None
            outcome = outcome or self._merge(session, change, stages, refusals)
            if receipt is not None:
                journal.leave(session, receipt, outcome.counts)
            return outcome

    def _fill(self, session: Any, change: Change, tables: list[Wanted], refusals: Refusals) -> Outcome | None:
        """Copy straight into the tables; None when one of them cannot be filled so, or refuses a row."""
        import psycopg

        if not all(fillable(wanted) for wanted in tables):
            return None
        alive = [wanted.only(~wanted.empty & ~wanted.repeated) for wanted in tables]
        try:
            with session.transaction():
                for wanted in alive:
                    self._copy(session, wanted)
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException):
            return None
        status = np.zeros(change.size, np.uint8)
        for place, wanted in enumerate(alive):
            touched = wanted.positions
            status[touched] = Status.INSERTED if place == 0 else np.maximum(status[touched], Status.INSERTED)
        status[refusals.mask] = Status.REJECTED
        counts = {f"{w.name}.inserted": w.data.num_rows for w in alive if w.data.num_rows}
        return Outcome(pa.array(status), refusals.table, counts=counts)

    def _copy(self, session: Any, wanted: Wanted) -> None:
        names, rows = [*wanted.columns], wanted.data.select(list(wanted.columns))
        if wanted.shape.client:
            held = pa.repeat(pa.scalar(client_of(self.client.settings, wanted.shape), pa.string()), rows.num_rows)
            names, rows = [wanted.shape.client, *names], rows.add_column(0, POSITION, held)
        if rows.num_rows:
            copy_in(session, target(wanted.shape), names, rows)

    def _merge(self, session: Any, change: Change, stages: list[Any], refusals: Refusals) -> Outcome:
        """Stage, compare, write what differs; positions refused on the way cost themselves only."""
        while True:
            try:
                with session.transaction():
                    return self._once(session, change, stages, refusals)
            except Again:
                stages = [type(s)(s.rows, s.todo, s.wanted.without(refusals.mask)) for s in stages]

    def _once(self, session: Any, change: Change, stages: list[Any], refusals: Refusals) -> Outcome:
        settings = self.client.settings
        for stage in stages:
            stage.load(session)
        before = int(refusals.mask.sum())
        for stage in stages:
            refusals.add(refused_by_rules(session, stage))
        if int(refusals.mask.sum()) > before and any(stage.wanted.scope for stage in stages):
            raise Again  # a refused owner keeps the rows of its list
        plans = [compare(session, stage, settings).without(refusals.mask) for stage in stages]
        plans = [first_of_shared(plan, refusals.mask) for plan in plans]
        if not change.dry_run:
            plans = self._apply(session, plans, refusals)
        shown = differences(session, plans, settings) if change.dry_run else None
        return Outcome(status_of(change.size, plans, refusals.mask), refusals.table, shown, counts=counted(plans))

    def _apply(self, session: Any, plans: list[Plan], refusals: Refusals) -> list[Plan]:
        touched = np.unique(np.concatenate([plan.touched for plan in plans]))
        if not len(touched):
            return plans
        for plan in plans:
            if len(plan.numbers):
                load_todo(session, plan)
        before = int(refusals.mask.sum())
        names = {plan.stage.wanted.shape.table.name: plan.stage.wanted.name for plan in plans}
        by_halves(session, touched, lambda within: self._statements(session, plans, within), refusals, names)
        if int(refusals.mask.sum()) == before:
            return plans
        if any(plan.stage.wanted.spec.shared for plan in plans):
            raise Again
        return [plan.without(refusals.mask) for plan in plans]

    def _statements(self, session: Any, plans: list[Plan], within: str) -> None:
        settings = self.client.settings
        for plan in reversed(plans):
            delete_rows(session, plan, settings, within)
        for plan in plans:
            if len(plan.numbers):
                write_rows(session, plan, settings, within)


def fillable(wanted: Wanted) -> bool:
    """Return whether rows may be copied straight in: a key the database enforces, types that travel in binary.

    Without a unique index a package that is written twice would not be noticed.
    """
    enforced = any(columns <= set(wanted.key) for columns in wanted.shape.unique if columns)
    return enforced and all(encodable(wanted.shape, name) for name in wanted.columns)


def by_halves(
    session: Any, positions: Positions, apply: Callable[[str], None], refusals: Refusals, names: Mapping[str, str]
) -> None:
    """Apply to all positions, or to halves of them down to the single bad one; raises DataError over budget."""
    import psycopg

    todo, bad = [(0, len(positions))], 0
    while todo:
        low, high = todo.pop()
        first, last = int(positions[low]), int(positions[high - 1])
        try:
            with session.transaction():
                apply(f"s.position BETWEEN {first} AND {last}" if len(positions) > high - low else "true")
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as error:
            if high - low > 1:
                middle = (low + high) // 2
                todo += [(middle, high), (low, middle)]
                continue
            bad += 1
            refusals.add([refusal(first, error, names)])
            if bad > refusals.budget:
                raise DataError(
                    f"The target refused more than {refusals.budget} of {refusals.size} rows one by one, the last for: "
                    f"{refusals.problems[-1]['message'][0]}. Nothing of the package was written. "
                    f"Look at the rule the target names; rows it refuses by the hundred should be rejected before."
                ) from None


def refusal(position: int, error: Any, names: Mapping[str, str]) -> pa.Table:
    """Say why the target refused one position: rule and SQLSTATE, never the values."""
    said = error.diag
    rule = f"the rule {said.constraint_name}" if said.constraint_name else "a rule or trigger"
    where = (said.context or "").splitlines()
    message = f"{rule} of the table refuses the row (SQLSTATE {error.sqlstate})"
    if not said.constraint_name and where and where[0].startswith("PL/pgSQL"):
        message += f", in {where[0]}"
    codes = {"23505": "unique", "23503": "foreign key", "23502": "null", "23514": "check"}
    code = codes.get(error.sqlstate, "refused")
    table = names.get(said.table_name, said.table_name or "")
    return problem_rows(np.array([position], np.int32), table, said.column_name or "", code, message)


def status_of(size: int, plans: Sequence[Plan], rejected: Mask) -> pa.Array:
    """Return one status per position: the root decides whether it is new, any table whether it changed."""
    status = np.zeros(size, np.uint8)
    for plan in plans:
        status[plan.touched] = Status.UPDATED
    if plans:
        status[plans[0].positions[plans[0].fresh]] = Status.INSERTED
    status[rejected] = Status.REJECTED
    return pa.array(status)


def counted(plans: Sequence[Plan]) -> Mapping[str, int]:
    """Return the rows inserted, updated and deleted, by table and verb."""
    counts: dict[str, int] = {}
    for plan in plans:
        for name, number in plan.counts().items():
            counts[name] = counts.get(name, 0) + number
    return counts
