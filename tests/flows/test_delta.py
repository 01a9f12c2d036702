"""The delta: it waits for the load, misses nothing that changed meanwhile, and carries what changed only."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from isthmus.errors import ConflictError
from isthmus.levels.delta import delta_flow, mark_gone
from isthmus.levels.download import begin, finish_flow, load_flow, plan_flow
from isthmus.levels.limits import MASS_CHANGE
from isthmus.levels.package import Carried
from isthmus.levels.route import Route
from isthmus.levels.worker import Tally
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


# --- failures, gone rows, guards --------------------------------------------------------------------------------------


def cursor(house: House, object_: str = "business_partner") -> str | None:
    with house.desk() as desk:
        return desk.ledger.feeds.cursor(f"{object_}.isu.crm", "isu")


def deltas(house: House) -> list[tuple[str, str]]:
    return house.ask(
        "ledger", "SELECT state, summary ->> 'because' FROM ledger.runs WHERE kind = 'delta' ORDER BY number"
    )


def test_a_delta_that_fails_is_marked_failed_and_its_changes_come_with_the_next(loaded: House) -> None:
    loaded.clock.forward(days=3)
    keys = rename_partners(loaded.urls["isu"], 4, on=date(2026, 1, 5))
    before = cursor(loaded)

    def broken(route: Route, carried: Carried) -> None:
        raise RuntimeError("killed after the rows were confirmed")

    with loaded.desk(report=broken) as desk, pytest.raises(RuntimeError):
        delta_flow(desk, desk.flow("business_partner"))
    assert deltas(loaded) == [("failed", "RuntimeError")]
    assert cursor(loaded) == before
    with loaded.desk() as desk:
        again = delta_flow(desk, desk.flow("business_partner"))
    assert (again.counts["read"], again.counts["updated"]) == (len(keys), 0)
    assert [state for state, _ in deltas(loaded)] == ["failed", "done"]
    assert cursor(loaded) != before


@pytest.mark.parametrize("place", ["after poll", "after write", "before cursor"])
def test_a_delta_that_is_cut_off_between_two_steps_loses_nothing(
    clean: House, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean.clock.forward(days=3)
    keys = rename_partners(clean.urls["isu"], 4, on=date(2026, 1, 5))

    def cut(here: str) -> None:
        if here == place:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, clean.desk() as desk:
        patch.setattr("isthmus.levels.delta.passing", cut)
        patch.setattr("isthmus.levels.package.passing", cut)
        with pytest.raises(KeyboardInterrupt):
            delta_flow(desk, desk.flow("business_partner"))
    with clean.desk() as desk:
        delta_flow(desk, desk.flow("business_partner"))
        assert delta_flow(desk, desk.flow("business_partner")).counts["updated"] == 0
    name = "SELECT partner, name_last FROM but000 WHERE client = '100' AND partner = ANY(%s) ORDER BY 1"
    assert clean.ask("crm", name, keys) == clean.ask("isu", name, keys)


def test_a_paused_flow_is_refused_before_anything_is_read(loaded: House) -> None:
    with loaded.desk() as desk:
        desk.ledger.flows.pause("business_partner.isu.crm", "Ines", "month end")
        with pytest.raises(ConflictError, match="paused by Ines"):
            delta_flow(desk, desk.flow("business_partner"))
    assert deltas(loaded) == []


def gone(house: House, object_: str, keys: list[str]) -> Tally:
    with house.desk() as desk, desk.route(desk.flow(object_)) as route:
        run = desk.ledger.runs.start(desk.scenario.name, "delta", "delta", {}, "hash").id
        return mark_gone(route, pa.array(keys), run, desk.worker(desk.flow(object_)))


def arrived(house: House, count: int) -> list[str]:
    statement = "SELECT ltrim(partner, '0') FROM but000 WHERE client = '100' AND xdele = '' ORDER BY partner LIMIT %s"
    return [key for (key,) in house.ask("crm", statement, count)]


def test_a_marker_is_all_that_changes_of_a_row_that_is_gone(clean: House) -> None:
    (key,) = arrived(clean, 1)
    row = "SELECT to_jsonb(t) - 'xdele' FROM but000 t WHERE client = '100' AND ltrim(partner, '0') = %s"
    before, rest = clean.one("crm", row, key), clean.content(without={"but000": ["xdele"]})
    assert gone(clean, "business_partner", [key]).counts["updated"] == 1
    assert clean.one("crm", row, key) == before
    assert clean.content(without={"but000": ["xdele"]}) == rest
    assert gone(clean, "business_partner", [key]).counts["updated"] == 0


def test_what_the_target_never_had_need_not_be_marked(clean: House) -> None:
    content = clean.content()
    assert gone(clean, "business_partner", ["4711000815"]).counts["updated"] == 0
    assert clean.content() == content


def test_a_row_that_is_gone_and_has_no_marker_is_kept_as_a_finding(clean: House) -> None:
    key = clean.one("ledger", "SELECT min(key) FROM ledger.keys WHERE object = 'premise' AND system = 'isu'")
    content = clean.content()
    assert gone(clean, "premise", [key]).counts["gone"] == 1
    assert clean.content() == content
    assert clean.exceptions("premise") == {key: "gone from the source"}


def test_more_gone_rows_than_the_declared_share_wait_for_a_person(
    clean: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.levels.limits.MASS_CHANGE_FLOOR", 2)
    keys = [key for (key,) in clean.ask("crm", "SELECT ltrim(partner, '0') FROM but000 WHERE client = '100'")]
    with pytest.raises(ConflictError, match="Approve"):
        gone(clean, "business_partner", keys)
    assert clean.one("crm", "SELECT count(*) FROM but000 WHERE xdele = 'X'") == 0
    assert clean.one("ledger", "SELECT count(*) FROM ledger.approvals WHERE approved_at IS NULL") == 1


def test_a_delta_that_was_held_goes_on_once_a_person_has_approved_it(
    clean: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.levels.limits.MASS_CHANGE_FLOOR", 2)
    clean.clock.forward(days=3)
    keys = rename_partners(clean.urls["isu"], 600, on=date(2026, 1, 5))
    with clean.desk() as desk:
        flow = replace(desk.flow("business_partner"), mass_change=0.0)
        with pytest.raises(ConflictError):
            delta_flow(desk, flow)
        with pytest.raises(ConflictError):  # nobody has said yes
            delta_flow(desk, flow)
        held = desk.ledger.runs.list(1)[0].id
        desk.ledger.approvals.approve(held, "business_partner.isu.crm", MASS_CHANGE, "Ines")
        assert delta_flow(desk, flow).counts["updated"] == len(keys)
        rename_partners(clean.urls["isu"], 600, seed=1, on=date(2026, 1, 5))
        with pytest.raises(ConflictError):  # one approval is for one change
            delta_flow(desk, flow)
