"""Packages: planned once, claimed by one worker at a time, fenced by an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, text, update

from isthmus.connector import KeyRange
from isthmus.errors import ConflictError
from isthmus.ledger.database import Database
from isthmus.ledger.tables import PACKAGES, RUNS
from isthmus.ledger.values import Claimed, Package, PackageState, Progress

P = PACKAGES.c
COUNTED = ("read", "inserted", "updated", "unchanged", "rejected", "parked")


class Packages:
    """Plans, hands out and counts packages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, run: str, flow: str, ranges: Sequence[KeyRange], variant: str = "") -> Sequence[Package]:
        """Record the ranges of a flow as packages; a plan that is there already stays as it is and is returned."""
        prefix = f"{flow}/{variant}/" if variant else f"{flow}/"
        rows = [
            {
                "run": run,
                "id": f"{prefix}{number:05d}",
                "flow": flow,
                "variant": variant,
                "number": number,
                "low": None if part.low is None else list(part.low),
                "high": None if part.high is None else list(part.high),
                "expected_rows": part.rows,
                "planned_at": self._database.now(),
            }
            for number, part in enumerate(ranges, start=1)
        ]
        mine = self._of(run, flow).where(P.variant == variant)
        with self._database.transaction() as connection:
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:plan, 0))")
            connection.execute(lock, {"plan": f"ledger plan {run} {prefix}"})
            if connection.execute(mine.limit(1)).one_or_none() is None and rows:
                connection.execute(insert(PACKAGES), rows)
            return [_package(row) for row in connection.execute(mine)]

    def claim(
        self,
        run: str,
        flow: str,
        worker: str,
        lease: timedelta,
        only: Sequence[str] | None = None,
        mapping_hash: str | None = None,
    ) -> Claimed | None:
        """Take the next package that is free, or whose lease ran out, or that may be tried again; None when none is.

        The epoch goes up by one, so a former holder is refused from now on. `mapping_hash` is the run's unless said.
        """
        now = self._database.now()
        free = or_(P.state.in_(("planned", "retryable")), and_(P.state == "claimed", P.lease_until < now))
        wanted = select(P.run, P.id).where(P.run == run, P.flow == flow, free).order_by(P.variant, P.number)
        if only is not None:
            wanted = wanted.where(P.id.in_(list(only)))
        with self._database.transaction() as connection:
            found = connection.execute(wanted.limit(1).with_for_update(skip_locked=True)).one_or_none()
            if found is None:
                return None
            if mapping_hash is None:
                mapping_hash = connection.scalar(select(RUNS.c.mapping_hash).where(RUNS.c.id == run)) or ""
            values = {
                "state": "claimed",
                "epoch": P.epoch + 1,
                "worker": worker,
                "claimed_at": now,
                "lease_until": now + lease,
                "mapping_hash": mapping_hash,
                "code": "",
                "message": "",
            }
            taken = update(PACKAGES).where(P.run == run, P.id == found.id).values(values).returning(PACKAGES)
            return _claimed(connection.execute(taken).one(), lease)

    def heartbeat(self, claimed: Claimed) -> None:
        """Extend the lease from now on; raises ConflictError when another worker has taken the package."""
        self._set(claimed, {"lease_until": self._database.now() + claimed.lease})

    def fail(self, claimed: Claimed, code: str, message: str, retryable: bool) -> None:
        """Give a package back with the reason; `retryable` lets it be claimed again. Raises ConflictError."""
        self._end(claimed, "retryable" if retryable else "failed", code, message)

    def withhold(self, claimed: Claimed, why: str) -> None:
        """Keep a package back because the gate said so; nothing of it was written. Raises ConflictError."""
        self._end(claimed, "withheld", "withheld by the gate", why)

    def reopen(self, run: str, flow: str) -> int:
        """Let failed and withheld packages of a flow be claimed again, after the cause is gone. Returns how many."""
        values = {"state": "retryable"}
        ended = and_(P.run == run, P.flow == flow, P.state.in_(("failed", "withheld")))
        with self._database.transaction() as connection:
            return connection.execute(update(PACKAGES).where(ended).values(values)).rowcount

    def open(self, run: str, flow: str) -> Sequence[Package]:
        """Return the packages of a flow that are not done, in order."""
        with self._database.transaction() as connection:
            return [_package(row) for row in connection.execute(self._of(run, flow).where(P.state != "done"))]

    def list(self, run: str, flow: str | None = None) -> Sequence[Package]:
        """Return every package of a run, or of one of its flows, in order."""
        every = select(PACKAGES).where(P.run == run).order_by(P.flow, P.variant, P.number)
        with self._database.transaction() as connection:
            return [_package(row) for row in connection.execute(every if flow is None else self._of(run, flow))]

    def progress(self, run: str) -> Sequence[Progress]:
        """Sum up each flow of a run, in the order it was planned."""
        columns = [func.coalesce(func.sum(P[f"rows_{name}"]), 0).label(f"rows_{name}") for name in COUNTED]
        summed = (
            select(
                P.flow,
                func.count().label("packages"),
                func.count().filter(P.state == "done").label("done"),
                func.count().filter(P.state.in_(("failed", "withheld"))).label("failed"),
                *columns,
            )
            .where(P.run == run)
            .group_by(P.flow)
            .order_by(func.min(P.planned_at), P.flow)
        )
        with self._database.transaction() as connection:
            return [Progress(**_integers(row)) for row in connection.execute(summed)]

    def covering(self, keys: Sequence[str], flows: Sequence[str], limit: int = 20) -> Sequence[Package]:
        """Return the newest packages of these flows whose range a key of one column falls into."""
        inside = or_(
            *(
                and_(
                    or_(P.low.is_(None), P.low <= [key]),
                    or_(P.high.is_(None), P.high > [key]),
                )
                for key in keys
            )
        )
        newest = select(PACKAGES).where(P.flow.in_(list(flows)), inside).order_by(P.planned_at.desc()).limit(limit)
        with self._database.transaction() as connection:
            return [_package(row) for row in connection.execute(newest)]

    def flows(self) -> Sequence[str]:
        """Return the names of all flows that ever had a package."""
        with self._database.transaction() as connection:
            return list(connection.scalars(select(P.flow).distinct().order_by(P.flow)))

    def _end(self, claimed: Claimed, state: PackageState, code: str, message: str) -> None:
        values = {"state": state, "code": code, "message": message, "lease_until": None}
        self._set(claimed, {**values, "finished_at": self._database.now()})

    def _set(self, claimed: Claimed, values: dict[str, Any]) -> None:
        with self._database.transaction() as connection:
            hold(connection, claimed)
            connection.execute(update(PACKAGES).where(P.run == claimed.run, P.id == claimed.id).values(values))

    def _of(self, run: str, flow: str) -> Select[Any]:
        return select(PACKAGES).where(P.run == run, P.flow == flow).order_by(P.variant, P.number)


