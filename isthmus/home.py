"""Where a project lives: the folder Isthmus was asked to work in, and its private corner `.isthmus/`."""

from __future__ import annotations

import os
from pathlib import Path

MARKER = "isthmus.yaml"


def home() -> Path:
    """Return the project folder: `ISTHMUS_HOME`, else the nearest folder upwards with `isthmus.yaml`, else here."""
    named = os.environ.get("ISTHMUS_HOME")
    if named:
        return Path(named).expanduser().resolve()
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / MARKER).is_file()), here)


def private_folder() -> Path:
    """Return `.isthmus/` of the project folder; it holds what this machine generated and is never committed."""
    return home() / ".isthmus"
