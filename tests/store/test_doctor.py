"""The doctor names what is wrong and what to do, and is content where nothing is."""

from __future__ import annotations

import json
import os
import runpy
import socket
from pathlib import Path

import pytest

from isthmus import doctor
from isthmus.store.place import Place
from tests.store.loads import ROOT, isthmus


def test_another_python_is_named() -> None:
    assert doctor.python_version((3, 11, 7)).state == "ok"
    found = doctor.python_version((3, 12, 1))
    assert (found.state, found.found) == ("failed", "Python 3.12.1")


def test_a_package_that_differs_from_the_lock_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("typer==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1\nonly-there==1 ; sys_platform == 'x'\n")
    found = doctor.locked_packages(lock)
    assert found.state == "failed"
    assert "(locked ==0.0.1)" in found.found and "no-such-package missing" in found.found
    assert "only-there" not in found.found
    assert "make" in found.todo


def test_a_folder_that_another_package_took_is_named_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "__init__.py").touch()
    about = tmp_path / "plumbing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plumbing\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("connectors\n")
    (about / "RECORD").write_text("connectors/__init__.py,,\n")
    told = isthmus("doctor", "--json", before=tmp_path)
    assert told.returncode == 1
    check = next(check for check in json.loads(told.stdout)["checks"] if check["name"] == "folder names")
    assert check["state"] == "failed"
    assert f"connectors is taken by {tmp_path / 'connectors'} (package plumbing)" in check["found"]
    assert "uninstall that package" in check["todo"]


def test_the_store_is_looked_at_and_a_dead_one_is_told(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.store_answers().state == "not tried"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://somebody:secret-word@127.0.0.1:{nobody.getsockname()[1]}/x"
        monkeypatch.setenv("ISTHMUS_DATABASE_URL", url)
        found = doctor.store_answers()
    assert found.state == "failed" and "does not answer" in found.found
    assert "secret-word" not in str(found)


def test_a_store_that_answers_is_named(store: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(store.home))
    assert doctor.store_answers() == doctor.Check("store", "ok", "PostgreSQL 18.4, UTF8")


def test_a_port_that_somebody_else_took_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        monkeypatch.setattr(doctor, "AIRFLOW_PORT", squatter.getsockname()[1])
        assert doctor.ports().state == "ok"
        squatter.listen()
        assert doctor.ports().state == "failed"


def test_what_pip_was_told_is_handed_to_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = runpy.run_path(str(ROOT / ".ci" / "pip_settings.py"))
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nfind-links = /a\n    /b\ntimeout = 7\n[install]\nno-index = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_FIND", "PIP_DEFAULT"))]:
        monkeypatch.delenv(name)
    found = settings["exports"](settings["pip_settings"]())
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_FLAGS"] == "--no-index"
    assert found["UV_HTTP_TIMEOUT"] == "9"
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    assert "UV_HTTP_TIMEOUT" not in settings["exports"](settings["pip_settings"]())
