"""`isthmus warehouse`: what people type, what they read, what machines get."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from isthmus.errors import ConfigError, DataError, IsthmusError
from tests.flows.house import House
from warehouse.command import app
from warehouse.load_command import failed
from warehouse.orchestrate import Step
from warehouse.shown import steps


def run(*words: str) -> str:
    """Run a command and return what it prints; an error of the engine comes through."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, IsthmusError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return str(result.output)


def said(*words: str) -> Any:
    """Return what a command prints for machines."""
    return json.loads(run(*words, "--json"))


def test_a_day_of_an_operator(stocked: House) -> None:
    first = {step["store"]: step for step in said("load", "customer", "contract")}
    assert first["contract"]["changed"] == first["contract"]["records"] > 0
    assert "Nothing has changed." in run("load", "customer", "contract")

    (key,) = stocked.ask("isu", "SELECT min(vertrag) FROM ever")[0]
    stocked.tell("isu", "UPDATE ever SET auszdat = '20331231' WHERE vertrag = %s", key)
    assert "contract" in run("load", "contract")
    newest = said("requests", "contract")[0]
    assert (newest["mode"], newest["state"], newest["changed"]) == ("DELTA", "PUBLISHED", 1)

    assert said("delete", str(newest["request"]), "--by", "ops", "--why", "a mistake")[0]["delivered_again"] is True
    assert said("load", "contract")[0]["changed"] == 1

    assert {row["requests"] for row in said("compress", "--days", "0")} == {2}
    compressed = said("requests", "contract", "--state", "compressed")[0]
    with pytest.raises(IsthmusError, match=r"cannot be deleted|absorbed|COMPRESSED"):
        run("delete", str(compressed["request"]), "--by", "ops", "--why", "too late")
    assert said("reverse", str(compressed["request"]), "--by", "ops", "--why", "back")[0]["changed"] == 1
    assert [row["differing"] for row in said("verify")] == [0, 0]
    assert said("rebuild", "contracts")[0]["cells"] > 0

    stores = {row["store"]: row for row in said("status")["stores"]}
    assert stores["contract"]["records"] == first["contract"]["changed"]
    told = stocked.ask("ledger", "SELECT what FROM ledger.events WHERE starts_with(what, 'warehouse:') ORDER BY at")
    assert [row[0] for row in told] == ["warehouse: request deleted", "warehouse: request reversed"]


def test_held_records_are_listed_and_put_right(stocked: House) -> None:
    run("load", "customer", "contract")
    (key,) = stocked.ask("isu", "SELECT min(vertrag) FROM ever")[0]
    (site,) = stocked.ask("isu", "SELECT anlage FROM ever WHERE vertrag = %s", key)[0]
    stocked.tell("isu", "UPDATE ever SET anlage = '' WHERE vertrag = %s", key)
    assert said("load", "contract")[0]["held"] == 1
    (row,) = said("held")
    assert (row["store"], row["key"], row["kinds"]) == ("contract", key.lstrip("0"), ["unread"])
    assert "the contract has no installation" in run("held", "contract")
    with pytest.raises(DataError, match="could not be read at all"):
        run("correct", "contract", row["key"], "--set", "division=gas", "--by", "ops", "--why", "known")
    assert "Still not readable" in run("resubmit", "contract", "--by", "ops", "--why", "look again")
    stocked.tell("isu", "UPDATE ever SET anlage = %s WHERE vertrag = %s", site, key)
    assert said("resubmit", "contract", row["key"], "--by", "ops", "--why", "mended")[0]["records"] == 1
    assert "none" in run("held")
    assert "Nothing of contract is held." in run("resubmit", "contract", "--by", "ops", "--why", "again")


def test_mistakes_name_what_was_meant(stocked: House) -> None:
    for words, why in (
        (("load", "contrakt"), 'no store "contrakt".*Did you mean "contract"'),
        (("load", "--month", "2025-12"), "a month is repaired of one store"),
        (("load", "contract", "--month", "2025-13"), "is no month"),
        (("load", "contract", "--mode", "delta"), "never loaded"),
        (("verify", "contract"), 'no cube "contract".*Did you mean "contracts"'),
        (("requests", "--state", "activ"), 'Did you mean "ACTIVE"'),
        (("delete", "4711", "--by", "ops", "--why", "x"), "no request 4711"),
        (("correct", "contract", "1", "--set", "division", "--by", "o", "--why", "x"), "expected FIELD=VALUE"),
    ):
        with pytest.raises(IsthmusError, match=f"(?s){why}"):
            run(*words)


def test_stores_that_failed_for_one_reason_are_told_together() -> None:
    found = [Step("contract", wrong="no answer"), Step("customer"), Step("register", wrong="no answer")]
    with pytest.raises(DataError) as told:
        failed(found)
    assert str(told.value) == "2 of 3 stores could not be loaded, the others were:\ncontract, register: no answer"
    failed([Step("customer")])


def test_files_that_were_taken_are_counted_and_the_others_told(capsys: pytest.CaptureFixture[str]) -> None:
    notes = ("calls/20260105.csv", "calls/20260106.csv is refused: it is empty", "calls/20260107.csv")
    steps([Step("call_interval", (1, 2), 9, notes=notes)], False)
    told = capsys.readouterr().out
    assert "2 files; calls/20260106.csv is refused" in " ".join(told.split())
    assert "20260105" not in told


def test_a_mode_may_be_written_in_capitals(stocked: House) -> None:
    assert said("load", "contract", "--mode", "INIT")[0]["records"] > 0


def test_a_warehouse_without_tables_says_how_to_make_them(stocked: House) -> None:
    stocked.tell("ledger", "DROP SCHEMA analysis, warehouse CASCADE")
    with pytest.raises(ConfigError, match="`isthmus warehouse apply` makes them"):
        run("status")
    with pytest.raises(ConfigError, match=r"(?s)the tables are not what the files say.*`isthmus warehouse apply`"):
        run("drill", "contracts")
    assert "create" in run("apply")
    assert "customer" in run("status")


def test_a_field_that_was_not_applied_is_told_before_anything_breaks(stocked: House) -> None:
    run("load", "customer", "contract")
    file = stocked.folder / "warehouse/stores/contract.yaml"
    added = "fields:\n  installation: text(10)\n"
    file.write_text(file.read_text(encoding="utf-8").replace("fields:\n", added, 1), encoding="utf-8")
    stocked.tell("isu", "UPDATE ever SET auszdat = '20331231' WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    with pytest.raises(ConfigError, match="the tables are not what the files say"):
        run("load", "contract")
    assert "add installation" in run("apply")
    assert said("load", "contract")[0]["changed"] > 0


def test_every_command_says_what_it_does() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    wanted = "plan apply check load requests held correct resubmit delete reverse publish compress verify rebuild drill"
    assert {*wanted.split(), "status", "watch"} <= set(commands)
    assert all(command.help for command in commands.values())
