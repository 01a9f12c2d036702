"""`isthmus query`: answer a question of `warehouse/queries`, as a table, CSV, Parquet or a picture."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from isthmus.errors import ConfigError
from isthmus.home import home
from warehouse.chart import png, svg, titled
from warehouse.query import READ_ONCE, Answer, Query, ask, load_queries, query_named, written
from warehouse.session import as_applied, connected

SHOWN = 60  # rows on a screen; files hold all


def query(
    name: Annotated[str, typer.Argument(help="A question; without one, all are listed.")] = "",
    chosen: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Choose a parameter; may be repeated.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all rows to a Parquet file.")] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into a .svg or .png file.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statement, for a tool of your own.")] = False,
) -> None:
    """Answer a question that analysts ask, from the last publication of the warehouse."""
    queries = load_queries(home())
    console = Console(highlight=False)
    if not name:
        listed(console, queries)
        return
    asked = query_named(queries, name)
    if sql:
        typer.echo(asked.statement)
        return
    answer = answered(asked, parameters(chosen or ()))
    if parquet:
        import pyarrow.parquet as pq

        pq.write_table(answer.rows, parquet)
        typer.echo(f"{len(answer.rows):,} rows in {parquet}")
    if chart:
        draw(answer, chart)
    if as_csv:
        print_csv(answer.rows)
    elif not parquet and not chart:
        show(console, answer)


def parameters(chosen: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Read `name=value` texts; raises ConfigError."""
    found = {}
    for text in chosen:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f'--set takes NAME=VALUE, such as months=12, not "{text}".')
        found[name.strip()] = value.strip()
    return found


def answered(asked: Query, chosen: Mapping[str, str]) -> Answer:
    """Ask as analyst; raises SystemUnavailable when the store does not answer, ConfigError without a warehouse."""
    with as_applied(), connected("analyst") as connection, connection.transaction():
        connection.execute(READ_ONCE)
        return ask(connection, asked, chosen)


def listed(console: Console, queries: Mapping[str, Query]) -> None:
    """Print every question with its name."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("what it answers")
    for asked in queries.values():
        table.add_row(asked.name, asked.question)
    console.print(table)
    console.print("\n[dim]isthmus query NAME [--set months=12] [--csv] [--parquet FILE] [--chart FILE] [--sql][/dim]")


def show(console: Console, answer: Answer) -> None:
    """Print an answer as a table, with where it stands in time."""
    asked = answer.query
    console.print(f"[bold]{asked.title}[/bold]\n{asked.question}\n")
    table = Table(box=None, pad_edge=False)
    for name in answer.rows.column_names:
        numeric = not pa.types.is_string(answer.rows.schema.field(name).type)
        table.add_column(titled(answer, name), justify="right" if numeric else "left")
    for row in answer.rows.slice(0, SHOWN).to_pylist():
        table.add_row(*(written(value) for value in row.values()))
    console.print(table)
    more = len(answer.rows) - SHOWN
    if more > 0:
        console.print(f"[dim]and {more:,} more; --csv prints all[/dim]")
    console.print(f"\n[dim]{freshness(answer)}[/dim]", soft_wrap=True)
    for parameter in asked.parameters:
        console.print(f"[dim]--set {parameter.name}={parameter.default}  {parameter.about}[/dim]", soft_wrap=True)


def freshness(answer: Answer) -> str:
    """Say which publication an answer comes from."""
    if answer.publication is None:
        return "Nothing was published yet: `isthmus warehouse load` does."
    return f"Publication {answer.publication:,} of {answer.published_at} UTC."


def print_csv(rows: pa.Table) -> None:
    """Print rows as CSV; numbers as they are, without separators."""
    writer = csv.writer(sys.stdout)
    writer.writerow(rows.column_names)
    for batch in rows.to_batches():
        writer.writerows(zip(*map(_plain, batch.columns), strict=True))


def _plain(column: pa.Array) -> list[Any]:
    """Return values as CSV takes them: a decimal with all its places, never as 0E-7."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_decimal(column.type):
        return [None if value is None else f"{value:f}" for value in values]
    return values


def draw(answer: Answer, file: Path) -> None:
    """Write the picture of an answer; raises ConfigError for another ending than .svg and .png."""
    if file.suffix == ".svg":
        file.write_text(svg(answer), encoding="utf-8")
    elif file.suffix == ".png":
        file.write_bytes(png(answer))
    else:
        raise ConfigError(f'{file}: a chart is written to a file that ends with .svg or .png, not "{file.suffix}".')
    typer.echo(f"drawn into {file}")
