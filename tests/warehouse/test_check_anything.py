"""Whatever stands in a file of the warehouse, the answer is findings: nothing else is raised, each has a place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.mapping.grammar import Misread
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.spec import Catalogue
from tests.mapping.test_anything import LINES, PIECES
from warehouse.grammar import read_expression, read_formula, read_type
from warehouse.load_spec import read_warehouse

GOOD = Path(__file__).parent / "good"
FILES = sorted(str(path.relative_to(GOOD)) for path in (GOOD / "warehouse").rglob("*.yaml"))
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(GOOD)


@QUICK
@given(LINES)
def test_any_line_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    for read in (read_type, read_expression, read_formula):
        try:
            read(text)
        except Misread as error:
            assert 1 <= error.position.column <= len(text) + 1


@QUICK
@given(st.sampled_from(FILES), st.data())
def test_a_file_with_any_line_replaced_is_findings_with_places(
    tmp_path: Path, catalogue: Catalogue, file: str, data: st.DataObject
) -> None:
    shutil.copytree(GOOD, tmp_path / "project", dirs_exist_ok=True)
    lines = (GOOD / file).read_text(encoding="utf-8").splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key = lines[at].partition(":")[0]
    lines[at] = f"{key}: {data.draw(st.one_of(PIECES, LINES))}" if data.draw(st.booleans()) else ""
    (tmp_path / "project" / file).write_text("\n".join(lines), encoding="utf-8")
    _, findings = read_warehouse(tmp_path / "project", catalogue)
    assert all(finding.line > 0 and finding.column > 0 and finding.message for finding in findings)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_cannot_be_read_is_missed_by_nobody_else(file: str, tmp_path: Path, catalogue: Catalogue) -> None:
    shutil.copytree(GOOD, tmp_path / "project")
    (tmp_path / "project" / file).write_text("store: [", encoding="utf-8")
    _, findings = read_warehouse(tmp_path / "project", catalogue)
    assert {finding.file for finding in findings} == {file}
