"""Every environment variable of the pages is read by the code, and every one that the code reads is explained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.docs.pages import PAGES, ROOT

VARIABLE = re.compile(r"\b(ISTHMUS_[A-Z]+(?:_[A-Z]+)*_?)(<[A-Z]+>)?")
FOLDERS = ("isthmus", "connectors", "quality", "landscape", "monitor", "dags")


def said(files: Iterable[Path]) -> set[str]:
    """Return the variables that files name; one that ends with a name of the user's choice ends with `_`."""
    return {name for file in files for name, _ in VARIABLE.findall(file.read_text(encoding="utf-8"))}


def code() -> set[str]:
    return said([*(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")), ROOT / "tests/conftest.py"])


def test_every_variable_of_the_pages_is_read_by_the_code() -> None:
    known = code()
    families = tuple(name for name in known if name.endswith("_"))
    assert [name for name in sorted(said(PAGES)) if name not in known and not name.startswith(families)] == []


def test_every_variable_that_the_code_reads_is_explained() -> None:
    assert sorted(code() - said(PAGES)) == []


def test_a_family_of_variables_is_known_by_its_beginning() -> None:
    assert VARIABLE.findall("ISTHMUS_CONNECTION_<NAME>") == [("ISTHMUS_CONNECTION_", "<NAME>")]
    assert {"ISTHMUS_CONNECTION_", "ISTHMUS_DATABASE_URL_"} <= code()
