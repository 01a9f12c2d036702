"""Questions: their headers, their parameters, exact answers, pictures and the page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from isthmus.errors import ConfigError, DataError, Finding, SpecError
from warehouse.chart import png, svg
from warehouse.query import READ_ONCE, Answer, Query, ask, load_queries, query_named, read_query
from warehouse.query_command import parameters, print_csv
from warehouse.report import Layout, Section, answer_all, page, read_layout

GOOD = """-- title: Amount by month
-- question: How much was billed?
-- parameter: months = 3 | months to look back
-- unit: net = EUR, divisions = for 1,000 of them
-- chart: line x=month y=net color=division
SELECT make_date(2025, month, 1) AS month, division, 0.10::numeric(15, 2) * month AS net  -- :not_one
FROM generate_series(1, :months) AS month, (VALUES ('gas'), ('water')) AS known (division)
WHERE division NOT LIKE '%heat' ORDER BY 1, 2
"""
CONTROL = """
CREATE SCHEMA warehouse; CREATE SCHEMA analysis;
CREATE TABLE warehouse.publications (publication bigint, at timestamptz);
CREATE FUNCTION analysis.publication() RETURNS bigint LANGUAGE sql
    AS 'SELECT max(publication) FROM warehouse.publications';
"""


def read(text: str) -> tuple[Query, list[str]]:
    findings: list[Finding] = []
    query = read_query("amount", text, "warehouse/queries/amount.sql", findings)
    return query, [str(finding) for finding in findings]


@pytest.fixture
def connection(fresh_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute(CONTROL)
        connection.execute("INSERT INTO warehouse.publications VALUES (7, '2026-01-02 03:04Z')")
        yield connection


@pytest.fixture
def answer(connection: psycopg.Connection[Any]) -> Answer:
    return ask(connection, read(GOOD)[0])


def test_a_header_says_title_parameters_units_and_chart() -> None:
    query, findings = read(GOOD)
    assert findings == []
    assert (query.title, query.question) == ("Amount by month", "How much was billed?")
    assert [(item.name, item.default, item.about) for item in query.parameters] == [
        ("months", "3", "months to look back")
    ]
    assert query.units == {"net": "EUR", "divisions": "for 1,000 of them"}
    assert query.chart and query.chart.channels == {"x": "month", "y": "net", "color": "division"}


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("-- titel: Amount", "-- title: Amount", '1:4: the header has no "titel". Did you mean "title"?'),
        ("line x=", "lin x=", 'no chart is called "lin". Did you mean "line"?'),
        ("color=", "colour=", 'a chart has no "colour". Did you mean "color"?'),
        ("months = 3", "months 3", 'a parameter is "name = default | meaning"'),
        (":months)", ":month)", ':7:25: ":month" is no parameter. Did you mean "months"?'),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_place(wrong: str, right: str, told: str) -> None:
    text = GOOD.replace(right, wrong, 1) if right in GOOD else GOOD.replace(wrong, right, 1)
    assert any(told in finding for finding in read(text)[1]), read(text)[1]


def test_all_files_of_a_folder_are_read_and_all_mistakes_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "warehouse" / "queries"
    folder.mkdir(parents=True)
    (folder / "one.sql").write_text("SELECT :days", encoding="utf-8")
    (folder / "two.sql").write_text("SELECT 1", encoding="utf-8")
    with pytest.raises(SpecError) as wrong:
        load_queries(tmp_path)
    assert len(wrong.value.findings) == 5
    assert 'Declare it: "-- parameter: days = …"' in str(wrong.value)


def test_an_answer_is_exact_and_names_its_publication(answer: Answer) -> None:
    assert answer.rows["net"].type == pa.decimal128(38, 2)
    assert answer.rows["net"].to_pylist()[-1] == Decimal("0.30")
    assert (len(answer.rows), answer.publication, answer.published_at) == (6, 7, "2026-01-02 03:04")


def test_a_parameter_is_chosen_and_a_wrong_one_is_refused(connection: psycopg.Connection[Any]) -> None:
    query = read(GOOD)[0]
    assert len(ask(connection, query, {"months": "5"}).rows) == 10
    with pytest.raises(ConfigError, match=r'amount has no parameter "month"\. Did you mean "months"'):
        ask(connection, query, {"month": "5"})
    with pytest.raises(ConfigError, match=r"invalid input syntax .*\(months = many\)\. Choose other values"):
        ask(connection, query, {"months": "many"})


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("AS net  --", "AS net, nett  --", 'column "nett" does not exist.'),
        ("generate_series(1", "generate_serie(1", "function generate_serie("),
        (
            "(VALUES ('gas'), ('water')) AS known (division)",
            "analysis.sales",
            'relation "analysis.sales" does not exist.',
        ),
        ("ORDER BY 1, 2", "ORDER 1, 2", 'syntax error at or near "1".'),
    ],
)
def test_a_statement_that_asks_for_what_is_not_there_says_where(
    connection: psycopg.Connection[Any], right: str, wrong: str, told: str
) -> None:
    text = GOOD.replace(right, wrong)
    guilty = {"AS net, nett  --": "nett", "ORDER 1, 2": "1, 2"}.get(wrong, wrong)
    before = text[: text.index(wrong) + wrong.index(guilty)]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    with pytest.raises(SpecError) as failed:
        ask(connection, read(text)[0])
    assert f"warehouse/queries/amount.sql:{place}: {told}" in str(failed.value)
    assert "docs/warehouse/index.md names every view" in str(failed.value)


def test_an_unknown_question_names_the_nearest(answer: Answer) -> None:
    with pytest.raises(ConfigError, match=r'No question is called "amounts"\. Did you mean "amount"'):
        query_named({"amount": answer.query}, "amounts")


def test_a_choice_without_a_value_is_refused() -> None:
    assert parameters(["months=12", "region = north"]) == {"months": "12", "region": "north"}
    with pytest.raises(ConfigError, match="--set takes NAME=VALUE"):
        parameters(["months"])


def test_csv_carries_every_digit(answer: Answer) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        print_csv(answer.rows)
    assert out.getvalue().splitlines()[:2] == ["month,division,net", "2025-01-01,gas,0.10"]


def test_nothing_is_written_with_an_exponent(connection: psycopg.Connection[Any]) -> None:
    asked = "-- title: Small\n-- question: How small?\nSELECT 0::numeric(18, 7) AS least"
    with redirect_stdout(io.StringIO()) as printed:
        print_csv(ask(connection, read(asked)[0]).rows)
    assert printed.getvalue().split() == ["least", "0.0000000"]


def test_nothing_to_draw_is_told(connection: psycopg.Connection[Any]) -> None:
    nothing = ask(connection, read(GOOD)[0], {"months": "0"})
    with pytest.raises(DataError, match="amount has no rows, so there is nothing to draw"):
        png(nothing)


def test_a_picture_shows_every_series_and_needs_no_network(answer: Answer) -> None:
    drawn = svg(answer)
    assert drawn.startswith("<svg") and "gas" in drawn and "net (EUR)" in drawn
    assert "href=" not in drawn and "<image" not in drawn and "<script" not in drawn
    assert png(answer).startswith(b"\x89PNG")


@pytest.mark.parametrize("mark", ["line", "area", "stack", "bar"])
def test_every_mark_can_be_drawn(connection: psycopg.Connection[Any], mark: str) -> None:
    query = read(GOOD.replace("chart: line", f"chart: {mark}"))[0]
    assert svg(ask(connection, query)).startswith("<svg")


def test_a_chart_may_be_cut_into_small_ones(connection: psycopg.Connection[Any]) -> None:
    drawn = svg(ask(connection, read(GOOD.replace("color=division", "color=division facet=division"))[0]))
    assert drawn.count("<g") > svg(ask(connection, read(GOOD)[0])).count("<g")


def test_a_heat_map_measures_by_colour(connection: psycopg.Connection[Any]) -> None:
    query = read(GOOD.replace("line x=month y=net color=division", "heat x=month y=division color=net"))[0]
    assert svg(ask(connection, query)).startswith("<svg")


def test_a_chart_of_a_column_that_is_not_there_says_what_is(connection: psycopg.Connection[Any]) -> None:
    query = read(GOOD.replace("y=net", "y=gross"))[0]
    with pytest.raises(ConfigError, match=r'names column "gross", its answer has month, division, net'):
        svg(ask(connection, query))


def test_the_report_reads_one_publication_and_holds_everything_it_shows(connection: psycopg.Connection[Any]) -> None:
    queries = {"amount": read(GOOD)[0]}
    layout = Layout("The <report>", "", (Section("Sales", "What came in.", ("amount",)),))
    headline, answers = answer_all(connection, layout, queries)
    html = page(layout, headline, answers, "2026-01-02 05:00 UTC")
    assert "The &lt;report&gt;" in html and 'id="sales"' in html and "<svg" in html and "0.30" in html
    assert "Publication 7 of 2026-01-02 03:04 UTC" in html
    assert "<script" not in html and "http://" not in html.replace("http://www.w3.org", "")


def test_answers_of_one_transaction_see_no_later_publication(
    connection: psycopg.Connection[Any], fresh_database: str
) -> None:
    query = read(GOOD)[0]
    with psycopg.connect(fresh_database) as reader:
        reader.execute(READ_ONCE)
        first = ask(reader, query)
        connection.execute("INSERT INTO warehouse.publications VALUES (8, '2026-01-03Z')")
        assert (first.publication, ask(reader, query).publication) == (7, 7)
    assert ask(connection, query).publication == 8


def test_a_report_with_mistakes_tells_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "report.yaml").write_text(
        "titel: Report\nsections:\n  - title: Sales\n    query: [a]\n", encoding="utf-8"
    )
    with pytest.raises(SpecError) as wrong:
        read_layout(tmp_path)
    assert '1:1: a report has no key "titel". Did you mean "title"?' in str(wrong.value)
    assert '4:5: a section has no key "query". Did you mean "queries"?' in str(wrong.value)
