"""The ledger's tables as the statements see them; `migrations/` makes and describes them."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(schema="ledger")
STAMP = DateTime(timezone=True)


def _table(name: str, /, **columns: object) -> Table:
    return Table(name, METADATA, *(Column(column, kind) for column, kind in columns.items()))  # type: ignore[arg-type]


RUNS = _table(
    "runs",
    id=Text,
    number=Integer,
    scenario=Text,
    kind=Text,
    mode=Text,
    parameters=JSONB,
    mapping_hash=Text,
    state=Text,
    started_at=STAMP,
    finished_at=STAMP,
    summary=JSONB,
)
PACKAGES = _table(
    "packages",
    run=Text,
    id=Text,
    flow=Text,
    variant=Text,
    number=Integer,
    low=ARRAY(Text),
    high=ARRAY(Text),
    expected_rows=BigInteger,
    state=Text,
    epoch=Integer,
    worker=Text,
    lease_until=STAMP,
    mapping_hash=Text,
    code=Text,
    message=Text,
    rows_read=BigInteger,
    rows_inserted=BigInteger,
    rows_updated=BigInteger,
    rows_unchanged=BigInteger,
    rows_rejected=BigInteger,
    rows_parked=BigInteger,
    counts=JSONB,
    digest=Text,
    verdict=BigInteger,
    planned_at=STAMP,
    claimed_at=STAMP,
    finished_at=STAMP,
)
EVENTS = _table(
    "events",
    at=STAMP,
    id=BigInteger,
    who=Text,
    what=Text,
    run=Text,
    flow=Text,
    object=Text,
    key=Text,
    details=JSONB,
)
EXCEPTIONS = _table(
    "exceptions",
    flow=Text,
    key=Text,
    kind=Text,
    state=Text,
    field=Text,
    code=Text,
    message=Text,
    faults=Integer,
    value=Text,
    waits_object=Text,
    waits_key=Text,
    run=Text,
    package=Text,
    first_seen=STAMP,
    last_seen=STAMP,
    released_at=STAMP,
    resolved_at=STAMP,
    times=Integer,
)
FLOWS = _table(
    "flows",
    flow=Text,
    state=Text,
    cursor=Text,
    cursor_taken_at=STAMP,
    load_run=Text,
    loaded_at=STAMP,
    fill=Boolean,
    watermark=Text,
    watermark_at=STAMP,
    last_run=Text,
    paused=Boolean,
    paused_by=Text,
    paused_why=Text,
    paused_at=STAMP,
    throttle_rows_per_s=Integer,
    draining=Boolean,
)
QUEUE = _table(
    "queue",
    flow=Text,
    id=Uuid,
    place=BigInteger,
    version=BigInteger,
    source_key=Text,
    target_key=Text,
    source_gone=Boolean,
    target_gone=Boolean,
    epoch=BigInteger,
    claimed=BigInteger,
    attempts=Integer,
    run=Text,
    since=STAMP,
    seen_at=STAMP,
)
CLAIMS = _table(
    "claims",
    epoch=BigInteger,
    flow=Text,
    worker=Text,
    state=Text,
    keys=Integer,
    again=Integer,
    run=Text,
    package=Text,
    counts=JSONB,
    claimed_at=STAMP,
    lease_until=STAMP,
    ended_at=STAMP,
)
IMAGE_FIELDS = _table("image_fields", flow=Text, field=Text, position=SmallInteger, type=Text)
IMAGE_SHAPES = _table("image_shapes", flow=Text, number=SmallInteger, fields=ARRAY(Text))
CONFLICTS = _table(
    "conflicts",
    number=BigInteger,
    flow=Text,
    id=Uuid,
    field=Text,
    kind=Text,
    source_key=Text,
    target_key=Text,
    base=Text,
    source_value=Text,
    target_value=Text,
    source_at=Text,
    source_by=Text,
    target_at=Text,
    target_by=Text,
    because=Text,
    score=Float,
    state=Text,
    take=Text,
    value=Text,
    decided_by=Text,
    decided_at=STAMP,
    why=Text,
    opened_at=STAMP,
    last_seen=STAMP,
    ended_at=STAMP,
    times=Integer,
    run=Text,
)
BLACKOUTS = _table(
    "blackouts",
    number=BigInteger,
    flow=Text,
    weekdays=ARRAY(SmallInteger),
    from_time=Time,
    until_time=Time,
    zone=Text,
    starts_at=STAMP,
    ends_at=STAMP,
    reason=Text,
    made_by=Text,
    made_at=STAMP,
    lifted_by=Text,
    lifted_at=STAMP,
)
LAGS = _table("lags", flow=Text, system=Text, polled_at=STAMP, newest_change_at=STAMP, waiting=BigInteger, oldest=STAMP)
SYSTEMS = _table("systems", system=Text, fingerprint=Text, client=Text, identified_at=STAMP)
COUNTERS = _table("counters", name=Text, next=BigInteger)
GATE_RESULTS = _table(
    "gate_results", id=BigInteger, run=Text, flow=Text, package=Text, verdict=Text, result=JSONB, at=STAMP
)
RECONCILIATIONS = _table("reconciliations", id=BigInteger, run=Text, flow=Text, verdict=Text, result=JSONB, at=STAMP)
APPROVALS = _table(
    "approvals", run=Text, flow=Text, what=Text, share=Float, asked_at=STAMP, approved_by=Text, approved_at=STAMP
)
FEEDS = _table("feeds", flow=Text, system=Text, cursor=Text, run=Text, moved_at=STAMP)
