"""What the DAG, the commands and the demo call: each step of each store, restartable, doing what is left to do.

extract (or pick up, or derive) -> check -> activate -> roll up -> verify -> publish -> compress.  Between steps only
numbers of requests travel; every step finds in the request's state what it has to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from isthmus.errors import DataError, IsthmusError, SystemUnavailable
from warehouse import activate as activating
from warehouse import compress as compressing
from warehouse import control
from warehouse import publish as publishing
from warehouse import rollup as rolling
from warehouse import verify as verifying
from warehouse.check_rows import Checked, check_request
from warehouse.depot import Depot
from warehouse.derive import load_query
from warehouse.feed import Load, Month, load_feed
from warehouse.order import in_order, is_derived
from warehouse.paired import load_paired
from warehouse.pickup import is_files, pick_up
from warehouse.requests import WAITING, Request, list_requests
from warehouse.spec import OWN, Store
from warehouse.tables import Mode, State

VERIFY_HOURS = 24
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did to one store: requests, records, what was held and what changed; `wrong` says why it failed."""

    store: str
    requests: tuple[int, ...] = ()
    records: int = 0
    held: int = 0
    changed: int = 0
    notes: tuple[str, ...] = ()
    wrong: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the step as JSON takes it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Proof:
    """What verification found: cubes with how many cells, and how many of them differ."""

    cubes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def differing(self) -> list[str]:
        """Return the cubes that differ from their recomputation."""
        return [name for name, (_, cells) in self.cubes.items() if cells]


# --- extract ------------------------------------------------------------------------------------------------------


def extract(
    depot: Depot, store: Store, *, system: str = "", mode: Mode | None = None, month: Month | None = None
) -> list[Load]:
    """Load a store from its systems (one of them, if named); files are picked up, queries run.

    Without a mode every feed goes on where it stood.
    """
    loads: list[Load] = []
    for feed in store.feeds:
        if system and feed.system != system:
            continue
        if feed.system == OWN:
            finish_waiting(depot, store)
            loads.append(load_query(depot, store, feed, anew=mode is not None))
        elif is_files(depot, store, feed):
            loads += pick_up(depot, store, feed)
        else:
            loads.append(load_feed(depot, store, feed, mode, month=month))
            if mode is None and month is None and (paired := load_paired(depot, store, feed)):
                loads.append(paired)
    if not system or len(store.feeds) == 1:
        control.done(depot.connection, "store", store.name, depot.clock())
    return loads


def finish_waiting(depot: Depot, store: Store) -> None:
    """Check and activate what waits of a store, because the next load is compared with what is active."""
    if _waiting(depot, store, "LOADED"):
        check(depot, store)
    activate(depot, store)


# --- check, activate, roll up -------------------------------------------------------------------------------------


def check(depot: Depot, store: Store) -> list[Checked]:
    """Let every LOADED request of a store through the quality gate; raises DataError where it withholds one."""
    waiting = _waiting(depot, store, "LOADED")
    if not waiting:
        return []
    gate = depot.open_gate()
    return [check_request(depot, store, gate, found) for found in waiting]


def activate(depot: Depot, store: Store) -> list[int]:
    """Activate every CHECKED request of a store, in order, and return their numbers."""
    waiting = _waiting(depot, store, "CHECKED")
    for found in waiting:
        activating.activate(depot.connection, depot.warehouse, store, found.id, depot.clock())
    return [found.id for found in waiting]


def roll_up(depot: Depot, store: Store) -> list[int]:
    """Add every ACTIVE request of a store up in its cubes, and return their numbers."""
    waiting = _waiting(depot, store, "ACTIVE")
    for found in waiting:
        rolling.roll_up(depot.connection, depot.warehouse, store, found.id, depot.clock())
    return [found.id for found in waiting]


def rebuild_waiting(depot: Depot) -> list[str]:
    """Rebuild the cubes whose files changed, and return their names."""
    names = [item.name for item in control.waiting(depot.connection, "cube") if item.name in depot.warehouse.cubes]
    for name in names:
        verifying.rebuild(depot.connection, depot.warehouse, depot.warehouse.cubes[name], depot.clock())
    return names


