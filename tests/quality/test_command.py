"""The command `isthmus quality`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.errors import ConfigError
from quality.command import app
from tests.quality.conftest import ROOT, Loaded


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(ROOT))


def test_check_says_that_nothing_is_wrong() -> None:
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0
    suites = [*(ROOT / "quality").glob("suites/*.yaml"), *(ROOT / "quality").glob("warehouse/*.yaml")]
    assert result.output.startswith(f"No findings in {len(suites)} suites")


def test_show_lists_what_is_expected_of_an_object() -> None:
    output = CliRunner().invoke(app, ["show", "point_of_delivery"]).output
    assert "critical  unique(key)" in output
    assert "external_id_reused" in output


def test_show_of_an_unknown_object_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match='Did you mean "contract"'):
        CliRunner().invoke(app, ["show", "contrakt"], catch_exceptions=False)


def test_run_and_page_take_the_newest_run(defective: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = defective.ledger.database.engine
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("ISTHMUS_CONNECTION_ISU", defective.project.system("isu").options["url"])
    found = json.loads(CliRunner().invoke(app, ["run", defective.run, "--json"], catch_exceptions=False).output)
    assert {item["expectation"]: item["unexpected"] for item in found}["half_a_pair"] == 3
    file = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["page", defective.run, "--out", str(file)], catch_exceptions=False)
    assert result.output.strip() == str(file)
    assert "half_a_pair" in file.read_text(encoding="utf-8")
