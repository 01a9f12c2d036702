"""The law of inverses for whole objects: what CRM's mapping writes, it reads back as it was."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from isthmus import connector
from isthmus.mapping.compile import compile_read, setting
from isthmus.mapping.compile_write import compile_write
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import REMARKS, ListRecords, ReadField, ReadPlan, Records, WritePlan
from isthmus.mapping.spec import Field
from isthmus.mapping.writing import Identity, Written, spell
from landscape.schema import Column, tables
from tests.flows.house import ROOT

CATALOGUE = load_catalogue(ROOT)
HEX = some.text("0123456789ABCDEF", min_size=32, max_size=32).filter(lambda text: text.strip("0") != "")
DIGITS = some.integers(1, 10**10 - 1).map(str)
DAYS = some.dates(date(1, 1, 2), date(9999, 12, 30))
MOMENTS = some.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
OBJECTS = ("business_partner", "point_of_delivery")
ADDRESS = {
    "address_number", "address_guid", "address_name", "street", "house_number", "house_suffix", "postal_code", "city",
    "district", "country", "region", "city_code", "street_code", "time_zone",
}  # fmt: skip


def described(name: str) -> connector.Table:
    """Describe a CRM table as a connector would."""
    table = tables("crm")[name]
    columns = tuple(connector.Column(c.name, arrow(c), nullable=False, length=c.length) for c in table.columns[1:])
    return connector.Table(name, columns, table.key[1:])


def arrow(column: Column) -> pa.DataType:
    if column.kind == "RAW":
        return pa.binary()
    if column.kind in ("DEC", "CURR", "QUAN"):
        return pa.decimal128(column.length, column.scale)
    return pa.int32() if column.kind == "INT" else pa.string()


@cache
def plans(object_: str) -> tuple[ReadPlan, WritePlan]:
    given_ = setting({"devices": True}, date(2026, 1, 2))
    source = compile_read(CATALOGUE, "isu", object_, "", given_)
    write = compile_write(CATALOGUE, "crm", object_, described, (source,), given_)
    return compile_read(CATALOGUE, "crm", object_, "", given_), write


def values(item: ReadField, field: Field | None, width: int) -> some.SearchStrategy[Any]:
    """Return the model values a field promises to carry in a column of `width` characters."""
    assert field is not None
    functions = {step.name for step in item.pipe.steps}
    if field.type == "boolean":
        return some.booleans()
    if field.type == "code":
        found: some.SearchStrategy[Any] = some.sampled_from(sorted(CATALOGUE.codes[field.args[0]].systems["crm"]))
    elif "guid" in functions:
        found = HEX
    elif field.type == "date":
        found = DAYS
    elif "padded" in functions:
        found = DIGITS
    else:
        letters = some.characters(codec="utf-8", exclude_characters="\0")
        found = some.text(letters, max_size=width).map(lambda text: text.rstrip(" "))
        found = found.filter(bool) if field.required else found.map(lambda text: text or None)
    return found if field.required else some.none() | found


def width_of(item: ReadField, plan: ReadPlan) -> int:
    alias, _, name = item.pipe.columns[0].partition(".")
    queries = [plan.query, *(entry.query for entry in plan.lists)]
    table = next(source.table for query in queries for source in query.sources if source.alias == alias)
    return tables("crm")[table].column(name).length


def records(plan: ReadPlan, object_: str) -> some.SearchStrategy[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Draw an object and the entries of its list."""
    model = CATALOGUE.models[object_]
    root = {item.name: values(item, model.field(item.name), width_of(item, plan)) for item in plan.fields}
    entries: some.SearchStrategy[list[dict[str, Any]]] = some.just([])
    for entry in plan.lists:
        listed = model.list(entry.name)
        assert listed is not None
        known = {field.name: field for field in listed.fields}
        row = {item.name: values(item, known[item.name], width_of(item, plan)) for item in entry.fields}
        row |= {"from": MOMENTS, "until": some.none() | MOMENTS}
        entries = some.lists(
            some.fixed_dictionaries(row).filter(lambda e: e["until"] is None or e["from"] < e["until"]),
            max_size=3,
            unique_by=lambda e: (e["external_id"], e["until"]),
        )
    return some.tuples(some.fixed_dictionaries(root).map(without_address), entries)


