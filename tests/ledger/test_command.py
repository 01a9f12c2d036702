"""What operations see and set on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from isthmus.connector import KeyRange
from isthmus.errors import ConfigError
from isthmus.ledger import Confirmation, Ledger, Pairs, Run, command
from isthmus.ledger.migrate import HEAD

FLOW = "contract.isu.crm"


@pytest.fixture(autouse=True)
def _store(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", ledger_url)


def call(command: typer.Typer | Callable[..., None], *arguments: str) -> str:
    app = command
    if not isinstance(app, typer.Typer):
        app = typer.Typer()
        app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def loaded(ledger: Ledger, run: Run) -> None:
    ledger.systems.identify("isu", "demo", "100")
    ledger.flows.begin_load(FLOW, run.id, "20240331")
    ledger.packages.plan(run.id, FLOW, [KeyRange(("0000000000",), ("0000005000",)), KeyRange(("0000005000",))])
    claimed = ledger.packages.claim(run.id, FLOW, "w", timedelta(minutes=5))
    assert claimed is not None
    isu = pa.array(["0000004711"])
    pairs = Pairs("contract", ledger.keys.ids("contract", "isu", "100", isu), {"isu": isu, "crm": pa.array(["AB12"])})
    held = pa.table(
        {
            "key": ["4712", "4713"],
            "state": ["rejected", "parked"],
            "field": ["starts_on", "account"],
            "message": ["20230231 is [not] a date", "its account has not arrived"],
            "waits_object": [None, "contract_account"],
            "waits_key": [None, "000000000077"],
        }
    )
    ledger.confirm(claimed, Confirmation({"read": 3, "inserted": 1}, (pairs,), held))
    ledger.flows.finish_load(FLOW, run.id)
    ledger.events.put("ops", "corrected", object="contract", key="4711", details={"field": "starts_on"})


def test_migrate_says_where_the_ledger_is() -> None:
    assert f"revision {HEAD}" in call(command.ledger_app, "migrate")


@pytest.mark.usefixtures("loaded")
def test_status_shows_each_flow_with_what_is_held_back(run: Run) -> None:
    (line,) = [line.split() for line in call(command.status).splitlines() if FLOW in line]
    assert line == [FLOW, "loaded", "20240331", run.id, "1", "1"]
    shown = call(command.ledger_app, "status")
    assert run.id in shown
    assert "contract" in shown and "isu" in shown


@pytest.mark.usefixtures("loaded")
def test_rejected_and_parked_rows_are_listed_with_their_reason() -> None:
    assert "20230231 is [not] a date" in call(command.rejected, "contract")
    assert "contract_account 000000000077" in call(command.parked)
    with pytest.raises(ConfigError, match="Did you mean"):
        call(command.rejected, "contract.isu.crn")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("key", ["4711", "0000004711", "AB12"])
def test_a_row_is_found_by_any_spelling_of_its_key(key: str) -> None:
    told = call(command.trace, "contract", key)
    assert "0000004711" in told and "AB12" in told
    assert f"{FLOW}/00001" in told and f"{FLOW}/00002" not in told
    assert "corrected" in told


@pytest.mark.usefixtures("loaded")
def test_a_rejected_row_tells_why_and_an_unknown_one_that_it_is_unknown() -> None:
    assert "20230231 is [not] a date" in call(command.trace, "contract", "4712")
    assert "has never met contract 99" in call(command.trace, "contract", "99")


@pytest.mark.usefixtures("loaded")
def test_a_flow_is_paused_throttled_and_resumed_by_somebody_for_a_reason(ledger: Ledger) -> None:
    call(command.flows_app, "pause", "contract", "--by", "ops", "--why", "billing run")
    assert "paused by ops: billing run" in call(command.status)
    call(command.flows_app, "throttle", FLOW, "--rows", "500", "--by", "ops", "--why", "month end")
    assert ledger.flows.state(FLOW).throttle_rows_per_s == 500
    call(command.flows_app, "resume", FLOW, "--by", "ops")
    assert not ledger.flows.state(FLOW).paused
    with pytest.raises(ConfigError, match="knows no flow"):
        call(command.flows_app, "pause", "device", "--by", "ops", "--why", "x")


@pytest.mark.usefixtures("loaded")
def test_pruning_says_what_went() -> None:
    assert "1 months of events" in call(command.ledger_app, "prune", "--days", "1")


@pytest.mark.usefixtures("loaded")
def test_a_flow_is_drained_and_kept_still_by_command(ledger: Ledger) -> None:
    assert "takes nothing new" in call(command.flows_app, "drain", "contract", "--by", "ops", "--why", "upgrade")
    assert "loaded, draining" in call(command.status)
    weekly = ["--from", "22:00", "--until", "06:00", "--days", "fri,sat", "--zone", "Europe/Berlin"]
    made = call(command.flows_app, "blackout", "contract", "--by", "ops", "--why", "billing run", *weekly)
    assert "isthmus flows lift 1" in made
    call(command.flows_app, "blackout", "*", "--by", "ops", "--why", "move", "--from", "2000-01-01T00:00")
    listed = call(command.flows_app, "blackouts")
    assert "fri,sat 22:00-06:00 Europe/Berlin" in listed
    assert ledger.flows.blackout("device.isu.crm") == "move"
    call(command.flows_app, "lift", "2", "--by", "ops")
    assert ledger.flows.blackout("device.isu.crm") is None
    with pytest.raises(ConfigError, match="--from 18:00"):
        call(command.flows_app, "blackout", "*", "--by", "ops", "--why", "x", "--from", "25:00", "--until", "26:00")
