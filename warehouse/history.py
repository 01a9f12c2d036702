"""Former values of a store's `history` fields, by the days they were valid."""

from __future__ import annotations

from datetime import date

from warehouse.columns import differ, key, listed, same
from warehouse.spec import Store
from warehouse.statement import Connection, statements
from warehouse.tables import history


def kept(store: Store) -> list[str]:
    """Return the columns of the history but its days: source, key, and the fields whose former values are kept."""
    return [*key(store), *(name for name in store.history if name not in store.key)]


def turn(connection: Connection, store: Store, as_of: date) -> None:
    """Give the keys of the TEMP table `turned` the values it has from a day on; those not live have none from then on.

    Days before stay as they were, but the first values that were ever known count for all days before.
    """
    run = statements("history")
    keys, columns = key(store), kept(store)
    parts = {
        "history": history(store),
        "same": same(keys, "h", "t"),
        "differ": differ([name for name in columns if name not in keys], "h", "t"),
        "columns": listed(columns),
        "t_columns": listed(columns, "t"),
        "t_key": listed(keys, "t"),
    }
    for name in ("drop same day", "close", "extend", "open"):
        run.run(connection, name, parts, as_of=as_of)
