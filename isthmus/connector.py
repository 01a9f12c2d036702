"""The protocol every connector follows: what a system can do, how it is read and written, as frozen values.

A connector is a class with the methods of `Connector`, registered under the entry-point group
`isthmus.connectors`.  Built-in connectors use the same door.  Data crosses in Arrow: `read` yields record
batches whose columns are named `ALIAS.COLUMN`, `write` takes the rows of all tables of one package at once.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa

from isthmus import without_pandas
from isthmus.errors import ConfigError, DataError, did_you_mean

without_pandas.settle()

GROUP = "isthmus.connectors"

# --- what a system holds ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table as the live system describes it.

    `length` counts characters (text) or bytes (binary); `precision` and `scale` are set for decimals only.
    """

    name: str
    type: pa.DataType
    nullable: bool = True
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table as described by the live system; `key` is its primary key without the client column."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    _named: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {column.name.casefold(): column for column in self.columns})

    def column(self, name: str) -> Column | None:
        """Return the column of that name, whatever its case, or None."""
        return self._named.get(name.casefold())


# --- what is asked of it ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class ColumnRef:
    """A column of a table taking part in a query, e.g. `EVER.VERTRAG`."""

    alias: str
    column: str

    def __str__(self) -> str:
        return f"{self.alias}.{self.column}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, where right is another column or literals.  A predicate is an AND of these.

    `in` takes a tuple of literals; `is blank` and `is set` take no right side (blank means '' or only zeros).
    """

    left: ColumnRef
    operator: Literal["=", "<>", "<", "<=", ">", ">=", "in", "is blank", "is set"]
    right: ColumnRef | str | tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One table in a query: how it is tied to those before it (`on`), and whether a missing row is allowed.

    `last` names a column of it: of several rows that are tied, the one with the highest value there is taken.
    """

    alias: str
    table: str
    on: tuple[Comparison, ...] = ()
    optional: bool = True
    last: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What to read: the first source is the root, the others are joined to it in order.

    `key` are columns of the root; rows come ordered by them.  Result columns are named `ALIAS.COLUMN`.
    """

    sources: tuple[Source, ...]
    columns: tuple[ColumnRef, ...]
    key: tuple[ColumnRef, ...]
    where: tuple[Comparison, ...] = ()
    distinct: bool = False

    @property
    def root(self) -> Source:
        """Return the table that the rows are counted by."""
        return self.sources[0]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A half-open range `[low, high)` of raw key tuples; None is unbounded.  The unit a package is made of."""

    low: tuple[str, ...] | None = None
    high: tuple[str, ...] | None = None
    rows: int | None = None  # how many the planner expects


@dataclass(frozen=True, slots=True)
class Keys:
    """An explicit set of raw keys: one Arrow array per key column, equal lengths."""

    arrays: tuple[pa.Array, ...]


Where = KeyRange | Keys

# --- what has changed in it ---------------------------------------------------------------------------------------

FeedKind = Literal["date", "timestamp", "pointer", "snapshot"]


@dataclass(frozen=True, slots=True)
class Watched:
    """One table whose changes matter for an object, and how a changed row leads to the object's key.

    `query` reads the object's raw key (its columns `key`, named `ALIAS.COL`) from a changed row of `alias`, the
    table's alias in it.  `changed` are the columns that tell when a row changed (the latest of them counts), empty
    where it has none of its own; `stamp` tells UTC stamps (YYYYMMDDhhmmss) from dates (YYYYMMDD).  `root` marks
    the table whose rows are the objects themselves: a row deleted there is an object gone.
    """

    table: str
    query: Query
    key: tuple[str, ...]
    changed: tuple[ColumnRef, ...] = ()
    stamp: bool = False
    alias: str = ""
    root: bool = False


