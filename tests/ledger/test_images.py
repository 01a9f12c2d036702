"""Agreed images: typed, aligned with what is asked, and honest about fields without a base."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest

from isthmus.connector import KeyRange
from isthmus.errors import ConfigError, ConflictError, DataError
from isthmus.ledger import Confirmation, Ledger, Pairs, Run, Settlement
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


def test_a_row_without_a_base_for_a_field_says_so(ledger: Ledger) -> None:
    known = pa.array([True, False, None])
    batch = image(ledger, "1", "2", "3").append_column("known.text", known)
    ledger.images.put(FLOW, batch)
    found = ledger.images.read(FLOW, things(ledger, "1", "2", "3", "4"))
    assert found["known.text"].to_pylist() == [True, False, False, False]
    assert found["known.number"].to_pylist() == [True, True, True, False]
    ledger.images.put(FLOW, found.slice(0, 3).drop_columns(["there"]))
    assert ledger.images.read(FLOW, things(ledger, "1", "2", "3", "4")).equals(found)


def test_a_field_added_later_has_no_base_yet(ledger: Ledger) -> None:
    ledger.images.put(FLOW, image(ledger, "1", "2"))
    ledger.images.prepare(FLOW, [*FIELDS, pa.field("remark", pa.string())])
    assert [field.name for field in ledger.images.fields(FLOW)][-1] == "remark"
    wider = image(ledger, "2").append_column("remark", pa.array([None], pa.string()))
    ledger.images.put(FLOW, wider)
    found = ledger.images.read(FLOW, things(ledger, "1", "2"))
    assert found["known.remark"].to_pylist() == [False, True]
    assert found["known.text"].to_pylist() == [True, True]


def test_a_field_of_another_type_loses_its_base_and_no_other_does(ledger: Ledger) -> None:
    ledger.images.put(FLOW, image(ledger, "1"))
    ledger.images.prepare(FLOW, [pa.field("number", pa.string())])
    found = ledger.images.read(FLOW, things(ledger, "1"))
    assert (found["number"].to_pylist(), found["known.number"].to_pylist()) == ([None], [False])
    assert (found["text"].to_pylist(), found["known.text"].to_pylist()) == (["t1"], [True])
    again = image(ledger, "1").drop_columns(["number"]).append_column("number", pa.array(["7"]))
    ledger.images.put(FLOW, again)
    assert ledger.images.read(FLOW, things(ledger, "1"))["known.number"].to_pylist() == [True]


def test_a_row_that_is_gone_on_one_side_stays_so(ledger: Ledger) -> None:
    ledger.images.put(FLOW, image(ledger, "1", "2").append_column("gone_target", pa.array([True, None])))
    found = ledger.images.read(FLOW, things(ledger, "1", "2"))
    assert found["gone_target"].to_pylist() == [True, False]
    assert found["gone_source"].to_pylist() == [False, False]


def test_the_same_image_again_writes_nothing(ledger: Ledger, ledger_url: str) -> None:
    ledger.images.put(FLOW, image(ledger, "1", "2"))

    def versions() -> list[tuple[str]]:
        with psycopg.connect(ledger_url) as connection:
            return connection.execute(f"SELECT xmin::text, ctid::text FROM ledger.{image_name(FLOW)}").fetchall()

    before = versions()
    ledger.images.put(FLOW, image(ledger, "1", "2"))
    assert versions() == before


def test_a_load_begun_anew_keeps_one_image_of_each_thing(ledger: Ledger) -> None:
    ledger.images.prepare(FLOW, FIELDS)
    ledger.images.put(FLOW, image(ledger, "1", "2"))
    ledger.images.put(FLOW, image(ledger, "2", "3", text="later "))
    assert ledger.images.count(FLOW) == 4
    ledger.images.prepare(FLOW, FIELDS)
    assert ledger.images.count(FLOW) == 3
    assert ledger.images.read(FLOW, things(ledger, "2"))["text"].to_pylist() == ["later 2"]
    pages = list(ledger.images.ids(FLOW, page=2))
    assert [len(page) for page in pages] == [2, 1]
    assert set(pa.concat_arrays(pages).to_pylist()) == set(things(ledger, "1", "2", "3").to_pylist())
    assert ledger.images.drop(FLOW) == 3


def test_an_image_that_cannot_be_kept_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DataError, match="two images"):
        ledger.images.put(FLOW, image(ledger, "1", "1"))
    with pytest.raises(ConfigError, match="cannot be synchronized"):
        ledger.images.prepare(FLOW, [pa.field("slices", pa.list_(pa.string()))])
    with pytest.raises(ConfigError, match="rename it"):
        ledger.images.prepare(FLOW, [pa.field("known", pa.string())])
    with pytest.raises(ConfigError, match="cannot name a table"):
        ledger.images.prepare('x"; DROP', FIELDS)


def test_nothing_is_agreed_where_there_is_no_table(ledger: Ledger) -> None:
    assert ledger.images.read(FLOW, things(ledger, "1"))["there"].to_pylist() == [False]
    assert (ledger.images.count(FLOW), list(ledger.images.ids(FLOW)), ledger.images.fields(FLOW)) == (0, [], [])
    ledger.images.put(FLOW, image(ledger, "1"))
    empty = ledger.images.read(FLOW, things(ledger))
    assert (empty.num_rows, empty.schema.field("starts_on").type) == (0, pa.date32())


def test_very_long_names_of_flows_stay_apart(ledger: Ledger) -> None:
    flows = [f"{'o' * 30}.{'a' * 20}.{'b' * 19}{end}" for end in "xy"]
    for flow in flows:
        ledger.images.put(flow, image(ledger, flow[-1]))
    assert [ledger.images.count(flow) for flow in flows] == [1, 1]
    assert ledger.images.read(flows[0], things(ledger, "x", "y"))["there"].to_pylist() == [True, False]


def test_a_package_of_the_first_load_leaves_its_image_with_its_keys(ledger: Ledger, run: Run) -> None:
    ledger.images.prepare(FLOW, FIELDS)
    ledger.packages.plan(run.id, FLOW, [KeyRange()] * 3)
    pairs = Pairs("contract", things(ledger, "1"), {"isu": pa.array(["1"]), "crm": pa.array(["C1"])})
    stolen = Pairs("contract", things(ledger, "2"), {"crm": pa.array(["C1"])})

    def confirm(told: Pairs, key: str) -> None:
        claimed = ledger.packages.claim(run.id, FLOW, "w", timedelta(minutes=5))
        assert claimed is not None
        ledger.confirm(claimed, Confirmation({"read": 1}, (told,), image=image(ledger, key), image_flow=FLOW))

    confirm(pairs, "1")
    with pytest.raises(ConflictError):
        confirm(stolen, "2")
    assert ledger.images.count(FLOW) == 1
    ledger.images.index(FLOW)
    confirm(pairs, "1")
    assert ledger.images.read(FLOW, things(ledger, "1", "2"))["there"].to_pylist() == [True, False]


def test_no_value_shows_in_the_text_of_what_carries_it(ledger: Ledger) -> None:
    batch = image(ledger, "1", text="Miller")
    assert "Miller" not in repr(Confirmation({}, image=batch)) + repr(Settlement(image=batch))
