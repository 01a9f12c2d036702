"""The steps that bring standing tables to what the files say: what each does, in words and in SQL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from warehouse.expression import quoted
from warehouse.shape_standing import NO_LONGER, StandingTable
from warehouse.shape_tables import Column, Table, comment

# keep: told of, nothing is done.  refuse: cannot be done; nothing of the plan is applied.
Kind = Literal[
    "control", "drop", "create", "add", "widen", "rekey", "fill", "describe", "view", "load", "rebuild",
    "keep", "refuse",
]  # fmt: skip
NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
BIGINT_DIGITS = 19
LONGEST_NAME = 63  # bytes of an identifier that PostgreSQL keeps
UNIMPORTANT = ("position", "text", "about", "meaning")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan; `target` is a table, view, store or cube, `statements` are run in order."""

    kind: Kind
    target: str
    text: str
    statements: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Tell whether the step does something."""
        return self.kind not in ("keep", "refuse")


def digest(said: object) -> str:
    """Return a digest of what was declared; positions, spelling and descriptions do not count."""
    return hashlib.sha256(repr(_plain(said)).encode()).hexdigest()


def _plain(said: Any) -> Any:
    if is_dataclass(said):
        return [(item.name, _plain(getattr(said, item.name))) for item in fields(said) if item.name not in UNIMPORTANT]
    if isinstance(said, Mapping):
        return sorted((str(key), _plain(value)) for key, value in said.items())
    if isinstance(said, (tuple, list)):
        return [_plain(item) for item in said]
    return str(said) if isinstance(said, str) else said


# --- one table ----------------------------------------------------------------------------------------------------


def create(table: Table) -> Step:
    """Return the step that creates a table."""
    return Step("create", table.name, f"create {table.name}, {len(table.columns)} columns", (table.ddl,))


def describe(target: str, tables: Sequence[Table]) -> Step:
    """Return the step that puts the comments on tables and columns."""
    comments = tuple(text for table in tables for text in table.comments)
    return Step("describe", target, f"describe the tables of {target}", comments)


def alter(table: Table, stands: StandingTable) -> Iterator[Step]:
    """Yield what a standing table lacks; columns that are named no longer are kept and told of."""
    for column in table.columns:
        found = stands.columns.get(column.name)
        if found is None:
            sql = f"ALTER TABLE {table.name} ADD COLUMN {column.ddl}"
            yield Step("add", table.name, f"add {column.name} ({column.type}) to {table.name}", (sql,))
        elif found != column.type:
            yield widen(table, column, found)
    named = {column.name for column in table.columns}
    for name in stands.columns:
        if name not in named:
            yield keep(table, name, stands)


def keep(table: Table, column: str, stands: StandingTable) -> Step:
    """Return the note that a column is named no longer; the first time its comment says so as well."""
    text = f"{table.name}.{column} is named no longer: kept as it is, never dropped; new records leave it empty"
    if column in stands.stale:
        return Step("keep", table.name, text)
    note = f"{NO_LONGER}: kept as it was, new records leave it empty."
    return Step("describe", table.name, text, (comment("COLUMN", f"{table.name}.{quoted(column)}", note),))


def widen(table: Table, column: Column, found: str) -> Step:
    """Return the step to a wider type, or the refusal of any other."""
    target = f"{table.name}.{column.name}"
    if is_wider(column.type, found):
        sql = f"ALTER TABLE {table.name} ALTER COLUMN {quoted(column.name)} TYPE {column.type}"
        return Step("widen", table.name, f"widen {target} from {found} to {column.type}", (sql,))
    return Step(
        "refuse",
        table.name,
        f"{target} is {found}, the file says {column.type}: values that are there may not fit. "
        f"Give the new type to a field of another name and let the old one go, or keep {found}.",
    )


def is_wider(new: str, old: str) -> bool:
    """Tell whether every value of type `old` is one of type `new`; cubes' numbers only gain digits after the point.

    >>> is_wider("numeric(17,3)", "numeric(15,2)"), is_wider("numeric(15,2)", "numeric(17,3)")
    (True, False)
    """
    wide = NUMERIC.fullmatch(new)
    if wide is None:
        return False
    digits, scale = int(wide[1]), int(wide[2])
    narrow = NUMERIC.fullmatch(old)
    if narrow is None:
        return old == "bigint" and digits - scale >= BIGINT_DIGITS
    whole = int(narrow[1]) - int(narrow[2])
    return scale >= int(narrow[2]) and (digits - scale >= whole or int(narrow[1]) == digits == 31)


def too_long(table: str) -> Step | None:
    """Return the refusal of a name that PostgreSQL would cut off."""
    name = table.rpartition(".")[2]
    if len(name.encode()) <= LONGEST_NAME:
        return None
    return Step("refuse", table, f"{name} has more than {LONGEST_NAME} characters; choose a shorter name")
