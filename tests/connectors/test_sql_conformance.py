"""The inherited suite on PostgreSQL, SQLite and MariaDB: one connector, the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.sql import SqlConnector
from isthmus.conformance import ConnectorSuite, Place, Scratch
from isthmus.connector import Connector
from isthmus.store import drop_database, ensure_database
from isthmus.store.place import Place as StorePlace

TABLES = """
CREATE TABLE scratch (mandt varchar(3) NOT NULL, id varchar(10) NOT NULL, name varchar(40), day varchar(8){binary},
  amount decimal({digits},{scale}), PRIMARY KEY (mandt, id));
CREATE TABLE scratch_item (mandt varchar(3) NOT NULL, id varchar(10) NOT NULL, line varchar(3) NOT NULL,
  value varchar(20), PRIMARY KEY (mandt, id, line));
INSERT INTO scratch VALUES ('200', '0000000001', 'another client', '', 1);
INSERT INTO scratch_item VALUES ('200', '0000000001', '001', 'another client');
"""


def tables(scratch: Scratch, suffix: str = "") -> list[str]:
    text = TABLES.format(digits=scratch.digits, scale=scratch.scale, binary="")
    statements = [statement.strip() for statement in text.split(";") if statement.strip()]
    return [s + suffix if s.startswith("CREATE") else s for s in statements]


def insert(table: str, rows: pa.Table, mark: str) -> tuple[str, list[tuple[Any, ...]]]:
    names = ", ".join(["mandt", *(name.lower() for name in rows.column_names)])
    marks = ", ".join([mark] * (rows.num_columns + 1))
    exact = [c.cast(pa.string()) if pa.types.is_decimal(c.type) else c for c in rows.columns]
    values = [("100", *row) for row in zip(*(column.to_pylist() for column in exact), strict=True)]
    return f"INSERT INTO {table.lower()} ({names}) VALUES ({marks})", values


@pytest.fixture(scope="module")
def database(store: StorePlace) -> Iterator[str]:
    """One database for all tests of this file: making one for each costs more than the tests."""
    name = "sql_conformance"
    yield ensure_database(name, place=store)
    drop_database(name, place=store)


class TestPostgres(ConnectorSuite):
    @pytest.fixture
    def url(self, database: str, scratch: Scratch) -> str:
        with psycopg.connect(database, autocommit=True) as session:
            session.execute("DROP TABLE IF EXISTS scratch, scratch_item; DROP SCHEMA IF EXISTS isthmus CASCADE")
            for statement in tables(scratch):
                session.execute(statement)
        return database

    @pytest.fixture
    def connector(self, url: str) -> Iterator[Connector]:
        connector: Any = SqlConnector({"url": url, "client": "100"})
        connector.install_journal()
        yield connector
        connector.close()

    @pytest.fixture
    def place(self, url: str) -> Place:
        def put(table: str, rows: pa.Table) -> None:
            statement, values = insert(table, rows, "%s")
            with psycopg.connect(url, autocommit=True) as session, session.cursor() as cursor:
                cursor.executemany(statement, values)

        return put

    @pytest.fixture
    def unreachable(self) -> tuple[Connector, str]:
        return SqlConnector({"url": "postgresql://user:s3cr%40t@127.0.0.1:1/nowhere"}), "s3cr"


class Portable(ConnectorSuite):
    """What SQLite and MariaDB have in common."""

    suffix = ""

    @pytest.fixture
    def engine(self, url: str, scratch: Scratch) -> Iterator[sa.Engine]:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in tables(scratch, self.suffix):
                connection.exec_driver_sql(statement)
        yield engine
        engine.dispose()

    @pytest.fixture
    def connector(self, url: str, engine: sa.Engine) -> Iterator[Connector]:
        connector: Any = SqlConnector({"url": url, "client": "100"})
        connector.install_journal()
        yield connector
        connector.close()

    @pytest.fixture
    def place(self, engine: sa.Engine) -> Place:
        def put(table: str, rows: pa.Table) -> None:
            statement, values = insert(table, rows, "?" if engine.dialect.name == "sqlite" else "%s")
            with engine.begin() as connection:
                if values:
                    connection.exec_driver_sql(statement, values)

        return put


class TestSqlite(Portable):
    @pytest.fixture
    def scratch(self) -> Scratch:
        return Scratch(digits=12, scale=2)  # SQLite keeps numbers as doubles: 15 digits at most

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'scratch.db'}"

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> tuple[Connector, str]:
        return SqlConnector({"url": f"sqlite://user:s3cret@{tmp_path}/x.db"}), "s3cret"


@pytest.mark.service
class TestMariaDb(Portable):
    suffix = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url

    @pytest.fixture
    def unreachable(self) -> tuple[Connector, str]:
        return SqlConnector({"url": "mysql+pymysql://user:s3cret@127.0.0.1:1/nowhere"}), "s3cret"
