"""The delta: it waits for the load, misses nothing that changed meanwhile, and carries what changed only."""

from __future__ import annotations

from datetime import date

import pytest

from isthmus.errors import ConflictError
from isthmus.levels.delta import delta_flow
from isthmus.levels.download import begin, finish_flow, load_flow, plan_flow
from isthmus.levels.package import Carried
from isthmus.levels.route import Route
from landscape.changes import rename_partners, touch_contracts
from tests.flows.conftest import Build
from tests.flows.house import House


def test_a_change_made_during_the_load_survives(build: Build, journal: str) -> None:
    house = build(journal, defects=False)
    moved: list[str] = []

    def agent(route: Route, carried: Carried) -> None:
        if not moved:  # the first package is written; now its first partner marries
            moved.append(house.one("isu", "SELECT min(partner) FROM but000"))
            house.tell("isu", "UPDATE but000 SET name_last = 'Late', chdat = '20260102' WHERE partner = %s", moved[0])

    with house.desk(report=agent) as desk:
        flow = desk.flow("business_partner")
        run = begin(desk)
        plan_flow(desk, flow, run)
        load_flow(desk, flow, run)
        with pytest.raises(ConflictError, match="its delta waits for the load"):
            delta_flow(desk, flow)
        finish_flow(desk, flow, run)
        name = "SELECT name_last FROM but000 WHERE partner = %s"
        assert house.one("crm", name, moved[0]) != "Late"
        house.clock.forward(days=3)
        delta_flow(desk, flow)
        assert house.one("crm", name, moved[0]) == "Late"


def test_a_delta_before_any_load_is_refused(build: Build) -> None:
    house = build()
    with house.desk() as desk, pytest.raises(ConflictError, match="is never"):
        delta_flow(desk, desk.flow("contract"))


def test_a_delta_carries_the_changed_rows_only(loaded: House) -> None:
    loaded.clock.forward(days=1)
    with loaded.desk() as desk:
        delta_flow(desk, desk.flow("contract"))  # the day of the cursor is over
    keys = touch_contracts(loaded.urls["isu"], 9, on=date(2026, 1, 3))
    with loaded.desk() as desk:
        tally = delta_flow(desk, desk.flow("contract"))
        held = set(loaded.exceptions("contract"))
        arrived = [key for key in keys if key.lstrip("0") not in held]
        assert tally.counts["read"] == len(keys)
        assert tally.counts["updated"] == len(arrived)
        again = delta_flow(desk, desk.flow("contract"))  # the same day is read again, nothing is written again
        assert (again.counts["read"], again.counts["updated"]) == (len(keys), 0)
    rows = loaded.one(
        "crm",
        "SELECT count(*) FROM crmd_orderadm_h h JOIN crmd_orderadm_i i ON i.header = h.guid JOIN crmd_isuexta4 u"
        " ON u.guid = i.guid WHERE u.a4isucontr = ANY(%s) AND h.description LIKE 'Reviewed%%'",
        arrived,
    )
    assert rows == len(arrived)


def test_a_partner_renamed_arrives_and_its_neighbours_are_not_read(loaded: House) -> None:
    loaded.clock.forward(days=1)
    keys = rename_partners(loaded.urls["isu"], 4, on=date(2026, 1, 3))
    with loaded.desk() as desk:
        delta_flow(desk, desk.flow("business_partner"))
        assert delta_flow(desk, desk.flow("business_partner")).counts["read"] == len(keys)
    name = "SELECT partner, name_last FROM but000 WHERE client = '100' AND partner = ANY(%s) ORDER BY 1"
    assert loaded.ask("crm", name, keys) == loaded.ask("isu", name, keys)
