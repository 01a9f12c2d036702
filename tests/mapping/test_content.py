"""The mappings that Isthmus ships: no findings, true examples, current documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.mapping.documents import out_of_date
from isthmus.mapping.examples import Outcome, run_examples
from isthmus.mapping.load import load_catalogue, read_catalogue

ROOT = Path(__file__).parents[2]


def test_the_shipped_mappings_have_no_findings() -> None:
    _, findings = read_catalogue(ROOT)
    assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("outcome", run_examples(read_catalogue(ROOT)[0]), ids=lambda outcome: outcome.name)
def test_an_example_inside_a_mapping_is_true(outcome: Outcome) -> None:
    assert outcome.faults == ()
    assert [field for field in outcome.fields if not field.ok] == []


def test_every_mapping_shows_at_least_one_example() -> None:
    specs = [spec for found in load_catalogue(ROOT).mappings.values() for spec in found]
    assert [f"{spec.system}.{spec.object} {spec.variant}" for spec in specs if not spec.examples] == []


def test_the_documents_are_current() -> None:
    assert out_of_date(load_catalogue(ROOT), ROOT / "docs") == ()
