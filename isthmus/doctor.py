"""`isthmus doctor`: is this environment fit to work in, and what is to be done where it is not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Literal

import typer

from isthmus.errors import IsthmusError
from isthmus.home import home, private_folder

ROOT = Path(__file__).resolve().parent.parent
# Folders of this repository that are plain top-level packages; their names are common ones.
OURS = ("connectors", "dags", "landscape", "mappings", "monitor", "processes", "quality", "warehouse")
GIBIBYTE = 1024**3
ENOUGH_DISK = 2 * GIBIBYTE
ENOUGH_SHARED_MEMORY = 256 * 1024**2
AIRFLOW_PORT = 8080


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the environment and its answer; `todo` is empty when nothing is to be done."""

    name: str
    state: Literal["ok", "failed", "not tried"]
    found: str
    todo: str = ""


def python_version(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check that this is Python 3.11, which the lock file was made for."""
    found = f"Python {'.'.join(map(str, version))}"
    if version[:2] == (3, 11):
        return Check("python", "ok", found)
    return Check("python", "failed", found, "run `make` with Python 3.11; the locked packages are built for it")


def locked_packages(lock: Path = ROOT / "requirements.lock") -> Check:
    """Check that the installed packages are those of the lock file."""
    name = "locked packages"
    if not lock.is_file():
        return Check(name, "not tried", f"no {lock.name} beside the package")
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return Check(name, "failed", "packaging is not installed", "run `make` to install the locked packages")
    wrong, count = [], 0
    for line in lock.read_text(encoding="utf-8").splitlines():
        try:
            wanted = Requirement(line.rstrip(" \\"))
        except InvalidRequirement:
            continue  # a hash or a comment
        if wanted.marker and not wanted.marker.evaluate():
            continue
        count += 1
        installed = _installed(wanted.name)
        if installed is None or not wanted.specifier.contains(installed, prereleases=True):
            wrong.append(f"{wanted.name} {installed or 'missing'} (locked {wanted.specifier})")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        return Check(name, "failed", ", ".join(wrong[:5]) + more, "run `make` to install the locked packages")
    return Check(name, "ok", f"{count} packages as locked")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def shadowed_folders(root: Path = ROOT, names: Iterable[str] = OURS) -> Check:
    """Check that no other package put a top-level folder of one of our names before ours."""
    strangers = []
    for name in names:
        if not (root / name).is_dir():
            continue
        spec = util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if spec and root / name not in places[:1]:
            where = str(places[0]) if places else str(spec.origin)
            strangers.append(f"{name} is taken by {where}{_brought_by(name)}")
    if strangers:
        return Check(
            "folder names",
            "failed",
            "; ".join(strangers),
            "uninstall that package, or work in an environment of its own (`make` builds one in .venv)",
        )
    return Check("folder names", "ok", "no other package uses a name of ours")


def _brought_by(name: str) -> str:
    packages = [package for package in metadata.packages_distributions().get(name, []) if package != "isthmus"]
    return f" (package {', '.join(sorted(set(packages)))})" if packages else ""


def store_answers() -> Check:
    """Check that the store answers, and that it is a PostgreSQL Isthmus can live in."""
    import psycopg

    from isthmus import store

    if not os.environ.get("ISTHMUS_DATABASE_URL") and store.status().state in ("absent", "stopped"):
        return Check("store", "not tried", f"the private store is {store.status().state}", "run `isthmus store start`")
    try:
        url = store.store_url()
        with psycopg.connect(url, connect_timeout=5) as connection:
            number, encoding = connection.info.server_version, connection.info.parameter_status("server_encoding")
    except IsthmusError as error:
        return Check("store", "failed", str(error), "run `isthmus store start`")
    except psycopg.Error as error:
        return Check("store", "failed", f"{store.unreachable(url)} ({type(error).__name__})", "see the text")
    found = f"PostgreSQL {number // 10000}.{number % 10000}, {encoding}"
    if number < 150000 or encoding != "UTF8":
        return Check("store", "failed", found, "use a database of PostgreSQL 15 or newer with encoding UTF8")
    return Check("store", "ok", found)


def compiled_bytecode() -> Check:
    """Check that packages are compiled: without it every start takes about twice as long."""
    cached = Path(util.cache_from_source(str(typer.__file__)))
    forbidden = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if cached.is_file():
        return Check("bytecode", "ok", "packages are compiled")
    found = "packages are not compiled" + (" and PYTHONDONTWRITEBYTECODE is set" if forbidden else "")
    return Check("bytecode", "failed", found, "run `make`, or unset PYTHONDONTWRITEBYTECODE")


def disk_space() -> Check:
    """Check that the disk of the project has room for a load."""
    folder = next(path for path in (private_folder(), *private_folder().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    found = f"{free / GIBIBYTE:.1f} GB free in {folder}"
    if free < ENOUGH_DISK:
        return Check("disk space", "failed", found, "free some; the demo needs about 2 GB, a million contracts 20 GB")
    return Check("disk space", "ok", found)


def shared_memory() -> Check:
    """Check the shared memory that parallel queries of the private store use."""
    from isthmus.store.settings import SHARED_MEMORY
    from isthmus.store.settings import shared_memory as size

    if not SHARED_MEMORY.is_dir():
        return Check("shared memory", "not tried", f"this system has no {SHARED_MEMORY}")
    found = f"{size() / GIBIBYTE:.2f} GB in {SHARED_MEMORY}"
    if size() < ENOUGH_SHARED_MEMORY:
        return Check("shared memory", "ok", f"{found}: little, so the private store uses files instead, a bit slower")
    return Check("shared memory", "ok", found)


def ports() -> Check:
    """Check that Airflow's port is free, or that it is Airflow that listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", AIRFLOW_PORT)) != 0:
            return Check("ports", "ok", f"{AIRFLOW_PORT} is free for Airflow")
        try:
            probe.sendall(b"GET /api/v2/version HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer = probe.recv(4096)
        except OSError:
            answer = b""
    if b" 200 " in answer.partition(b"\r\n")[0] and b"version" in answer:
        return Check("ports", "ok", f"Airflow answers on {AIRFLOW_PORT}")
    return Check("ports", "failed", f"something else listens on {AIRFLOW_PORT}", "stop it before `make up`")


def usable_commands() -> Check:
    """Check that every subcommand, those of other packages too, can be loaded."""
    from isthmus.cli import Unusable, known_commands, load_command

    broken = [loaded for loaded in map(load_command, known_commands()) if isinstance(loaded, Unusable)]
    if broken:
        found = "; ".join(f"{each.name}: {each.because}" for each in broken)
        return Check("commands", "failed", found, "install that package again or remove it")
    return Check("commands", "ok", f"{len(known_commands())} commands can be loaded")


CHECKS: tuple[Callable[[], Check], ...] = (
    python_version,
    locked_packages,
    shadowed_folders,
    usable_commands,
    store_answers,
    compiled_bytecode,
    disk_space,
    shared_memory,
    ports,
)

app = typer.Typer(add_completion=False)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what is wrong with this environment and what to do; exit code 1 when something is."""
    checks = [check() for check in CHECKS]
    if as_json:
        typer.echo(json.dumps({"home": str(home()), "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        typer.echo(f"project {home()}")
        for check in checks:
            typer.echo(f"{check.state:>9}  {check.name}: {check.found}")
            if check.todo:
                typer.echo(f"{'':>9}  -> {check.todo}")
    raise typer.Exit(1 if any(check.state == "failed" for check in checks) else 0)
