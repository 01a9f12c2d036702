"""The gate with the real Great Expectations on frames as the engine lays them out."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.gate import GateFinding, open_gate
from quality.gate import GreatExpectationsGate
from quality.suite import read_suites
from tests.quality.conftest import ROOT

SUITE = """\
suite: contract
about: For tests.
expect:
  - {expect: unique, column: key, severity: critical, about: once}
  - {expect: not_null, column: account, severity: critical, about: billed}
  - {expect: at_least, column: ends_on, other: starts_on, severity: warning, about: forwards}
  - {expect: between, column: starts_on, from: 2000-01-01, to: 9999-12-31, severity: warning, about: recent}
  - {expect: in_set, column: division, values: [electricity, gas], severity: warning, about: known}
  - {expect: not_null, column: product, mostly: 0.5, severity: warning, about: most}
  - {expect: matches, column: key, pattern: "^[0-9]+$", severity: warning, about: digits}
  - {expect: no_longer_than, column: text, length: 5, severity: warning, about: short}
  - {expect: unique_together, columns: [account, division], severity: warning, about: one of each}
  - {expect: same_as, column: customer, other: customer_number, severity: warning, about: copied}
  - {expect: rows, from: 1, severity: warning, about: some}
  - {expect: distinct, column: division, to: 1, severity: warning, about: one division}
