"""Who waits for whom: locks of a transaction.

They are taken in this order: stores by name, opening, cubes by name, publication, rows of requests.
"""

from __future__ import annotations

from collections.abc import Iterable

from warehouse.statement import Connection


def lock_opening(connection: Connection, store: str) -> None:
    """Let requests of a store be numbered one after the other, so that an earlier one is seen by later ones."""
    _lock(connection, f"warehouse opening {store}")


def lock_stores(connection: Connection, stores: Iterable[str]) -> None:
    """Be the only one that changes the active data of these stores, until the transaction ends."""
    for store in sorted(set(stores)):
        _lock(connection, f"warehouse store {store}")


def lock_cubes(connection: Connection, cubes: Iterable[str]) -> None:
    """Be the only one that changes the totals of these cubes, until the transaction ends."""
    for cube in sorted(set(cubes)):
        _lock(connection, f"warehouse cube {cube}")


def lock_publication(connection: Connection) -> None:
    """Be the only one that publishes, until the transaction ends."""
    _lock(connection, "warehouse publication")


def _lock(connection: Connection, name: str) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