@dataclass(frozen=True, slots=True)
class Polled:
    """What a feed read: raw keys of objects (which may repeat) and the position to read from next time.

    `cursor` is opaque, versioned JSON text; store it only after the outcomes of the keys are durable.  `rows` counts
    the change rows looked at, the overlap included.  `gone` are raw keys that the feed knows to be deleted.
    """

    keys: tuple[pa.Array, ...]
    cursor: str
    rows: int = 0
    gone: tuple[pa.Array, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the changes of one table are recorded.

    `unindexed` names ties that a touched row is followed along without an index to find the other end by.
    """

    table: str
    columns: tuple[str, ...]
    state: Literal["recorded", "missing", "disabled", "columns missing"]
    pointers: int = 0
    unindexed: tuple[str, ...] = ()


class FeedLost(DataError):
    """A cursor that this feed cannot go on from without missing changes: begin anew, and compare everything once."""


# --- what is changed in it ----------------------------------------------------------------------------------------

Canonical = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class TableRows:
    """The wanted rows of one target table, in the target's own spelling.

    `rows` holds the target's columns plus `position` (int32), the row of the package each belongs to; several
    rows may share one position.  `key` names the columns that identify a row in the target.  Columns in
    `written` are compared and updated, those in `initial` are set on insert only.  `canonical` gives, for
    columns with several spellings of one value, the kernel that makes two spellings equal: a column whose
    current content is equal after it is left alone.  `scope` names the columns that tie a list to its owner;
    with `missing="delete"` rows of the same scope that are not wanted any more are deleted.
    `found_by` names the columns an existing row is found by where the key itself is made on insert.
    """

    table: str
    rows: pa.RecordBatch
    key: tuple[str, ...]
    written: tuple[str, ...]
    initial: tuple[str, ...] = ()
    canonical: Mapping[str, Canonical] = field(default_factory=dict)
    scope: tuple[str, ...] = ()
    missing: Literal["keep", "delete"] = "keep"
    shared: bool = False  # several positions may want the same row; the first wins
    promised: pa.Array | None = None  # positions whose row is known to stand there: RowsVanished if one does not


class RowsVanished(DataError):
    """Rows that were promised to stand in the target are gone; nothing was written.  Write again without promise."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stood in one table of the target when it was read: the condition a change is written on.

    `rows` holds raw columns of the target, `key` among them, plus `position` (int32), the position of the change
    each row belongs to; several rows may share a position.  `absent` are positions for which no row was found;
    where their key is known, `absent_keys` holds the key columns (plus `position`) of the rows that were missing:
    one that stands there now breaks the condition.  A list of which one more row appeared is not noticed unless
    its key is among `absent_keys`.
    """

    table: str
    key: tuple[str, ...]
    rows: pa.RecordBatch
    absent: pa.Array | None = None
    absent_keys: pa.RecordBatch | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a target keeps, in the same transaction as the rows, to prove that a package arrived."""

    run: str
    package: str
    epoch: int
    digest: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """All rows of one package for one object: applied in one transaction, together with its receipt.

    `size` is the number of positions; `fill` promises that the object's tables were empty when its load began
    and that nobody else writes to them, so rows may be copied straight in.
    `deleted` marks positions whose delete marker travels (the mapped columns already say so).
    `standing` makes the write conditional: a position of which a row stands differently now is left alone in every
    table, with `Status.CONFLICT`; the others are written.
    """

    object: str
    size: int
    tables: tuple[TableRows, ...]
    receipt: Receipt | None = None
    fill: bool = False
    dry_run: bool = False  # say what would happen, write nothing
    allowance: int | None = None  # refuse (ConflictError, nothing written) to update or delete more rows than this
    standing: tuple[Standing, ...] = ()


class Status(enum.IntEnum):
    """What became of one position of a change."""

    UNCHANGED = 0
    INSERTED = 1
    UPDATED = 2
    REJECTED = 3
    CONFLICT = 4
    RETRYABLE = 5
    UNKNOWN = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One status per position, in order, and the reasons of the exceptional ones.

    `status` is uint8 of length `Change.size`.  `problems` has columns position int32, table string, column
    string, code string, message string (no values in it).  `differences` (filled for `dry_run`, and for guard
    and reconciliation) has position int32, table, column, current, wanted as strings.
    """

    status: pa.Array
    problems: pa.Table
    differences: pa.Table | None = None
    already: bool = False  # the receipt of this package was there: nothing was done
    counts: Mapping[str, int] = field(default_factory=dict)  # rows inserted/updated/deleted per table


PROBLEMS = pa.schema(
    [
        ("position", pa.int32()),
        ("table", pa.string()),
        ("column", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
    ]
)
DIFFERENCES = pa.schema(
    [
        ("position", pa.int32()),
        ("table", pa.string()),
        ("column", pa.string()),
        ("current", pa.string()),
        ("wanted", pa.string()),
    ]
)

# --- the protocol -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a connection check: `ok`, `failed` or `not tried`, and what to do."""

    name: str
    state: Literal["ok", "failed", "not tried"]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a system can do, as data.  `journal` says where receipts live: a schema of ours, or nowhere."""

    read: bool = True
    write: bool = False
    keyset: bool = False
    joins: bool = False
    filters: bool = False
    changes: Literal["none", "date", "timestamp", "pointer", "snapshot"] = "none"  # the best feed it has ready
    feeds: tuple[FeedKind, ...] = ()  # the kinds that `Feeds.poll` takes
    journal: Literal["schema", "none"] = "none"
    atomic: bool = False  # all tables of a Change in one transaction
    promises: bool = False  # honours `TableRows.promised`
    conditional: bool = False  # honours `Change.standing`
    max_rows: int = 50_000
    max_bytes: int = 64 << 20


@runtime_checkable
class Connector(Protocol):
    """How one system is spoken to.  Built from settings by its class; used by one thread at a time."""

    def capabilities(self) -> Capabilities:
        """Say what this system can do, asking it where it can be asked."""

    def check(self) -> list[Check]:
        """Try resolve, connect, authenticate, read, write permission; never raise, never show a secret."""

    def discover(self) -> list[str]:
        """List the tables (or objects) that can be read, in a stable order."""

    def describe(self, table: str) -> Table:
        """Describe one table; raises SpecError or ConfigError when it is not there, with the nearest name."""

    def partitions(self, query: Query, rows: int, within: KeyRange | None = None) -> list[KeyRange]:
        """Cut the query's key range into disjoint, complete ranges of about `rows` root rows each."""

    def read(self, query: Query, where: Where) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a range (or of explicit keys), ordered by key; memory bounded by a block."""

    def write(self, change: Change) -> Outcome:
        """Apply a change in one transaction with its receipt; one status per position, always."""

    def receipts(self, run: str) -> Mapping[str, Receipt]:
        """Return the receipts this target holds for a run, by package; empty when it keeps no journal."""

    def close(self) -> None:
        """Give back sessions and locks."""


@runtime_checkable
class Feeds(Protocol):
    """A connector that can say which objects have changed since a cursor.  Feeds deliver keys, never rows."""

    def poll(self, kind: FeedKind, watched: Sequence[Watched], cursor: str | None, now: datetime) -> Polled:
        """Return the keys of objects changed since the cursor; polling twice from one cursor changes nothing.

        Raises FeedLost when the cursor is none this feed can go on from, ConfigError when it has no such feed.
        """

    def begin_feed(self, kind: FeedKind, watched: Sequence[Watched], now: datetime) -> str:
        """Return a cursor from which nothing that is committed after this moment is missed."""


@runtime_checkable
class Pointers(Protocol):
    """A connector whose system can record which rows are touched, once it is told to."""

    def feed_script(self, watched: Sequence[Watched]) -> str:
        """Return what a DBA runs to record the changes of these tables; running it again changes nothing."""

    def install_feed(self, watched: Sequence[Watched]) -> None:
        """Record the changes of these tables from now on."""

    def remove_feed(self) -> list[str]:
        """Take everything away that was installed and return the tables that were recorded."""

    def show_feed(self, watched: Sequence[Watched]) -> list[Recorded]:
        """Return how each of these tables is recorded."""

    def prune_feed(self, cursors: Sequence[str]) -> int:
        """Forget recorded changes that none of these cursors needs and return how many; none without cursors."""


@runtime_checkable
class Rejects(Protocol):
    """A connector that meets records it cannot even read (a damaged line of a file), and says which and why."""

    def rejected(self) -> pa.Table:
        """Return what could not be read so far: key, file, line int32, code, message; no values."""


@runtime_checkable
class Analyzes(Protocol):
    """A connector whose system keeps statistics for its query planner, and can renew them after a load."""

    def analyze(self, tables: Sequence[str]) -> None:
        """Renew the statistics of tables."""


@functools.cache
def connector_class(kind: str) -> Callable[[Mapping[str, Any]], Connector]:
    """Return the connector registered under `kind`; raises ConfigError naming those installed."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in known:
        raise ConfigError(
            f'No connector "{kind}" is installed.{did_you_mean(kind, known)} '
            f"Installed: {', '.join(sorted(known)) or 'none'}. Install the distribution that registers it "
            f'under the entry-point group "{GROUP}".'
        )
    loaded: Callable[[Mapping[str, Any]], Connector] = known[kind].load()
    return loaded


def connect(kind: str, settings: Mapping[str, Any]) -> Connector:
    """Build the connector `kind` from its settings (a connection, a client, options of its own)."""
    return connector_class(kind)(settings)


def statuses(values: Sequence[Status] | None = None, *, size: int = 0, fill: Status = Status.UNCHANGED) -> pa.Array:
    """Make a status array: from values, or `size` times `fill`."""
    if values is not None:
        return pa.array([int(value) for value in values], pa.uint8())
    return pa.repeat(pa.scalar(int(fill), pa.uint8()), size)
