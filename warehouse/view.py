"""A view for people: its SELECT, what it means, what each column means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from warehouse.expression import quoted
from warehouse.shape_tables import comment
from warehouse.tables import VIEWS


@dataclass(frozen=True, slots=True)
class View:
    """One view of schema `analysis`; `after` are statements that create functions upon it."""

    name: str
    select: str
    about: str
    columns: Mapping[str, str] = field(default_factory=dict)  # what each column means, in the order of the SELECT
    after: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """Return its name with the schema."""
        return f"{VIEWS}.{quoted(self.name)}"

    @property
    def create(self) -> str:
        """Return the statement that creates it, or replaces one with the same columns."""
        return f"CREATE OR REPLACE VIEW {self.qualified} AS\n{self.select}"

    def behind(self, standing: Sequence[str]) -> View:
        """Return the view with the columns of the one that stands first, in their order, and new ones behind them."""
        there = [name for name in standing if name in self.columns]
        ordered = [*there, *(name for name in self.columns if name not in there)]
        if ordered == list(self.columns):
            return self
        listed = ", ".join(map(quoted, ordered))
        columns = {name: self.columns[name] for name in ordered}
        return replace(self, select=f"SELECT {listed} FROM (\n{self.select}\n) AS shown", columns=columns)

    @property
    def comments(self) -> Iterator[str]:
        """Yield the comments on the view and its columns."""
        yield comment("VIEW", self.qualified, self.about)
        for name, meaning in self.columns.items():
            yield comment("COLUMN", f"{self.qualified}.{quoted(name)}", meaning)

    @property
    def statements(self) -> tuple[str, ...]:
        """Return everything that makes it stand."""
        return (self.create, *self.comments, *self.after)


FRESH = f"How old it is, and what is missing: {VIEWS}.freshness and {VIEWS}.completeness."