def without_address(root: dict[str, Any]) -> dict[str, Any]:
    """An address without a number is no address: nothing of it can be written."""
    if "address_number" in root and root["address_number"] is None:
        return {name: None if name in ADDRESS else value for name, value in root.items()}
    return root


def batch(items: tuple[ReadField, ...], rows: list[dict[str, Any]], more: dict[str, pa.DataType]) -> pa.RecordBatch:
    types = {item.name: item.pipe.type for item in items} | more
    return pa.RecordBatch.from_pydict(
        {name: pa.array([row[name] for row in rows], type_) for name, type_ in types.items()}
    )


def back(
    plan: ReadPlan, write: WritePlan, written: Written, size: int
) -> tuple[pa.RecordBatch, dict[str, pa.RecordBatch]]:
    """Lay written rows out as the target would give them back; initial values stand where nothing was written."""
    order = [*(t for t in write.tables if not t.list), *(t for t in write.tables if t.list)]
    rows = {table.alias: one.rows for table, one in zip(order, written.tables, strict=True)}
    root = {}
    for reference in plan.query.columns:
        source = next(s for s in plan.query.sources if s.alias == reference.alias)
        type_ = arrow(tables("crm")[source.table].column(reference.column))
        held = rows[reference.alias]
        at = pc.index_in(pa.array(np.arange(size, dtype=np.int32)), held.column("position"))
        root[str(reference)] = (
            held.column(reference.column).take(at)
            if has(held, reference.column)
            else (pa.array([tables("crm")[source.table].column(reference.column).initial] * size, type_))
        )
    lists = {}
    for entry in plan.lists:
        held = rows[entry.query.root.alias]
        held = held.filter(pc.is_valid(held.column("EXT_UI")))  # no entry, no row
        lists[entry.name] = pa.RecordBatch.from_pydict({str(c): held.column(c.column) for c in entry.query.columns})
    return pa.RecordBatch.from_pydict(root), lists


def has(rows: pa.RecordBatch, column: str) -> bool:
    return column in rows.schema.names


@pytest.mark.parametrize("object_", OBJECTS)
@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_what_is_written_reads_back_as_it_was(object_: str, data: some.DataObject) -> None:
    plan, write = plans(object_)
    objects = some.lists(records(plan, object_), min_size=1, max_size=4, unique_by=lambda pair: pair[0]["number"])
    drawn = data.draw(objects)
    roots = [root for root, _ in drawn]
    model = batch(plan.fields, roots, {})
    lists = {}
    for entry in plan.lists:
        owners = [owner for owner, (_, entries) in enumerate(drawn) for _ in entries]
        flat = [row for _, entries in drawn for row in entries]
        stamps = {"from": pa.timestamp("s", "UTC"), "until": pa.timestamp("s", "UTC")}
        lists[entry.name] = ListRecords(pa.array(owners, pa.int32()), batch(entry.fields, flat, stamps))
    size = len(roots)
    none = REMARKS.empty_table()
    every = pa.array(np.arange(size, dtype=np.int32))
    key = model.column("number")
    given_ = Records(key, model, lists, None, {}, none, none, every, size)
    ids = pa.array([bytes([n + 1] * 16) for n in range(size)], pa.binary(16))
    known = model.column("guid") if "guid" in model.schema.names else pa.nulls(size, pa.string())
    written = spell(write, given_, Identity(ids, known, pc.is_valid(known)))
    assert written.rejects.any() is None, written.rejects.table(key).to_pylist()
    read = plan.apply(*back(plan, write, written, size))
    assert not len(read.rejects), read.rejects.to_pylist()
    assert read.key.equals(written.key)
    for item in plan.fields:
        assert read.root.column(item.name).to_pylist() == model.column(item.name).to_pylist(), item.name
    for name, entry_ in lists.items():
        assert sorted(read.lists[name].rows.to_pylist(), key=str) == sorted(entry_.rows.to_pylist(), key=str)
