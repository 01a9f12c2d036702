"""Packages: one worker each, the newest claim wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConflictError
from isthmus.ledger import Confirmation, Ledger, Run
from tests.ledger.conftest import HandClock

LEASE = timedelta(minutes=5)
RANGES = [KeyRange((f"{n}000",), (f"{n + 1}000",), 1000) for n in range(1, 9)]


def test_a_plan_stays_as_it_was_first_made(ledger: Ledger, run: Run) -> None:
    first = ledger.packages.plan(run.id, "contract", RANGES)
    assert ledger.packages.plan(run.id, "contract", RANGES[:2]) == first
    assert [package.range for package in first] == RANGES
    assert first[0].id == "contract/00001"


def test_variants_of_one_flow_are_planned_apart(ledger: Ledger, run: Run) -> None:
    ledger.packages.plan(run.id, "device", RANGES[:1], "EGERH")
    ledger.packages.plan(run.id, "device", RANGES[:1], "EGERR")
    assert [package.id for package in ledger.packages.open(run.id, "device")] == [
        "device/EGERH/00001",
        "device/EGERR/00001",
    ]


def test_many_workers_never_get_the_same_package(ledger: Ledger, run: Run) -> None:
    planned = ledger.packages.plan(run.id, "contract", RANGES * 3)

    def work(worker: int) -> list[str]:
        mine = []
        while claimed := ledger.packages.claim(run.id, "contract", f"worker {worker}", LEASE):
            mine.append(claimed.id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [id for ids in pool.map(work, range(4)) for id in ids]
    assert sorted(taken) == [package.id for package in planned]


def test_a_claim_keeps_to_the_packages_it_was_given(ledger: Ledger, run: Run) -> None:
    planned = ledger.packages.plan(run.id, "contract", RANGES)
    claimed = ledger.packages.claim(run.id, "contract", "w", LEASE, only=[planned[3].id], mapping_hash="new")
    assert claimed is not None
    assert (claimed.id, claimed.epoch, claimed.mapping_hash) == (planned[3].id, 1, "new")
    assert ledger.packages.claim(run.id, "contract", "w", LEASE, only=[planned[3].id]) is None


def test_a_package_whose_lease_ran_out_goes_to_another_and_the_first_is_fenced(
    ledger: Ledger, run: Run, clock: HandClock
) -> None:
    ledger.packages.plan(run.id, "contract", RANGES[:1])
    zombie = ledger.packages.claim(run.id, "contract", "first", LEASE)
    assert zombie is not None
    assert ledger.packages.claim(run.id, "contract", "second", LEASE) is None
    clock.forward(minutes=6)
    heir = ledger.packages.claim(run.id, "contract", "second", LEASE)
    assert heir is not None
    assert heir.epoch == zombie.epoch + 1
    for deed in (
        lambda: ledger.confirm(zombie, Confirmation({"read": 1})),
        lambda: ledger.packages.heartbeat(zombie),
        lambda: ledger.packages.fail(zombie, "x", "late", True),
    ):
        with pytest.raises(ConflictError, match="this work is void"):
            deed()
    ledger.confirm(heir, Confirmation({"read": 7, "inserted": 7}))
    with pytest.raises(ConflictError, match="is done at epoch 2"):
        ledger.confirm(zombie, Confirmation({"read": 1}))


def test_a_heartbeat_keeps_a_package(ledger: Ledger, run: Run, clock: HandClock) -> None:
    ledger.packages.plan(run.id, "contract", RANGES[:1])
    claimed = ledger.packages.claim(run.id, "contract", "first", LEASE)
    assert claimed is not None
    clock.forward(minutes=4)
    ledger.packages.heartbeat(claimed)
    clock.forward(minutes=4)
    assert ledger.packages.claim(run.id, "contract", "second", LEASE) is None


def test_failed_packages_wait_for_a_person_and_retryable_ones_do_not(ledger: Ledger, run: Run) -> None:
    ledger.packages.plan(run.id, "contract", RANGES[:3])
    one, two, three = (ledger.packages.claim(run.id, "contract", "w", LEASE) for _ in range(3))
    assert one and two and three
    ledger.packages.fail(one, "target busy", "the target refused the session", True)
    ledger.packages.fail(two, "table missing", "there is no table EVER", False)
    ledger.packages.withhold(three, "key is not unique")
    again = ledger.packages.claim(run.id, "contract", "w", LEASE)
    assert again is not None
    assert (again.id, again.epoch) == (one.id, 2)
    assert ledger.packages.claim(run.id, "contract", "w", LEASE) is None
    states = {package.id: (package.state, package.message) for package in ledger.packages.open(run.id, "contract")}
    assert states[two.id] == ("failed", "there is no table EVER")
    assert states[three.id] == ("withheld", "key is not unique")
    assert ledger.packages.reopen(run.id, "contract") == 2
    assert ledger.packages.claim(run.id, "contract", "w", LEASE) is not None


def test_progress_sums_each_flow(ledger: Ledger, run: Run) -> None:
    ledger.packages.plan(run.id, "contract", RANGES[:3])
    ledger.packages.plan(run.id, "device", RANGES[:1])
    for _ in range(2):
        claimed = ledger.packages.claim(run.id, "contract", "w", LEASE)
        assert claimed is not None
        ledger.confirm(claimed, Confirmation({"read": 10, "inserted": 6, "rejected": 1, "parked": 3, "filtered": 2}))
    contract, device = sorted(ledger.packages.progress(run.id), key=lambda progress: progress.flow)
    assert (contract.packages, contract.done, contract.failed) == (3, 2, 0)
    assert (contract.rows_read, contract.rows_inserted, contract.rows_rejected, contract.rows_parked) == (20, 12, 2, 6)
    assert (device.packages, device.done) == (1, 0)
    assert ledger.packages.list(run.id, "contract")[0].counts["filtered"] == 2
