"""One running PostgreSQL process, seen through its postmaster.pid: alive, ours, ready, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path


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
    if not alive(pid) or Path(folder) != data or not _works_in(pid, data, uid):
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
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return Path("/proc/self").exists() is False
    return state not in ("Z", "X")


def _works_in(pid: int, data: Path, uid: int) -> bool:
    """Tell whether a live process is really this server: after a reboot another may carry its number."""
    if Path("/proc/self").exists():
        try:
            return os.stat(f"/proc/{pid}").st_uid == uid and Path(os.readlink(f"/proc/{pid}/cwd")) == data
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in shown.stdout
