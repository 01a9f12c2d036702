"""What the questions of `warehouse/queries` have to answer, computed in DuckDB from the systems' own tables.

Each question has a file of its name beside this one.  `source.sql` reads the tables; the engine, its mappings and the
warehouse have no part in it, but for the code tables' files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import yaml

HERE = Path(__file__).parent
CODES = HERE.parents[2] / "mappings/codes"
ISU = (
    *("ever", "everh", "eanl", "eanlh", "tecde", "fkkvkp", "eeinv", "but000", "but020", "adrc", "evbs", "iflot"),
    *("iloa", "erch", "dberchz1", "dberchz3", "erchc", "erdk", "ettifn", "eabl", "equi", "egerh", "egerr", "eastl"),
    *("etdz", "jest"),
)  # fmt: skip
CRM = (
    *("crmd_orderadm_h", "crmd_orderadm_i", "crmd_isuexta4", "crm_jest", "crm_jcds", "crmd_link", "crmd_partner"),
    *("crmd_orgman", "crmd_subject", "crmd_pricing_i", "crmd_opport_h", "crmd_activity_h", "crmd_customer_h"),
    "comm_product",
)
CALLS = (
    *("interval_start", "queue", "agent", "direction", "offered", "answered", "abandoned", "abandoned_short"),
    *("answered_20s", "wait_seconds", "talk_seconds", "hold_seconds", "wrap_seconds", "transfers"),
)
Row = tuple[Any, ...]


class Oracle:
    """The source tables in DuckDB, as they stood when it was made."""

    def __init__(
        self,
        urls: Mapping[str, str],
        calls: Iterable[Path],
        today: date,
        before: Oracle | None = None,
        changed_on: date | None = None,
    ) -> None:
        """Copy the tables of one client and the telephone system's files.

        What was billed before `changed_on` shows customers as `before` knew them.
        """
        self.connection = duckdb.connect()
        for system, names in (("isu", ISU), ("crm", CRM)):
            self.connection.execute(f"CREATE SCHEMA {system}")
            self._copy(urls[system], system, names)
        self._read_calls(sorted(calls))
        self._read_codes()
        self.connection.execute(f"SET VARIABLE today = DATE '{today}'")
        self.connection.execute(f"SET VARIABLE changed_on = DATE '{changed_on or date.min}'")
        self._remember(before)
        self.connection.execute((HERE / "source.sql").read_text(encoding="utf-8"))

    def _remember(self, before: Oracle | None) -> None:
        rows: list[Any] = []
        if before is not None:
            rows = before.connection.execute("SELECT customer, region, segment FROM customers").fetchall()
        self._put("customers_before", ("customer", "region", "segment"), rows, {})

    def answer(self, query: str) -> list[dict[str, Any]]:
        """Return what a question has to answer when it is not limited to a time, as rows by column."""
        found = self.connection.execute((HERE / f"{query}.sql").read_text(encoding="utf-8"))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def close(self) -> None:
        self.connection.close()

    def _copy(self, url: str, system: str, names: Sequence[str]) -> None:
        with psycopg.connect(url) as source:
            for name in names:
                client = _client(source, name)
                found = source.execute(f"SELECT * FROM {name} WHERE {client} = '100'".encode())
                columns = [column.name for column in found.description or ()]
                rows = [[_plain(value) for value in row] for row in found.fetchall()]
                self._put(f"{system}.{name}", columns, rows, _numbers(source, name))

    def _put(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Mapping[str, Any]
    ) -> None:
        arrays = [
            pa.array([row[at] for row in rows], numbers.get(name, pa.string())) for at, name in enumerate(columns)
        ]
        arrived = pa.Table.from_arrays(arrays, names=list(columns))
        self.connection.register("arrived", arrived)
        self.connection.execute(f"CREATE TABLE {table} AS SELECT * FROM arrived")
        self.connection.unregister("arrived")

    def _read_calls(self, files: Sequence[Path]) -> None:
        self.connection.execute("CREATE SCHEMA tel")
        self._put("tel.calls", CALLS, [], {})
        for file in files:
            statement = "INSERT INTO tel.calls SELECT * FROM read_csv(?, header = true, all_varchar = true)"
            self.connection.execute(statement, [str(file)])

    def _read_codes(self) -> None:
        rows = []
        for file in CODES.glob("*.yaml"):
            table = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
            for system in ("isu", "crm", "tel"):
                for value, spelled in table.get(system, {}).items():
                    rows += [
                        [file.stem, system, value, one] for one in ([spelled] if isinstance(spelled, str) else spelled)
                    ]
        self._put("codes", ("code", "system", "value", "spelled"), rows, {})


def _client(source: psycopg.Connection[Any], table: str) -> str:
    statement = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1"
    (row,) = source.execute(statement, (table,)).fetchall()
    return str(row[0])


def _numbers(source: psycopg.Connection[Any], table: str) -> dict[str, pa.DataType]:
    statement = (
        "SELECT column_name, numeric_precision, numeric_scale FROM information_schema.columns"
        " WHERE table_name = %s AND data_type = 'numeric'"
    )
    return {name: pa.decimal128(digits, scale) for name, digits, scale in source.execute(statement, (table,))}


def _plain(value: Any) -> Any:
    return value.hex().upper() if isinstance(value, bytes) else value


def comparable(rows: Iterable[Mapping[str, Any]]) -> list[tuple[tuple[str, str], ...]]:
    """Return rows in an order and a spelling in which equal answers are equal: 1.50 is 1.5, and no row comes first."""
    return sorted(tuple((name, _spelled(value)) for name, value in sorted(row.items())) for row in rows)


def _spelled(value: Any) -> str:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return format(Decimal(value).normalize() + 0, "f")
    return "" if value is None else str(value)
