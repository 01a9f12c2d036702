"""The small registers: numbers to give out, who a system is, what gates and reconciliations said, approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, false, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import events
from isthmus.ledger.database import Database
from isthmus.ledger.tables import APPROVALS, COUNTERS, GATE_RESULTS, PACKAGES, RECONCILIATIONS, SYSTEMS
from isthmus.ledger.values import Approval, Result


class Counters:
    """Gives out numbers, each once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, name: str, n: int) -> int:
        """Take `n` numbers in a row and return the first, beginning with 1; unused ones are lost."""
        if n < 1:
            raise ConfigError(f"counter {name}: at least 1 number is reserved at a time, found {n}")
        row = insert(COUNTERS).values(name=name, next=n + 1)
        taken = row.on_conflict_do_update(index_elements=["name"], set_={"next": COUNTERS.c.next + n})
        with self._database.transaction() as connection:
            return int(connection.execute(taken.returning(COUNTERS.c.next)).scalar_one()) - n


class Systems:
    """Remembers which system a name stands for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def identify(self, system: str, fingerprint: str, client: str = "") -> None:
        """Record a system's identity the first time, compare it ever after; raises ConflictError when it differs."""
        row = {"system": system, "fingerprint": fingerprint, "client": client, "identified_at": self._database.now()}
        with self._database.transaction() as connection:
            connection.execute(insert(SYSTEMS).values(row).on_conflict_do_nothing())
            found = connection.execute(select(SYSTEMS).where(SYSTEMS.c.system == system)).one()
        if (found.fingerprint, found.client) != (fingerprint, client):
            raise ConflictError(
                f"system {system} is not the one this ledger knows: recorded {found.fingerprint} "
                f"client {found.client or '(none)'}, found {fingerprint} client {client or '(none)'}. "
                "A ledger serves one landscape; point the system back to where it was, or use a ledger of its own"
            )

    def client(self, system: str) -> str:
        """Return the client recorded for a system, empty when it has none or was never identified."""
        with self._database.transaction() as connection:
            return connection.scalar(select(SYSTEMS.c.client).where(SYSTEMS.c.system == system)) or ""


class Results:
    """Keeps verdicts with their details: of the gate, or of reconciliations."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table

    def put(self, flow: str, verdict: str, result: Mapping[str, Any], run: str | None = None, package: str = "") -> int:
        """Store a verdict and return its number."""
        row = {"flow": flow, "verdict": verdict, "result": dict(result), "run": run, "at": self._database.now()}
        if "package" in self._table.c:
            row["package"] = package
        with self._database.transaction() as connection:
            return int(connection.execute(insert(self._table).values(row).returning(self._table.c.id)).scalar_one())

    def keep(self, flow: str, verdict: str, result: Mapping[str, Any], run: str, package: str) -> int:
        """Store what was said of a package and return its number.

        Where the same was said of it last time, in whatever run, nothing is stored: the package refers to that.
        """
        c, p = self._table.c, PACKAGES.c
        newest = select(c.id).where(c.flow == flow, c.package == package).order_by(c.id.desc()).limit(1)
        same = c.verdict == verdict, c.result == literal(dict(result), JSONB)
        with self._database.transaction() as connection:
            known = connection.scalar(select(c.id).where(c.id == newest.scalar_subquery(), *same))
            referring = update(PACKAGES).where(p.run == run, p.id == package, p.verdict.is_distinct_from(known))
            connection.execute(referring.values(verdict=known))
            if known is not None:
                return int(known)
        return self.put(flow, verdict, result, run, package)

    def list(self, flow: str | None = None, run: str | None = None, limit: int = 100) -> Sequence[Result]:
        """Return verdicts of a flow, of a run, or all, newest first; of a run also those its packages refer to."""
        c = self._table.c
        wanted = select(self._table).order_by(c.id.desc()).limit(limit)
        wanted = wanted if flow is None else wanted.where(c.flow == flow)
        if run is not None:
            wanted = wanted.where(or_(c.run == run, c.id.in_(self._referred(PACKAGES.c.run == run))))
        with self._database.transaction() as connection:
            return [_result(row) for row in connection.execute(wanted)]

    def prune(self, before: datetime) -> int:
        """Delete verdicts given before a time that no later package refers to; returns how many."""
        c = self._table.c
        over = self._table.delete().where(c.at < before, c.id.not_in(self._referred(PACKAGES.c.finished_at >= before)))
        with self._database.transaction() as connection:
            return connection.execute(over).rowcount

    def _referred(self, of: ColumnElement[bool]) -> Select[Any]:
        """Return the statement that lists the verdicts some packages refer to; only the gate's are referred to."""
        mine = of if self._table is GATE_RESULTS else false()
        return select(PACKAGES.c.verdict).where(mine, PACKAGES.c.verdict.is_not(None))


