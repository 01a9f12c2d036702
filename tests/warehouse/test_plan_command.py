"""`isthmus warehouse plan` and `apply`: what they print and how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from isthmus.errors import ConflictError
from tests.warehouse.test_check_command import HERE, spoil
from warehouse.command import app


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_database: str) -> Path:
    folder: Path = shutil.copytree(HERE / "good", tmp_path / "project")
    monkeypatch.setenv("ISTHMUS_HOME", str(folder))
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", fresh_database)
    return folder


def asked(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.usefixtures("project")
def test_a_plan_is_shown_and_applied_once(fresh_database: str) -> None:
    planned = asked("plan")
    assert "+ create warehouse.active_customer, " in planned
    with psycopg.connect(fresh_database) as connection:
        assert connection.execute("SELECT to_regnamespace('warehouse')").fetchone() == (None,)
    assert asked("apply") == planned
    assert asked("plan") == asked("apply") == "Everything stands as the files say.\n"


def test_a_figure_that_is_named_no_longer_is_told_of(project: Path) -> None:
    asked("apply")
    spoil(project, "cubes/billing.yaml", "  lines: {", "  bills: {")
    spoil(project, "cubes/billing.yaml", "      lines: 1", "      bills: 1")
    told = "= warehouse.facts_billing.lines is named no longer: kept as it is, never dropped"
    assert told in asked("plan")
    assert "describe the tables of 1 stores and cubes" in asked("apply")
    assert told in asked("plan")


def test_a_refusal_says_what_to_do(project: Path) -> None:
    asked("apply")
    spoil(project, "stores/billing_line.yaml", "key: [document, line]", "key: [line, document]")
    planned = CliRunner().invoke(app, ["plan"])
    assert planned.exit_code == ConflictError.exit_code
    assert "! store billing_line is kept by (document, line), the file says (line, document)" in planned.stdout
    applied = CliRunner().invoke(app, ["apply"])
    assert isinstance(applied.exception, ConflictError)
    assert "Declare a store of another name" in str(applied.exception)


@pytest.mark.usefixtures("project")
def test_programs_read_json() -> None:
    steps = json.loads(asked("plan", "--json"))
    assert {"kind", "target", "text"} == set(steps[0])
    assert {step["kind"] for step in steps} == {"control", "create", "describe", "view"}
