"""Questions that analysts ask: one `.sql` file each, with its title, its parameters and how to draw the answer.

A file begins with lines of `-- key: value`:

    -- title: Billed energy and amount by division and month
    -- question: How much was billed, and how is that against a year before?
    -- parameter: months = 24 | months to look back
    -- unit: energy = kWh, amount = EUR
    -- chart: line x=month y=energy color=division

The statement reads the schema `analysis` alone; `:months` stands for a parameter, also in psql.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from isthmus.errors import ConfigError, Finding, SpecError, did_you_mean

FOLDER = "warehouse/queries"
HEADER = re.compile(r"--\s*(\w+)\s*:\s*(.*)")
NAMED = re.compile(r"(?<![:\w]):([a-z][a-z0-9_]*)\b")
PAIR = re.compile(r"(\w+)\s*=\s*(.*?)(?=,?\s+\w+\s*=|$)")
KEYS = ("title", "question", "parameter", "unit", "chart")
MARKS = ("line", "bar", "stack", "heat", "area")
CHANNELS = ("x", "y", "color", "facet")
READ_ONCE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an analyst may choose: its value unless said, and what it is."""

    name: str
    default: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """How an answer is drawn: the mark, and which column goes to `x`, `y`, `color` and `facet`."""

    mark: str
    channels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """One question; `units` are by column."""

    name: str
    title: str
    question: str
    statement: str
    parameters: tuple[Parameter, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    chart: Chart | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a question as one Arrow table (exact decimals), and the publication they all come from."""

    query: Query
    rows: pa.Table
    publication: int | None
    published_at: str


def load_queries(folder: Path) -> dict[str, Query]:
    """Read every question of a project folder by name; raises SpecError with all findings."""
    findings: list[Finding] = []
    found = {
        path.stem: read_query(path.stem, path.read_text(encoding="utf-8"), f"{FOLDER}/{path.name}", findings)
        for path in sorted((folder / FOLDER).glob("*.sql"))
    }
    if findings:
        raise SpecError(sorted(findings))
    return found


def read_query(name: str, text: str, file: str, findings: list[Finding]) -> Query:
    """Read one file; what is wrong in its header goes to `findings`."""
    said: dict[str, list[tuple[int, str]]] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("--"):
            break
        match = HEADER.match(line)
        if match and match[1] in KEYS:
            said.setdefault(match[1], []).append((number, match[2].strip()))
        elif match and did_you_mean(match[1], KEYS):
            told = f'the header has no "{match[1]}".{did_you_mean(match[1], KEYS)}'
            findings.append(Finding(file, number, 4, told))
    for key in ("title", "question"):
        if key not in said:
            findings.append(Finding(file, 1, 1, f'the header lacks "-- {key}: …". Say what this answers.'))
    query = Query(
        name,
        _first(said, "title"),
        _first(said, "question"),
        text,
        tuple(_parameter(file, number, value, findings) for number, value in said.get("parameter", ())),
        _pairs(_first(said, "unit")),
        _chart(file, *said["chart"][0], findings) if "chart" in said else None,
    )
    _undeclared(query, file, lines, findings)
    return query


def _first(said: Mapping[str, list[tuple[int, str]]], key: str) -> str:
    return " ".join(value for _, value in said.get(key, ()))


def _parameter(file: str, line: int, value: str, findings: list[Finding]) -> Parameter:
    said, _, about = value.partition("|")
    name, sign, default = said.partition("=")
    if not sign or not name.strip().isidentifier():
        findings.append(Finding(file, line, 4, f'a parameter is "name = default | meaning", not "{value}".'))
    return Parameter(name.strip(), default.strip(), about.strip())


def _pairs(text: str) -> dict[str, str]:
    """Read `a=b c=d` or `a = b, c = d`; a value may have blanks and commas in it."""
    return {match[1]: match[2] for match in PAIR.finditer(text)}


def _chart(file: str, line: int, value: str, findings: list[Finding]) -> Chart:
    mark, _, rest = value.partition(" ")
    channels = _pairs(rest)
    if mark not in MARKS:
        told = f'no chart is called "{mark}".{did_you_mean(mark, MARKS)} Possible: {", ".join(MARKS)}.'
        findings.append(Finding(file, line, 4, told))
    for channel in channels:
        if channel not in CHANNELS:
            told = f'a chart has no "{channel}".{did_you_mean(channel, CHANNELS)} Possible: {", ".join(CHANNELS)}.'
            findings.append(Finding(file, line, 4, told))
    return Chart(mark, channels)


def _undeclared(query: Query, file: str, lines: Sequence[str], findings: list[Finding]) -> None:
    known = {parameter.name for parameter in query.parameters}
    for number, line in enumerate(lines, start=1):
        for match in NAMED.finditer(line.partition("--")[0]):
            if match[1] not in known:
                hint = did_you_mean(match[1], known) or f' Declare it: "-- parameter: {match[1]} = …".'
                findings.append(Finding(file, number, match.start() + 1, f'":{match[1]}" is no parameter.{hint}'))


def query_named(queries: Mapping[str, Query], name: str) -> Query:
    """Return a question by name; raises ConfigError with the nearest one."""
    if name not in queries:
        near = did_you_mean(name, queries) or " `isthmus query` lists them."
        raise ConfigError(f'No question is called "{name}".{near}')
    return queries[name]


def ask(connection: psycopg.Connection[Any], query: Query, chosen: Mapping[str, str] | None = None) -> Answer:
    """Answer a question within the transaction that is open, or one of its own; all answers of one transaction that
    began with `READ_ONCE` come from one publication.  Raises ConfigError for a parameter it does not have, or a value
    that does not fit, SpecError where the statement asks for what the warehouse does not have.
    """
    values = {parameter.name: parameter.default for parameter in query.parameters}
    for name, value in (chosen or {}).items():
        if name not in values:
            hint = did_you_mean(name, values) or f" It has {', '.join(values) or 'none'}."
            raise ConfigError(f'{query.name} has no parameter "{name}".{hint}')
        values[name] = value
    statement = NAMED.sub(
        lambda found: f"%({found[1]})s" if found[1] in values else found[0], query.statement.replace("%", "%%")
    )
    try:
        found = connection.execute(statement.encode(), values)
        rows = table_of(found)
    except psycopg.DataError as wrong:
        told = ", ".join(f"{name} = {value}" for name, value in values.items())
        raise ConfigError(f"{query.name}: {wrong.diag.message_primary} ({told}). Choose other values.") from wrong
    except psycopg.ProgrammingError as wrong:
        raise SpecError([_misasked(query, values, wrong)]) from wrong
    last = connection.execute(
        "SELECT publication, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM warehouse.publications"
        " WHERE publication = analysis.publication()"
    ).fetchone()
    return Answer(query, rows, last[0] if last else None, last[1] if last else "never")


def _misasked(query: Query, values: Mapping[str, str], wrong: psycopg.Error) -> Finding:
    """Say where a statement asks for what is not there; the server counts in the text that it was sent."""
    shift, sent = 0, int(wrong.diag.statement_position or 1) - 1
    numbers: dict[str, int] = {}
    for found in NAMED.finditer(query.statement):
        if found[1] not in values or found.start() - shift >= sent:
            continue
        shift += len(found[0]) - len(f"${numbers.setdefault(found[1], len(numbers) + 1)}")
    before = query.statement[: sent + shift]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = " ".join(text.rstrip(".") + "." for text in (wrong.diag.message_primary, wrong.diag.message_hint) if text)
    known = "docs/warehouse/index.md names every view and column; `isthmus warehouse apply` makes what files declare."
    return Finding(f"{FOLDER}/{query.name}.sql", line, column, f"{message} {known}")


def table_of(cursor: psycopg.Cursor[Any]) -> pa.Table:
    """Return the rows of a cursor as Arrow; numbers with decimal places stay exact."""
    columns = [column.name for column in cursor.description or ()]
    rows = cursor.fetchall()
    arrays = [_array([row[at] for row in rows]) for at in range(len(columns))]
    return pa.Table.from_arrays(arrays, names=columns)


def _array(values: list[Any]) -> pa.Array:
    decimals = [value for value in values if isinstance(value, Decimal)]
    if decimals:
        scale = max(max(0, -int(value.as_tuple().exponent)) for value in decimals)
        return pa.array(values, pa.decimal128(38, min(scale, 18)))
    return pa.array(values) if any(value is not None for value in values) else pa.nulls(len(values), pa.string())


def written(value: Any) -> str:
    """Write a value for people.

    >>> written(Decimal("1234567.80")), written(None), written(1200), written(Decimal("0E-7"))
    ('1,234,567.80', '', '1,200', '0.0000000')
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
