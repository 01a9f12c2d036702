"""What a run costs: wall time, CPU of clients and server, memory of all its processes, WAL, rows that were touched.

Client CPU and memory are those of the process tree; server CPU is that of the postmaster and everything under it,
the checkpointer and autovacuum included.  Memory is sampled as PSS, so that shared pages count once.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import server

TICK = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
SAMPLE_SECONDS = 0.1
GROWN = 1.01  # so many times what was resident at the highest before: worth a look at what is shared


@dataclass
class Cost:
    """The figures of one run; seconds, megabytes, bytes of WAL."""

    wall: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    peak_mb: float = 0.0
    wal: int = 0
    load: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)


def tree(root: int) -> list[int]:
    """Return a process and everything under it."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                todo += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def cpu(pids: Sequence[int], root: int) -> float:
    """Return the CPU seconds of live processes, with those of ended children that the root has collected."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
            if pid == root:
                total += int(fields[13]) + int(fields[14])
    return total / TICK


def pss(pids: Sequence[int]) -> float:
    """Return the memory of processes in MB; pages they share count once."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += int(found[1]) if found else 0
    return total / 1024


def resident(pids: Sequence[int]) -> float:
    """Return the memory of processes in MB, pages they share counted for each: cheap to ask."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return total * PAGE_MB


class Watch(threading.Thread):
    """Samples the memory of a process tree until it is stopped.

    The kernel walks all pages of a process to tell its PSS, which took a tenth of a core; so it is asked only when more
    is resident than ever before.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.peak, self._most, self._ended = root, 0.0, 0.0, threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self._ended.wait(SAMPLE_SECONDS):
            pids = tree(self.root)
            if (now := resident(pids)) > self._most * GROWN:
                self._most, self.peak = now, max(self.peak, pss(pids))

    def stop(self) -> float:
        """Stop and return the peak in MB."""
        self._ended.set()
        self.join()
        return self.peak


@contextmanager
def measured(postmaster: int) -> Iterator[Cost]:
    """Measure a block that works in this process or in children it waits for; peak memory is not sampled."""
    cost = Cost(load=os.getloadavg()[0])
    server.checkpoint()
    lsn, before, mine = server.wal_position(), cpu(tree(postmaster), postmaster), _client()
    began = time.perf_counter()
    yield cost
    cost.wall = time.perf_counter() - began
    cost.client_cpu = _client() - mine
    cost.server_cpu = cpu(tree(postmaster), postmaster) - before
    cost.wal = wal_between(lsn, server.wal_position())


def _client() -> float:
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def command(postmaster: int, arguments: Sequence[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end and measure it, from the start of its process; its last line is kept as JSON.

    Raises RuntimeError with the end of what it said when it fails.
    """
    import json

    with measured(postmaster) as cost:
        child = subprocess.Popen(
            list(arguments), env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=server.ROOT,
        )  # fmt: skip
        watch = Watch(child.pid)
        watch.start()
        out, err = child.communicate()
        peak = watch.stop()
    cost.peak_mb = peak
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments[1:3])[:200]} ended with {child.returncode}:\n{err[-3000:]}")
    with suppress(IndexError, ValueError):
        cost.said = json.loads(out.strip().splitlines()[-1])
    return cost


def wal_between(first: str, last: str) -> int:
    """Return the bytes of WAL between two positions."""
    high, low = (sum(int(part, 16) << shift for part, shift in zip(lsn.split("/"), (32, 0), strict=True))
                 for lsn in (last, first))  # fmt: skip
    return high - low


def wal_of_tables(first: str, last: str, database: str) -> int:
    """Return how many WAL records between two positions touch a database's tables and indexes.

    Catalogues (temporary tables come and go there) and the journal with its receipts are left out.
    """
    with server.admin(database) as connection:
        files = connection.execute(
            "SELECT d.oid::text || '/' || c.relfilenode::text FROM pg_database d, pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE d.datname = current_database() AND c.relkind IN ('r', 'i') AND"
            " n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'isthmus') AND n.nspname !~ '^pg_temp'"
        ).fetchall()
    known = {str(row[0]) for row in files}
    folder = server.PLACE.data / "pg_wal"
    shown = subprocess.run(
        [server.waldump(), "--path", str(folder), "--start", first, "--end", last],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return sum(1 for line in shown.splitlines() if known & set(re.findall(r"rel \d+/(\d+/\d+)", line)))


def touched(database: str) -> int:
    """Return how many rows of a database's tables were ever inserted, updated or deleted, statistics settled."""
    with server.admin(database) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
            " WHERE schemaname <> 'isthmus'"
        ).fetchone()
    return int(row[0]) if row else 0


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Return median and range as text."""
    return f"{median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


Run = Callable[[], Cost]


def pairs(first: Run, second: Run, count: int) -> tuple[list[Cost], list[Cost]]:
    """Run two things alternately, A B A B, and return the costs of both."""
    left, right = [], []
    for _ in range(count):
        left.append(first())
        right.append(second())
    return left, right
