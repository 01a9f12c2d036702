"""`isthmus warehouse check`: what it prints and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isthmus.mapping.load import read_catalogue
from warehouse.command import app
from warehouse.load_spec import read_warehouse

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder: Path = shutil.copytree(HERE / "good", tmp_path / "project")
    monkeypatch.setenv("ISTHMUS_HOME", str(folder))
    return folder


def spoil(project: Path, file: str, instead: str, write: str) -> None:
    path = project / "warehouse" / file
    path.write_text(path.read_text(encoding="utf-8").replace(instead, write), encoding="utf-8")


def test_check_says_that_nothing_is_wrong(project: Path) -> None:
    result = CliRunner().invoke(app, ["check"])
    assert (result.exit_code, result.stdout) == (0, "No findings in 6 stores, 2 dimensions, 3 cubes.\n")


def test_check_prints_every_finding_and_ends_with_two(project: Path) -> None:
    spoil(project, "stores/customer.yaml", "[city]", "[town]")
    spoil(project, "cubes/calls.yaml", "slot(30)", "slot(31)")
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        'warehouse/cubes/calls.yaml:12:67: "slot": it takes minutes that divide a day, such as slot(30).',
        'warehouse/stores/customer.yaml:11:11: customer has no field "town". Possible here: number, kind, city.',
        "2 findings in 6 stores, 2 dimensions, 3 cubes.",
    ]


def test_check_tells_other_programs_where_a_finding_stands(project: Path) -> None:
    spoil(project, "stores/customer.yaml", "[city]", "[town]")
    result = CliRunner().invoke(app, ["check", "--json"])
    assert result.exit_code == 2
    assert [(item["file"], item["line"], item["column"]) for item in json.loads(result.stdout)] == [
        ("warehouse/stores/customer.yaml", 11, 11)
    ]


def test_the_shipped_warehouse_has_no_findings() -> None:
    warehouse, findings = read_warehouse(ROOT, read_catalogue(ROOT)[0])
    assert [str(finding) for finding in findings] == []
    assert len(warehouse.stores) > 10 and len(warehouse.cubes) > 5
