"""Runs: when a scenario was set going, with what, and how it ended."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger.database import Database
from isthmus.ledger.tables import RUNS
from isthmus.ledger.values import Run, RunState


class Runs:
    """Starts, finishes and finds runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self,
        scenario: str,
        kind: str,
        mode: str,
        parameters: Mapping[str, Any],
        mapping_hash: str,
        id: str | None = None,
    ) -> Run:
        """Record a run; with the id of a run that is there already, go on with that one.

        Raises ConflictError when that run is another scenario's or is over.
        """
        id = id or f"{self._database.now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        row = {
            "id": id,
            "scenario": scenario,
            "kind": kind,
            "mode": mode,
            "parameters": dict(parameters),
            "mapping_hash": mapping_hash,
            "state": "running",
            "started_at": self._database.now(),
            "summary": {},
        }
        with self._database.transaction() as connection:
            connection.execute(upsert(RUNS).values(row).on_conflict_do_nothing(index_elements=["id"]))
            run = _run(connection.execute(select(RUNS).where(RUNS.c.id == id)).one())
        if (run.scenario, run.kind) != (scenario, kind) or run.state in ("done", "stopped"):
            raise ConflictError(
                f"run {id} is there already: {run.kind} of {run.scenario}, {run.state}; "
                "leave out the id to start a new one"
            )
        return run

    def finish(self, run_id: str, state: RunState, summary: Mapping[str, Any]) -> None:
        """Record how a run ended; raises ConfigError for a run the ledger does not know."""
        values = {"state": state, "summary": dict(summary), "finished_at": self._database.now()}
        with self._database.transaction() as connection:
            done = connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(values)).rowcount
        if not done:
            raise ConfigError(_unknown(run_id))

    def get(self, run_id: str) -> Run:
        """Return a run; raises ConfigError when the ledger does not know it."""
        with self._database.transaction() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).one_or_none()
        if row is None:
            raise ConfigError(_unknown(run_id))
        return _run(row)

    def list(self, limit: int = 20) -> Sequence[Run]:
        """Return the newest runs, newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(RUNS).order_by(RUNS.c.number.desc()).limit(limit))
            return [_run(row) for row in rows]

    def prune(self, before: datetime) -> int:
        """Delete runs finished before a time, with their packages; keys and exceptions stay. Returns how many."""
        statement = RUNS.delete().where(RUNS.c.finished_at < before)
        with self._database.transaction() as connection:
            return connection.execute(statement).rowcount


def _run(row: Row[Any]) -> Run:
    return Run(**{column.name: getattr(row, column.name) for column in fields(Run)})


def _unknown(run_id: str) -> str:
    return f"run {run_id!r} is not in this ledger; `isthmus ledger status` lists the newest"
