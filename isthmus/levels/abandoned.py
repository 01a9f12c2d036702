"""Packages that somebody claimed and will never end: given back if their worker is gone, closed if cut off."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta

from isthmus.errors import ConflictError
from isthmus.ledger import Claimed, Confirmation, Package
from isthmus.levels.route import Route
from isthmus.levels.worker import Worker

LEASE = timedelta(minutes=5)


def reclaim(route: Route, run: str, worker: Worker) -> None:
    """Give back the packages of workers of this machine that are no more, without waiting for their leases."""
    for package in worker.ledger.packages.open(run, route.name):
        if package.state == "claimed" and died(package.worker, worker.name):
            with suppress(ConflictError):  # somebody was quicker
                worker.ledger.packages.fail(as_claimed(package), "worker died", package.worker, retryable=True)


def variants(route: Route) -> set[str]:
    """Return the variants whose key ranges are planned; packages of explicit keys have names of their own."""
    return {plan.variant for plan in route.reads}


def set_aside(route: Route, run: str, worker: Worker) -> None:
    """Close packages of explicit keys that were cut off.

    Which keys they had is not lost: the ledger holds a release's keys as released, a delta's watermark has not
    moved, a repair compares anew.
    """
    ledger = worker.ledger
    for package in ledger.packages.open(run, route.name):
        if package.variant not in variants(route):
            claimed = ledger.packages.claim(run, route.name, worker.name, LEASE, [package.id], route.mapping_hash)
            if claimed is not None:
                ledger.confirm(claimed, Confirmation({}))


def died(other: str, own: str) -> bool:
    """Tell whether a worker `host:pid[:task]` ran on our host and its process is gone."""
    host, _, rest = other.partition(":")
    pid = rest.partition(":")[0]
    if other == own or host != own.partition(":")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def as_claimed(package: Package) -> Claimed:
    """Speak for the holder of a package."""
    return Claimed(
        package.run, package.id, package.flow, package.variant, package.number, package.range, package.epoch,
        package.worker, LEASE, package.lease_until or datetime.min, package.mapping_hash,
    )  # fmt: skip
