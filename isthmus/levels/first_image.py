"""What a load leaves behind for a synchronized flow: the first agreed image, and later the keys that differ."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Outcome, Status
from isthmus.ledger import Claimed, Ledger
from isthmus.levels.route import Route
from isthmus.mapping.plan import Records
from isthmus.mapping.policy import DELETED


def first_image(route: Route, mapped: Records, keys: pa.Array, ids: pa.Array) -> pa.RecordBatch:
    """Return the image of things that just arrived: what the source said, foreign keys in the source's own key space.

    `mapped` are the records before their foreign keys became the target's.  A field that the target only reads was
    not agreed by writing it, so it is left out.
    """
    rows = pc.index_in(keys, mapped.key)
    columns = {"id": ids}
    for policy in route.image:
        if policy.name == DELETED:
            marker = mapped.deleted
            taken = pa.nulls(len(rows), pa.bool_()) if marker is None else marker.take(rows)
            columns[DELETED] = pc.fill_null(taken, False)
        elif policy.name in mapped.root.schema.names:
            columns[policy.name] = mapped.root.column(policy.name).take(rows).cast(policy.type)
    return pa.RecordBatch.from_pydict(columns)


def queue_differences(route: Route, claimed: Claimed, keys: pa.Array, outcome: Outcome, ledger: Ledger) -> int:
    """Queue the things that a comparison found different or missing; synchronization decides which side is right."""
    status = np.asarray(outcome.status)
    differs = keys.filter(pa.array(np.isin(status, (Status.INSERTED, Status.UPDATED))))
    if not len(differs):
        return 0
    flow = route.flow
    known = ledger.keys.find(route.object, flow.source, differs)
    ids = pc.coalesce(known, ledger.keys.ids(route.object, flow.source, route.source_client, differs))
    return ledger.queue.put(route.name, ids, flow.source, differs, run=claimed.run)