"""


@pytest.fixture
def gate(tmp_path: Path) -> GreatExpectationsGate:
    """A gate with one suite."""
    (tmp_path / "mappings").symlink_to(ROOT / "mappings")
    (tmp_path / "quality" / "suites").mkdir(parents=True)
    (tmp_path / "quality" / "suites" / "contract.yaml").write_text(SUITE, encoding="utf-8")
    assert read_suites(tmp_path)[1] == ()
    return GreatExpectationsGate(tmp_path)


def _frame(**changed: pa.Array) -> pa.RecordBatch:
    four = {
        "key": pa.array(["1", "2", "3", "4"]),
        "account": pa.array(["11", "12", "13", "14"]),
        "customer": pa.array(["21", "22", "23", None]),
        "customer_number": pa.array(["21", "22", "23", "24"]),
        "division": pa.array(["gas"] * 4),
        "product": pa.array(["P", "P", None, None]),
        "text": pa.array(["short", None, "a", "b"]),
        "starts_on": pa.array([date(2020, 1, 1)] * 4),
        "ends_on": pa.array([None, date(2020, 1, 1), date(2021, 1, 1), None]),
    }
    return pa.RecordBatch.from_pydict({**four, **changed})


def _of(findings: tuple[GateFinding, ...], name: str) -> GateFinding:
    return next(finding for finding in findings if finding.expectation == name)


def test_a_clean_package_passes_everything(gate: GreatExpectationsGate) -> None:
    verdict = gate.check("contract", _frame())
    assert {finding.state for finding in verdict.findings} == {"passed"}
    assert verdict.withheld == ""
    assert _of(verdict.findings, "unique(key)").checked == 4
    assert _of(verdict.findings, "at_least(ends_on, starts_on)").checked == 2


def test_a_critical_failure_withholds_the_package_and_names_keys(gate: GreatExpectationsGate) -> None:
    verdict = gate.check("contract", _frame(account=pa.array(["11", None, "13", None])))
    found = _of(verdict.findings, "not_null(account)")
    assert (found.state, found.unexpected, found.keys) == ("failed", 2, ("2", "4"))
    assert verdict.withheld == "not_null(account): billed"


def test_warnings_report_and_let_the_package_pass(gate: GreatExpectationsGate) -> None:
    changed = {
        "division": pa.array(["gas", "steam", "gas", "electricity"]),
        "starts_on": pa.array([date(2022, 1, 1), date(1990, 1, 1), date(2022, 1, 1), date(2022, 1, 1)]),
        "text": pa.array(["much too long", None, "a", "b"]),
        "customer": pa.array(["21", "2222", "23", "24"]),
        "account": pa.array(["11", "12", "11", "14"]),
    }
    verdict = gate.check("contract", _frame(**changed))
    assert verdict.withheld == ""
    failed = {f.expectation: (f.unexpected, f.keys) for f in verdict.findings if f.state == "failed"}
    assert failed == {
        "at_least(ends_on, starts_on)": (1, ("3",)),
        "between(starts_on)": (1, ("2",)),
        "in_set(division)": (1, ("2",)),
        "no_longer_than(text)": (1, ("1",)),
        "unique_together(account, division)": (2, ("1", "3")),
        "same_as(customer, customer_number)": (1, ("2",)),
        "distinct(division)": (0, ()),
    }


def test_a_share_that_holds_is_no_failure_and_one_that_does_not_is(gate: GreatExpectationsGate) -> None:
    held = _of(gate.check("contract", _frame()).findings, "not_null(product)")
    assert (held.state, held.unexpected) == ("passed", 2)
    broken = gate.check("contract", _frame(product=pa.array(["P", None, None, None])))
    assert _of(broken.findings, "not_null(product)").state == "failed"


def test_an_expectation_that_cannot_be_evaluated_is_errored_and_not_failed(gate: GreatExpectationsGate) -> None:
    secret = _frame(starts_on=pa.array(["Okafor", "b", "c", "d"]))
    found = _of(gate.check("contract", secret).findings, "between(starts_on)")
    assert (found.state, found.unexpected, found.checked) == ("errored", 0, 0)
    assert "TypeError" in found.detail
    assert "Okafor" not in found.detail


def test_a_column_that_the_package_does_not_have_errors_only_what_looks_at_it(gate: GreatExpectationsGate) -> None:
    frame = _frame().drop_columns(["account"])
    verdict = gate.check("contract", frame)
    errored = {finding.expectation: finding.detail for finding in verdict.findings if finding.state == "errored"}
    assert set(errored) == {"not_null(account)", "unique_together(account, division)"}
    assert "has no account" in errored["not_null(account)"]
    assert verdict.withheld.startswith("not_null(account)")


def test_of_a_package_without_rows_only_the_number_of_rows_is_judged(gate: GreatExpectationsGate) -> None:
    verdict = gate.check("contract", _frame().slice(0, 0).select(["key", "division"]))
    assert [finding.expectation for finding in verdict.findings if finding.state != "passed"] == ["rows()"]
    assert _of(verdict.findings, "rows()").detail == "found 0, expected from 1"
    assert verdict.withheld == ""


def test_at_most_twenty_keys_are_named_and_the_count_is_whole(gate: GreatExpectationsGate) -> None:
    size = 500
    columns = {name: pa.array(["1"] * size) for name in ("account", "customer", "customer_number", "division", "text")}
    days = pa.array([date(2020, 1, 1)] * size)
    keys = pa.array([f"K{place}" for place in range(size)])
    frame = pa.RecordBatch.from_pydict({"key": keys, **columns, "product": keys, "starts_on": days, "ends_on": days})
    found = _of(gate.check("contract", frame).findings, "matches(key)")
    assert (found.unexpected, len(found.keys), found.keys[0]) == (size, 20, "K0")


def test_an_object_without_a_suite_passes(gate: GreatExpectationsGate) -> None:
    assert not gate.has_suite("premise")
    assert gate.check("premise", _frame()).findings == ()


def test_the_gate_is_found_by_its_entry_point_and_imports_the_library_only_for_a_package() -> None:
    code = (
        "import sys; from pathlib import Path; from isthmus.gate import open_gate; "
        f"gate = open_gate(Path({str(ROOT)!r})); gate.has_suite('contract'); "
        "print(type(gate).__name__, 'great_expectations' in sys.modules, 'pandas' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["GreatExpectationsGate", "False", "False"]
    assert open_gate(ROOT, "off").has_suite("contract") is False


def test_nothing_is_printed_and_no_connection_is_opened_while_a_package_is_checked(
    gate: GreatExpectationsGate, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the gate opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    gate.check("contract", _frame(account=pa.array(["11", None, "13", None])))
    assert capfd.readouterr() == ("", "")
