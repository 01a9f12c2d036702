"""The pages are true: examples run, messages are the real ones, commands, links and pictures exist."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from isthmus import cli
from isthmus.connector import Capabilities
from isthmus.mapping.document import read_document
from isthmus.mapping.examples import findings_of, run_examples
from isthmus.mapping.load import read_catalogue
from tests.docs.pages import PAGES, ROOT, Block, blocks, command_lines, links, read

LANGUAGE = "docs/mapping-language.md"
CONNECTORS = "docs/connectors.md"
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
def isthmus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the command line as `setup.cfg` declares it, also where an older build of it is installed."""
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = declared["options.entry_points"][cli.GROUP].strip().splitlines()
    pairs = [line.replace(" ", "").split("=", 1) for line in lines]
    known = {**cli.known_commands(), **{name: EntryPoint(name, value, cli.GROUP) for name, value in pairs}}
    monkeypatch.setattr(cli, "known_commands", lambda: known)
    return typer.main.get_command(cli.app)


# --- connectors ---------------------------------------------------------------------------------------------------


def test_the_connector_of_the_page_passes_the_suite_as_it_stands_there(tmp_path: Path) -> None:
    page = blocks(read(CONNECTORS))
    for block in page:
        if block.language == "python":
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    info = tmp_path / "isthmus_json-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isthmus-json\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def entry_points(page: list[Block]) -> str:
    """Return the entry points of the page's pyproject.toml as an installed package has them."""
    import tomllib

    said = next(tomllib.loads(block.text) for block in page if block.language == "toml")
    ((group, points),) = said["project"]["entry-points"].items()
    return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())


def test_every_capability_is_explained() -> None:
    text = read(CONNECTORS)
    assert [name for name in Capabilities.__dataclass_fields__ if f"`{name}`" not in text] == []


def test_every_setting_of_the_connectors_is_explained() -> None:
    from connectors.files.settings import OPTIONS
    from connectors.sql.client import Settings

    text = read(CONNECTORS)
    names = {*OPTIONS, *Settings.__dataclass_fields__} - {"url"}
    assert sorted(name for name in names if f"`{name}`" not in text) == []


# --- the mapping language -----------------------------------------------------------------------------------------


def test_the_walk_throughs_leave_a_project_without_findings(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    written = [block for block in blocks(read(LANGUAGE)) if block.title.startswith("mappings/")]
    assert len(written) >= 9
    for block in written:
        put(tmp_path, block)
    catalogue, findings = read_catalogue(tmp_path)
    assert [str(finding) for finding in findings] == []
    assert [str(finding) for finding in findings_of(run_examples(catalogue))] == []
    assert {("isu", "reading_unit"), ("gis", "connection_object")} <= set(catalogue.mappings)
    lift = catalogue.models["premise"].field("lift")
    assert lift is not None and lift.type == "boolean"


def put(project: Path, block: Block) -> None:
    """Write a block as a file, or below the key its title names (`FILE, under KEY`)."""
    name, _, key = block.title.partition(", under ")
    file = project / name
    inside = block.text.split("\n", 1)[1]
    if not key:
        file.parent.mkdir(exist_ok=True)
        assert not file.exists(), f"{name} is there already"
        file.write_text(inside, encoding="utf-8")
        return
    text = file.read_text(encoding="utf-8")
    assert text.count(f"\n{key}:\n") == 1
    file.write_text(text.replace(f"\n{key}:\n", f"\n{key}:\n{inside}", 1), encoding="utf-8")


def test_every_mistake_of_the_page_is_answered_in_these_words() -> None:
    mistakes = yaml.load((ROOT / "tests/mapping/mistakes.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    known = {message for mistake in mistakes for message in mistake["says"]}
    shown = [line for block in blocks(read(LANGUAGE)) for line in block.text.splitlines() if line[:9] == "mappings/"]
    messages = [line for line in shown if ".yaml:" in line]
    assert len(messages) >= 10
    assert [message for message in messages if message not in known] == []


def test_every_yaml_block_of_the_page_can_be_read() -> None:
    for page in (LANGUAGE, CONNECTORS):
        for block in blocks(read(page)):
            if block.language == "yaml":
                node, findings = read_document(block.text.encode(), block.text.split("\n", 1)[0])
                assert node is not None and [str(finding) for finding in findings] == []


# --- all pages ----------------------------------------------------------------------------------------------------


@by_page
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()] == []


@by_page
def test_every_command_line_names_a_command_and_options_that_exist(page: Path, isthmus: Any) -> None:
    lines = command_lines(page.read_text(encoding="utf-8"))
    assert [problem for words in lines if (problem := wrong_with(words, isthmus))] == []


def wrong_with(words: list[str], command: Any) -> str:
    """Say what a command line names that is not there; nothing where all of it exists."""
    path, rest = ["isthmus"], list(words)
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        path.append(rest.pop(0))
        command = command.get_command(None, path[-1])
        if command is None:
            return f"{' '.join(path)} is no command"
    known = {"--help"} | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    unknown = [word for word in rest if word.startswith("-") and len(word) > 1 and word.split("=")[0] not in known]
    return f"{' '.join(path)} has no option {', '.join(unknown)}" if unknown else ""


def test_a_command_line_that_is_wrong_would_be_found(isthmus: Any) -> None:
    assert wrong_with(["chek"], isthmus) == "isthmus chek is no command"
    assert wrong_with(["mappings", "tset"], isthmus) == "isthmus mappings tset is no command"
    assert wrong_with(["check", "--ofline"], isthmus) == "isthmus check has no option --ofline"
    assert wrong_with(["check", "--offline", "mappings/isu"], isthmus) == ""


def every_command(command: Any, path: str = "isthmus") -> Iterator[tuple[str, Any]]:
    """Yield every command and group with the words it is called by."""
    yield path, command
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from every_command(command.get_command(None, name), f"{path} {name}")


def test_every_command_has_a_help_text(isthmus: Any) -> None:
    commands = list(every_command(isthmus))
    assert len(commands) > 20
    assert [path for path, command in commands if not (command.help or "").strip()] == []


def test_every_command_can_be_loaded(isthmus: Any) -> None:
    assert [path for path, command in every_command(isthmus) if (command.help or "").startswith("(unusable)")] == []
