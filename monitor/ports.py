"""Ports for Airflow's servers: the same ones each time while they are free, and nobody else's.

A port is kept with a lock from the moment it is chosen, because Airflow listens on it only half a minute later and
another project's launcher would find it free until then. The kernel drops the locks when the launcher ends.
"""

from __future__ import annotations

import fcntl
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from isthmus.errors import SystemUnavailable
from isthmus.store.server import port_is_free

PORTS = range(8080, 8180)
# The API, and what the scheduler's and the triggerer's log servers listen on.
PURPOSES = ("api", "worker_log", "trigger_log")


@contextmanager
def held_ports(file: Path) -> Iterator[dict[str, int]]:
    """Give a port for each purpose: the one kept in `file` while it is free, else another that is kept from then on."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    with ExitStack() as locks:
        chosen: dict[str, int] = {}
        for purpose in PURPOSES:
            candidates = [kept[purpose]] if purpose in kept else []
            chosen[purpose] = hold_port([*candidates, *PORTS], locks)
        if chosen != kept:
            file.write_text(json.dumps(chosen), encoding="utf-8")
        yield chosen


def hold_port(candidates: Iterable[int], locks: ExitStack) -> int:
    """Return the first candidate that nobody listens on or holds, and hold it as long as `locks` are.

    Raises SystemUnavailable when all are in use.
    """
    for port in candidates:
        with ExitStack() as mine:
            if _locked(port, mine) and port_is_free(port):
                locks.enter_context(mine.pop_all())
                return port
    raise SystemUnavailable(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop - 1} for Airflow")


def _locked(port: int, locks: ExitStack) -> bool:
    """Lock a port against other launchers of this machine; another user's lock file may not even be opened."""
    try:
        file = locks.enter_context((Path(tempfile.gettempdir()) / f"isthmus-port-{port}.lock").open("a"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
