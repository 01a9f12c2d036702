"""Take over what stands on both sides of a flow already, as the command line calls it."""

from __future__ import annotations

from isthmus.levels.baseline import baseline
from isthmus.levels.download import Desk
from isthmus.levels.rounds import Round, bury, measured, new_run
from isthmus.levels.route import flow_name
from isthmus.mapping.spec import Flow


def take_over(desk: Desk, flow: Flow, by: str = "") -> Round:
    """Compare every thing of both sides once and remember what they agree on; kept in the trail with who asked."""
    name, run = flow_name(flow), new_run(desk, flow)
    bury(desk, name, run)
    counts = baseline(desk, flow, run)
    desk.ledger.events.put(by or desk.name, "took over what stood there", run=run, flow=name, details=dict(counts))
    return measured(desk, Round(name, run, counts))
