"""What an older Isthmus left behind is upgraded; what a newer one wrote is left alone."""

from __future__ import annotations

import psycopg
import pytest

from isthmus.errors import ConfigError
from isthmus.store import ensure_database, layout, server, store_url
from isthmus.store.place import Place


def age(place: Place) -> None:
    """Turn a store into one of layout 1, which knew no analyst, with a table and a row in it."""
    with psycopg.connect(store_url("owner", place)) as owner:
        owner.execute("CREATE SCHEMA memory")
        owner.execute("CREATE TABLE memory.run AS SELECT 4711 AS id")
    with layout.connect(place, "isthmus") as admin:
        admin.execute("DROP OWNED BY isthmus_analyst")
        admin.execute("DROP ROLE isthmus_analyst")
    place.write("layout", "1")
    (place.folder / "secrets" / "analyst").unlink()


def test_a_store_of_an_older_layout_is_upgraded_and_keeps_its_data(own: Place) -> None:
    server.start(own)
    age(own)
    server.stop(own)
    said: list[str] = []
    server.start(own, said.append)
    assert "upgrading the store from layout 1 to 2" in said
    assert own.read("layout") == str(layout.LAYOUT)
    with psycopg.connect(store_url("analyst")) as analyst:
        assert analyst.execute("SELECT id FROM memory.run").fetchall() == [(4711,)]


def test_an_upgrade_that_was_interrupted_is_finished_by_the_next_start(own: Place) -> None:
    server.start(own)
    age(own)
    own.secret("analyst")
    server.start(own)
    with psycopg.connect(store_url("analyst")) as analyst:
        assert analyst.execute("SELECT id FROM memory.run").fetchall() == [(4711,)]


def test_a_store_of_a_newer_layout_is_refused(own: Place) -> None:
    server.start(own)
    server.stop(own)
    own.write("layout", str(layout.LAYOUT + 1))
    with pytest.raises(ConfigError, match="written by a newer Isthmus"):
        server.start(own)


def test_data_of_another_postgresql_are_refused_with_what_to_do(own: Place) -> None:
    server.start(own)
    server.stop(own)
    (own.data / "PG_VERSION").write_text("16\n", encoding="ascii")
    with pytest.raises(ConfigError, match=r"PostgreSQL 16.*pg_dumpall"):
        server.start(own)


@pytest.mark.parametrize("role", ["engine", "admin"])
def test_a_lost_secret_is_issued_anew(own: Place, role: str) -> None:
    server.start(own)
    old = own.secret(role)
    (own.folder / "secrets" / role).unlink()
    with pytest.raises(ConfigError, match="isthmus store start"):
        store_url(role)
    server.stop(own)
    server.start(own)
    assert own.secret(role) != old
    with psycopg.connect(store_url(role)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_local_settings_survive_a_start_and_configuration_is_written_anew(own: Place) -> None:
    own.write("local.conf", "work_mem = '48MB'")
    own.folder.chmod(0o711)
    server.start(own)
    server.stop(own)
    (own.server_folder / "postgresql.conf").write_text("port = nonsense", encoding="utf-8")
    server.start(own)
    with psycopg.connect(ensure_database("scratch")) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("48MB",)
        assert connection.execute("SHOW jit").fetchone() == ("off",)
