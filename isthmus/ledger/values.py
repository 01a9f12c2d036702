"""What goes into the ledger and comes out of it, as frozen values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa

from isthmus.connector import KeyRange

RunState = Literal["running", "done", "failed", "stopped"]
PackageState = Literal["planned", "claimed", "done", "retryable", "failed", "withheld"]
LoadState = Literal["never", "loading", "loaded"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario; `number` is the short name the key map knows it by."""

    id: str
    number: int
    scenario: str
    kind: str
    mode: str
    parameters: Mapping[str, Any]
    mapping_hash: str
    state: RunState
    started_at: datetime
    finished_at: datetime | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Package:
    """A planned key range of one flow in one run, and how far it came."""

    run: str
    id: str
    flow: str
    variant: str
    number: int
    range: KeyRange
    state: PackageState
    epoch: int
    worker: str = ""
    lease_until: datetime | None = None
    mapping_hash: str = ""
    code: str = ""
    message: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right to work on a package until the lease ends; void once somebody holds a higher epoch."""

    run: str
    id: str
    flow: str
    variant: str
    number: int
    range: KeyRange
    epoch: int
    worker: str
    lease: timedelta
    lease_until: datetime
    mapping_hash: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one flow of a run has come; `failed` counts failed and withheld packages."""

    flow: str
    packages: int
    done: int
    failed: int
    rows_read: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_rejected: int
    rows_parked: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Things of one object and the key each bears in each system; a null key says nothing about that side.

    `ids` is fixed_size_binary(16); each array of `systems` is text of the same length.
    """

    object: str
    ids: pa.Array
    systems: Mapping[str, pa.Array]


EXCEPTIONS = pa.schema(
    [
        ("key", pa.string()),
        ("state", pa.string()),  # rejected or parked
        ("field", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("value", pa.string()),
        ("waits_object", pa.string()),
        ("waits_key", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of a package, told after its receipt is in the target.

    `counts` names read, inserted, updated, unchanged, rejected, parked and whatever else is worth keeping.
    `exceptions` has the columns of `EXCEPTIONS` (more are ignored, missing optional ones are null); several
    rows of one key are the several faults of one row. `resolved_keys` are keys that passed this time. `image` is
    what both sides of the synchronized flow `image_flow` hold from now on, as `Images.put` takes it.
    """

    counts: Mapping[str, int]
    pairs: tuple[Pairs, ...] = ()
    exceptions: pa.Table | None = None
    resolved_keys: pa.Array | None = None
    digest: str = ""
    image: pa.RecordBatch | None = field(default=None, repr=False)
    image_flow: str = ""


@dataclass(frozen=True, slots=True)
class RowException:
    """A rejected or parked row: its key and the reason, never the row."""

    flow: str
    key: str
    kind: Literal["rejected", "parked"]
    state: Literal["open", "released", "resolved"]
    field: str
    code: str
    message: str
    faults: int
    value: str | None
    waits_object: str | None
    waits_key: str | None
    run: str
    package: str
    first_seen: datetime
    last_seen: datetime
    times: int


