"""What becomes of the positions of a change: who is refused and why, found by halving where only trying tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.describe import Catalogue
from connectors.sql.precheck import check_rows
from connectors.sql.wanted import Mask, Positions, Wanted, numbered, problem_rows, resolve_rows
from isthmus.connector import PROBLEMS, Change, Status
from isthmus.errors import ConflictError, DataError

WAITS = 40  # attempts that may wait for somebody's rows; a single held row among 50,000 is found within them
REPEATED = "the package brings this key twice; the first row stays"


class Again(Exception):
    """Positions fell out late that others share rows with: the package is compared once more without them."""


class Raced(Exception):
    """A key is there that was missing a moment ago: the package is compared once more before anyone is blamed."""


class Refused(Exception):
    """The database refused an attempt; `reason` makes the `PROBLEMS` row once a single position is to blame.

    `at` is the position it had come to, if that is known; it need not be the one to blame.
    """

    def __init__(
        self, reason: Callable[[int], pa.Table], status: Status = Status.REJECTED, at: int | None = None
    ) -> None:
        super().__init__("refused")
        self.reason, self.status, self.at = reason, status, at


class Waited(Exception):
    """An attempt waited in vain for rows that another session holds; `reason` makes `PROBLEMS` rows of positions."""

    def __init__(self, reason: Callable[[Positions], pa.Table]) -> None:
        super().__init__("waited")
        self.reason = reason


class Decided(Protocol):
    """What is to be done with one table, as far as the outcome tells of it."""

    @property
    def positions(self) -> Positions:
        """Return the positions of rows to insert or update."""

    @property
    def fresh(self) -> Mask:
        """Return which of those rows are new."""

    @property
    def touched(self) -> Positions:
        """Return every position that changes something, once."""

    def counts(self) -> dict[str, int]:
        """Return the rows inserted, updated and deleted."""


@dataclass
class Refusals:
    """Which positions are out, and why; grows while a package is written.

    `late` is what a position counts as whose row another writer brought first.
    """

    size: int
    late: Status = Status.REJECTED
    mask: Mask = field(init=False)
    status: np.ndarray[Any, np.dtype[np.uint8]] = field(init=False)
    problems: list[pa.Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask = np.zeros(self.size, np.bool_)
        self.status = np.full(self.size, Status.REJECTED, np.uint8)

    @property
    def count(self) -> int:
        """Return how many positions are out."""
        return int(self.mask.sum())

    @property
    def budget(self) -> int:
        """Return how many rows may be found bad by trying, before the block fails: 0.5 %, at least 10."""
        return max(10, self.size // 200)

    @property
    def table(self) -> pa.Table:
        """Return all reasons as `PROBLEMS` rows, by position."""
        if not self.problems:
            return PROBLEMS.empty_table()
        return pa.concat_tables(self.problems).sort_by("position").combine_chunks()

    def add(self, problems: Sequence[pa.Table], status: Status = Status.REJECTED) -> None:
        """Take positions out, with their reasons."""
        for rows in problems:
            self.mask[rows["position"].to_numpy()] = True
            self.status[rows["position"].to_numpy()] = status
            self.problems.append(rows)


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
            key = ", ".join(wanted.asked[column] for column in wanted.key)
            refusals.add([problem_rows(found, wanted.name, key, "duplicate key in the package", REPEATED)])
    return [wanted.without(refusals.mask) for wanted in tables]


def by_halves(positions: Positions, attempt: Callable[[int, int], None], refusals: Refusals, portions: int = 1) -> None:
    """Attempt all positions, in so many portions, or halves of them down to the single bad one.

    Where an attempt tells which position it had come to, that one is tried alone before what is around it; if it
    is good after all, such hints are worth nothing and halves are tried.

    `attempt` takes the first and last position of a stretch and works in a savepoint of its own; it raises
    Refused when the database does not take it, Waited when it cannot take it now: after some waiting, stretches
    are left for later as they are.  Raises DataError when more rows are bad than the budget allows.
    """
    ends = [len(positions) * i // portions for i in range(portions + 1)]
    todo = [(low, high) for low, high in pairwise(ends) if low < high][::-1]
    bad, waits, suspect, hinted = 0, 0, -1, True
    while todo:
        low, high = todo.pop()
        try:
            attempt(int(positions[low]), int(positions[high - 1]))
            hinted = hinted and low != suspect
        except Waited as waited:
            waits += 1
            if high - low > 1 and waits < WAITS:
                middle = (low + high) // 2
                todo += [(middle, high), (low, middle)]
            else:
                refusals.add([waited.reason(positions[low:high])], Status.RETRYABLE)
        except Refused as refused:
            if high - low > 1:
                at = int(np.searchsorted(positions, refused.at)) if hinted and refused.at is not None else -1
                if low <= at < high:
                    suspect = at
                    todo += [part for part in ((at + 1, high), (low, at), (at, at + 1)) if part[0] < part[1]]
                else:
                    middle = (low + high) // 2
                    todo += [(middle, high), (low, middle)]
                continue
            bad += 1
            refusals.add([refused.reason(int(positions[low]))], refused.status)
            if bad > refusals.budget:
                raise too_many(refusals) from None


def too_many(refusals: Refusals) -> DataError:
    """Make the error for a block that is worse than halving should find out."""
    return DataError(
        f"The target refused more than {refusals.budget} of {refusals.size} rows one by one, the last because "
        f"{refusals.problems[-1]['message'][0].as_py()}. Nothing of the package was written. Find the rule in the "
        f"target and reject such rows before they are sent."
    )


def status_of(size: int, plans: Sequence[Decided], refusals: Refusals) -> pa.Array:
    """Return one status per position: the root decides whether it is new, any table whether it changed."""
    status = np.zeros(size, np.uint8)
    for plan in plans:
        status[plan.touched] = Status.UPDATED
    if plans:
        status[plans[0].positions[plans[0].fresh]] = Status.INSERTED
    status[refusals.mask] = refusals.status[refusals.mask]
    return pa.array(status)


def counted(plans: Sequence[Decided]) -> Mapping[str, int]:
    """Return the rows inserted, updated and deleted as `TABLE.verb`; what is zero is left out."""
    counts: dict[str, int] = {}
    for plan in plans:
        for name, number in plan.counts().items():
            counts[name] = counts.get(name, 0) + number
    return counts


def verbs(table: str, fresh: Mask, doomed: Positions) -> dict[str, int]:
    """Return the counts of one table."""
    new = int(fresh.sum())
    numbers = {"inserted": new, "updated": len(fresh) - new, "deleted": int(doomed.sum())}
    return {f"{table}.{verb}": number for verb, number in numbers.items() if number}


def guard_mass_change(change: Change, status: pa.Array) -> None:
    """Raise ConflictError when more positions would be updated than the change allows; nothing is written then."""
    touched = int(pc.sum(pc.equal(status, int(Status.UPDATED))).as_py() or 0)
    if change.allowance is not None and touched > change.allowance and not change.dry_run:
        raise ConflictError(
            f"The package of {change.object} would update or delete rows of {touched:,} objects, {change.allowance:,} "
            "are allowed; nothing was written. Approve the change, or correct its source."
        )