def verify(depot: Depot, cubes: Sequence[str] = (), *, hours: float = 0) -> Proof:
    """Compare cubes (all, or some) with a recomputation; with `hours` only those verified longer ago than that."""
    found = {}
    for name, cube in depot.warehouse.cubes.items():
        if (cubes and name not in cubes) or (hours and not _is_due(depot, name, hours)):
            continue
        verified = verifying.verify(depot.connection, depot.warehouse, cube, depot.clock())
        found[name] = verified.cells, verified.differing
    return Proof(found)


def publish(depot: Depot) -> int:
    """Show everything that is rolled up to analysts, at once, and return the number of the publication."""
    return publishing.publish(depot.connection, depot.run, depot.clock())


def compress(depot: Depot, *, days: int = compressing.KEEP_DAYS, up_to: int | None = None) -> dict[str, int]:
    """Add published requests up into the totals of each cube; returns how many each has absorbed."""
    return compressing.compress(depot.connection, depot.warehouse, depot.clock(), days=days, up_to=up_to)


# --- all of them --------------------------------------------------------------------------------------------------


def bring_up(
    depot: Depot,
    stores: Sequence[Store] = (),
    *,
    mode: Mode | None = None,
    month: Month | None = None,
    report: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Do all steps for stores in order of dependency, up to the roll-up; what goes wrong with one leaves the others.

    `report` hears of each.  Raises SystemUnavailable at once.
    """
    done = []
    with depot.keeping() as kept:
        for store in stores or in_order(depot.warehouse, depot.project.folder):
            step = _one(kept, store, mode, month)
            done.append(step)
            report(step)
    rebuild_waiting(depot)
    return done


def _one(depot: Depot, store: Store, mode: Mode | None, month: Month | None) -> Step:
    loads: list[Load] = []
    whole = is_derived(store)  # a query makes everything, whatever was asked of the others
    waiting = [found.id for found in list_requests(depot.connection, store.name, WAITING)]
    try:
        loads = extract(depot, store, mode=mode, month=None if whole else month)
        check(depot, store)
        activate(depot, store)
        roll_up(depot, store)
    except SystemUnavailable:
        raise
    except IsthmusError as wrong:
        depot.let_go()
        return told(depot, store, [*waiting, *references(loads)], notes(loads), str(wrong))
    return told(depot, store, [*waiting, *references(loads)], notes(loads))


def references(loads: Sequence[Load]) -> list[int]:
    """Return the numbers of the requests of loads."""
    return sorted({load.request.id for load in loads if load.request})


def notes(loads: Sequence[Load]) -> tuple[str, ...]:
    """Return what there is to be told of loads."""
    return tuple(load.because for load in loads if load.because)


def told(depot: Depot, store: Store, numbers: Sequence[int], said: tuple[str, ...] = (), wrong: str = "") -> Step:
    """Sum up what became of some requests of a store."""
    now = [found for found in list_requests(depot.connection, store.name) if found.id in numbers]
    return Step(
        store.name,
        tuple(sorted(set(numbers))),
        sum(found.records for found in now),
        sum(found.excluded for found in now),
        sum(found.changed for found in now),
        said,
        wrong,
    )


def all_stores(
    depot: Depot, chosen: Sequence[str], deed: Callable[[Store], Found], *, derived: bool | None = None
) -> dict[str, Found]:
    """Do something with stores in order; one that fails leaves the others.  Raises DataError with all that failed."""
    found: dict[str, Found] = {}
    wrong: list[str] = []
    for store in in_order(depot.warehouse, depot.project.folder, chosen):
        if derived is not None and is_derived(store) != derived:
            continue
        try:
            found[store.name] = deed(store)
        except SystemUnavailable:
            raise
        except IsthmusError as error:
            wrong.append(f"{store.name}: {error}")
    if wrong:
        raise DataError("\n".join(wrong))
    return found


def _waiting(depot: Depot, store: Store, state: State) -> list[Request]:
    return sorted(list_requests(depot.connection, store.name, [state]), key=lambda found: found.id)


def _is_due(depot: Depot, cube: str, hours: float) -> bool:
    asked = "SELECT max(at) FROM warehouse.verifications WHERE cube = %s"
    row = depot.connection.execute(asked, [cube]).fetchone()
    last: datetime | None = row[0] if row else None
    return last is None or depot.clock() - last >= timedelta(hours=hours)