@dataclass(frozen=True, slots=True)
class Reason:
    """How many rows of a flow are held for one cause."""

    flow: str
    kind: str
    code: str
    field: str
    waits_object: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class FlowState:
    """How a flow stands: loaded or not, where its feed is, and whether it may run."""

    flow: str
    state: LoadState = "never"
    cursor: str | None = None
    cursor_taken_at: datetime | None = None
    load_run: str | None = None
    loaded_at: datetime | None = None
    fill: bool = False
    watermark: str | None = None
    watermark_at: datetime | None = None
    last_run: str | None = None
    paused: bool = False
    paused_by: str = ""
    paused_why: str = ""
    throttle_rows_per_s: int | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the trail."""

    at: datetime
    who: str
    what: str
    run: str | None = None
    flow: str | None = None
    object: str | None = None
    key: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What a gate or a reconciliation said: a verdict and its details."""

    id: int
    run: str | None
    flow: str
    package: str
    verdict: str
    result: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A mass change that waits for a person, or was approved by one; `share` is 0 to 1."""

    run: str
    flow: str
    what: str
    share: float
    asked_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClaimedKeys:
    """The right to work on a set of queued things until the lease ends; sorted by id, all arrays of one length.

    `versions` (int64) tells which report was seen; `keys` holds per system the key it reported, null where it did
    not; `gone` says per system that its feed knows the row to be deleted; `attempts` (int32) counts former tries.
    """

    flow: str
    epoch: int
    worker: str
    ids: pa.Array
    versions: pa.Array
    keys: Mapping[str, pa.Array]
    gone: Mapping[str, pa.Array]
    attempts: pa.Array
    lease: timedelta
    claimed_at: datetime


CONFLICTS = pa.schema(
    [
        ("id", pa.binary(16)),
        ("field", pa.string()),  # empty: the record as a whole
        ("kind", pa.string()),  # one of CONFLICT_KINDS
        ("source_key", pa.string()),
        ("target_key", pa.string()),
        ("base", pa.string()),
        ("source_value", pa.string()),
        ("target_value", pa.string()),
        ("source_at", pa.string()),
        ("source_by", pa.string()),
        ("target_at", pa.string()),
        ("target_by", pa.string()),
        ("because", pa.string()),
        ("score", pa.float64()),
    ]
)
CONFLICT_KINDS = ("both changed", "refused", "duplicate", "vanished", "disagrees")
ConflictState = Literal["open", "decided", "applied", "superseded", "closed"]
Take = Literal["source", "target", "value"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claimed set, told after both sides hold what was written.

    `again` are ids that go back to the queue; `image` is what both sides now agree on, as `Images.put` takes it;
    `conflicts` has the columns of `CONFLICTS` and holds every conflict that stands for the settled ids, except for
    those `unread`, of which nothing could be said: what is held of them stays;
    `exceptions`, `resolved_keys` and `pairs` are as in a `Confirmation`; the first two may be told per way of travel
    (`contract.isu.crm` and `contract.crm.isu`), where things that are born on either side may wait or be refused.
    """

    again: pa.Array | None = None
    image: pa.RecordBatch | None = field(default=None, repr=False)
    conflicts: pa.Table | None = field(default=None, repr=False)
    unread: pa.Array | None = None
    exceptions: pa.Table | Mapping[str, pa.Table] | None = field(default=None, repr=False)
    resolved_keys: pa.Array | Mapping[str, pa.Array] | None = None
    pairs: tuple[Pairs, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    run: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many things wait and are being worked on, since when the oldest is not agreed, and the end of the line."""

    waiting: int
    claimed: int
    oldest: datetime | None = None
    last_place: int = 0


@dataclass(frozen=True, slots=True)
class Conflict:
    """What two sides disagree on, and what was decided; values are personal data and stay out of its text."""

    number: int
    flow: str
    id: UUID
    field: str
    kind: str
    source_key: str | None
    target_key: str | None
    base: str | None = dataclasses.field(repr=False)
    source_value: str | None = dataclasses.field(repr=False)
    target_value: str | None = dataclasses.field(repr=False)
    source_at: str | None
    source_by: str | None
    target_at: str | None
    target_by: str | None
    because: str | None = dataclasses.field(repr=False)
    score: float | None
    state: ConflictState
    take: Take | None
    value: str | None = dataclasses.field(repr=False)
    decided_by: str | None
    decided_at: datetime | None
    why: str | None
    opened_at: datetime
    last_seen: datetime
    ended_at: datetime | None
    times: int
    run: str


@dataclass(frozen=True, slots=True)
class ConflictCount:
    """How many conflicts of a flow stand for one kind, field and state, and since when the oldest."""

    flow: str
    kind: str
    field: str
    state: str
    conflicts: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Blackout:
    """A window in which a flow (`*`: every flow) does not run: times of day in a zone, or from and until.

    `weekdays` (1 Monday to 7 Sunday, empty: every day) are those on which the window begins.
    """

    flow: str
    reason: str
    made_by: str
    weekdays: tuple[int, ...] = ()
    from_time: time | None = None
    until_time: time | None = None
    zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a flow was behind when a feed was read: `waiting` things, the oldest reported at `oldest`."""

    flow: str
    system: str
    polled_at: datetime
    newest_change_at: datetime | None
    waiting: int
    oldest: datetime | None

    @property
    def behind(self) -> timedelta:
        """For how long the oldest reported change has waited; nothing when none waits."""
        return timedelta() if self.oldest is None else max(self.polled_at - self.oldest, timedelta())
