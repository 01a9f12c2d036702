"""What a compiled mapping is: frozen plans of kernels, and the records that pass between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from isthmus.connector import Canonical, ColumnRef, Query, Source
from isthmus.mapping.functions import Step

REMARKS = pa.schema(
    [
        ("position", pa.int32()),
        ("key", pa.string()),
        ("field", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("value", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class BoundPipe:
    """A pipe whose functions are bound: raw column names (`ALIAS.COLUMN`) and the steps they go through."""

    columns: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def ref(self) -> str:
        """Return the object this pipe refers to, or ''."""
        return self.steps[-1].ref if self.steps else ""

    @property
    def type(self) -> pa.DataType:
        """Return the Arrow type of the model side."""
        return self.steps[-1].type if self.steps else pa.string()


@dataclass(frozen=True, slots=True)
class ReadField:
    """One model field as it is read: its pipe, and what the model demands of it."""

    name: str
    pipe: BoundPipe
    required: bool = False
    personal: bool = False


@dataclass(frozen=True, slots=True)
class ReadRule:
    """A rule over model columns: `mask` tells the rows it holds for."""

    fields: tuple[str, ...]
    mask: Canonical  # RecordBatch -> BooleanArray
    because: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A tied table that must have a row: `column` is null where it has none."""

    column: str
    tied: tuple[str, ...]
    table: str


@dataclass(frozen=True, slots=True)
class ReadList:
    """One list: its own query, the columns that name the parent row, its fields and its period."""

    name: str
    query: Query
    parent: tuple[str, ...]
    fields: tuple[ReadField, ...]
    period: BoundPipe | None
    history: bool = False
    apart: tuple[str, ...] = ()  # what tells parallel histories of one object apart, e.g. a register number


@dataclass(frozen=True, slots=True)
class ChangeDate:
    """A column that tells when rows changed, and the narrow query that brings the objects they belong to.

    `key` are the query's columns that hold the object's raw key, in the order of the plan's own.  `stamp` tells
    a UTC timestamp (YYYYMMDDhhmmss) from a date.
    """

    query: Query
    key: tuple[str, ...]
    column: ColumnRef
    stamp: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a row of one table says of its last change: its date or stamp columns, and the columns that name who."""

    at: tuple[str, ...]
    by: tuple[str, ...] = ()
    stamp: bool = False


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How one system's rows become records of the model."""

    object: str
    system: str
    variant: str
    query: Query
    key_columns: tuple[str, ...]
    key: BoundPipe
    fields: tuple[ReadField, ...]
    lists: tuple[ReadList, ...]
    rejects: tuple[ReadRule, ...]
    warns: tuple[ReadRule, ...]
    presences: tuple[Presence, ...]
    deleted: BoundPipe | None
    known_as: Mapping[str, BoundPipe]
    constants: Mapping[str, str]
    changes: tuple[ChangeDate, ...] = ()
    stamps: tuple[Stamp, ...] = ()

    def stamped(self) -> ReadPlan:
        """Return the plan that reads also when and by whom each record was changed; a plain read leaves that out."""
        names = (name for item in self.stamps for name in (*item.at, *item.by))
        references = (ColumnRef(*name.rsplit(".", 1)) for name in names)
        columns = tuple(dict.fromkeys([*self.query.columns, *references]))
        return replace(self, query=replace(self.query, columns=columns))

    def apply(self, root: pa.RecordBatch, lists: Mapping[str, pa.RecordBatch] | None = None) -> Records:
        """Turn raw rows into records; rows that cannot be converted are left out and told of in `rejects`."""
        from isthmus.mapping.reading import read_records

        return read_records(self, root, lists or {})


@dataclass(frozen=True, slots=True)
class ListRecords:
    """The entries of one list: `parent` (int32) is the row of the root batch each belongs to."""

    parent: pa.Array
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Records:
    """Records of the model: one row per object, foreign keys as the canonical key text of the system they came from.

    `rejects` and `warnings` follow `REMARKS`; their positions count the raw rows, `positions` (int32) tells the
    raw row of each record.  `seen` is how many raw rows came in.  `changed_at` is the latest change as the system
    stamps it (YYYYMMDD, or YYYYMMDDhhmmss in UTC), `changed_by` who it names; both only of a `stamped` plan.
    """

    key: pa.Array
    root: pa.RecordBatch
    lists: Mapping[str, ListRecords]
    deleted: pa.Array | None
    known_as: Mapping[str, pa.Array]
    rejects: pa.Table
    warnings: pa.Table
    positions: pa.Array
    seen: int
    apart: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # list -> what tells its histories apart
    changed_at: pa.Array | None = None
    changed_by: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class Filling:
    """Where a target column gets its content from.

    `kind`: `field` (a model field through the inverses of `pipe`, output number `output`), `period` (a list's
    slice), `key` (the object's own key in the target), `constant`, `made` (a derived guid of the column `name`, tag
    in `value`), `carried` (what the slice of today holds),
    `number` (a reserved counter, name in `value`), `deleted` (the delete marker), `parent` (a column of the
    root row, named in `value`).
    """

    kind: str
    pipe: BoundPipe | None = None
    output: int = 0
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class WriteColumn:
    """One column of a target table: how it is filled, whether it identifies the row, whether updates touch it."""

    column: ColumnRef
    type: pa.DataType
    filling: Filling
    role: str  # key | written | initial | carried | filled
    canonical: Canonical | None = None


@dataclass(frozen=True, slots=True)
class Slices:
    """How a table of time slices is written: the slice of `today` ends the day `before`, another begins.

    `start` and `end` are its first and last day, closed; `key` its key columns.  `filled` are the columns that are
    written into every slice that leaves them blank; `history` reads all slices of a thing, whatever the day.
    """

    start: str
    end: str
    key: tuple[str, ...]
    today: str
    before: str
    filled: tuple[str, ...] = ()
    history: Source | None = None


@dataclass(frozen=True, slots=True)
class WriteTable:
    """One table a record is written to; `list` names the model list it holds, '' for one row per object.

    With `slices` its columns are all the table has: those no field fills (`carried`) go over to the new slice.
    """

    alias: str
    table: str
    columns: tuple[WriteColumn, ...]
    list: str = ""
    scope: tuple[str, ...] = ()
    missing: str = "keep"
    shared: bool = False
    optional: bool = False
    slices: Slices | None = None


@dataclass(frozen=True, slots=True)
class WritePlan:
    """How records of the model become rows of a system's tables."""

    object: str
    system: str
    tables: tuple[WriteTable, ...]
    key: BoundPipe
    key_from: str  # `made`: the key derives from the Isthmus id; `fields`: the fields fill it
    refs: Mapping[str, str]  # root field -> object, only those that are written
    list_refs: Mapping[str, Mapping[str, str]]
    create: str = "rows"
    can_delete: bool = False
    counters: tuple[str, ...] = field(default_factory=tuple)
    stands_in: Mapping[str, str] = field(default_factory=dict)  # made column -> the tied one that shows what stands
