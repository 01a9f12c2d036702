"""The commands about mappings: what they print, what they write, how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from isthmus.errors import ConfigError
from isthmus.mapping import command
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.sheet import compose

GOOD = Path(__file__).parent / "good"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return shutil.copytree(GOOD, tmp_path / "project")


def run(*arguments: str, folder: Path) -> Result:
    app = typer.Typer()
    app.command()(command.check)
    app.command()(command.docs)
    app.add_typer(command.mappings, name="mappings")
    return CliRunner().invoke(app, [*arguments, "--folder", str(folder)])


def spoil(project: Path, file: str, instead: str, write: str) -> None:
    path = project / "mappings" / file
    path.write_text(path.read_text(encoding="utf-8").replace(instead, write), encoding="utf-8")


def test_check_says_that_nothing_is_wrong(project: Path) -> None:
    result = run("check", folder=project)
    assert result.exit_code == 0
    assert result.stdout == "No findings in 2 objects, 4 mappings and their examples.\n"


def test_check_prints_every_finding_and_ends_with_two(project: Path) -> None:
    spoil(project, "isu/partner.yaml", "padded(10)", "paded(10)")
    spoil(project, "codes/division.yaml", "code: division", "code: divison")
    result = run("check", folder=project)
    assert result.exit_code == 2
    assert [line.split(" ")[0] for line in result.stdout.splitlines()[:2]] == [
        "mappings/codes/division.yaml:1:7:",
        "mappings/isu/partner.yaml:6:23:",
    ]
    assert result.stdout.endswith("3 findings in 2 files.\n")


def test_check_may_look_at_one_file_only(project: Path) -> None:
    spoil(project, "isu/partner.yaml", "padded(10)", "paded(10)")
    assert run("check", str(project / "mappings" / "crm"), folder=project).exit_code == 0
    assert run("check", str(project / "mappings" / "isu" / "partner.yaml"), folder=project).exit_code == 2


def test_check_answers_programs_in_json(project: Path) -> None:
    spoil(project, "isu/partner.yaml", "BUT000.NAME | trim", "BUT00.NAME | trim")
    found = json.loads(run("check", "--json", folder=project).stdout)["findings"]
    assert found == [
        {
            "file": "mappings/isu/partner.yaml",
            "line": 10,
            "column": 11,
            "message": 'there is no table "BUT00". Did you mean "BUT000"?',
        }
    ]


def test_an_example_that_is_not_true_is_a_finding(project: Path) -> None:
    spoil(project, "isu/contract.yaml", "division: electricity", "division: gas")
    result = run("check", folder=project)
    assert 'contract.yaml:26:5: this example is not true: "division" is "electricity", not "gas".' in result.stdout
    told = run("mappings", "test", folder=project)
    assert told.exit_code == 2
    assert "WRONG  isu.contract, example 1" in told.stdout
    assert told.stdout.splitlines()[-1] == "2 examples, 1 true, 1 wrong."


def test_an_example_shows_why_a_row_is_rejected(project: Path) -> None:
    spoil(project, "isu/contract.yaml", "EINZDAT: 20240101", "EINZDAT: 20240231")
    told = run("mappings", "test", "contract", folder=project).stdout
    assert "starts_on: expected a date as YYYYMMDD" in told
    assert 'found "20240231" (date)' in told


def test_show_puts_two_systems_side_by_side(project: Path) -> None:
    lines = run("mappings", "show", "contract", "isu", "crm", folder=project).stdout.splitlines()
    row = next(line for line in lines if "starts_on" in line)
    assert row.split() == ["EVER.EINZDAT", "date", "starts_on", "date", "back", "office", "date", "util.A4CONTSTART"]
    assert "crm does not keep: blocked, products.from/until, products.product" in lines


def test_show_knows_the_nearest_name(project: Path) -> None:
    with pytest.raises(ConfigError, match='Did you mean "contract"'):
        compose(load_catalogue(project), "contrakt", "isu", "crm")
    with pytest.raises(ConfigError, match='Did you mean "crm"'):
        compose(load_catalogue(project), "contract", "isu", "cmr")


def test_list_names_objects_in_the_order_they_are_loaded(project: Path) -> None:
    rows = json.loads(run("mappings", "list", "--json", folder=project).stdout)
    assert [row["object"] for row in rows] == ["partner", "contract"]
    assert rows[0]["flows"] == ["isu -> crm"]


def test_documents_are_written_once_and_kept_current(project: Path) -> None:
    assert run("docs", "--check", folder=project).exit_code == 2
    assert "written: docs/mappings/contract.md" in run("docs", folder=project).stdout
    assert run("docs", "--check", folder=project).exit_code == 0
    (project / "mappings" / "isu" / "contract.yaml").write_text(
        (project / "mappings" / "isu" / "contract.yaml")
        .read_text()
        .replace("EVER.EINZDAT | date", "EVER.EINZUG | date")
    )
    spoil(project, "isu/contract.yaml", ", EVER.EINZDAT: 20240101", "")
    spoil(project, "isu/contract.yaml", "starts_on: 2024-01-01, ", "")
    assert "out of date: docs/mappings/contract.md" in run("docs", "--check", folder=project).stdout
