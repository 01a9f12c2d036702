"""Every planted defect is accounted for, a clean landscape raises nothing, and the page tells it all."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from quality.across import run_checks
from quality.defects import RULES, account_for
from quality.page import page
from quality.results import results_of
from tests.quality.conftest import Loaded


def test_each_of_the_24_defects_is_found_as_often_as_it_was_planted(defective: Loaded) -> None:
    rows = account_for(defective.manifest.planted, defective.ledger, defective.run)
    assert [row.number for row in rows] == list(range(1, 25)) == sorted(RULES)
    assert all(row.planted == 3 for row in rows)
    assert [f"{row.name}: {row.found} of {row.planted}" for row in rows if not row.agrees] == []


def test_what_warns_or_holds_is_planted_and_nothing_else(defective: Loaded) -> None:
    results = results_of(defective.ledger, defective.run)
    warned = {(flow.object, warned.place) for flow in results for warned in flow.warnings.values()}
    assert warned == {
        ("business_partner", "duplicate_partner"),
        ("contract_account", "number"),
        ("connection_object", "street_code street_known"),
        ("connection_object", "house_lower_case"),
        ("point_of_delivery", "external_ids"),
        ("point_of_delivery", "external_id"),  # those whose external id was given away
        ("point_of_delivery", "external_id_reused"),
        ("point_of_delivery", "open_slice_end"),
        ("installation", "half_a_pair"),
        ("device", "status installed"),
        ("contract", "move_in_reversed"),
        ("contract", "billed_until ends_on"),
        ("contract", "contract_unpadded"),
    }
    assert not any(flow.withheld or flow.count("errored") for flow in results)


def test_a_clean_landscape_raises_nothing(clean: Loaded) -> None:
    assert clean.manifest.planted == ()
    assert clean.ledger.gate_results.list(run=clean.run) == []
    assert clean.ledger.exceptions.counts(clean.run) == []
    assert "Everything passed." in page(clean.ledger, clean.run)


def test_checks_run_again_are_not_told_twice(defective: Loaded) -> None:
    before = len(defective.ledger.gate_results.list(run=defective.run, limit=1000))
    begun = defective.ledger.runs.get(defective.run)
    scenario = defective.project.scenario(begun.scenario)
    found = run_checks(defective.project, defective.ledger, scenario, defective.run, begun.started_at.date())
    assert {item.expectation: item.unexpected for item in found} == {
        "duplicate_partner": 3,
        "house_lower_case": 3,
        "external_id_reused": 3,
        "open_slice_end": 3,
        "half_a_pair": 3,
        "contract_unpadded": 3,
    }
    assert len(defective.ledger.gate_results.list(run=defective.run, limit=1000)) == before


class _References(HTMLParser):
    """Collects what a page refers to and which elements it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.references += [value or "" for name, value in attrs if name in ("href", "src", "action", "data", "srcset")]


def test_the_page_needs_nothing_from_outside_and_no_script(defective: Loaded) -> None:
    text = page(defective.ledger, defective.run)
    seen = _References()
    seen.feed(text)
    assert not {"script", "link", "img", "iframe", "object"} & seen.elements
    assert all(reference.startswith("#") for reference in seen.references)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_the_page_tells_states_counts_and_keys(defective: Loaded) -> None:
    text = page(defective.ledger, defective.run)
    for part in ("duplicate_partner", "3 of ", "failed, warning", "passed, critical", "<summary>3 keys</summary>"):
        assert part in text
    assert "No package was withheld" in text


def test_the_page_shows_errored_as_errored_and_withheld_packages(defective: Loaded) -> None:
    ledger = defective.ledger
    run = ledger.runs.start("single_with_devices", "initial_download", "full", {}, "hash").id
    finding = {"about": "a <b>", "severity": "critical", "unexpected": 0, "checked": 0, "detail": "", "keys": []}
    findings = [
        {**finding, "expectation": "unique(key)", "state": "errored", "detail": "could not be evaluated: TypeError"},
        {
            **finding,
            "expectation": "not_null(key)",
            "state": "failed",
            "unexpected": 1,
            "checked": 5,
            "keys": ["<4711>"],
        },
    ]
    ledger.gate_results.put("contract.isu.crm", "withheld", {"findings": findings, "warnings": []}, run, "p1")
    text = page(ledger, run)
    assert "errored, critical" in text and "could not be evaluated: TypeError" in text
    assert "1 packages withheld; 1 expectations could not be evaluated." in text
    assert "&lt;4711&gt;" in text and "<4711>" not in text and "a <b>" not in text


@pytest.mark.parametrize("object_", ["contract", "point_of_delivery"])
def test_no_personal_value_reaches_the_results(defective: Loaded, object_: str) -> None:
    flows = {flow.object: flow for flow in results_of(defective.ledger, defective.run)}
    keys = {key for line in flows[object_].lines.values() for key in line.keys}
    assert keys and all(re.fullmatch(r"[0-9A-Za-z_+./-]+", key) for key in keys)
