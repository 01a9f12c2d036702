"""What goes into the ledger and comes out of it, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

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
    rows of one key are the several faults of one row. `resolved_keys` are keys that passed this time.
    """

    counts: Mapping[str, int]
    pairs: tuple[Pairs, ...] = ()
    exceptions: pa.Table | None = None
    resolved_keys: pa.Array | None = None
    digest: str = ""


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
