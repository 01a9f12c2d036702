"""Airflow's components as child processes: in groups of their own, watched, stopped in order, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from monitor.airflow_home import AirflowHome

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
TERM_SECONDS = 10.0
COMMANDS = {"scheduler": ("monitor.scheduler",)}  # the others are started as Airflow has them


@dataclass
class Component:
    """One component of Airflow and everything it started; `family` remembers those whose parent has gone."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    family: dict[int, psutil.Process]

    @classmethod
    def start(cls, name: str, log: Path, environment: Mapping[str, str]) -> Component:
        """Start `airflow NAME`; what it prints goes into its log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as noise:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", *COMMANDS.get(name, ("airflow", name))],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=noise,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C reaches the launcher alone, which stops them in order
                preexec_fn=end_with_parent,
            )
        return cls(name, log, process, {})

    @property
    def ended(self) -> int | None:
        """The exit code if the component has ended by itself, None while it runs."""
        return self.process.poll()

    def look(self) -> None:
        """Remember every process this component has started so far."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self.family.setdefault(child.pid, child)

    def stop(self, seconds: float = TERM_SECONDS) -> None:
        """Ask the component to end, then end by force what is left of its group and its family."""
        self.look()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for child in self.family.values():
            with contextlib.suppress(psutil.Error):
                child.kill()  # psutil compares start times: a number that was given out again is left alone
        self.process.wait()
        psutil.wait_procs(list(self.family.values()), timeout=5)


def end_with_parent() -> None:
    """Let the kernel end this process when its launcher is killed; only Linux can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def stop_all(components: Sequence[Component], seconds: float = TERM_SECONDS) -> None:
    """Stop components in the order given, the API server last: the others still report to it."""
    for component in components:
        component.look()
    for component in components:
        component.stop(seconds)


# --- who runs what in this project --------------------------------------------------------------------------------


def record(airflow: AirflowHome, url: str, components: Iterable[Component]) -> None:
    """Write down who runs Airflow in this project, so that a second launcher and the demo know."""
    known = {str(pid): started(pid) for pid in (os.getpid(), *(component.process.pid for component in components))}
    said = {"launcher": os.getpid(), "url": url, "processes": known}
    _file(airflow).write_text(json.dumps(said), encoding="utf-8")


def forget(airflow: AirflowHome) -> None:
    """Take the note away."""
    _file(airflow).unlink(missing_ok=True)


def running_launcher(airflow: AirflowHome) -> int | None:
    """Return the process that runs `isthmus up` in this project, None when none does."""
    said = _read(airflow)
    pid = int(said.get("launcher", 0))
    return pid if pid and started(pid) == said["processes"].get(str(pid)) else None


def end_left_over(airflow: AirflowHome) -> int:
    """End the components of a launcher that was killed, and return how many there were."""
    ended = 0
    for text, since in _read(airflow).get("processes", {}).items():
        pid = int(text)
        if since is not None and started(pid) == since:
            for process in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid)):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            ended += 1
    forget(airflow)
    return ended


def started(pid: int) -> float | None:
    """Return when a process was started, None when it is no more."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 2)
    except psutil.Error:
        return None


def _file(airflow: AirflowHome) -> Path:
    return airflow.folder / "launcher.json"


def _read(airflow: AirflowHome) -> dict[str, Any]:
    try:
        said = json.loads(_file(airflow).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
