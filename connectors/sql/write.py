"""Write a change into PostgreSQL: rows, deletions and receipt in one transaction, one status per position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.sql import journal
from connectors.sql.client import PostgresClient
from connectors.sql.culprit import LATER, counting, culprit, make_counter, restart
from connectors.sql.describe import Catalogue
from connectors.sql.differences import differences
from connectors.sql.equal import Equals
from connectors.sql.merge import Plan, compare, delete_rows, load_todo, refused_by_rules, write_rows
from connectors.sql.outcome import (
    Again,
    Raced,
    Refusals,
    Refused,
    Waited,
    by_halves,
    counted,
    guard_mass_change,
    prepared,
    status_of,
)
from connectors.sql.stage import Stage, Stages, copy_in, encodable, target
from connectors.sql.standing import CHANGED, Held, conditions_of, locked_rows
from connectors.sql.statement import client_of
from connectors.sql.wanted import POSITION, Mask, Wanted, problem_rows
from isthmus.connector import PROBLEMS, Change, Outcome, RowsVanished, Status, statuses

WHOLE = 8_192  # positions; more are written in portions where triggers fire: one that raises costs its portion
PORTIONS = 4
CODES = {"23505": "unique", "23503": "foreign key", "23502": "null", "23514": "check"}


class Writer:
    """Writes changes through one client; keeps the session's temporary tables."""

    def __init__(self, client: PostgresClient, catalogue: Catalogue) -> None:
        self.client, self.catalogue = client, catalogue
        self._stages = Stages()
        self._equals = Equals(client)

    def write(self, change: Change, *, receipts: bool) -> Outcome:
        """Apply a change; raises ConflictError when fenced, DataError when too many rows are refused."""
        import psycopg

        refusals = Refusals(change.size, Status.CONFLICT if change.standing else Status.REJECTED)
        tables = prepared(change, self.catalogue, refusals)
        if not change.standing and (not change.fill or change.dry_run):
            tables = [self._equals.left_out(wanted) for wanted in tables]
        with self.client.speaking() as session:
            try:
                return self._transaction(session, change, tables, refusals, receipts)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                tables = [wanted.without(refusals.mask) for wanted in tables]
                return self._transaction(session, change, tables, refusals, receipts)

    def _transaction(
        self, session: Any, change: Change, tables: list[Wanted], refusals: Refusals, receipts: bool
    ) -> Outcome:
        conditions = conditions_of(change, tables, self.catalogue, refusals)
        if any(wanted.shape.triggers for wanted in tables):
            make_counter(session)
        if change.fill and not change.dry_run and not change.standing:
            filled = _proven(session, change, receipts, lambda: self._fill(session, change, tables, refusals))
            if filled is not None:
                return filled
        made = self._stages.ready(session, [*tables, *(condition.rows for condition in conditions)])
        stages, held = made[: len(tables)], Held(session, made[len(tables) :], conditions, self.client.settings)
        merged = _proven(session, change, receipts, lambda: self._merge(session, change, stages, held, refusals))
        assert merged is not None
        return merged

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
        for wanted in reversed(alive):
            status[wanted.positions] = Status.INSERTED if wanted is alive[0] else Status.UPDATED
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

    def _merge(self, session: Any, change: Change, stages: list[Stage], held: Held, refusals: Refusals) -> Outcome:
        """Stage, compare, write what differs; positions refused on the way cost themselves only."""
        raced = False
        if change.standing:
            held.hold(refusals, lock=not change.dry_run)
            stages = without(stages, refusals.mask)
        while True:
            try:
                with session.transaction():
                    return self._once(session, change, stages, refusals, raced)
            except (Raced, Again) as reason:
                raced = raced or isinstance(reason, Raced)
                held.judge(refusals)
                stages = without(stages, refusals.mask)

    def _once(self, session: Any, change: Change, stages: list[Stage], refusals: Refusals, raced: bool) -> Outcome:
        settings, before = self.client.settings, refusals.count
        for stage in stages:
            if stage.wanted.data.num_rows:
                stage.load(session)
                refusals.add(refused_by_rules(session, stage))
        if refusals.count > before and any(stage.wanted.scope for stage in stages):
            raise Again  # a refused owner keeps the rows of its list
        plans = [compare(session, stage, settings).without(refusals.mask) for stage in stages]
        plans = [first_of_shared(plan, refusals.mask) for plan in plans]
        refuse_vanished(plans)
        shown = differences(session, plans, settings) if change.dry_run else None
        guard_mass_change(change, status_of(change.size, plans, refusals))
        if not change.dry_run:
            plans = self._apply(session, plans, refusals, raced)
        return Outcome(status_of(change.size, plans, refusals), refusals.table, shown, counts=counted(plans))

    def _apply(self, session: Any, plans: list[Plan], refusals: Refusals, raced: bool) -> list[Plan]:
        touched = np.unique(np.concatenate([np.zeros(0, np.int32), *(plan.touched for plan in plans)]))
        if not len(touched):
            return plans
        for plan in plans:
            if len(plan.numbers):
                load_todo(session, plan)
        before = refusals.count
        whole = int(touched[0]), int(touched[-1])

        def attempt(first: int, last: int) -> None:
            within = "true" if (first, last) == whole else f"s.position BETWEEN {first} AND {last}"
            self._attempt(session, plans, (first, last), within, raced, refusals.late)

        fires = any(plan.stage.wanted.shape.triggers for plan in plans)
        by_halves(touched, attempt, refusals, PORTIONS if fires and len(touched) > WHOLE else 1)
        if refusals.count > before and any(plan.stage.wanted.spec.shared for plan in plans):
            raise Again
        return [plan.without(refusals.mask) for plan in plans]

    def _attempt(
        self, session: Any, plans: list[Plan], ends: tuple[int, int], within: str, raced: bool, late: Status
    ) -> None:
        import psycopg

        settings = self.client.settings
        names = {plan.stage.wanted.shape.table.name: plan.stage.wanted.name for plan in plans}
        inserting: Plan | None = None
        try:
            with session.transaction():
                for plan in reversed(plans):
                    delete_rows(session, plan, settings, within)
                for plan in plans:
                    counted = plan.stage.wanted.shape.triggers and ends[0] < ends[1]
                    if counted:
                        restart(session)
                        inserting = plan
                    write_rows(session, plan, settings, within, counting if counted else None)
                    inserting = None
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as error:
            if isinstance(error, psycopg.errors.UniqueViolation) and not raced:
                raise Raced from None
            refused = error
            first = isinstance(error, psycopg.errors.UniqueViolation) and late is Status.CONFLICT
            status, code = (late, CHANGED) if first else (Status.REJECTED, CODES.get(error.sqlstate or "", "refused"))
            at = None if inserting is None or error.sqlstate == LATER else culprit(session, inserting, *ends)
            raise Refused(lambda position: refusal(position, refused, names, code), status, at) from None
        except psycopg.errors.LockNotAvailable:
            if late is not Status.CONFLICT:
                raise
            session.execute("SET LOCAL lock_timeout = 100")  # having waited once, find out who it is
            name = plans[0].stage.wanted.name
            raise Waited(lambda positions: locked_rows(positions, name)) from None


