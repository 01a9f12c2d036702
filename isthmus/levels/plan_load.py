"""Plan a load: take the feed's cursor, cut the object into packages, and write both down before a row is read."""

from __future__ import annotations

import pyarrow as pa

from isthmus.connector import KeyRange
from isthmus.ledger import Ledger
from isthmus.levels.limits import refuse_paused
from isthmus.levels.route import Route
from isthmus.levels.worker import Worker
from isthmus.mapping.plan import ReadPlan

OTHER_WIDTH = 16  # bytes of a value whose length is not declared


def plan_load(route: Route, run: str, worker: Worker, within: KeyRange | None = None) -> list[str]:
    """Cut the object into packages and write the plan down; planning again returns the same packages.

    Takes the feed's cursor first, durably: a change made while the load runs is not lost.  A request for some keys
    (`within`) leaves the flow's state and cursor alone.  Raises ConflictError when the flow is paused.
    """
    ledger = worker.ledger
    refuse_paused(route, ledger)
    if within is None:
        cursor = f"{worker.clock():%Y%m%d}"
        ledger.flows.begin_load(route.name, run, cursor=cursor, fill=is_empty(route, ledger))
    ledger.keys.prepare(route.object, (route.flow.source, route.flow.target))
    if route.image:
        ledger.images.prepare(route.name, [pa.field(policy.name, policy.type) for policy in route.image])
    packages: list[str] = []
    for plan in route.reads:
        ranges = route.source.partitions(plan.query, package_rows(route, plan), within)
        packages += [package.id for package in ledger.packages.plan(run, route.name, ranges, plan.variant)]
    ledger.packages.reopen(run, route.name)  # planning again means that somebody has put the cause right
    return packages


def package_rows(route: Route, plan: ReadPlan) -> int:
    """Return how many rows a package may have: as asked, and no more than the source allows if all were wide."""
    limits = route.source.capabilities()
    tables = {source.alias: route.source.describe(source.table) for source in plan.query.sources}
    columns = [tables[reference.alias].column(reference.column) for reference in plan.query.columns]
    width = sum((column.length or OTHER_WIDTH) if column else OTHER_WIDTH for column in columns)
    return max(1, min(route.package_rows, limits.max_rows, limits.max_bytes // max(1, width)))


def is_empty(route: Route, ledger: Ledger) -> bool:
    """Tell whether neither the key map nor the target holds any of this object, so rows may be copied straight in."""
    if ledger.keys.count(route.object, route.flow.target):
        return False
    ranges = route.target.partitions(route.back.query, 1_000_000_000)
    return not ranges or (len(ranges) == 1 and ranges[0].rows == 0)
