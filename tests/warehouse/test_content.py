"""Every question of the warehouse answers what an independent computation over the source tables does, to the cent."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from isthmus.store.place import Place
from tests.warehouse.content import OF_LINES, ROOT, Content, content_house, has_oracle, shape, told
from warehouse.query import ask, load_queries

QUERIES = sorted(load_queries(ROOT))
STAGES = ("loaded", "a day later", "deleted and delivered again", "reversed and repaired")


@pytest.fixture(scope="module")
def story(store: Place) -> Iterator[Content]:
    """The whole story, told once: tests compare what was kept of it."""
    with (
        tempfile.TemporaryDirectory(prefix="isthmus-tests-content-") as folder,
        content_house(store, Path(folder)) as content,
        told(content),
    ):
        yield content


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("query", [name for name in QUERIES if has_oracle(name)])
def test_a_question_answers_what_the_source_tables_say(story: Content, query: str, stage: str) -> None:
    assert story.answered[stage][query] == story.expected[stage][query]
    assert story.answered[stage][query]


@pytest.mark.parametrize("stage", STAGES)
def test_every_cube_equals_its_recomputation(story: Content, stage: str) -> None:
    assert story.differing[stage] == []


def test_every_question_has_an_independent_computation() -> None:
    assert [name for name in QUERIES if not has_oracle(name)] == ["headline"]  # it repeats figures of the others


def test_the_day_changed_the_answers(story: Content) -> None:
    first, second = story.answered["loaded"], story.answered["a day later"]
    same = {name for name in first if first[name] == second[name]}
    of_devices = {"device_stock_by_kind", "meters_by_status", "registers_by_month", "installation_facts_by_operand"}
    assert same <= of_devices | {"distinct_customers_by_division"}


@pytest.mark.parametrize("query", OF_LINES)
def test_a_reversed_request_leaves_what_there_was_before_it(story: Content, query: str) -> None:
    assert story.answered["reversed"][query] == story.answered["loaded"][query]


@pytest.mark.parametrize("query", QUERIES)
def test_a_question_reads_only_what_analysts_may_read(query: str) -> None:
    text = (ROOT / f"warehouse/queries/{query}.sql").read_text(encoding="utf-8")
    assert "warehouse." not in text
    assert "analysis." in text


def test_what_was_extrapolated_leaves_when_it_is_billed(story: Content) -> None:
    assert {("R", "extrapolated"), ("N", "billed")} <= story.images["consumption"]


def test_a_contact_that_was_settled_is_corrected_when_the_customer_comes_back(story: Content) -> None:
    assert {("X", "true"), ("", "false")} <= story.images["contact_outcome"]


NEW_QUERY = """-- title: Credits by kind of line
-- question: What did customers get back, by what was billed?
SELECT line_kind, currency, sum(credits) AS credits, sum(net) AS net
FROM analysis.billing
GROUP BY line_kind, currency
ORDER BY line_kind
"""
NEW_LINES = {
    "  grid: {type: boolean,": '  line_kind: {type: code(line_kind), meaning: "What the line bills."}',
    "  lines: {type: count,": '  credits: {type: amount(currency), meaning: "What customers got back."}',
    "      grid: grid\n": "      line_kind: kind",
    "      lines: 1\n": '      credits: amount when amount < "0"',
}


def test_a_new_figure_and_a_new_dimension_are_asked_for_after_yaml_alone(story: Content, tmp_path: Path) -> None:
    shutil.copytree(story.house.folder / "warehouse", tmp_path / "warehouse")
    cube = tmp_path / "warehouse/cubes/billing.yaml"
    text = cube.read_text(encoding="utf-8")
    for beside, line in NEW_LINES.items():
        assert text.count(beside) == 1
        text = text.replace(beside, f"{line}\n{beside}")
    cube.write_text(text, encoding="utf-8")
    (tmp_path / "warehouse/queries/credits_by_line_kind.sql").write_text(NEW_QUERY, encoding="utf-8")
    shape(story.url, tmp_path, story.house.clock())
    with psycopg.connect(story.url) as connection:
        answer = ask(connection, load_queries(tmp_path)["credits_by_line_kind"])
    assert story.evening is not None
    credits = (
        "SELECT line_kind, currency, of_cents(coalesce(sum(amount) FILTER (WHERE amount < 0), 0)) AS credits,"
        " of_cents(sum(amount)) AS net FROM standing_lines GROUP BY line_kind, currency ORDER BY line_kind"
    )
    wanted = story.evening.connection.execute(credits).fetchall()
    assert [tuple(row.values()) for row in answer.rows.to_pylist()] == wanted
    assert any(row["credits"] for row in answer.rows.to_pylist())
