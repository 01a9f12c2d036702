"""How stores and cubes stand: what they hold, how fresh it is, what waits."""

from __future__ import annotations

from typing import Any

from warehouse.depot import Depot
from warehouse.pickup import waiting_files
from warehouse.spec import OWN
from warehouse.statement import statements
from warehouse.tables import active, facts, totals


def stores_standing(depot: Depot) -> list[dict[str, Any]]:
    """Return every store with its live records, up to when its sources were read, and what waits or is held."""
    run, found = statements("standing"), []
    for name, store in sorted(depot.warehouse.stores.items()):
        row = run.rows(depot.connection, "store", {"active": active(store)}, store=name)[0]
        said = dict(zip(("records", "read_up_to", "waiting", "held", "refused_files"), row, strict=True))
        files = sum(waiting_files(depot, store, feed) for feed in store.feeds if feed.system != OWN)
        found.append({"store": name, "sources": [feed.system for feed in store.feeds], **said, "files": files})
    return found


def cubes_standing(depot: Depot) -> list[dict[str, Any]]:
    """Return every cube with its cells, requests that are not compressed, and what verification found last."""
    run, found = statements("standing"), []
    for name, cube in sorted(depot.warehouse.cubes.items()):
        parts = {"facts": facts(cube), "totals": totals(cube)}
        row = run.rows(depot.connection, "cube", parts, cube=name)[0]
        found.append(
            {"cube": name, **dict(zip(("cells", "not_compressed", "verified", "differing"), row, strict=True))}
        )
    return found
