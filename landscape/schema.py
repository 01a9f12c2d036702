"""The tables of a demo system, read from its YAML, and the DDL they become in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from isthmus.errors import Finding, SpecError, did_you_mean

SystemName = Literal["isu", "crm"]
_TYPE = re.compile(r"(CLNT|CHAR|NUMC|DATS|TIMS|CUKY|UNIT|RAW|DEC|CURR|QUAN|INT)(\d*)(?:\.(\d+))?")
_TEXT = {"CLNT", "CHAR", "CUKY", "UNIT"}
_NUMBER = {"DEC", "CURR", "QUAN"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its ABAP Dictionary type, length in characters (digits, bytes) and decimal places."""

    name: str
    kind: str
    length: int
    scale: int
    about: str

    @property
    def initial(self) -> str | int | bytes:
        """The ABAP initial value, which stands where other systems would store NULL."""
        if self.kind in ("NUMC", "DATS", "TIMS"):
            return "0" * self.length
        if self.kind == "RAW":
            return bytes(self.length)
        return "" if self.kind in _TEXT else 0

    @property
    def ddl(self) -> str:
        """The column's definition; text compares by byte, as ABAP keys do."""
        name = self.name.lower()
        if self.kind == "RAW":
            zeros = "\\x" + "00" * self.length
            return f"{name} bytea NOT NULL DEFAULT '{zeros}' CHECK (octet_length({name}) = {self.length})"
        if self.kind in _NUMBER:
            return f"{name} numeric({self.length},{self.scale}) NOT NULL DEFAULT 0"
        if self.kind == "INT":
            return f"{name} integer NOT NULL DEFAULT 0"
        return f"{name} varchar({self.length}) COLLATE \"C\" NOT NULL DEFAULT '{self.initial!s}'"


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its primary key (client first) and the columns that carry a secondary index."""

    name: str
    about: str
    key: tuple[str, ...]
    indexes: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def client(self) -> str:
        """The client column: MANDT, MANDANT or CLIENT."""
        return self.key[0]

    def column(self, name: str) -> Column:
        """Return the column of that name; raises KeyError."""
        return next(column for column in self.columns if column.name == name) if name in self.names else _unknown(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in their order, upper case."""
        return tuple(column.name for column in self.columns)

    def create(self) -> Iterator[str]:
        """Yield the statements that create the bare table and its comments."""
        columns = ",\n  ".join(column.ddl for column in self.columns)
        yield f"CREATE TABLE {self.name.lower()} (\n  {columns}\n)"
        yield f"COMMENT ON TABLE {self.name.lower()} IS {_quoted(self.about)}"
        for column in self.columns:
            yield f"COMMENT ON COLUMN {self.name.lower()}.{column.name.lower()} IS {_quoted(column.about)}"

    def constrain(self) -> Iterator[str]:
        """Yield the statements that add the primary key and the secondary indexes, after the fill."""
        table = self.name.lower()
        yield f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({', '.join(self.key).lower()})"
        for column in self.indexes:
            yield f"CREATE INDEX {table}_{column.lower()} ON {table} ({self.client.lower()}, {column.lower()})"


def _unknown(name: str) -> Column:
    raise KeyError(name)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@cache
def tables(system: SystemName) -> Mapping[str, Table]:
    """Return the tables of a system by upper-case name.

    Raises SpecError with every column whose type is unknown and every key or index without its column.
    """
    path = Path(__file__).with_name(f"{system}.yaml")
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["tables"]
    findings: list[Finding] = []
    result = {name: _table(name, body, path.name, findings) for name, body in content.items()}
    if findings:
        raise SpecError(findings)
    return result


def _table(name: str, body: Mapping[str, object], file: str, findings: list[Finding]) -> Table:
    specs = body["columns"]
    assert isinstance(specs, dict)
    columns = []
    for column, spec in specs.items():
        kind, _, about = str(spec).partition(" ")
        match = _TYPE.fullmatch(kind)
        if match is None:
            findings.append(Finding(file, 1, 1, f"{name}.{column}: {kind} is no type of the dictionary"))
            continue
        length = int(match[2] or {"DATS": 8, "TIMS": 6, "INT": 4}.get(match[1], 0))
        columns.append(Column(column, match[1], length, int(match[3] or 0), about))
    indexes = body["indexes"]
    assert isinstance(indexes, list)
    table = Table(name, str(body["about"]), tuple(str(body["key"]).split()), tuple(indexes), tuple(columns))
    for needed in (*table.key, *table.indexes):
        if needed not in table.names:
            hint = did_you_mean(needed, table.names)
            findings.append(Finding(file, 1, 1, f"{name}: key or index names {needed}, which is no column.{hint}"))
    return table
