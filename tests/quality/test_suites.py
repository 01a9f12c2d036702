"""Suites and checks as people write them: read whole, and every mistake told at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from isthmus.errors import SpecError
from isthmus.mapping.load import load_catalogue
from quality.check import read_checks
from quality.gate import GreatExpectationsGate
from quality.suite import Suite, load_suites, read_suites
from tests.quality.conftest import ROOT

WRONG = """\
suite: contracts
expect:
  - {expect: unqiue, column: key, severity: critical, about: a}
  - {expect: unique, column: numbr, severity: critical, about: a}
  - {expect: unique, severity: critical, about: a}
  - {expect: not_null, column: key, severity: fatal, about: a}
  - {expect: between, column: starts_on, severity: warning, about: a}
  - {expect: between, column: starts_on, from: yesterday, severity: warning, about: a}
  - {expect: not_null, column: key, mostly: 2, severity: warning, about: a}
  - {expect: rows, mostly: 0.5, from: 1, severity: warning, about: a}
  - {expect: matches, column: key, pattern: "[", severity: warning, about: a}
  - {expect: not_null, column: key}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder with the model and no suites."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    (tmp_path / "quality" / "suites").mkdir(parents=True)
    return tmp_path


def _suite(folder: Path, text: str, name: str = "contract") -> tuple[dict[str, Suite], list[str]]:
    (folder / "quality" / "suites" / f"{name}.yaml").write_text(text, encoding="utf-8")
    suites, findings = read_suites(folder)
    return suites, [str(finding) for finding in findings]


def test_the_suites_and_checks_that_ship_have_no_findings() -> None:
    assert read_suites(ROOT)[1] == ()
    assert read_checks(ROOT, load_catalogue(ROOT))[1] == ()


def test_every_object_of_the_download_has_a_suite_with_a_critical_expectation() -> None:
    suites = load_suites(ROOT)
    for object_ in ("business_partner", "contract_account", "connection_object", "premise", "point_of_delivery"):
        assert any(line.severity == "critical" for line in suites[object_].expectations)
    assert {"installation", "device", "product", "contract"} <= set(suites)


def test_a_suite_with_many_mistakes_tells_each_with_its_place(folder: Path) -> None:
    _, told = _suite(folder, WRONG)
    assert [int(text.split(":")[1]) for text in told] == sorted(int(text.split(":")[1]) for text in told)
    assert all(re.match(r"quality/suites/contract\.yaml:\d+:\d+: ", text) for text in told)
    for part in (
        '"suite" is "contracts" but the file is called "contract"',
        'a suite needs "about"',
        'there is no expectation "unqiue". Did you mean "unique"?',
        'the model has no column "numbr". Did you mean "number"?',
        '"unique" needs "column"',
        '"severity" is "critical" or "warning", not "fatal"',
        '"between" needs "from", "to" or both',
        '"yesterday" is no value of this column; expected a date',
        '"mostly" is a share between 0 and 1',
        '"rows" has no key "mostly"',
        '"[" is no regular expression',
        '"not_null" needs "severity"',
    ):
        assert any(part in text for text in told), f"missing: {part}\n" + "\n".join(told)


def test_a_suite_of_no_object_is_told_with_the_nearest_one(folder: Path) -> None:
    _, told = _suite(folder, "suite: contrakt\nabout: a\nexpect: []\n", "contrakt")
    assert told == [
        'quality/suites/contrakt.yaml:1:1: the model has no object "contrakt"; a suite is called like its object. '
        'Did you mean "contract"?'
    ]


def test_a_gate_with_a_wrong_suite_does_not_open(folder: Path) -> None:
    _suite(folder, WRONG)
    with pytest.raises(SpecError) as raised:
        GreatExpectationsGate(folder)
    assert len(raised.value.findings) > 10


def test_counts_of_lists_are_columns_and_bounds_take_the_type_of_their_column(folder: Path) -> None:
    text = """\
suite: device
about: a
expect:
  - {expect: between, column: registers_count, from: 1, to: 4, severity: warning, about: a}
  - {expect: zero, column: registers_gaps, severity: warning, about: a}
  - {expect: in_set, column: installed, values: [yes], severity: warning, about: a}
"""
    suites, told = _suite(folder, text, "device")
    assert told == []
    first, _, last = suites["device"].expectations
    assert (first.arguments["from"], first.arguments["to"]) == (1, 4)
    assert last.arguments["values"] == (True,)
    assert suites["device"].columns == ("key", "registers_count", "registers_gaps", "installed")


def test_checks_with_mistakes_tell_each_with_its_place(folder: Path) -> None:
    (folder / "quality" / "checks.yaml").write_text(
        """\
about: a
checks:
  - {check: a, expect: one_object, object: contrakt, system: isu, same: [number], about: a}
  - {check: b, expect: one_object, object: contract, system: isv, same: [number], about: a}
  - {check: c, expect: one_object, object: contract, system: isu, same: [numbr], about: a}
  - {check: d, expect: one_object, object: contract, system: isu, about: a}
  - {check: e, expect: own_spelling, object: contract, system: isu, of: keys, same: [number], about: a}
  - {check: f, expect: own_spelling, object: contract, system: isu, of: rows, about: a}
  - {check: g, expect: all_or_none, object: installation, system: isu, same: [division], differ: usage,
     used_by: contract.account, about: a}
  - {check: h, expect: own_spelling, object: contract, system: isu, of: key, about: a}
  - {check: h, expect: own_spelling, object: contract, system: isu, of: key, about: a}
""",
        encoding="utf-8",
    )
    told = [str(finding) for finding in read_checks(folder, load_catalogue(ROOT))[1]]
    for part in (
        'checks.yaml:3:44: the model has no object "contrakt". Did you mean "contract"?',
        'no mapping says how "isv" speaks contract. Did you mean "isu"?',
        'isu does not speak of "numbr". Did you mean "number"?',
        '"one_object" needs "same"',
        '"own_spelling" does not look at "same"',
        '"of" is "key", not "rows"',
        '"contract.account" is no reference to installation. Those are: billing_line.installation, contract.inst',
        'there is a check "h" above already',
    ):
        assert any(part in text for text in told), f"missing: {part}\n" + "\n".join(told)
