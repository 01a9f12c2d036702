"""The ledger's shape: made once, never backwards, described throughout."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

import isthmus.ledger.migrations.versions as versions
from isthmus.errors import ConfigError, SystemUnavailable
from isthmus.ledger import Ledger, migrate, tables
from isthmus.ledger.migrate import HEAD


def test_migrating_twice_changes_nothing(any_postgres: str) -> None:
    assert migrate(any_postgres) == migrate(any_postgres) == HEAD


def test_the_newest_step_is_the_one_the_code_expects() -> None:
    steps = sorted(path.name for path in Path(versions.__path__[0]).glob("v*.py"))
    assert steps[-1].startswith(f"v{HEAD}_")


def test_a_newer_ledger_is_refused(ledger_url: str) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="upgrade Isthmus"):
        Ledger.open(ledger_url)
    with pytest.raises(ConfigError, match="upgrade Isthmus"):
        migrate(ledger_url)


def test_a_database_without_a_ledger_says_how_to_make_one(fresh_database: str) -> None:
    with pytest.raises(ConfigError, match="isthmus ledger migrate"):
        Ledger.open(fresh_database)


def test_a_server_that_is_not_there_is_unavailable_and_no_secret_is_told() -> None:
    with pytest.raises(SystemUnavailable) as caught:
        Ledger.open("postgresql://somebody:hidden-word@127.0.0.1:1/nowhere")
    assert "hidden-word" not in str(caught.value)


def test_another_database_than_postgresql_is_refused() -> None:
    with pytest.raises(ConfigError, match="PostgreSQL 15"):
        Ledger.open("sqlite:///ledger.db")


def test_every_table_is_described_and_has_the_columns_the_statements_use(ledger_url: str) -> None:
    with psycopg.connect(ledger_url) as connection:
        undescribed = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p')"
            " AND relname <> 'alembic_version' AND obj_description(oid) IS NULL"
        ).fetchall()
        wordless = connection.execute(
            "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid WHERE attnum > 0"
            " AND relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'alembic_version'"
            " AND NOT attisdropped AND col_description(c.oid, attnum) IS NULL"
        ).fetchall()
        found = connection.execute(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_schema = 'ledger' GROUP BY 1"
        ).fetchall()
    assert undescribed == wordless == []
    columns = {name: set(names) for name, names in found}
    for table in tables.METADATA.tables.values():
        assert columns[table.name] >= {column.name for column in table.columns}
