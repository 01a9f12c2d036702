"""Build the peers' environment from its lock and measure each tool on the same contracts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg

from bench import landscapes, measure, server
from bench.measure import Cost
from bench.runs import CRM, Bench

HERE = Path(__file__).resolve().parent
LOCK = HERE.parent / "requirements-peers.lock"
VENV = server.FOLDER.parent / "bench-venv"
TABLES = ("crmd_orderadm_h", "crmd_orderadm_i", "crmd_isuexta4", "crm_jest")


def environment(lock: Path = LOCK, venv: Path = VENV) -> Path:
    """Return the Python of an environment of peers, built when its lock has changed."""
    python, stamp = venv / "bin" / "python", venv / "built-from"
    if not stamp.is_file() or stamp.read_text() != lock.read_text():
        uv = [sys.executable, "-m", "uv"]
        told = dict(os.environ)
        exports = subprocess.run(
            [sys.executable, str(server.ROOT / ".ci" / "pip_settings.py")], capture_output=True, text=True, check=True
        ).stdout
        script = f'{exports}\nexec "$@"'
        install = ["pip", "install", "-q", "--require-hashes", "--python", str(python), "-r", str(lock)]
        for command in (["venv", "-q", "--clear", "--python", sys.executable, str(venv)], install):
            subprocess.run(["/bin/sh", "-c", script, "sh", *uv, *command], env=told, check=True)
        stamp.write_text(lock.read_text())
    return python


def prepare(bench: Bench) -> None:
    """Bring CRM into the state before contracts and give the peers their view of the source."""
    bench.parents()
    day = f"'{landscapes.today():%Y%m%d}'"
    with psycopg.connect(server.url(bench.isu)) as isu:
        isu.execute((HERE / "view.sql").read_text(encoding="utf-8").replace(":today", day))


def dlt_best(bench: Bench, *, again: bool = False) -> Cost:
    """Measure dlt; its tables are made like CRM's own: keys, constraints and indexes."""
    folder = server.FOLDER / "dlt"
    if not again:
        prepare(bench)
        shutil.rmtree(folder, ignore_errors=True)
        with psycopg.connect(server.url(CRM)) as crm:
            crm.execute("CREATE SCHEMA dlt_crm")
            for name in TABLES:
                crm.execute(f"CREATE TABLE dlt_crm.{name} (LIKE {name} INCLUDING ALL)")
    return _script(bench, "dlt_best.py", server.url(bench.isu), server.url(CRM), str(folder))


def pandas_copy(bench: Bench, *, again: bool = False) -> Cost:
    """Measure pandas with COPY."""
    if not again:
        prepare(bench)
    return _script(bench, "pandas_copy.py", server.url(bench.isu), server.url(CRM))


def ingestr_copy(bench: Bench, *, again: bool = False) -> Cost:
    """Measure ingestr: it copies the view with a merge by key into one table; no mapping, look-up or reject."""
    if not again:
        prepare(bench)
    arguments = [
        str(VENV / "bin" / "ingestr"), "ingest", "--source-uri", server.url(bench.isu), "--source-table",
        "public.bench_contract", "--dest-uri", server.url(CRM), "--dest-table", "ingestr_crm.contract",
        "--incremental-strategy", "merge", "--primary-key", "vertrag", "--yes", "--progress", "log",
    ]  # fmt: skip
    return measure.command(bench.postmaster, arguments, {"INGESTR_DISABLE_TELEMETRY": "true"})


def _script(bench: Bench, name: str, *arguments: str) -> Cost:
    command = [str(environment()), str(HERE / name), *arguments]
    return measure.command(bench.postmaster, command, {"PYTHONPATH": str(HERE)})


def written(schema: str = "public") -> dict[str, int]:
    """Return how many rows stand in the four tables of a schema of the working CRM."""
    with psycopg.connect(server.url(CRM)) as crm:
        found = {}
        for name in TABLES:
            row = crm.execute(f"SELECT count(*) FROM {schema}.{name}").fetchone()
            found[name] = int(row[0]) if row else 0
        return found
