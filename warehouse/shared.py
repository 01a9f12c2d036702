"""References in the words all systems share: keys of the back office, as far as the key map knows the pair.

A record that came before its pair was known keeps the key of its own system, `crm:0050…`.  Once the pair is known it is
read again, so that it moves to its true cell without anybody having changed it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columns import column, key_text
from warehouse.depot import Depot
from warehouse.records import Conform
from warehouse.spec import Store
from warehouse.statement import statements
from warehouse.tables import active


def references(depot: Depot, store: Store, system: str) -> dict[str, str]:
    """Return the fields of the model that refer to an object in the words of a system, with that object.

    The back office has none: its keys are the shared ones.
    """
    model = depot.project.catalogue.models.get(store.object)
    entry = model.list(store.list) if model and store.list else None
    fields = (*(model.fields if model else ()), *(entry.fields if entry else ()))
    back = depot.scenario.roles.get("back_office", "")
    return {item.name: item.args[0] for item in fields if item.type == "ref"} if back and back != system else {}


def conform_of(depot: Depot, store: Store, system: str) -> Conform:
    """Return what turns references of a system into the back office's keys, as far as the key map knows them."""
    meant = references(depot, store, system)

    def conform(name: str, values: pa.Array) -> pa.Array:
        if name not in meant:
            return values
        own = pc.binary_join_element_wise(pa.scalar(system), values.cast(pa.string()), ":")
        return pc.coalesce(_shared(depot, meant[name], system, values), own)

    return conform


def known_by_now(depot: Depot, store: Store, system: str) -> list[str]:
    """Return the keys of records that hold with a system's own key of something whose pair is known by now."""
    run, meant, found = statements("shared"), references(depot, store, system), set[str]()
    for item in store.fields:
        kind = meant.get(item.source or item.name)
        if kind is None:
            continue
        parts = {"active": active(store), "field": column(item.name, "a"), "key_text": key_text(store, "a")}
        own = run.rows(depot.connection, "own keys", parts, source=system, own=f"{system}:")
        keys = pa.array([row[0] for row in own], pa.string())
        paired = keys.filter(pc.is_valid(_shared(depot, kind, system, pc.utf8_slice_codeunits(keys, len(system) + 1))))
        if len(paired):
            rows = run.rows(depot.connection, "records of", parts, source=system, keys=paired.to_pylist())
            found.update(row[0] for row in rows)
    return sorted(found)


def _shared(depot: Depot, kind: str, system: str, values: pa.Array) -> pa.Array:
    return depot.ledger.keys.translate(kind, system, depot.scenario.roles["back_office"], values)
