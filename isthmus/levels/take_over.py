"""Take over what stands on both sides of a flow already, as the command line calls it."""

from __future__ import annotations

from isthmus.levels.baseline import baseline
from isthmus.levels.download import Desk
from isthmus.levels.rounds import Round, bury, measured, new_run
from isthmus.levels.route import flow_name
from isthmus.mapping.spec import Flow


def take_over(desk: Desk, flow: Flow, by: str = "", restored: str = "") -> Round:
    """Compare every thing of both sides once and remember what they agree on; kept in the trail with who asked.

    `restored` names a system that was set back to an older copy: everything travels to it.
    """
    name, run = flow_name(flow), new_run(desk, flow)
    bury(desk, name, run)
    counts = baseline(desk, flow, run, restored)
    what = f"brought {restored} up to date after it was restored" if restored else "took over what stood there"
    desk.ledger.events.put(by or desk.name, what, run=run, flow=name, details=dict(counts))
    return measured(desk, Round(name, run, counts))
