"""What is in flight of a synchronized flow: queued, or held for a person.  It differs for a reason told elsewhere."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.ledger import Ledger
from isthmus.levels.route import Route


def without_unsettled(route: Route, ledger: Ledger, differences: pa.Table) -> pa.Table:
    """Leave out of a comparison (columns key, field, …) the rows that are queued and the fields that are held."""
    keys = differences["key"].combine_chunks()
    if not route.image or not len(keys):
        return differences
    ids = ledger.keys.find(route.object, route.flow.source, keys)
    born = ledger.keys.ids(route.object, route.flow.source, route.source_client, pc.fill_null(keys, ""))
    things = pc.coalesce(ids, born).cast(pa.binary())
    open_ = ledger.conflicts.unsettled(route.name, pc.unique(things))
    named = pc.binary_join_element_wise(text(things), differences["field"].combine_chunks(), "/")
    fields = pc.binary_join_element_wise(text(open_["id"].combine_chunks()), open_["field"].combine_chunks(), "/")
    whole = open_.filter(pc.equal(open_["field"], ""))["id"].combine_chunks().cast(pa.binary())
    hit = pc.or_(pc.is_in(named, fields), pc.is_in(things, whole))
    return differences.filter(pc.invert(pc.and_(hit, pc.is_valid(keys))))


def text(things: pa.Array) -> pa.Array:
    """Spell ids as text."""
    return pa.array([None if thing is None else thing.hex() for thing in things.to_pylist()], pa.string())
