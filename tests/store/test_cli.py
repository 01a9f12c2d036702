"""The command line: what it says, how it ends, and what a stranger's package can do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.store.place import Place
from tests.store.loads import isthmus


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder with an installed package that brings three subcommands, one of them broken, one of a name of ours."""
    about = tmp_path / "strange_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[isthmus.commands]\ngreet = strange:greet\nbroken = strange_missing:app\nstore = strange:greet\n"
    )
    (tmp_path / "strange.py").write_text(
        "from isthmus.errors import DataError\n"
        "def greet(name: str) -> None:\n    '''Greet somebody.'''\n"
        "    if name == 'nobody':\n        raise DataError('greet: expected somebody, found nobody')\n"
        "    print('hello', name)\n"
    )
    return tmp_path


def test_alone_it_shows_its_commands() -> None:
    shown = isthmus()
    assert shown.returncode == 0
    assert "doctor" in shown.stdout and "store" in shown.stdout


def test_an_unknown_command_is_refused() -> None:
    refused = isthmus("stor")
    assert refused.returncode == 2
    assert "No such command 'stor'" in refused.stderr


def test_an_error_is_a_text_and_an_exit_code_without_traceback(own: Place) -> None:
    told = isthmus("store", "url")
    assert told.returncode == 3
    assert told.stderr.startswith("isthmus: no store: ISTHMUS_DATABASE_URL")
    assert "Traceback" not in told.stderr


def test_a_command_of_another_package_joins(strangers: Path) -> None:
    assert "Greet somebody." in isthmus(before=strangers).stdout
    assert isthmus("greet", "Isthmus", before=strangers).stdout == "hello Isthmus\n"
    refused = isthmus("greet", "nobody", before=strangers)
    assert (refused.returncode, refused.stderr) == (4, "isthmus: greet: expected somebody, found nobody\n")


def test_a_broken_command_is_named_and_hurts_no_other(strangers: Path) -> None:
    listed = isthmus(before=strangers)
    assert listed.returncode == 0 and "(unusable)" in listed.stdout
    told = isthmus("broken", "--any", "thing", before=strangers)
    assert told.returncode == 3
    for part in ("strange-package", "strange_missing", "Install that package again or remove it"):
        assert part in told.stderr
    assert "Traceback" not in told.stderr


def test_the_engines_commands_come_before_a_strangers_of_the_same_name(strangers: Path) -> None:
    assert "PostgreSQL" in isthmus("store", "--help", before=strangers).stdout


def test_status_tells_the_state_and_fits_a_script(own: Place) -> None:
    assert isthmus("store", "status").returncode == 1
    assert '"state": "absent"' in isthmus("store", "status", "--json").stdout
    assert isthmus("store", "start").returncode == 0
    shown = isthmus("store", "status")
    assert shown.returncode == 0 and shown.stdout.startswith("running on 127.0.0.1:")
    assert own.secret("engine") not in isthmus("store", "url").stdout
    assert own.secret("engine") in isthmus("store", "url", "--show-secret").stdout
    assert isthmus("store", "stop").stdout == "the store is stopped\n"
    assert isthmus("store", "remove", "--yes").stdout == "the store is removed\n"


def test_the_private_store_is_not_started_where_another_is_named(own: Place) -> None:
    said = isthmus("store", "start", ISTHMUS_DATABASE_URL="postgresql://somebody@127.0.0.1/own")
    assert said.returncode == 0 and "your own PostgreSQL is the store" in said.stdout
    assert not own.folder.exists()
