"""The report: one HTML page with the pictures an analyst would rather look at than read.  No script, no network.

`warehouse/report.yaml` says which questions stand on it, section by section; all of them are answered in one
transaction, so they come from one publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from isthmus.errors import SpecError
from isthmus.mapping.document import Entries, read_document
from isthmus.mapping.form import Findings, Form
from warehouse.chart import svg, titled
from warehouse.query import READ_ONCE, Answer, Query, ask, query_named, written

FILE = "warehouse/report.yaml"
ROWS_SHOWN = 400
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; color: #1d2733; background: #f7f7f4; margin: 0 auto;
  max-width: 64rem; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.3rem; margin: 3rem 0 .2rem; }
h3 { font-size: 1rem; margin: 0; } p { margin: .1rem 0 .8rem; color: #55606c; }
nav a { margin-right: 1.2rem; } a { color: #0a5c8f; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.tile, figure { background: #fff; border: 1px solid #e2e4e0; border-radius: .5rem; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; } .tile span { color: #55606c; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; display: block; }
details { margin-top: .6rem; } summary { cursor: pointer; color: #0a5c8f; font-size: .9rem; }
.rows { overflow: auto; max-height: 26rem; margin-top: .4rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #eceeea; white-space: nowrap; }
th { position: sticky; top: 0; background: #f3f4f0; } .number { text-align: right; font-variant-numeric: tabular-nums; }
footer { margin-top: 3rem; color: #55606c; font-size: .85rem; } code { font: .85rem ui-monospace, monospace; }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: its heading, what it is about, and the questions on it."""

    title: str
    about: str
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands on the report: `headline` is the question whose rows (label, value, unit) become tiles."""

    title: str
    headline: str
    sections: tuple[Section, ...]


def read_layout(folder: Path) -> Layout:
    """Read `warehouse/report.yaml`; raises SpecError with all findings."""
    root, wrong = read_document((folder / FILE).read_bytes(), FILE)
    findings = Findings(list(wrong))
    if not isinstance(root, Entries):
        raise SpecError(findings.sorted())
    form = Form(root, "a report", ("title", "headline", "sections"), findings)
    sections = tuple(_section(node, findings) for node in form.items("sections") if isinstance(node, Entries))
    layout = Layout(form.word("title", required=True), form.word("headline"), sections)
    if findings.found:
        raise SpecError(findings.sorted())
    return layout


def _section(node: Entries, findings: Findings) -> Section:
    form = Form(node, "a section", ("title", "about", "queries"), findings)
    return Section(form.word("title", required=True), form.word("about"), form.words("queries"))


def answer_all(
    connection: psycopg.Connection[Any], layout: Layout, queries: dict[str, Query]
) -> tuple[Answer | None, list[list[Answer]]]:
    """Answer every question of the report in one transaction: the headline, and the questions by section.

    Raises ConfigError for a question that does not exist.
    """
    with connection.transaction():
        connection.execute(READ_ONCE)
        headline = ask(connection, query_named(queries, layout.headline)) if layout.headline else None
        answers = [[ask(connection, query_named(queries, name)) for name in part.queries] for part in layout.sections]
    return headline, answers


def page(layout: Layout, headline: Answer | None, answers: Sequence[Sequence[Answer]], made_at: str) -> str:
    """Return the page as HTML; `made_at` is the moment people read on it."""
    stand = next((answer for part in answers for answer in part), headline)
    published = f"Publication {stand.publication:,} of {stand.published_at} UTC" if stand and stand.publication else ""
    links = "".join(f'<a href="#{_anchor(part.title)}">{escape(part.title)}</a>' for part in layout.sections)
    body = [
        f"<h1>{escape(layout.title)}</h1>",
        f"<p>{escape(published or 'Nothing was published yet')}. All figures come from this one publication.</p>",
        f"<nav>{links}</nav>",
        _tiles(headline) if headline else "",
        *(_part(part, found) for part, found in zip(layout.sections, answers, strict=True)),
        f"<footer>Made {escape(made_at)}. Every picture is a question that <code>isthmus query NAME</code> answers; "
        "rates are computed from sums, never averaged.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(layout.title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _anchor(title: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in title.lower())


def _tiles(answer: Answer) -> str:
    tiles = []
    for row in answer.rows.to_pylist():
        unit = f" {escape(str(row['unit']))}" if row.get("unit") else ""
        whole = row["value"] is not None and row["value"] == int(row["value"])
        label, value = escape(str(row["label"])), escape(written(int(row["value"]) if whole else row["value"]))
        tiles.append(f'<div class="tile"><span>{label}</span><b>{value}{unit}</b></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _part(part: Section, answers: Iterable[Answer]) -> str:
    about = f"<p>{escape(part.about)}</p>" if part.about else ""
    return f'<h2 id="{_anchor(part.title)}">{escape(part.title)}</h2>{about}' + "".join(map(_figure, answers))


def _figure(answer: Answer) -> str:
    if not len(answer.rows):
        picture = "<p><i>No rows: nothing of this was published yet.</i></p>"
    else:
        picture = svg(answer) if answer.query.chart else ""
    shown = "" if len(answer.rows) <= ROWS_SHOWN else f" (the first {ROWS_SHOWN:,})"
    return (
        f'<figure id="{answer.query.name}"><h3>{escape(answer.query.title)}</h3><p>{escape(answer.query.question)}</p>'
        f"{picture}<details><summary>{len(answer.rows):,} rows{shown}: <code>{answer.query.name}</code></summary>"
        f'<div class="rows">{table(answer)}</div></details></figure>'
    )


def table(answer: Answer) -> str:
    """Return the rows of an answer as an HTML table."""
    kinds = ['class="number"' if _numeric(column.type) else "" for column in answer.rows.schema]
    names = (escape(titled(answer, name)) for name in answer.rows.column_names)
    head = "".join(f"<th {kind}>{name}</th>" for kind, name in zip(kinds, names, strict=True))
    rows = (
        "".join(f"<td {kind}>{escape(written(value))}</td>" for kind, value in zip(kinds, row.values(), strict=True))
        for row in answer.rows.slice(0, ROWS_SHOWN).to_pylist()
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _numeric(type_: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(type_) or pa.types.is_integer(type_) or pa.types.is_floating(type_))
