"""The one Airflow process of the demo, seen from outside: prepare, begin a run, hear how it ended."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.errors import SystemUnavailable
from monitor.airflow_home import AirflowHome, child_environment

PATIENCE = 180.0  # seconds for Airflow to import and migrate, on a slow disk


@dataclass
class Runner:
    """A child process running `monitor.headless`; its answers arrive in a queue, None when it has ended."""

    process: subprocess.Popen[str]
    log: Path
    answers: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)

    @classmethod
    @contextmanager
    def start(cls, airflow: AirflowHome) -> Iterator[Runner]:
        """Start the process in a session of its own; it is ended when the caller is done, whatever happened."""
        airflow.logs.mkdir(parents=True, exist_ok=True)
        log = airflow.logs / "demo.log"
        with log.open("w", encoding="utf-8") as noise:
            process = subprocess.Popen(
                # -P: a folder that happens to be the current one must not bring modules or entry points of its own
                [sys.executable, "-P", "-m", "monitor.headless"],
                env=child_environment(airflow.environment()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                start_new_session=True,
            )
        runner = cls(process, log)
        threading.Thread(target=runner._listen, daemon=True).start()
        try:
            yield runner
        finally:
            runner._end()

    def prepare(self, pools: Mapping[str, int], connections: Mapping[str, str]) -> None:
        """Let Airflow migrate its metadata and seed pools and connections; returns at once."""
        self._ask({"pools": dict(pools), "connections": dict(connections)})

    def wait_ready(self) -> None:
        """Return when the DAGs are read; raises SystemUnavailable naming the log when Airflow ended instead."""
        while self.hear(PATIENCE)["state"] != "ready":
            pass

    def begin(self, params: Mapping[str, Any], at: str = "", dag: str = "initial_download") -> str:
        """Begin a run of a DAG and return its id; the same time (ISO 8601) runs the same run again."""
        self._ask({"params": dict(params), "at": at, "dag": dag})
        return str(self.hear(PATIENCE)["run"])

    def ended(self) -> dict[str, Any]:
        """Wait until the run that was begun has ended, and return how."""
        while True:
            with suppress(queue.Empty):
                return self.hear(PATIENCE)

    def hear(self, seconds: float) -> dict[str, Any]:
        """Return the next answer; raises queue.Empty after so many seconds, SystemUnavailable when it has ended."""
        said = self.answers.get(timeout=seconds)
        if said is None:
            raise SystemUnavailable(f"Airflow ended by itself; {self.log} ends with:\n{tail(self.log)}")
        return said

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended; hear() says why

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def _end(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(1 if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
