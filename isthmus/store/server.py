"""Start, watch and stop the private PostgreSQL server of a project.

Whoever starts it, it belongs to nobody: it runs in a session of its own and ends by `stop` alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus.errors import ConfigError, SystemUnavailable
from isthmus.store import binaries, layout
from isthmus.store.account import Account, server_account
from isthmus.store.place import Place, private_place, settle
from isthmus.store.process import Postmaster, alive, clear_stale, running
from isthmus.store.roles import ADMIN
from isthmus.store.settings import HBA, Settings

Progress = Callable[[str], None]
PORTS = range(20000, 30000)  # below the range systems give to outgoing connections
LOG_BYTES = 20 * 1024 * 1024
ORPHANS_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Status:
    """What the private server is doing; pid and port are None unless it runs."""

    state: Literal["absent", "stopped", "starting", "running"]
    data: Path
    log: Path
    pid: int | None = None
    port: int | None = None


class _StartFailed(Exception):
    """The server ended before it was ready; the text is what it logged since."""


def silent(_: str) -> None:
    """Report no progress."""


def status(place: Place | None = None) -> Status:
    """Return the state of the private server; nothing is created or changed."""
    place = place or private_place()
    data, log = place.data, _log(place)
    if not (data / "PG_VERSION").is_file() and not _hidden(data):
        return Status("absent", data, log)
    server = _server(place)
    if server is None:
        return Status("stopped", data, log)
    return Status("running" if server.ready else "starting", data, log, server.pid, server.port)


def start(place: Place | None = None, progress: Progress = silent) -> Status:
    """Start the private server unless it runs, and return when it answers.

    Recovery after a crash is waited for as long as it takes, `progress` hears about it. A first start creates the
    data directory, the roles and the databases; an older layout is upgraded. Raises ConfigError where a person has
    to put something right, SystemUnavailable when the server ends by itself.
    """
    place = place or private_place()
    with place.locked(progress):
        account = server_account(place.data)
        for note in settle(place, account):
            progress(note)
        layout.refuse_newer(place)
        programs = _programs(place, account)
        _create_data(place, account, programs, progress)
        layout.refuse_other_major(place)
        _reach_ready(place, account, programs, progress)
        layout.bring_up_to_date(place, progress)
    return status(place)


def stop(place: Place | None = None, progress: Progress = silent, patience: float = 60.0) -> bool:
    """Stop the private server and return whether it ran.

    Sessions are ended and the data written out; after `patience` seconds the server is told to leave without that,
    and recovers at its next start. Raises SystemUnavailable when even then it stays.
    """
    place = place or private_place()
    server = _server(place)
    if server is None:
        return False
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 30.0)):
        server.send(number)
        if _ended(server.pid, seconds, progress):
            return True
        progress("the store takes long to stop; telling it to leave at once")
    raise SystemUnavailable(f"the store's process {server.pid} did not end; see {_log(place)}")


def remove(place: Place | None = None, progress: Progress = silent) -> None:
    """Stop the private server and delete its data, secrets and settings for good."""
    place = place or private_place()
    if not place.folder.exists():
        return
    stop(place, progress)
    with place.locked(progress):
        shutil.rmtree(place.server_folder, ignore_errors=True)
        shutil.rmtree(place.folder)


def _server(place: Place) -> Postmaster | None:
    data = place.data
    return running(data, data.stat().st_uid) if data.exists() else None


def _hidden(data: Path) -> bool:
    """Tell whether data exist that this user may not look into."""
    return data.is_dir() and not os.access(data, os.R_OK)


def _log(place: Place) -> Path:
    return place.server_folder / "server.log"


def _programs(place: Place, account: Account) -> binaries.Binaries:
    """Return binaries the account can run; those under a closed home directory are copied beside the data."""
    found = binaries.installed()
    if account.reaches(Path(found.program("postgres"))):
        return found
    return found.copied_to(place.server_folder / "postgresql")


def _create_data(place: Place, account: Account, programs: binaries.Binaries, progress: Progress) -> None:
    """Create the data directory whole or not at all: it gets its name when it is complete."""
    if place.data.exists():
        return
    progress("creating the store (once)")
    new, password = place.server_folder / "data.new", place.server_folder / "password.new"
    shutil.rmtree(new, ignore_errors=True)
    password.unlink(missing_ok=True)
    new.mkdir(mode=0o700)
    account.give(new)
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(place.secret(ADMIN.name))
    account.give(password)
    command = [programs.program("initdb"), "--pgdata", str(new), "--username", ADMIN.login, "--pwfile", str(password)]
    done = account.run([*command, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"])
    password.unlink()
    if done.returncode:
        raise ConfigError(f"private store: initdb failed in {new}: {done.stderr.strip()}")
    new.rename(place.data)


def _reach_ready(place: Place, account: Account, programs: binaries.Binaries, progress: Progress) -> None:
    """Launch the server where none runs and wait until it is ready, curing what can be cured from outside."""
    orphans_until = time.monotonic() + ORPHANS_PATIENCE
    ports_left = 5
    while True:
        server = _server(place)
        if server is None and not clear_stale(place.data, account.uid, ORPHANS_PATIENCE, progress):
            raise SystemUnavailable(f"sessions of a crashed server still work in {place.data} and do not end")
        pid = server.pid if server else _launch(place, account, programs)
        try:
            return _wait_until_ready(place, pid, progress)
        except _StartFailed as failure:
            said = str(failure)
            if server or "shutdown request" in said:
                progress("the server was being stopped; starting it again")
            elif "could not bind" in said and ports_left:
                ports_left -= 1
                (place.folder / "port").unlink()
            elif "pre-existing shared memory" in said and time.monotonic() < orphans_until:
                time.sleep(0.5)  # where clear_stale cannot see the sessions of a crashed server
            else:
                raise SystemUnavailable(f"the store did not start; {_log(place)} ends with:\n{said}") from None


def _launch(place: Place, account: Account, programs: binaries.Binaries) -> int:
    """Start the server process, detached from this one, and return its number."""
    folder = place.server_folder
    hba, settings = folder / "pg_hba.conf", folder / "postgresql.conf"
    lz4 = programs.built_with("--with-lz4")
    _write_open(hba, HBA)
    _write_open(settings, Settings(_port(place), place.data, hba, lz4, place.read("local.conf") or "").text())
    if place.read(f"secrets/{ADMIN.name}") is None:
        _issue_administrator(place, account, programs, settings)
    log = _log(place)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        command = [programs.program("postgres"), "-D", str(place.data), "-c", f"config_file={settings}"]
        # The shell ends at once, so that the server is nobody's child and needs nobody to collect it.
        done = account.run(["/bin/sh", "-c", '"$0" "$@" >&2 </dev/null & echo $!', *command], stderr=descriptor)
    finally:
        os.close(descriptor)
    return int(done.stdout)


def _issue_administrator(place: Place, account: Account, programs: binaries.Binaries, settings: Path) -> None:
    """Give the superuser a new password where its secret was lost; the stopped server takes it in single-user mode."""
    command = [programs.program("postgres"), "--single", "-D", str(place.data), "-c", f"config_file={settings}"]
    statement = f"ALTER ROLE {ADMIN.login} PASSWORD '{place.secret(ADMIN.name)}'\n"
    done = account.run([*command, "postgres"], feed=statement)
    if done.returncode or "ERROR" in done.stderr:
        (place.folder / "secrets" / ADMIN.name).unlink()
        raise ConfigError(f"{place.folder}/secrets/{ADMIN.name} was lost and no new one could be issued")


def _write_open(path: Path, text: str) -> None:
    """Write a file that the server's account may read; it holds no secret."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _wait_until_ready(place: Place, pid: int, progress: Progress) -> None:
    """Return when the server is ready, however long its recovery takes. Raises _StartFailed when it ends."""
    began, said = time.monotonic(), 0
    while True:
        server = _server(place)
        if server is not None and server.ready:
            return
        if not alive(pid):
            raise _StartFailed(_tail(_log(place)))
        waited = int(time.monotonic() - began)
        if waited > said:
            said = waited
            progress(f"the store is starting, {waited} s: {_last_step(place)}")
        time.sleep(0.03)


def _tail(log: Path, lines: int = 8) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _last_step(place: Place) -> str:
    """Return what the server says it is doing, without its time and number."""
    line = _tail(_log(place), 1)
    return line.partition("LOG:")[2].strip() or line


def _ended(pid: int, seconds: float, progress: Progress) -> bool:
    """Wait for a process to end and return whether it did."""
    began, said = time.monotonic(), 0
    while alive(pid):
        waited = time.monotonic() - began
        if waited > seconds:
            return False
        if int(waited) > said:
            said = int(waited)
            progress(f"the store is stopping, {said} s")
        time.sleep(0.03)
    return True


def _port(place: Place) -> int:
    """Return the kept port while it is free, else choose and keep another."""
    kept = place.read("port")
    if kept and kept.isdigit() and port_is_free(int(kept)):
        return int(kept)
    begin = zlib.crc32(str(place.home).encode()) % len(PORTS)
    for step in range(len(PORTS)):
        port = PORTS[(begin + step * 7) % len(PORTS)]
        if str(port) != kept and port_is_free(port):
            place.write("port", str(port))
            return port
    raise SystemUnavailable(f"private store: no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        # As the server itself will: connections of its former life that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
