"""One running PostgreSQL process, seen through its postmaster.pid: alive, ours, ready, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says; `ready` is false while the server recovers."""

    pid: int
    port: int
    ready: bool

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has just ended is no error."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def running(data: Path, uid: int) -> Postmaster | None:
    """Return the server that works in this data directory, or None; a stale pid file counts as none."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid, folder = abs(int(lines[0])), lines[1]
    except (OSError, ValueError, IndexError):
        return None
    if Path(folder) != data or not _works_in(pid, data, uid):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0
    return Postmaster(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")


def alive(pid: int) -> bool:
    """Tell whether a process exists and has not ended; one that ended but was not yet collected has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not _has_proc()
    return state not in ("Z", "X")


def working_in(data: Path, uid: int) -> list[int]:
    """Return the live processes of an account whose folder is this data directory; empty where /proc is missing."""
    numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()] if _has_proc() else []
    return [pid for pid in numbers if _works_in(pid, data, uid)]


def clear_stale(data: Path, uid: int, patience: float, progress: Callable[[str], None]) -> bool:
    """Remove what a crashed server left behind, after its last session ended; return whether that was possible.

    PostgreSQL believes a pid file while any process carries its number, be it another one or a dead one that nobody
    collected (in many containers nobody does). The caller holds the store's lock and found no server running.
    """
    if not _has_proc():
        return True  # PostgreSQL's own check must do
    began, told = time.monotonic(), False
    while orphans := working_in(data, uid):
        waited = time.monotonic() - began
        if waited > patience:
            return False
        if waited > 5 and not told:
            told = True
            progress("sessions of the crashed server are still at work; ending them")
            for pid in orphans:
                Postmaster(pid, 0, ready=False).send(signal.SIGQUIT)
        time.sleep(0.05)
    (data / "postmaster.pid").unlink(missing_ok=True)
    return True


def _has_proc() -> bool:
    return (PROC / "self").exists()


def _works_in(pid: int, data: Path, uid: int) -> bool:
    """Tell whether a live process is really this server's: after a reboot another may carry its number."""
    if not alive(pid):
        return False
    if _has_proc():
        try:
            return (PROC / str(pid)).stat().st_uid == uid and Path(os.readlink(PROC / str(pid) / "cwd")) == data
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in shown.stdout
