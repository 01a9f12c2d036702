"""`isthmus report`: write the report page of the warehouse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isthmus.home import home
from warehouse.query import load_queries
from warehouse.report import answer_all, page, read_layout
from warehouse.session import as_applied, connected


def report(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the page is written.")] = Path(
        "isthmus-report.html"
    ),
) -> None:
    """Write one HTML page with the pictures of sales, churn, service level and consumption; it needs no network."""
    folder = home()
    layout, queries = read_layout(folder), load_queries(folder)
    with as_applied(), connected("analyst") as connection:
        headline, answers = answer_all(connection, layout, queries)
    out.write_text(page(layout, headline, answers, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"), encoding="utf-8")
    typer.echo(f"{sum(map(len, answers))} questions answered in {out}")
