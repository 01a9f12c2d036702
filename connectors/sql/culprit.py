"""Which row the database was inserting when it refused: a counter of the session that no rollback takes back.

A trigger that raises does not say for which row.  An INSERT that takes its rows in order and counts each of them
does: the row it had come to is tried alone next, so one bad row costs one more statement instead of halving.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from connectors.sql.merge import Plan

_COUNTER = "isthmus_row"
LATER = "23503"  # foreign keys are checked when the statement ends: the counter tells nothing


def make_counter(session: Any) -> None:
    """Make the session's counter; outside the transaction of a change, so that it outlives it."""
    session.execute(f"CREATE TEMPORARY SEQUENCE IF NOT EXISTS {_COUNTER}")


def restart(session: Any) -> None:
    """Let the counter begin anew."""
    session.execute(f"SELECT setval('pg_temp.{_COUNTER}', 1, false)")


def counting(expression: str) -> str:
    """Return an expression of the same value and type that counts the rows it is evaluated for."""
    return f"CASE WHEN nextval('pg_temp.{_COUNTER}') > 0 THEN {expression} END"


def culprit(session: Any, plan: Plan, first: int, last: int) -> int | None:
    """Return the position whose row was being inserted, of those from `first` to `last`; None when nobody knows."""
    count, counted = session.execute(f"SELECT last_value, is_called FROM pg_temp.{_COUNTER}").fetchone()
    if not counted:
        return None
    inserted = plan.positions[plan.fresh]
    inserted = inserted[(inserted >= first) & (inserted <= last)]
    updates = len(plan.fresh) - int(plan.fresh.sum())
    if count > len(inserted) or (count == len(inserted) and updates):  # all are in: an update was refused
        return None
    return int(np.asarray(inserted)[count - 1])
