"""`isthmus conflicts` and `isthmus sync`: what a person sees of a conflict, decides, and what becomes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from isthmus.conflicts_command import app
from isthmus.errors import ConfigError, ConflictError, DataError
from tests.flows.both_ways import both_ways, marry, partners_in_step, persons
from tests.flows.conftest import Build
from tests.flows.house import House

STAMPS = "source_at = '20260103', source_by = 'AGENT', target_at = NULL, target_by = NULL"
BY = ("--by", "Ada", "--why", "she called")


@pytest.fixture
def house(build: Build) -> House:
    """Two partners whose last name was changed on both sides; people decide about names here."""
    found = build("schema", defects=False, begin=partners_in_step)
    hold_names(found)
    found.clock.time = datetime.now(UTC)  # commands ask the machine for the time
    for number, partner in enumerate(persons(found, 2)):
        marry(found, partner, ours=f"Ours{number}", theirs=f"Theirs{number}")
    sync(found)
    return found


def hold_names(house: House) -> None:
    """Let a person decide whenever both sides change a last name."""
    from isthmus.project import Project

    file = house.folder / "mappings" / "scenarios" / "single_with_devices.yaml"
    text = file.read_text(encoding="utf-8")
    old = "{object: business_partner,  from: isu, to: crm, level: synchronize"
    assert old in text
    file.write_text(text.replace(old, f"{old}, on_conflict: {{last_name: hold}}"), encoding="utf-8")
    assert Project.load(house.folder).scenario().flows[0].on_conflict == {"last_name": "hold"}


def say(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def listed(*arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(say("list", "--json", *arguments)))


def sync(house: House, *arguments: str) -> list[dict[str, Any]]:
    import typer

    from isthmus.sync_command import sync as command

    one = typer.Typer()
    one.command()(command)
    done = CliRunner().invoke(one, ["business_partner", *arguments, "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return list(json.loads(done.stdout))


def names(house: House, partner: str) -> tuple[str, str]:
    asked = "SELECT name_last FROM but000 WHERE partner = %s"
    return str(house.one("isu", asked, partner)), str(house.one("crm", asked, partner))


def test_a_list_hides_personal_values_and_shows_keys_and_kind(house: House) -> None:
    told = listed()
    assert [(one["field"], one["kind"], one["state"]) for one in told] == [("last_name", "both changed", "open")] * 2
    assert {value for one in told for value in one["values"].values()} == {"•••"}
    assert {one["keys"]["isu"].zfill(10) for one in told} == set(persons(house, 2))
    assert "Ours0" not in say("list")


def test_who_looks_at_values_is_kept_in_the_trail_without_them(house: House) -> None:
    number = str(listed()[0]["number"])
    house.tell("ledger", f"UPDATE ledger.conflicts SET {STAMPS}")
    assert "Ours0" not in say("show", number)
    told = json.loads(say("show", number, "--json", "--show-values", "--by", "Ada"))
    assert told["values"] == {"isu": "Ours0", "crm": "Theirs0"}
    assert told["changed"] == {"isu": "2026-01-03 by AGENT", "crm": ""}
    ((who, details),) = house.ask("ledger", "SELECT who, details FROM ledger.events WHERE what LIKE 'saw%%'")
    assert (who, details) == ("Ada", {"conflict": int(number), "field": "last_name"})


def test_a_side_that_was_taken_is_applied_by_the_next_synchronization(house: House) -> None:
    first, second = persons(house, 2)
    numbers = {one["keys"]["isu"].zfill(10): str(one["number"]) for one in listed()}
    say("resolve", numbers[first], "--take", "crm", *BY)
    assert names(house, first) == ("Ours0", "Theirs0")
    sync(house)
    assert names(house, first) == ("Theirs0", "Theirs0")
    assert names(house, second) == ("Ours1", "Theirs1")
    (told,) = json.loads(say("history", first, "--json"))
    assert (told["state"], told["decision"]) == ("applied", "crm by Ada: she called")
    assert sync(house)[0]["changed"] == 0


def test_a_value_of_ones_own_goes_to_both_sides_at_once(house: House) -> None:
    first, _ = persons(house, 2)
    number = next(str(one["number"]) for one in listed() if one["keys"]["isu"].zfill(10) == first)
    said = say("resolve", number, "--take", "Agreed", *BY, "--apply")
    assert names(house, first) == ("Agreed", "Agreed")
    assert "business_partner.isu.crm: 2 rows written" in said


def test_all_conflicts_of_a_field_are_decided_at_once(house: House) -> None:
    assert "2 decided" in say("resolve", "--all", "--field", "last_name", "--take", "source", *BY, "--apply")
    assert [names(house, partner) for partner in persons(house, 2)] == [("Ours0",) * 2, ("Ours1",) * 2]
    assert listed() == []


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["--all", "--take", "isu", *BY], ConfigError, "so that nobody decides everything by accident"),
        (["1", "--take", "isu", "--by", "Ada"], ConfigError, "needs --take SIDE or VALUE, --by NAME and --why"),
        (["4711", "--take", "isu", *BY], ConfigError, "there is no conflict 4711"),
        (["--all", "--field", "last_name", "--take", "x" * 99, *BY], DataError, "does not fit, expected text(40)"),
    ],
)
def test_a_decision_that_cannot_be_is_refused_and_nothing_is_stored(
    house: House, arguments: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        say("resolve", *arguments)
    assert said in str(raised.value)
    assert house.one("ledger", "SELECT count(*) FROM ledger.conflicts WHERE state <> 'open'") == 0


def test_a_conflict_that_was_decided_and_applied_is_not_decided_again(house: House) -> None:
    number = str(listed()[0]["number"])
    say("resolve", number, "--take", "isu", *BY, "--apply")
    with pytest.raises(ConflictError, match="does not wait for a decision any more"):
        say("resolve", number, "--take", "crm", *BY)


def test_a_look_says_who_would_win_and_writes_nothing(house: House) -> None:
    before = house.content()
    (found,) = sync(house, "--what-if")
    held = {field["field"]: field["counts"]["held"] for field in found["fields"]}
    assert held["last_name"] == 2
    assert house.content() == before


def test_the_summary_fits_a_page_and_names_what_is_held(house: House) -> None:
    import typer

    from isthmus.sync_command import sync as command

    one = typer.Typer()
    one.command()(command)
    (partner,) = persons(house, 3)[2:]
    marry(house, partner, ours="Newly")
    said = CliRunner().invoke(one, ["business_partner"], env={"COLUMNS": "120"}).output
    head, line = (next(row for row in said.splitlines() if word in row) for word in ("object", "business partner"))
    assert max(map(len, said.splitlines())) <= 120
    assert " ".join(head.split()).startswith("object polled compared to crm")  # columns without a count are left out
    assert "1 (1)" in line
    assert "isthmus conflicts list" in said or "2" not in line


def test_what_stands_on_both_sides_is_taken_over_with_who_asked(build: Build) -> None:
    house = both_ways(build("schema", defects=False, loaded=("business_partner",)), ("business_partner",))
    (found,) = sync(house, "--baseline", "--by", "Ada")
    people = house.one("isu", "SELECT count(*) FROM but000")
    assert (found["counts"]["things"], found["counts"]["unchanged"], found["changed"]) == (people, people, 0)
    assert house.ask("ledger", "SELECT who FROM ledger.events WHERE what LIKE 'took over%%'") == [("Ada",)]
    assert sync(house)[0]["changed"] == 0