def gate_results(database: Database) -> Results:
    """Return the register of what the gate said."""
    return Results(database, GATE_RESULTS)


def reconciliations(database: Database) -> Results:
    """Return the register of reconciliations."""
    return Results(database, RECONCILIATIONS)


class Approvals:
    """Holds mass changes until a person approves them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, run: str, flow: str, what: str, share: float) -> Approval:
        """Ask for approval of a change of a share (0 to 1) of an object; an approval covers no greater share."""
        row = {"run": run, "flow": flow, "what": what, "share": share, "asked_at": self._database.now()}
        greater = {**row, "approved_by": None, "approved_at": None}
        asked = insert(APPROVALS).values(row)
        key = ["run", "flow", "what"]
        asked = asked.on_conflict_do_update(index_elements=key, set_=greater, where=APPROVALS.c.share < share)
        with self._database.transaction() as connection:
            connection.execute(asked)
            return _approval(connection.execute(select(APPROVALS).where(*self._one(run, flow, what))).one())

    def approve(self, run: str, flow: str, what: str, by: str) -> Approval:
        """Approve what was asked for; raises ConfigError when nothing was."""
        now = self._database.now()
        events.ensure_month(self._database, now)
        approved = update(APPROVALS).where(*self._one(run, flow, what)).values(approved_by=by, approved_at=now)
        with self._database.transaction() as connection:
            found = connection.execute(approved.returning(APPROVALS)).one_or_none()
            if found is None:
                raise ConfigError(f"run {run}, flow {flow}: nobody asked to approve {what!r}; list what waits first")
            events.put(connection, now, by, "approved", run=run, flow=flow, details={"what": what})
        return _approval(found)

    def is_approved(self, run: str, flow: str, what: str) -> bool:
        """Say whether a person has approved the change that was asked for last."""
        found = select(APPROVALS.c.approved_by).where(*self._one(run, flow, what))
        with self._database.transaction() as connection:
            return connection.scalar(found) is not None

    def stands(self, flow: str, what: str) -> bool:
        """Say whether what was asked for a flow last, in whatever run, is approved and not spent."""
        c = APPROVALS.c
        last = select(c.approved_by).where(c.flow == flow, c.what == what).order_by(c.asked_at.desc()).limit(1)
        with self._database.transaction() as connection:
            return connection.scalar(last) is not None

    def spend(self, flow: str, what: str) -> int:
        """Let go of what was asked for a flow, now that it has happened; the trail keeps who approved it."""
        c = APPROVALS.c
        with self._database.transaction() as connection:
            return connection.execute(APPROVALS.delete().where(c.flow == flow, c.what == what)).rowcount

    def waiting(self) -> list[Approval]:
        """Return what nobody has approved yet, oldest first."""
        c = APPROVALS.c
        wanted = select(APPROVALS).where(c.approved_by.is_(None)).order_by(c.asked_at)
        with self._database.transaction() as connection:
            return [_approval(row) for row in connection.execute(wanted)]

    def _one(self, run: str, flow: str, what: str) -> tuple[Any, ...]:
        c = APPROVALS.c
        return c.run == run, c.flow == flow, c.what == what


def _result(row: Row[Any]) -> Result:
    return Result(**{"package": "", **row._mapping})


def _approval(row: Row[Any]) -> Approval:
    return Approval(**{column.name: getattr(row, column.name) for column in fields(Approval)})
