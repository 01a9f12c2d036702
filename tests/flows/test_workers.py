"""Several workers, a worker that comes back from the dead, and what people may decide about a flow."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConflictError
from isthmus.gate import OpenGate
from isthmus.levels.download import begin, finish_flow, load_flow, plan_flow
from isthmus.levels.limits import MASS_CHANGE, MASS_CHANGE_FLOOR
from isthmus.levels.package import Care, carry
from isthmus.levels.replicate import read_ahead
from isthmus.levels.resolve import mapped
from isthmus.levels.route import flow_name
from tests.flows.conftest import Build
from tests.flows.house import NUMBERS, OBJECTS, House

PARENTS = OBJECTS[:-1]
NOBODY = 2**22 + 1  # above the highest number a process may have


def test_two_workers_at_once_carry_every_package_once(build: Build, journal: str) -> None:
    due = build(journal, False, OBJECTS).content(NUMBERS)
    house = build(journal, False, PARENTS)
    with house.desk() as desk:
        run = begin(desk, run="both")
        flow = desk.flow("contract")
        packages = plan_flow(desk, flow, run)
        workers = [replace(desk, name=f"{socket.gethostname()}:{os.getpid()}:{n}", sleep=short) for n in (1, 2)]
        with ThreadPoolExecutor(2) as pool:
            tallies = list(pool.map(lambda worker: load_flow(worker, flow, run), workers))
    assert house.content(NUMBERS) == due
    rows = house.ask("ledger", "SELECT state, epoch FROM ledger.packages WHERE run = 'both'")
    assert rows == [("done", 1)] * len(packages)
    assert sum(tally.counts["read"] for tally in tallies) == house.one("isu", "SELECT count(*) FROM ever")


def test_a_worker_whose_lease_ran_out_writes_neither_target_nor_ledger(build: Build, journal: str) -> None:
    house = build(journal, False, PARENTS)
    with house.desk("one") as desk, house.desk("two") as other:
        run = begin(desk, run="zombie")
        flow = desk.flow("contract")
        plan_flow(desk, flow, run)
        with desk.route(flow) as route:
            zombie = read_ahead(route, run, desk.worker(flow), None)
            assert zombie is not None
            house.clock.forward(minutes=10)
            house.tell("isu", "UPDATE ever SET vbez = 'Newer'")  # what the zombie has read is old by now
            load_flow(other, flow, run)
            content, ledger = house.content(), house.ledger_rows()
            with pytest.raises(ConflictError, match="the other one counts"):
                carry(
                    route, zombie.claimed, mapped(route, zombie.records, desk.ledger), desk.ledger, OpenGate(), Care()
                )
    assert house.content() == content
    assert house.ledger_rows() == ledger
    assert house.one("crm", "SELECT count(*) FROM crmd_orderadm_h WHERE description <> 'Newer'") == 0


def test_the_target_itself_refuses_an_older_epoch(build: Build) -> None:
    house = build("schema", False, PARENTS)
    with house.desk("one") as desk, house.desk("two") as other:
        run = begin(desk, run="zombie")
        flow = desk.flow("contract")
        plan_flow(desk, flow, run)
        with desk.route(flow) as route:
            zombie = read_ahead(route, run, desk.worker(flow), None)
            assert zombie is not None
            house.clock.forward(minutes=10)
            load_flow(other, flow, run)
            content = house.content()
            desk.ledger.packages.heartbeat = lambda claimed: None  # type: ignore[method-assign]
            with pytest.raises(ConflictError, match="was taken over"):
                carry(
                    route, zombie.claimed, mapped(route, zombie.records, desk.ledger), desk.ledger, OpenGate(), Care()
                )
    assert house.content() == content


def test_a_mass_change_waits_for_approval(loaded: House) -> None:
    loaded.tell("isu", "UPDATE ever SET vbez = 'Everything is new'")
    with pytest.raises(ConflictError):
        loaded.load(["contract"], run="mass")
    done = loaded.one("crm", "SELECT count(*) FROM crmd_orderadm_h WHERE description = 'Everything is new'")
    assert 0 < done <= MASS_CHANGE_FLOOR
    assert loaded.one("ledger", "SELECT count(*) FROM ledger.packages WHERE run = 'mass' AND state = 'claimed'") == 0
    with pytest.raises(ConflictError):
        loaded.load(["contract"], run="mass")
    with loaded.desk() as desk:
        (asked,) = desk.ledger.approvals.waiting()
        assert (asked.run, asked.flow, asked.what) == ("mass", "contract.isu.crm", MASS_CHANGE)
        desk.ledger.approvals.approve("mass", asked.flow, MASS_CHANGE, "operator")
    loaded.load(["contract"], run="mass")
    due = loaded.totals("first")["inserted"]
    assert due
    assert loaded.one("crm", "SELECT count(*) FROM crmd_orderadm_h WHERE description <> 'Everything is new'") == len(
        loaded.manifest.defect(23).keys
    )


def test_a_paused_flow_refuses_to_load_until_it_is_resumed(build: Build, journal: str) -> None:
    house = build(journal)
    name = "business_partner.isu.crm"
    with house.desk() as desk:
        desk.ledger.flows.pause(name, "operator", "billing run")
    with pytest.raises(ConflictError, match="billing run"):
        house.load(["business_partner"])
    assert house.one("crm", "SELECT count(*) FROM but000") == 0
    with house.desk() as desk:
        desk.ledger.flows.resume(name, "operator")
    house.load(["business_partner"])
    assert house.one("crm", "SELECT count(*) FROM but000") > 800


def test_a_flow_paused_in_the_middle_stops_after_the_packages_in_hand(build: Build, journal: str) -> None:
    house = build(journal)
    with house.desk() as desk:
        flow = desk.flow("business_partner")
        pausing = replace(
            desk, report=lambda route, carried: desk.ledger.flows.pause(route.name, "operator", "enough for today")
        )
        run = begin(desk, run="paused")
        plan_flow(desk, flow, run)
        with pytest.raises(ConflictError, match="enough for today"):
            load_flow(pausing, flow, run)
    states = house.packages("paused")
    assert states["done"] <= 2  # one is written while the one before is confirmed and told of
    assert states["retryable"] + states.get("planned", 0) >= 1
    assert "claimed" not in states


def test_a_throttled_flow_waits_between_packages(build: Build) -> None:
    house = build()
    slept: list[float] = []
    with house.desk(sleep=slept.append) as desk:
        flow = desk.flow("business_partner")
        desk.ledger.flows.throttle(flow_name(flow), 100, "operator", "month end")
        run = begin(desk)
        plan_flow(desk, flow, run)
        tally = load_flow(desk, flow, run)
    assert sum(slept) == pytest.approx(tally.counts["read"] / 100)


def short(seconds: float) -> None:
    time.sleep(0.02)


def test_a_release_that_was_cut_off_does_not_stop_the_load_that_goes_on(build: Build, journal: str) -> None:
    house = build(journal, False, PARENTS)
    with house.desk() as desk:
        run = begin(desk, run="cut off")
        flow = desk.flow("contract")
        plan_flow(desk, flow, run)
        (cut,) = desk.ledger.packages.plan(run, flow_name(flow), [KeyRange(rows=1)], "released 9")
        gone = f"{socket.gethostname()}:{NOBODY}"
        assert desk.ledger.packages.claim(run, flow_name(flow), gone, timedelta(hours=1), [cut.id]) is not None
        tally = load_flow(desk, flow, run)
        finish_flow(desk, flow, run)
        assert not desk.ledger.packages.open(run, flow_name(flow))
    assert tally.counts["read"] == house.one("isu", "SELECT count(*) FROM ever")