def _proven(session: Any, change: Change, receipts: bool, work: Callable[[], Outcome | None]) -> Outcome | None:
    """Do the work in one transaction with its receipt, unless it was done before; work that gives None leaves none."""
    with session.transaction(force_rollback=change.dry_run):
        session.execute("SET CONSTRAINTS ALL IMMEDIATE")
        receipt = change.receipt if receipts and not change.dry_run else None
        if receipt is not None:
            found = journal.stored(session, receipt)
            if journal.judge(found, receipt):
                counts = found.counts if found else {}
                return Outcome(statuses(size=change.size), PROBLEMS.empty_table(), already=True, counts=counts)
        outcome = work()
        if receipt is not None and outcome is not None:
            journal.leave(session, receipt, outcome.counts)
        return outcome


def without(stages: list[Stage], refused: Mask) -> list[Stage]:
    """Return the stages for the positions that are not refused."""
    return [replace(stage, wanted=stage.wanted.without(refused)) for stage in stages]


def fillable(wanted: Wanted) -> bool:
    """Return whether rows may be copied straight in: a key the database enforces, types that travel in binary.

    Without a unique index a package that is written twice would not be noticed.
    """
    enforced = any(columns <= set(wanted.key) for columns in wanted.shape.unique if columns)
    return enforced and all(encodable(wanted.shape, name) for name in wanted.columns)


def refuse_vanished(plans: list[Plan]) -> None:
    """Raise RowsVanished when a row would be inserted that the caller knew to be there."""
    for plan in plans:
        promised = plan.stage.wanted.spec.promised
        if promised is not None and np.isin(plan.positions[plan.fresh], promised.to_numpy(zero_copy_only=False)).any():
            raise RowsVanished(
                f"Rows of {plan.stage.wanted.name} are gone that were there when they were written last."
            )


def first_of_shared(plan: Plan, refused: Mask) -> Plan:
    """Leave of a shared row only the first position that brings it and is not refused."""
    wanted = plan.stage.wanted
    if not wanted.spec.shared:
        return plan
    alive = wanted.without(refused)
    later = alive.data.column(0).to_numpy()[alive.repeated]
    return plan.only(~np.isin(plan.numbers, later))


def refusal(position: int, error: Any, names: Mapping[str, str], code: str) -> pa.Table:
    """Say why the target refused one position: rule and SQLSTATE, never the values."""
    said = error.diag
    rule = f"the rule {said.constraint_name}" if said.constraint_name else "a rule or trigger"
    where = (said.context or "").splitlines()
    message = f"{rule} of the table refuses the row (SQLSTATE {error.sqlstate})"
    if not said.constraint_name and where and where[0].startswith("PL/pgSQL"):
        message += f", in {where[0]}"
    table = names.get(said.table_name, said.table_name or "")
    return problem_rows(np.array([position], np.int32), table, said.column_name or "", code, message)
