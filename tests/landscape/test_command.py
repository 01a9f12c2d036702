from __future__ import annotations

import json

import psycopg
import pytest
from typer.testing import CliRunner

from isthmus.errors import ConfigError, SystemUnavailable
from landscape.command import app

RUN = CliRunner()


def test_create_show_and_drop(two_databases: tuple[str, str]) -> None:
    isu, crm = two_databases
    urls = ["--isu-url", isu, "--crm-url", crm]
    made = RUN.invoke(app, ["create", "--contracts", "500", "--model", "dual", "--devices", "no", *urls])
    assert made.exit_code == 0, made.output
    assert "23 defects planted" in made.output
    shown = RUN.invoke(app, ["show", "--isu-url", isu])
    assert "500 contracts, dual model, device info records" in shown.output
    assert "missing parent" in shown.output
    content = json.loads(RUN.invoke(app, ["show", "--json", "--isu-url", isu]).output)
    assert content["planted"][0]["table"] == "EUIHEAD"
    assert RUN.invoke(app, ["drop", *urls]).exit_code == 0
    with psycopg.connect(isu) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_showing_what_is_not_there_says_what_to_do(fresh_database: str) -> None:
    result = RUN.invoke(app, ["show", "--isu-url", fresh_database])
    assert isinstance(result.exception, ConfigError)
    assert "isthmus landscape create" in str(result.exception)


def test_a_server_that_does_not_answer_is_no_traceback() -> None:
    result = RUN.invoke(app, ["show", "--isu-url", "postgresql://nobody@127.0.0.1:1/isu"])
    assert isinstance(result.exception, SystemUnavailable)


def test_an_unknown_model_is_refused(two_databases: tuple[str, str]) -> None:
    assert RUN.invoke(app, ["create", "--model", "triple"]).exit_code == 2


@pytest.mark.parametrize("command", ["create", "show", "drop"])
def test_every_command_explains_itself(command: str) -> None:
    assert RUN.invoke(app, [command, "--help"]).exit_code == 0
