"""Agreed images: typed, aligned with what is asked, and honest about fields without a base."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from isthmus.errors import ConfigError, DataError
from isthmus.ledger import Ledger
from isthmus.ledger.images import image_name

FLOW = "contract.isu.crm"
FIELDS = [
    pa.field("text", pa.string()),
    pa.field("starts_on", pa.date32()),
    pa.field("deleted", pa.bool_()),
    pa.field("amount", pa.decimal128(10, 2)),
    pa.field("at", pa.timestamp("s", "UTC")),
    pa.field("number", pa.int32()),
]
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def things(ledger: Ledger, *keys: str) -> pa.Array:
    return ledger.keys.ids("contract", "isu", "", pa.array(keys, pa.string()))


def image(ledger: Ledger, *keys: str, text: str = "t") -> pa.RecordBatch:
    n = len(keys)
    columns = [
        pa.array([f"{text}{key}" for key in keys]),
        pa.array([date(2024, 1, 1)] * n),
        pa.array([None if key == "1" else False for key in keys], pa.bool_()),
        pa.array([Decimal("-1.50")] * n, pa.decimal128(10, 2)),
        pa.array([AT] * n, pa.timestamp("s", "UTC")),
        pa.array([7] * n, pa.int32()),
    ]
    schema = pa.schema([pa.field("id", pa.binary(16)), *FIELDS])
    return pa.record_batch([things(ledger, *keys), *columns], schema=schema)


@pytest.mark.parametrize("prepared", [False, True], ids=["indexed", "first load"])
def test_what_was_agreed_is_read_back_aligned_and_typed(ledger: Ledger, prepared: bool) -> None:
    if prepared:
        ledger.images.prepare(FLOW, FIELDS)
    ledger.images.put(FLOW, image(ledger, "1", "2", "3"))
    ledger.images.index(FLOW)
    found = ledger.images.read(FLOW, things(ledger, "3", "9", "1"))
    assert found["id"].equals(things(ledger, "3", "9", "1"))
    assert found["there"].to_pylist() == [True, False, True]
    assert found["text"].to_pylist() == ["t3", None, "t1"]
    assert found["known.deleted"].to_pylist() == [True, False, True]
    assert found["deleted"].to_pylist() == [False, None, None]
    assert found["amount"].to_pylist()[0] == Decimal("-1.50")
    assert found["at"].to_pylist()[0] == AT
    assert [found.schema.field(field.name).type for field in FIELDS] == [field.type for field in FIELDS]
    assert ledger.images.count(FLOW) == 3


def test_a_later_image_replaces_the_earlier_one_as_a_whole(ledger: Ledger) -> None:
    ledger.images.put(FLOW, image(ledger, "1", "2"))
    ledger.images.put(FLOW, image(ledger, "2", text="new ").select(["id", "text"]))
    found = ledger.images.read(FLOW, things(ledger, "1", "2"))
    assert found["text"].to_pylist() == ["t1", "new 2"]
    assert found["known.starts_on"].to_pylist() == [True, False]
