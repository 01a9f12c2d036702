"""Run `limit.sql` and compare what it wrote with what the engine wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench import landscapes, server
from landscape.schema import tables

FILE = Path(__file__).with_name("limit.sql")
WRITTEN = (
    "BUT000", "BUT020", "ADRC", "CRMM_BUT_CUSTNO", "CRMM_BUAG", "CRMM_BUAG_H", "COMM_PRODUCT", "ZCONNOBJ", "ZPREMISE",
    "ZISUPOD", "ZISUPOD_EXT", "ZINSTALLN", "ZDEVICE", "ZDEVICE_INST", "ZREGISTER", "CRMD_ORDERADM_I",
    "CRMD_ORDERADM_H", "CRMD_ISUEXTA4", "CRM_JEST",
)  # fmt: skip
# Columns set when a row is made and never compared again.
INITIAL = {
    "xdfadr", "addr_valid_from", "addr_valid_to", "date_to", "langu", "logsys", "home_system", "created_by",
    "product_type", "object_family", "isu_logsys", "header", "number_int", "itm_type", "object_type", "object_id",
    "process_type", "descr_language", "logical_system", "a4isulogsys", "chgnr",
}  # fmt: skip
NUMBERED = {"CRMD_ORDERADM_H": "object_id"}  # numbers are given out in another order


@cache
def sections() -> Mapping[str, str]:
    """Return the statements of `limit.sql` by section, in order."""
    parts = re.split(r"^-- section: (\w+)\n", FILE.read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def merging(statement: str) -> str:
    """Return a statement that merges where it inserted: only rows that differ are touched."""
    return re.sub(r"INSERT INTO crm\.(\w+) \(([^)]*)\)\s+(SELECT .*?)\n(?=\))", _merge, statement, flags=re.S)


def _merge(found: re.Match[str]) -> str:
    table, select = found[1], found[3]
    columns = [name.strip() for name in found[2].split(",")]
    key = [name.lower() for name in tables("crm")[table.upper()].key]
    initial = INITIAL | ({"valid_to"} if table == "comm_product" else set())
    initial |= {"valid_from"} if table == "crmm_buag_h" else set()
    written = [name for name in columns if name not in key and name not in initial]
    tie = " AND ".join(f"t.{name} = s.{name}" for name in key)
    update = ""
    if written:
        mine, theirs = (", ".join(f"{alias}.{name}" for name in written) for alias in "ts")
        changes = ", ".join(f"{name} = s.{name}" for name in written)
        update = f"WHEN MATCHED AND ({mine}) IS DISTINCT FROM ({theirs}) THEN UPDATE SET {changes} "
    values = ", ".join(f"s.{name}" for name in columns)
    return (
        f"MERGE INTO crm.{table} t USING ({select}) s ({', '.join(columns)}) ON {tie} {update}"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(columns)}) VALUES ({values})\n"
    )


def empty(database: str) -> None:
    """Bring the target back to an empty CRM."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        connection.execute(sections()["prepare"])
        connection.execute(f"TRUNCATE bench.refused, {', '.join(f'crm.{name.lower()}' for name in WRITTEN)}")
        connection.execute("ALTER SEQUENCE bench.orders RESTART")
        connection.execute("INSERT INTO crm.comm_product SELECT * FROM bench.products")
        for name in WRITTEN:
            connection.execute(sql.SQL("ANALYZE crm.{}").format(sql.Identifier(name.lower())))


def run(database: str, objects: Sequence[str] = landscapes.OBJECTS, *, merge: bool = False) -> dict[str, float]:
    """Bring the objects across and return the seconds each took; `merge` is for a target that holds something.

    New statistics are taken after each object, as the engine does.
    """
    took = {}
    day = f"'{landscapes.today():%Y%m%d}'"
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        connection.execute("SET jit = off")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        for name in objects:
            began = time.perf_counter()
            statement = sections()[name]
            connection.execute((merging(statement) if merge else statement).replace(":today", day))
            for table in () if merge else dict.fromkeys(re.findall(r"INSERT INTO (crm\.\w+)", statement)):
                connection.execute(f"ANALYZE {table}")
            took[name] = round(time.perf_counter() - began, 3)
    return took


def hashes(database: str, schema: str) -> dict[str, tuple[int, str]]:
    """Return rows and an order-free hash of every written table; numbers given out by a counter are left out."""
    with psycopg.connect(server.url(database)) as connection:
        return {name: _hash(connection, schema, name) for name in WRITTEN}


def _hash(connection: psycopg.Connection[Any], schema: str, name: str) -> tuple[int, str]:
    listed = ", ".join(_columns(name))
    row = connection.execute(
        f"SELECT count(*), coalesce(sum(hashtextextended(ROW({listed})::text, 0)::numeric), 0)::text"
        f" FROM {schema}.{name.lower()}"
    ).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def _columns(name: str) -> Iterator[str]:
    return (column.lower() for column in tables("crm")[name].names if column.lower() != NUMBERED.get(name))
