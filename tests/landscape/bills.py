"""How tests read bills, their lines, readings and facts: by the mappings, and by plain SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from connectors.sql import SqlConnector
from isthmus.connector import KeyRange
from isthmus.levels.resolve import read_raw
from isthmus.mapping.compile import compile_read, setting
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import ReadPlan, Records
from landscape.schema import tables

CATALOGUE = load_catalogue(Path(__file__).parents[2])
BUSINESS = ("DBERCHZ1", "DBERCHZ3", "ERCHC", "ERDK", "EABLG")
NEXT_DAY = datetime(2026, 1, 2, 10, tzinfo=UTC)
VALID = "b.mandt = '100' AND b.simulation = '' AND b.stornodat = '00000000'"


def plan_of(object_: str) -> ReadPlan:
    return compile_read(CATALOGUE, "isu", object_, "", setting({"devices": True}, date(2026, 1, 1)))


def records_of(url: str, object_: str) -> list[Records]:
    """Read an object as the engine does, in packages."""
    connector, plan = SqlConnector({"url": url, "client": "100"}), plan_of(object_)
    try:
        parts = list(connector.partitions(plan.query, 700, KeyRange()))
        assert len(parts) > 1
        return [plan.apply((raw := read_raw(connector, plan, part)).root, raw.lists) for part in parts]
    finally:
        connector.close()


def rows_of(url: str, object_: str, *names: str) -> list[tuple[Any, ...]]:
    """Read some fields of every record; nothing may be rejected."""
    found = records_of(url, object_)
    assert [len(records.rejects) for records in found] == [0] * len(found)
    whole = pa.Table.from_batches([records.root for records in found])
    return list(zip(*(whole[name].to_pylist() for name in names), strict=True))


def digest(url: str) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(
                f"SELECT md5(string_agg(t::text, '' ORDER BY {', '.join(tables('isu')[name].key)})) FROM {name} t"
            ).fetchone()
            for name in (*BUSINESS, "ERCH", "EVER", "ETTIFN", "EABL")
        }
