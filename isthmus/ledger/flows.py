"""Flows: whether an object is loaded, where its feed is, how far behind it is, and who or what holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, select
from sqlalchemy.dialects.postgresql import distinct_on, insert

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import blackouts, events
from isthmus.ledger.database import Database, raw
from isthmus.ledger.tables import FLOWS, LAGS, PACKAGES
from isthmus.ledger.values import Blackout, FlowState, Lag

F, P, L = FLOWS.c, PACKAGES.c, LAGS.c

_LAG = """
INSERT INTO ledger.lags (flow, system, polled_at, newest_change_at, waiting, oldest)
SELECT %(flow)s, %(system)s, %(polled)s, %(newest)s, count(*), min(since) FROM ledger.queue WHERE flow = %(flow)s
ON CONFLICT (flow, system, polled_at) DO UPDATE SET waiting = excluded.waiting, oldest = excluded.oldest,
    newest_change_at = coalesce(excluded.newest_change_at, lags.newest_change_at)
RETURNING flow, system, polled_at, newest_change_at, waiting, oldest
"""


class Flows:
    """Reads and sets the state of each flow; every change by a person is in the trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self, flow: str) -> FlowState:
        """Return how a flow stands; one that was never touched is `never`."""
        with self._database.transaction() as connection:
            return _read(connection, flow)

    def list(self) -> list[FlowState]:
        """Return every flow the ledger knows, by name."""
        with self._database.transaction() as connection:
            return [_state(row) for row in connection.execute(select(FLOWS).order_by(F.flow))]

    def begin_load(self, flow: str, run: str, cursor: str | None, fill: bool = False) -> FlowState:
        """Record durably that a load begins at this cursor of the feed; call it before the first package is read.

        Going on with a load that was broken off keeps its older cursor, and its right to fill if the run is the same.
        Raises ConflictError when `fill` is wanted while another run still works on the flow.
        """
        now = self._database.now()
        with self._database.transaction() as connection:
            known = _lock(connection, flow)
            if fill and known.load_run != run:
                self._refuse_company(connection, flow, run)
            values = {"state": "loading", "load_run": run, "last_run": run, "fill": fill}
            if known.state == "loading":
                values["fill"] = (fill or known.fill) if known.load_run == run else fill
            else:
                values |= {"cursor": cursor, "cursor_taken_at": now}
            _write(connection, flow, values)
            return _read(connection, flow)

    def finish_load(self, flow: str, run: str) -> FlowState:
        """Record that everything is loaded: the delta starts at the cursor. Raises ConflictError for another run."""
        with self._database.transaction() as connection:
            known = _lock(connection, flow)
            if known.load_run != run:
                raise ConflictError(
                    f"flow {flow}: run {run} cannot finish a load that run {known.load_run or 'none'} began; "
                    "begin_load comes first"
                )
            now = self._database.now()
            if known.state == "loading":
                values = {"state": "loaded", "loaded_at": now, "fill": False}
                _write(connection, flow, values | {"watermark": known.cursor, "watermark_at": known.cursor_taken_at})
            return _read(connection, flow)

    def watermark(self, flow: str) -> str | None:
        """Return the position of the feed up to which receipts are held, None before the first load."""
        return self.state(flow).watermark

    def advance(self, flow: str, watermark: str, run: str) -> None:
        """Move the watermark, after the receipts of everything before it are held."""
        with self._database.transaction() as connection:
            _lock(connection, flow)
            now = self._database.now()
            _write(connection, flow, {"watermark": watermark, "watermark_at": now, "last_run": run})

    def touch(self, flow: str, run: str) -> None:
        """Remember a run as the flow's last one."""
        with self._database.transaction() as connection:
            _lock(connection, flow)
            _write(connection, flow, {"last_run": run})

    def pause(self, flow: str, by: str, why: str) -> None:
        """Stop a flow from starting new packages."""
        self._decide(flow, by, why, "paused", paused=True, paused_by=by, paused_why=why, paused_at=self._database.now())

    def resume(self, flow: str, by: str, why: str = "") -> None:
        """Let a paused or draining flow go on."""
        values = {"paused": False, "paused_by": "", "paused_why": "", "paused_at": None, "draining": False}
        self._decide(flow, by, why, "resumed", **values)

    def drain(self, flow: str, by: str, why: str) -> None:
        """Let a flow finish what is queued and take nothing new, until it is resumed."""
        self._decide(flow, by, why, "draining", draining=True)

    def black_out(self, window: Blackout) -> int:
        """Keep a flow, or every flow (`*`), from running in a window; returns its number.

        Raises ConfigError when the window has neither times of day nor a begin or an end, or no reason.
        """
        now = self._database.now()
        events.ensure_month(self._database, now)
        with self._database.transaction() as connection:
            number = blackouts.add(connection, window, now)
            told = {"blackout": number, "why": window.reason}
            events.put(connection, now, window.made_by, "made a blackout", flow=window.flow, details=told)
        return number

    def lift(self, number: int, by: str, why: str = "") -> Blackout:
        """End a blackout before its time; raises ConfigError when none of that number stands."""
        now = self._database.now()
        events.ensure_month(self._database, now)
        with self._database.transaction() as connection:
            window = blackouts.lift(connection, number, by, now)
            told = {"blackout": number, "why": why}
            events.put(connection, now, by, "lifted a blackout", flow=window.flow, details=told)
        return window

    def blackouts(self, flow: str | None = None) -> Sequence[Blackout]:
        """Return the blackouts that stand or are to come, of a flow with those for all, or of every flow."""
        with self._database.transaction() as connection:
            return blackouts.standing(connection, self._database.now(), flow)

    def blackout(self, flow: str, now: datetime | None = None) -> str | None:
        """Say why a flow may not run at a time, now unless said; None when it may."""
        at = now or self._database.now()
        with self._database.transaction() as connection:
            windows = blackouts.standing(connection, at, flow)
        on = [window.reason for window in windows if blackouts.covers(window, at)]
        return "; ".join(on) or None

    def lag(
        self, flow: str, system: str, newest_change_at: datetime | None = None, polled_at: datetime | None = None
    ) -> Lag:
        """Record how far a flow is behind, when a system's feed was read, and return it.

        `newest_change_at` is the system's stamp of the newest change the feed brought; what waits is counted here.
        """
        polled = polled_at or self._database.now()
        asked = {"flow": flow, "system": system, "polled": polled, "newest": newest_change_at}
        with self._database.transaction() as connection:
            return Lag(*(raw(connection).execute(_LAG, asked).fetchone() or ()))

    def lags(self, flow: str | None = None) -> Sequence[Lag]:
        """Return the newest lag of each flow and system."""
        newest = select(LAGS).ext(distinct_on(L.flow, L.system)).order_by(L.flow, L.system, L.polled_at.desc())
        newest = newest if flow is None else newest.where(L.flow == flow)
        with self._database.transaction() as connection:
            return [Lag(**row._mapping) for row in connection.execute(newest)]

    def lag_history(self, flow: str, since: datetime) -> Sequence[Lag]:
        """Return how far a flow was behind from a time on, oldest first; a queue that grows shows here."""
        wanted = select(LAGS).where(L.flow == flow, L.polled_at >= since).order_by(L.polled_at, L.system)
        with self._database.transaction() as connection:
            return [Lag(**row._mapping) for row in connection.execute(wanted)]

    def prune(self, before: datetime) -> int:
        """Delete lags recorded before a time; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(LAGS.delete().where(L.polled_at < before)).rowcount

    def throttle(self, flow: str, rows_per_s: int | None, by: str, why: str) -> None:
        """Limit a flow to so many rows per second; None takes the limit away. Raises ConfigError below 1."""
        if rows_per_s is not None and rows_per_s < 1:
            raise ConfigError(f"flow {flow}: a throttle is at least 1 row per second, found {rows_per_s}; pause it")
        self._decide(flow, by, why, "throttled", throttle_rows_per_s=rows_per_s)

    def _decide(self, flow: str, by: str, why: str, what: str, **values: Any) -> None:
        now = self._database.now()
        events.ensure_month(self._database, now)
        with self._database.transaction() as connection:
            _lock(connection, flow)
            _write(connection, flow, values)
            shown = {"why": why, "rows_per_s": values.get("throttle_rows_per_s")}
            events.put(connection, now, by, what, flow=flow, details={k: v for k, v in shown.items() if v})

    def _refuse_company(self, connection: Connection, flow: str, run: str) -> None:
        held = exists().where(P.flow == flow, P.run != run, P.state == "claimed", P.lease_until >= self._database.now())
        if connection.scalar(select(held)):
            raise ConflictError(
                f"flow {flow}: another run works on it, so run {run} cannot have it alone to fill it; "
                "wait until its leases end, or load without fill"
            )


def _lock(connection: Connection, flow: str) -> FlowState:
    """Make the flow's row if need be and hold it for the rest of the transaction."""
    connection.execute(insert(FLOWS).values(flow=flow).on_conflict_do_nothing())
    return _state(connection.execute(select(FLOWS).where(F.flow == flow).with_for_update()).one())


def _write(connection: Connection, flow: str, values: dict[str, Any]) -> None:
    connection.execute(FLOWS.update().where(F.flow == flow).values(values))


def _read(connection: Connection, flow: str) -> FlowState:
    row = connection.execute(select(FLOWS).where(F.flow == flow)).one_or_none()
    return FlowState(flow) if row is None else _state(row)


def _state(row: Row[Any]) -> FlowState:
    return FlowState(**{column.name: getattr(row, column.name) for column in fields(FlowState)})
