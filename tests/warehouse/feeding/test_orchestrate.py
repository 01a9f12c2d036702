"""All steps together: in order, restartable; bad records wait with their followers; what is put right goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isthmus.errors import DataError
from tests.flows.house import House
from tests.warehouse.feeding.conftest import apply, depot_of, live, rows
from warehouse import held, orchestrate, requests
from warehouse.depot import Depot
from warehouse.resubmit import resubmit

SUITE = """\
suite: contract
about: Contracts of a request.
expect:
  - {expect: between, column: starts_on, from: 1950-01-01, to: 2100-12-31, severity: critical,
     about: a contract starts within living memory}
  - {expect: not_null, column: ends_on, severity: warning, about: contracts end}
"""


def all_of(depot: Depot, *stores: str) -> dict[str, orchestrate.Step]:
    """Bring stores up to date and return what became of each."""
    chosen = [depot.store(name) for name in stores]
    return {step.store: step for step in orchestrate.bring_up(depot, chosen)}


def guard(house: House, text: str = SUITE) -> None:
    """Give the house a suite for its contracts."""
    place = house.folder / "quality" / "warehouse" / "contract.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def numbers(house: House) -> list[str]:
    return [row[0] for row in house.ask("isu", "SELECT vertrag FROM ever ORDER BY 1")]


def test_everything_is_loaded_proved_and_published_and_once_more_changes_nothing(depot: Depot) -> None:
    found = all_of(depot)
    assert not [step.wrong for step in found.values() if step.wrong]
    assert orchestrate.publish(depot) == 1
    proof = orchestrate.verify(depot)
    assert proof.cubes["contracts"][0] > 0
    assert proof.differing == []
    again = all_of(depot)
    assert [step.requests for step in again.values() if step.requests] == []
    assert orchestrate.publish(depot) == 1
    assert orchestrate.verify(depot, hours=24).cubes == {}


def test_attributes_are_looked_up_after_their_store_was_loaded(depot: Depot) -> None:
    all_of(depot)
    assert live(depot, "contract", "DISTINCT kind IS NULL") == [(False,)]


def test_a_step_that_was_done_is_left_as_it_is(depot: Depot) -> None:
    all_of(depot, "customer", "contract")
    before = rows(depot, "SELECT request_id, state, changed FROM warehouse.requests ORDER BY 1")
    for name in ("customer", "contract"):
        store = depot.store(name)
        assert orchestrate.check(depot, store) == []
        assert orchestrate.activate(depot, store) == orchestrate.roll_up(depot, store) == []
    assert rows(depot, "SELECT request_id, state, changed FROM warehouse.requests ORDER BY 1") == before


def test_a_store_that_fails_leaves_the_others(stocked: House, depot: Depot) -> None:
    stocked.tell("isu", "ALTER TABLE etdz RENAME TO etdz_away")
    found = all_of(depot, "customer", "register", "contract")
    assert found["register"].wrong
    assert found["customer"].records > 0
    assert found["contract"].records > 0
    stocked.tell("isu", "ALTER TABLE etdz_away RENAME TO etdz")
    assert all_of(depot, "register")["register"].records > 0


@pytest.fixture
def guarded(stocked: House) -> Iterator[Depot]:
    """A depot with a suite for contracts, after the first load; two contracts are bad at their source by then."""
    guard(stocked)
    with depot_of(stocked, gate="great_expectations") as depot:
        all_of(depot, "customer", "contract")
        orchestrate.publish(depot)
        yield depot


def spoil(house: House, *keys: str, day: str = "19010101") -> None:
    """Let contracts begin on a day that cannot be."""
    for key in keys:
        house.tell("isu", "UPDATE ever SET einzdat = %s WHERE vertrag = %s", day, key)


def began(depot: Depot, key: str) -> str:
    """Return when a contract began, as it holds."""
    found = rows(depot, "SELECT starts_on::text FROM warehouse.active_contract WHERE number = ltrim(%s, '0')", key)
    return str(found[0][0])


def test_bad_records_wait_with_their_followers_and_the_rest_goes_on(stocked: House, guarded: Depot) -> None:
    bad, good = numbers(stocked)[:2]
    before = began(guarded, bad)
    spoil(stocked, bad)
    stocked.tell("isu", "UPDATE ever SET auszdat = '20331231' WHERE vertrag = %s", good)
    step = all_of(guarded, "contract")["contract"]
    assert (step.records, step.held, step.changed) == (2, 1, 1)
    stocked.tell("isu", "UPDATE ever SET auszdat = '20321231', einzdat = '20210304' WHERE vertrag = %s", bad)
    step = all_of(guarded, "contract")["contract"]
    assert (step.records, step.held, step.changed) == (1, 1, 0)
    assert began(guarded, bad) == before
    (entry,) = held.open_entries(guarded.connection, guarded.store("contract"))
    assert (entry.key, entry.kinds) == (bad.lstrip("0"), ("follows", "refused"))
    assert entry.reasons == ("starts_on: a contract starts within living memory",)
    assert orchestrate.verify(guarded).differing == []


def test_a_correction_by_hand_lets_the_newest_record_go(stocked: House, guarded: Depot) -> None:
    (bad, *_) = numbers(stocked)
    spoil(stocked, bad)
    all_of(guarded, "contract")
    stocked.tell("isu", "UPDATE ever SET auszdat = '20321231' WHERE vertrag = %s", bad)
    all_of(guarded, "contract")
    store, key = guarded.store("contract"), bad.lstrip("0")
    overlay = {"starts_on": "2021-03-04"}
    named = {"by": "ops", "why": "typed wrong", "now": guarded.clock(), "as_of": guarded.today}
    held.correct(guarded.connection, store, key, overlay, **named)  # type: ignore[arg-type]
    all_of(guarded, "contract")
    assert dict(live(guarded, "contract", "number, starts_on::text || ' ' || ends_on::text"))[key] == (
        "2021-03-04 2032-12-31"
    )
    assert held.open_entries(guarded.connection, store) == []
    assert rows(guarded, "SELECT DISTINCT state, by, why FROM warehouse.held") == [("corrected", "ops", "typed wrong")]


def test_what_was_mended_at_its_source_is_read_again(stocked: House, guarded: Depot) -> None:
    mended, still = numbers(stocked)[:2]
    before = began(guarded, mended)
    spoil(stocked, mended, still)
    all_of(guarded, "contract")
    spoil(stocked, mended, day=before.replace("-", ""))
    store = guarded.store("contract")
    (found,) = resubmit(guarded, store, [], by="ops", why="mended")
    assert found.request is not None
    assert sorted(found.keys) == sorted(key.lstrip("0") for key in (mended, still))
    all_of(guarded, "contract")
    (left,) = held.open_entries(guarded.connection, store)  # still bad: the gate has held it anew
    assert left.key == still.lstrip("0")
    assert began(guarded, mended) == before


def test_what_cannot_be_read_stays_held_with_its_reason(stocked: House, depot: Depot) -> None:
    all_of(depot, "customer", "contract")
    (key, *_) = numbers(stocked)
    stocked.tell("isu", "UPDATE ever SET anlage = '' WHERE vertrag = %s", key)
    all_of(depot, "contract")
    (found,) = resubmit(depot, depot.store("contract"), [key.lstrip("0")], by="ops", why="look again")
    assert found.request is None
    assert found.unread[0][0] == key.lstrip("0")
    assert "the contract has no installation" in found.unread[0][1]
    with pytest.raises(DataError, match="nothing is held of 4711"):
        resubmit(depot, depot.store("contract"), ["4711"], by="ops", why="look again")


def test_a_request_that_is_bad_as_a_whole_waits_and_goes_on_when_the_suite_is_right(
    stocked: House, guarded: Depot
) -> None:
    (key, *_) = numbers(stocked)
    guard(stocked, SUITE + "  - {expect: rows, from: 1000, severity: critical, about: a load is large}\n")
    stocked.tell("isu", "UPDATE ever SET auszdat = '20331231' WHERE vertrag = %s", key)
    step = all_of(guarded, "contract")["contract"]
    assert "is withheld by the gate" in step.wrong
    assert requests.list_requests(guarded.connection, "contract", ["LOADED"])
    guard(stocked)
    assert all_of(guarded, "contract")["contract"].changed == 1


def test_a_field_that_was_added_is_filled_by_the_next_load(stocked: House, depot: Depot) -> None:
    all_of(depot)
    file = stocked.folder / "warehouse/stores/contract.yaml"
    text = file.read_text(encoding="utf-8").replace("  ends_on: date\n", "  ends_on: date\n  usage: code(usage)\n")
    file.write_text(text, encoding="utf-8")
    apply(stocked)
    with depot_of(stocked) as again:
        all_of(again, "contract")
        assert rows(again, "SELECT count(*) FROM warehouse.active_contract WHERE usage IS NOT NULL")[0][0] > 0
        assert orchestrate.verify(again).differing == []
        assert all_of(again, "contract")["contract"].requests == ()
