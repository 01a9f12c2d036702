"""Loads that run in a process of their own, to be disturbed or killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    with connection.cursor().copy("COPY load FROM STDIN") as copy:
        for number in range(int(sys.argv[2])):
            copy.write_row((number, "x" * 200))
            if number == 20000:
                print("loading", flush=True)
                sys.stdin.readline()
print("loaded", flush=True)
"""


def create(url: str) -> None:
    """Create the empty table that a load fills."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE load (id int PRIMARY KEY, filler text)")


def begin(url: str, rows: int = 60_000) -> subprocess.Popen[str]:
    """Start a load in another process and return when it has sent 20,000 rows; it waits for a line on its stdin."""
    command = [sys.executable, "-c", PROGRAM, url, str(rows)]
    load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert load.stdout is not None and load.stdout.readline() == "loading\n"
    return load


def let_go(load: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a waiting load finish; return its exit code and what it printed last."""
    out, _ = load.communicate("go\n", timeout=60)
    return load.returncode, out.strip()


def kill(load: subprocess.Popen[str]) -> None:
    """Kill a load as hard as the system can, and collect it."""
    load.kill()
    load.communicate()


def rows(url: str) -> int:
    """Return how many rows the loaded table shows."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM load").fetchone()
    assert found is not None
    return int(found[0])


def wait_until_alone(url: str) -> None:
    """Return when no other session is left in the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while connection.execute(others).fetchone():
            time.sleep(0.05)


def isthmus(*words: str, before: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own; packages in the folder `before` come before the repository's."""
    code = "import sys; from isthmus.cli import main; sys.argv[0] = 'isthmus'; main()"
    paths = [str(before)] if before else []
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)]), "PYTHONSAFEPATH": "1", **environment}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
