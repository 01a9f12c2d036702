"""What the files of the warehouse say, as frozen values; positions are kept for error messages.

A *store* keeps the records of one object by key (inbound, active, change log).  A *dimension* shows a store's records
as attributes and texts that cubes share.  A *cube* adds up what its *postings* make of changed records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from isthmus.mapping.spec import NOWHERE, Position, Predicate

# --- types --------------------------------------------------------------------------------------------------------

Kind = Literal["text", "code", "date", "moment", "integer", "decimal", "boolean", "amount", "quantity", "count"]


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a field, dimension or figure: `text(12)`, `code(division)`, `amount(currency)`, `decimal(17.3)`.

    `amount` and `quantity` name the field (or dimension) of their currency or unit; `code` its code table.
    """

    kind: Kind
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(self.args)})" if self.args else self.kind


# --- stores -------------------------------------------------------------------------------------------------------

# after: after images and delete flags, by the feed of the system (SAP's AIMD); full: everything every time, only
# differences are kept; new: only new records (NEWD), corrections come as reversals of their own.
FeedMode = Literal["after", "full", "new"]
OWN = "warehouse"  # the feed of records that are made of other stores


@dataclass(frozen=True, slots=True)
class StoreFeed:
    """Where records come from.

    `system` is a system of isthmus.yaml, `warehouse` for records made of other stores by `query` (a file of
    `warehouse/stores`), or `files` for files that are picked up from the folder of that system, one request a file.
    `sequence` names the field that tells which of two records of one key is the newer; without it the later request
    is.  `control` names fields whose sums are compared with the source after a load.  `reads` are the stores that the
    query is made of.
    """

    system: str
    mode: FeedMode = "after"
    query: str = ""
    sequence: str = ""
    control: tuple[str, ...] = ()
    position: Position = NOWHERE
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreField:
    """One field of a store; `source` is the model's field (or the file's, or the query's column) it is taken from."""

    name: str
    type: Type
    meaning: str = ""
    source: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Posted:
    """An attribute of a dimension that is looked up when a record is activated, and stays with it as posted.

    `by` is the field that holds the dimension's key.  `on` is a date field: the attribute as of that day where its
    history is kept, else as it is when the record is activated.
    """

    name: str
    dimension: str
    attribute: str
    by: str
    on: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Store:
    """A data store (`warehouse/stores/<name>.yaml`).

    `object` is the object of the shared model it keeps, `list` the list of it whose entries are the records.  The
    key of every record is `source` (the system) and `key`.  `history` names fields whose former values are kept with
    the days they were valid.  `posted` fields come after `fields` in every table.
    """

    name: str
    about: str
    object: str
    key: tuple[str, ...]
    fields: tuple[StoreField, ...]
    feeds: tuple[StoreFeed, ...]
    list: str = ""
    posted: tuple[Posted, ...] = ()
    history: tuple[str, ...] = ()
    position: Position = NOWHERE

    def field(self, name: str) -> StoreField | None:
        """Return the field of that name, or None; posted attributes are no fields of the source."""
        return next((item for item in self.fields if item.name == name), None)

    def feed(self, system: str) -> StoreFeed | None:
        """Return the feed from that system, or None."""
        return next((item for item in self.feeds if item.system == system), None)


# --- dimensions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dimension:
    """A shared dimension (`warehouse/dimensions/<name>.yaml`): the records of a store, seen as attributes.

    `key` is the store's field that cubes carry, `text` the field that people read, `attributes` its other fields.
    An attribute that is among the store's `history` is time-dependent.
    """

    name: str
    about: str
    store: str
    key: str
    text: str = ""
    attributes: tuple[str, ...] = ()
    position: Position = NOWHERE


# --- cubes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One function of an expression with its arguments."""

    name: str
    args: tuple[str, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Expression:
    """What a posting takes of a record: a field through functions, or a literal; `when` limits a figure to some.

    `field` is a field or posted attribute of the store, `spread.month` the month of a part of a spread record, or ''
    with a `literal`.  `negative` turns the sign.
    """

    field: str = ""
    literal: str | None = None
    calls: tuple[Call, ...] = ()
    when: Predicate | None = None
    negative: bool = False
    text: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Spread:
    """Cuts a record into calendar months: each gets its share of the days from `first` to `last` (both included).

    Shares are rounded so that they sum up to the whole, to the last digit.  `figures` are the ones that are shared
    out; the others are posted once, with the first month.
    """

    first: str
    last: str
    figures: tuple[str, ...]
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Posting:
    """What one record of a store posts into a cube: dimensions it does not name are `#`, figures it does not are 0."""

    store: str
    dimensions: Mapping[str, Expression]
    figures: Mapping[str, Expression]
    when: Predicate | None = None
    spread: Spread | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class CubeDimension:
    """One dimension of a cube; `dimension` names the shared dimension its values are keys of, if any."""

    name: str
    type: Type
    meaning: str = ""
    dimension: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Figure:
    """An additive key figure: `count`, `integer`, `decimal`, `amount(currency)` or `quantity(unit)`."""

    name: str
    type: Type
    meaning: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Calculated:
    """A figure of the view alone: `formula` over figures with + - * / and parentheses; division by 0 gives null."""

    name: str
    formula: str
    meaning: str = ""
    unit: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Balance:
    """A non-cumulative figure: what `of` (a figure of movements) has added up to at the end of each `over`.

    `over` is a dimension of type date (days, or first days of months); the view `<cube>_<name>` has a row for each
    month from the first movement to today, with opening, movement and closing.  It is never summed over time.  `by`
    names the dimensions the view has; without it, all others: name those that say what a stock is made of, and leave
    out those that say how it moved.
    """

    name: str
    of: str
    over: str
    meaning: str = ""
    position: Position = NOWHERE
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distinct:
    """A distinct count, which cannot be added up: answered from active rows by the view `<cube>_<name>`.

    `count` is a field of the store of the cube's first posting; the view has the cube's dimensions that posting fills.
    """

    name: str
    count: str
    meaning: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Cube:
    """A cube (`warehouse/cubes/<name>.yaml`)."""

    name: str
    about: str
    dimensions: tuple[CubeDimension, ...]
    figures: tuple[Figure, ...]
    postings: tuple[Posting, ...]
    calculated: tuple[Calculated, ...] = ()
    balances: tuple[Balance, ...] = ()
    distincts: tuple[Distinct, ...] = ()
    position: Position = NOWHERE

    @property
    def stores(self) -> tuple[str, ...]:
        """Return the stores whose changes it adds up, each once."""
        return tuple(dict.fromkeys(posting.store for posting in self.postings))


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Everything `warehouse/` says."""

    stores: Mapping[str, Store] = field(default_factory=dict)
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    cubes: Mapping[str, Cube] = field(default_factory=dict)

    def made_of(self, store: str) -> tuple[str, ...]:
        """Return a store and all stores that its records are made of, by queries of queries too."""
        found = {store: None}
        for name in (waiting := [store]):
            reads = [read for feed in self.stores[name].feeds for read in feed.reads if read in self.stores]
            waiting += [read for read in reads if read not in found]
            found |= dict.fromkeys(reads)
        return tuple(found)

    def cubes_of(self, store: str) -> tuple[Cube, ...]:
        """Return the cubes that add up a store's changes."""
        return tuple(cube for cube in self.cubes.values() if store in cube.stores)
