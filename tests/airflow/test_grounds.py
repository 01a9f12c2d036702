"""The demo touches nothing that is somebody else's, and keeps its secrets to its owner."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from isthmus.errors import ConfigError
from landscape.manifest import Manifest
from monitor import grounds
from monitor.airflow_home import AirflowHome, child_environment
from monitor.ports import held_ports, hold_port

OURS = "postgresql://isthmus_engine:secret@127.0.0.1:1/isthmus"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose store is named by the environment and never asked."""
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path))
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", OURS)
    for name in ("ISTHMUS_CONNECTION_CRM", "ISTHMUS_CONNECTION_ISU", "AIRFLOW_CONN_CRM", "AIRFLOW_CONN_ISU"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_connection_that_leads_elsewhere_is_refused_without_its_password(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CONNECTION_CRM", "postgresql://sales:geheim@crm.example/prod")
    with pytest.raises(
        ConfigError, match=re.escape("ISTHMUS_CONNECTION_CRM leads to postgresql://sales:***@crm.example")
    ) as e:
        grounds.ensure_databases(project)
    assert "geheim" not in str(e.value)
    assert grounds.systems_are_yours(project)


def test_a_connection_of_an_earlier_demo_is_ours_whatever_its_port(project: Path) -> None:
    file = project / ".isthmus" / "connections" / "crm"
    file.parent.mkdir(parents=True)
    file.write_text("postgresql://isthmus_engine:old@127.0.0.1:9/crm", encoding="utf-8")
    assert not grounds.systems_are_yours(project)


def test_fresh_throws_no_store_of_yours_away(project: Path) -> None:
    with pytest.raises(ConfigError, match="names a store of your own"):
        grounds.clear(print)


def test_another_landscape_than_asked_for_is_not_replaced_unasked() -> None:
    kept = Manifest(20_000, 1, "single", True, "2026-01-01", {}, ())
    grounds.refuse_other(kept, grounds.Wanted(None, None, False, True))
    with pytest.raises(ConfigError, match=r"20,000 contracts, single model.* add --fresh"):
        grounds.refuse_other(kept, grounds.Wanted(500))


def test_passwords_are_stable_and_for_the_owner_alone(project: Path) -> None:
    airflow = AirflowHome.of_project()
    known = airflow.passwords()
    assert set(known) == {"admin", "op", "user", "viewer"}
    airflow.passwords_file.chmod(0o644)
    assert airflow.passwords() == known
    assert airflow.passwords_file.stat().st_mode & 0o777 == 0o600
    assert json.loads(airflow.passwords_file.read_text(encoding="utf-8")) == known


def test_secrets_are_long_enough_and_kept(project: Path) -> None:
    airflow = AirflowHome.of_project()
    first = airflow.secret("jwt", "a" * 128)
    assert airflow.secret("jwt", "b" * 128) == first
    assert (airflow.folder / "jwt").stat().st_mode & 0o777 == 0o600


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken, ExitStack() as locks:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        assert hold_port(range(busy, busy + 50), locks) > busy


def test_two_launchers_that_start_together_get_different_ports(tmp_path: Path) -> None:
    with held_ports(tmp_path / "mine.json") as mine, held_ports(tmp_path / "theirs.json") as theirs:
        assert not set(mine.values()) & set(theirs.values())
    with held_ports(tmp_path / "theirs.json") as again:
        assert again == theirs


def test_children_may_write_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in child_environment({})
