"""Who may do what in the private store, and who gets in at all."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from isthmus.errors import ConfigError
from isthmus.store import drop_database, ensure_database, layout, server, store_url
from isthmus.store.place import Place
from isthmus.store.roles import ROLES
from isthmus.store.url import masked


def test_secrets_are_readable_by_their_owner_alone(store: Place) -> None:
    assert {path.name for path in (store.folder / "secrets").iterdir()} == set(ROLES)
    assert {path.stat().st_mode & 0o777 for path in (store.folder / "secrets").iterdir()} == {0o600}
    assert (store.folder / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_wrong_password_is_refused_and_stands_in_no_log(store: Place) -> None:
    port = store.read("port")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://isthmus_engine:guessed-wrong@127.0.0.1:{port}/isthmus")
    log = server.status(store).log.read_text(encoding="utf-8")
    assert "guessed-wrong" not in log
    assert not [role for role in ROLES if store.secret(role) in log]


def test_no_value_of_a_row_reaches_the_log(store: Place, fresh_database: str) -> None:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE person (name text PRIMARY KEY, born date)")
        connection.execute("INSERT INTO person VALUES ('Erika-Personal-Value')")
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES ('Erika-Personal-Value')")
        with pytest.raises(errors.BadCopyFileFormat), connection.cursor().copy("COPY person FROM STDIN") as copy:
            copy.write(b"Erika-Personal-Value\n")
    log = server.status(store).log.read_text(encoding="utf-8")
    assert "duplicate key" in log and "Erika-Personal-Value" not in log


def test_each_role_lives_in_its_database_and_enters_no_other(store: Place) -> None:
    for name in ("owner", "engine", "analyst", "airflow"):
        with psycopg.connect(store_url(name, store)) as connection:
            assert connection.info.dbname == ROLES[name].database
    for name, database in (("airflow", "isthmus"), ("analyst", "airflow"), ("engine", "postgres")):
        url = store_url(name, store).rpartition("/")[0] + f"/{database}"
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)


def test_the_engine_works_in_what_the_owner_creates_and_the_analyst_reads_it(store: Place) -> None:
    with psycopg.connect(store_url("owner", store), autocommit=True) as owner:
        owner.execute("CREATE SCHEMA of_rights; CREATE TABLE of_rights.sheet (id int)")
        try:
            with psycopg.connect(store_url("engine", store)) as engine:
                engine.execute("INSERT INTO of_rights.sheet VALUES (1)")
                engine.execute("CREATE TABLE of_rights.staged (id int)")
            with psycopg.connect(store_url("analyst", store), autocommit=True) as analyst:
                assert analyst.execute("SELECT id FROM of_rights.sheet").fetchall() == [(1,)]
                assert analyst.execute("SELECT id FROM of_rights.staged").fetchall() == []
                with pytest.raises(errors.ReadOnlySqlTransaction):
                    analyst.execute("DELETE FROM of_rights.sheet")
                analyst.execute("SET default_transaction_read_only = off")
                with pytest.raises(errors.InsufficientPrivilege):
                    analyst.execute("DELETE FROM of_rights.sheet")
        finally:
            with psycopg.connect(store_url("engine", store)) as engine:
                engine.execute("DROP TABLE IF EXISTS of_rights.staged")
            owner.execute("DROP SCHEMA of_rights CASCADE")


def test_a_database_is_created_once_and_belongs_to_its_role(store: Place) -> None:
    url = ensure_database("landscape_of_test", place=store)
    try:
        assert ensure_database("landscape_of_test", place=store) == url
        with psycopg.connect(url) as connection:
            facts = connection.execute(
                "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate FROM pg_database "
                "WHERE datname = current_database()"
            ).fetchone()
        assert facts == ("isthmus_engine", "UTF8", "C")
    finally:
        drop_database("landscape_of_test", place=store)


@pytest.mark.parametrize("name", ["Upper", "a-b", "a; DROP", "", "1st"])
def test_a_database_name_that_needs_quoting_is_refused(store: Place, name: str) -> None:
    with pytest.raises(ConfigError, match="expected a lower-case letter"):
        ensure_database(name, place=store)


def test_airflow_cannot_take_all_connections(store: Place) -> None:
    with layout.connect(store, "postgres") as admin:
        limits = admin.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'isthmus_airflow'").fetchone()
    assert limits == (40,)


def test_the_database_named_by_the_environment_comes_first(
    store: Place, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(store.home))
    assert store_url("owner") == store_url("owner", store)
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", fresh_database)
    assert store_url("owner") == fresh_database
    assert store_url("airflow") == store_url("airflow", store)
    monkeypatch.setenv("ISTHMUS_DATABASE_URL_ANALYST", "postgresql://reader@127.0.0.1/warehouse")
    assert store_url("analyst") == "postgresql://reader@127.0.0.1/warehouse"


def test_no_store_at_all_is_told_with_the_places_that_were_tried(own: Place) -> None:
    with pytest.raises(ConfigError) as told:
        store_url()
    for place in ("ISTHMUS_DATABASE_URL is not set", str(own.folder), "isthmus store start"):
        assert place in str(told.value)


def test_an_unknown_role_is_told_with_those_that_exist(store: Place) -> None:
    with pytest.raises(ConfigError, match="admin, owner, engine, analyst, airflow"):
        store_url("boss", store)


def test_a_url_is_shown_without_its_password() -> None:
    assert masked("postgresql://a:b%40c@h:1/d") == "postgresql://a:***@h:1/d"
    assert masked("postgresql://a@h/d") == "postgresql://a@h/d"
