"""Child processes of the launcher: started in groups of their own, stopped in order, none left behind."""

from __future__ import annotations

import json

from isthmus.store.process import alive
from monitor.airflow_home import AirflowHome


def running_launcher(airflow: AirflowHome) -> int | None:
    """Return the process that runs `isthmus up` in this project, None when none does."""
    file = airflow.folder / "launcher.json"
    try:
        pid = int(json.loads(file.read_text(encoding="utf-8"))["launcher"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if alive(pid) else None
