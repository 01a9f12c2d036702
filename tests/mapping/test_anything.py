"""Whatever stands in a file, the answer is findings: nothing else is raised, and every finding has a place."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import SpecError
from isthmus.mapping.document import read_document
from isthmus.mapping.grammar import Misread
from isthmus.mapping.load import load_catalogue, read_catalogue
from isthmus.mapping.pipe import read_call, read_columns, read_pipe, read_ties
from isthmus.mapping.predicate import read_predicate

GOOD = Path(__file__).parent / "good"
FILES = sorted(str(path.relative_to(GOOD)) for path in GOOD.rglob("*.yaml"))
SIGNS = "ab.E1 |+()=<>\"',${}[]:-#&*!\n\t~ü"
LINES = st.one_of(st.text(max_size=60), st.text(SIGNS, max_size=60))
PIECES = st.sampled_from(
    [
        "",
        "{}",
        "[]",
        '""',
        "null",
        "yes",
        "a: b",
        "[[x]]",
        "{a: {b: c}}",
        "| trim",
        "&a x",
        "*a",
        "(",
        "A.B | ",
        "'",
        "\t",
    ]
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(st.one_of(st.binary(max_size=200), LINES.map(str.encode)))
def test_any_bytes_are_a_document_or_findings(content: bytes) -> None:
    root, findings = read_document(content, "f.yaml")
    assert root is not None or findings
    assert all(finding.line > 0 and finding.column > 0 for finding in findings)


@QUICK
@given(LINES)
def test_any_line_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    for read in (read_pipe, read_call, read_columns, read_ties, read_predicate):
        try:
            read(text)
        except Misread as error:
            assert 1 <= error.position.column <= len(text) + 1
            assert error.message.endswith(".")


@settings(QUICK, max_examples=80)
@given(data=st.data())
def test_a_damaged_file_gives_findings_and_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    shutil.copytree(GOOD, tmp_path, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(FILES))
    text = (GOOD / name).read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    (tmp_path / name).write_text(text[:start] + data.draw(PIECES) + text[end:], encoding="utf-8")
    _, findings = read_catalogue(tmp_path)
    assert all(finding.line > 0 and finding.column > 0 and finding.file for finding in findings)
    try:
        load_catalogue(tmp_path)
    except SpecError as error:
        assert error.findings == findings
