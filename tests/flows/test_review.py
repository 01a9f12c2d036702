"""A batch of conflicts as the DAG `conflict_review` lays it before a person, and the answers it carries out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from isthmus.errors import ConfigError
from isthmus.levels.review import LEAVE, lay_out, pick, settle
from isthmus.levels.rounds import keep_in_step
from isthmus.levels.settle_conflicts import decide
from tests.flows.both_ways import marry, partners_in_step, persons
from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_conflicts_command import hold_names


@pytest.fixture
def house(build: Build) -> House:
    """Three partners whose last name was changed on both sides; people decide about names here."""
    found = build("schema", defects=False, begin=partners_in_step)
    hold_names(found)
    found.clock.time = datetime.now(UTC)
    for number, partner in enumerate(persons(found, 3)):
        marry(found, partner, ours=f"Ours|{number}", theirs=f"Theirs|{number}")
    with found.desk() as desk:
        keep_in_step(desk, desk.flow("business_partner"))
    return found


def states(house: House) -> list[tuple[str, str | None, str | None]]:
    return house.ask("ledger", "SELECT state, take, value FROM ledger.conflicts ORDER BY number")


def test_the_oldest_conflicts_are_picked_up_to_the_limit(house: House) -> None:
    batch = pick({"limit": 2})
    assert (batch.numbers, batch.systems, batch.open) == ((1, 2), ("isu", "crm"), 3)
    assert pick({"object": "business_partner", "kind": "refused"}).numbers == ()


def test_a_page_hides_personal_values_until_the_project_says_otherwise(house: House) -> None:
    hidden, titles = lay_out({}, [1], "run")
    assert "•••" in hidden and "Ours" not in hidden
    assert titles[1].startswith("1: business partner") and titles[1].endswith("last_name")
    file = house.folder / "isthmus.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "review: {show_values: yes}\n", encoding="utf-8")
    shown, _ = lay_out({}, [1], "run")
    assert "Ours&#124;0" in shown and "Theirs&#124;0" in shown
    assert all(line.count("|") == shown.splitlines()[0].count("|") for line in shown.splitlines())
    assert house.one("ledger", "SELECT count(*) FROM ledger.events WHERE what LIKE 'showed values%%'") == 1


def test_answers_are_kept_with_the_name_and_what_was_left_stays_open(house: House) -> None:
    done = settle({}, {1: "isu", 2: "crm", 3: LEAVE}, "Ada", "run")
    assert (done["decided"], done["left"], done["objects"]) == ([1, 2], [3], ["business_partner"])
    assert states(house) == [("decided", "source", None), ("decided", "target", None), ("open", None, None)]
    assert house.one("ledger", "SELECT decided_by FROM ledger.conflicts WHERE number = 1") == "Ada"


def test_a_conflict_that_somebody_settled_meanwhile_is_passed_over(house: House) -> None:
    house.tell("ledger", "UPDATE ledger.conflicts SET state = 'applied' WHERE number = 1")
    done = settle({}, {1: "isu", 2: "isu"}, "Ada", "run")
    assert done["decided"] == [2]
    assert "does not wait for a decision any more" in done["over"][1]


def test_whose_value_counts_never_says_that_two_records_are_one(house: House) -> None:
    house.tell("ledger", "UPDATE ledger.conflicts SET kind = 'duplicate' WHERE number < 3")
    assert pick({}).alike == (1, 2)
    done = settle({}, {1: "isu", 2: "create"}, "Ada", "run")
    assert (done["decided"], done["left"]) == ([2], [1])
    assert states(house)[1] == ("decided", "value", "create")
    with house.desk() as desk, pytest.raises(ConfigError, match=r"expected same .* or create"):
        decide(desk, [desk.ledger.conflicts.show(1)], "isu", "Ada", "")
