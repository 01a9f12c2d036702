"""What a check can see: the catalogue, the files that exist, and where findings go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isthmus.mapping.form import Findings
from isthmus.mapping.spec import (
    Catalogue,
    Field,
    MappedField,
    MappedList,
    MappedTable,
    MappingSpec,
    Model,
    Pipe,
    Position,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """A catalogue under check; `exist` names all files as (folder, name), `folders` the systems' folders."""

    catalogue: Catalogue
    findings: Findings
    exist: frozenset[tuple[str, str]]
    folders: frozenset[str]

    def add(self, position: Position, message: str) -> None:
        """Note one mistake."""
        self.findings.add(position, message)

    def known(self, word: str, names: Iterable[str], what: str, at: Position) -> bool:
        """Tell whether a word is among names; if not, say so with the nearest one."""
        return self.findings.known(word, names, what, at)

    def has(self, folder: str, args: tuple[str, ...]) -> bool:
        """Tell whether the one argument names a file of a folder."""
        return len(args) == 1 and (folder, args[0]) in self.exist

    def object(self, name: str, at: Position) -> bool:
        """Tell whether the model has an object, readable or not."""
        names = [other for folder, other in self.exist if folder == "model"]
        return self.known(name, sorted(names), "the model has no object", at)

    def system(self, name: str, at: Position) -> bool:
        """Tell whether there is a folder for a system."""
        return self.known(name, sorted(self.folders), "there is no system", at)


def lines_of(spec: MappingSpec) -> Iterator[MappedField]:
    """Yield every line of an object's own fields."""
    yield from (*spec.fields, *spec.reads, *spec.copies)


def all_tables(spec: MappingSpec) -> tuple[MappedTable, ...]:
    """Return the object's own tables and those of its lists."""
    return (*spec.tables, *(table for entry in spec.lists for table in entry.tables))


def list_fields(scope: Scope, spec: MappingSpec, entry: MappedList) -> dict[str, Field] | None:
    """Return the model's fields of a list by name, or None where the model does not have it."""
    model = scope.catalogue.models.get(spec.object)
    listed = model.list(entry.name) if model else None
    return {field.name: field for field in listed.fields} if listed else None


def read_names(spec: MappingSpec) -> frozenset[str]:
    """Return the model fields that a mapping gives when it is read."""
    return frozenset([*(line.name for line in (*spec.fields, *spec.reads)), *spec.constants])


def misnamed(spec: MappingSpec, model: Model) -> bool:
    """Tell whether a line names a field the model does not have: what misses the right name is no news then."""
    return any(model.field(line.name) is None for line in lines_of(spec))


def column_names(pipe: Pipe) -> tuple[str, ...]:
    """Return a pipe's columns as `ALIAS.COLUMN`."""
    return tuple(f"{alias}.{column}" for alias, column in pipe.columns)
