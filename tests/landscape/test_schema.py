from __future__ import annotations

import psycopg
import pytest

from landscape.schema import SystemName, tables

SYSTEMS: tuple[SystemName, ...] = ("isu", "crm")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_table_has_its_client_first_in_the_key(system: SystemName) -> None:
    for table in tables(system).values():
        assert table.client in ("MANDT", "MANDANT", "CLIENT"), table.name
        assert table.columns[0].name == table.client


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_empty_row_holds_the_initial_value_of_every_type(system: SystemName, fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as connection:
        for table in tables(system).values():
            for statement in (*table.create(), *table.constrain()):
                connection.execute(statement)
            connection.execute(f"INSERT INTO {table.name.lower()} DEFAULT VALUES")
            row = connection.execute(f"SELECT * FROM {table.name.lower()}").fetchone()
            assert row is not None
            assert list(row) == [column.initial for column in table.columns]


def test_a_guid_of_another_length_is_refused(fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as connection:
        for statement in tables("isu")["FKKVKP"].create():
            connection.execute(statement)
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO fkkvkp (guid) VALUES ('\\x0102')")


def test_names_in_the_database_are_lower_case_and_commented(clean: object) -> None:
    found = clean.ask("SELECT obj_description('but000'::regclass), col_description('but000'::regclass, 2)")  # type: ignore[attr-defined]
    assert found == [("Business partner", "Business partner number, zero-padded")]