def hold(connection: Connection, claimed: Claimed) -> None:
    """Lock a package for the rest of the transaction; raises ConflictError unless the claim still stands."""
    found = connection.execute(
        select(P.state, P.epoch, P.worker).where(P.run == claimed.run, P.id == claimed.id).with_for_update()
    ).one_or_none()
    if found is None:
        raise ConflictError(f"package {claimed.id} of run {claimed.run} is not in the ledger any more; plan anew")
    if (found.state, found.epoch) != ("claimed", claimed.epoch):
        raise ConflictError(
            f"package {claimed.id} of run {claimed.run}: worker {claimed.worker} held epoch {claimed.epoch}, but it is "
            f"{found.state} at epoch {found.epoch} ({found.worker}); this work is void, the other one counts"
        )


def _package(row: Row[Any]) -> Package:
    return Package(
        run=row.run,
        id=row.id,
        flow=row.flow,
        variant=row.variant,
        number=row.number,
        range=_range(row),
        state=row.state,
        epoch=row.epoch,
        worker=row.worker,
        lease_until=row.lease_until,
        mapping_hash=row.mapping_hash,
        code=row.code,
        message=row.message,
        counts=row.counts,
        digest=row.digest,
        finished_at=row.finished_at,
    )


def _claimed(row: Row[Any], lease: timedelta) -> Claimed:
    return Claimed(
        run=row.run,
        id=row.id,
        flow=row.flow,
        variant=row.variant,
        number=row.number,
        range=_range(row),
        epoch=row.epoch,
        worker=row.worker,
        lease=lease,
        lease_until=row.lease_until,
        mapping_hash=row.mapping_hash,
    )


def _range(row: Row[Any]) -> KeyRange:
    low, high = (None if bound is None else tuple(bound) for bound in (row.low, row.high))
    return KeyRange(low, high, row.expected_rows)


def _integers(row: Row[Any]) -> dict[str, Any]:
    return {name: value if name == "flow" else int(value) for name, value in row._mapping.items()}
