"""A newcomer's mistakes and the answers to them: the findings are kept beside, word for word."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.mapping.load import load_catalogue
from isthmus.mapping.spec import Catalogue
from warehouse.load_spec import read_warehouse

HERE = Path(__file__).parent
GOOD = HERE / "good"
MISTAKES = yaml.load((HERE / "mistakes.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(GOOD)


def written(mistake: dict[str, str]) -> str:
    """Return the file with the mistake in it."""
    text: str = (GOOD / "warehouse" / mistake["in"]).read_text(encoding="utf-8")
    instead, write = (mistake[key].replace("\\n", "\n") for key in ("instead", "write"))
    assert text.count(instead) >= 1, f"{mistake['in']} does not have {instead!r}"
    return text.replace(instead, write, 1)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["mistake"])
def test_a_mistake_is_answered_with_its_place_and_what_to_do(
    mistake: dict[str, Any], tmp_path: Path, catalogue: Catalogue
) -> None:
    shutil.copytree(GOOD / "warehouse", tmp_path / "warehouse")
    shutil.copy(GOOD / "isthmus.yaml", tmp_path)
    (tmp_path / "warehouse" / mistake["in"]).write_text(written(mistake), encoding="utf-8")
    _, findings = read_warehouse(tmp_path, catalogue)
    assert [str(finding) for finding in findings] == mistake["says"]
