"""What stops a run until a person looks at it: a pause, too many rows that wait for one cause, too many changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from isthmus.errors import ConflictError, DataError
from isthmus.ledger import FlowState, Ledger, Reason
from isthmus.levels.route import Route

PARKED_FLOOR = 100  # so few parked rows stop nothing, whatever their share
MASS_CHANGE = "mass change"
MASS_CHANGE_FLOOR = 1_000  # below this many rows nobody is asked


def refuse_paused(route: Route, ledger: Ledger) -> FlowState:
    """Return how the flow stands; raises ConflictError when somebody has paused it."""
    state = ledger.flows.state(route.name)
    if state.paused:
        again = f"`isthmus flows resume {route.name} --by NAME` lets it go on"
        raise ConflictError(f"{route.name} is paused by {state.paused_by}: {state.paused_why}; {again}.")
    return state


def stop_if_parked(route: Route, run: str, ledger: Ledger, planned: int) -> None:
    """Stop an object of which more than its declared share waits for one cause: the parent's load is what failed."""
    reason = too_many_parked(route, run, ledger, planned)
    if reason is not None:
        raise DataError(
            f"{route.name}: {reason.rows:,} of {planned:,} rows wait for a {reason.waits_object} that "
            f"{reason.field} names. Load {reason.waits_object} first (`isthmus rejected` says why rows of it are "
            f"missing), then run again; parked rows go by themselves."
        )


def too_many_parked(route: Route, run: str, ledger: Ledger, planned: int) -> Reason | None:
    """Return the cause for which more than the declared share of a run waits, if there is one."""
    most = max(PARKED_FLOOR, route.flow.parked * planned)
    reasons = ledger.exceptions.counts(run, route.name)
    return next((reason for reason in reasons if reason.kind == "parked" and reason.rows > most), None)


def held_there(route: Route, ledger: Ledger) -> Callable[[], int]:
    """Return what counts the things the target holds: once a load, and only where somebody asks."""
    return cache(lambda: ledger.keys.count(route.object, route.flow.target))


def mass_change_allowance(route: Route, run: str, ledger: Ledger, held: Callable[[], int]) -> int | None:
    """Return how many more of the `held` rows this run may update or delete unasked; None once a person approved it.

    What the run has changed so far is counted over all workers and all tries.
    """
    if ledger.approvals.is_approved(run, route.name, MASS_CHANGE):
        return None
    changed = sum(flow.rows_updated for flow in ledger.packages.progress(run) if flow.flow == route.name)
    return max(0, max(MASS_CHANGE_FLOOR, int(route.flow.mass_change * held())) - changed)
