"""What a check of the warehouse can see: its values, the shared model, the systems, and where findings go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus.mapping.form import Findings
from isthmus.mapping.spec import Catalogue, MappingSpec, Position
from warehouse.expression import NUMBERS
from warehouse.grammar import UNREAD
from warehouse.spec import Kind, Store, Type, Warehouse

NO_DIMENSIONS = tuple(kind for kind in NUMBERS if kind != "integer")  # they say how much, not which
DAYS: tuple[Kind, ...] = ("date", "moment")
TEXTS: tuple[Kind, ...] = ("text", "code")
SOURCE = "source"  # the system a record came from: every store has it, though no file names it
SOURCE_TYPE = Type("text")


@dataclass(frozen=True, slots=True)
class Scope:
    """A warehouse under check.

    `exist` names all files as (folder, name), readable or not; `queries` the text of the SQL files beside the
    stores.  Without a catalogue nothing is compared with the model, without `systems` (name -> the kind of system
    it is) feeds may name any.
    """

    warehouse: Warehouse
    findings: Findings
    exist: frozenset[tuple[str, str]]
    queries: Mapping[str, str]
    catalogue: Catalogue | None = None
    systems: Mapping[str, str] | None = None

    def add(self, position: Position, message: str) -> None:
        """Note one mistake."""
        self.findings.add(position, message)

    def known(self, word: str, names: Iterable[str], what: str, at: Position) -> bool:
        """Tell whether a word is among names; if not, say so with the nearest one."""
        return self.findings.known(word, names, what, at)

    def file(self, folder: str, name: str, what: str, at: Position) -> bool:
        """Tell whether a folder has a file of that name, readable or not; if not, say so."""
        return self.known(name, sorted(other for where, other in self.exist if where == folder), what, at)

    def columns(self, store: Store) -> dict[str, Type]:
        """Return what expressions may take of a store's records, with types; UNREAD where a type is not known."""
        types = column_types(self.warehouse, store)
        return {name: UNREAD if unknown_code(type_, self) else type_ for name, type_ in types.items()}

    def mappings(self, store: Store, system: str) -> tuple[MappingSpec, ...] | None:
        """Return how a system speaks the store's object, or None where nobody can tell."""
        if self.catalogue is None or self.systems is None or system not in self.systems or not store.object:
            return None
        return self.catalogue.mappings.get((self.systems[system], store.object), ())


def unknown_code(type_: Type, scope: Scope) -> bool:
    """Tell whether a type names a code table that is not there: that is said once, and fits everything then."""
    return type_.kind == "code" and scope.catalogue is not None and type_.args[0] not in scope.catalogue.codes


def column_types(warehouse: Warehouse, store: Store) -> dict[str, Type]:
    """Return the types of a store's fields, of its posted attributes and of `source`."""
    found = {field.name: field.type for field in store.fields}
    found |= {item.name: _posted_type(warehouse, store.name, item.name, ()) for item in store.posted}
    return {**found, SOURCE: SOURCE_TYPE}


def _posted_type(warehouse: Warehouse, name: str, column: str, seen: tuple[tuple[str, str], ...]) -> Type:
    """Follow a posted attribute, through stores that have it posted themselves, to the field it comes from."""
    store = warehouse.stores.get(name)
    if store is None or (name, column) in seen:
        return UNREAD
    field = store.field(column)
    posted = next((item for item in store.posted if item.name == column), None)
    if field is not None or posted is None:
        return field.type if field is not None else UNREAD
    dimension = warehouse.dimensions.get(posted.dimension)
    return _posted_type(warehouse, dimension.store if dimension else "", posted.attribute, (*seen, (name, column)))


def shorter(given: Type, wanted: Type) -> bool:
    """Tell whether texts of one type may be too long for the other."""
    return bool(given.args and wanted.args and given.kind == wanted.kind == "text") and (
        given is not UNREAD and wanted is not UNREAD and int(given.args[0]) > int(wanted.args[0])
    )
