"""A process that loads objects of the house its environment names: `python -m tests.flows.loader RUN OBJECT ...`."""

from __future__ import annotations

import sys

from isthmus.levels.download import download, open_desk
from tests.flows.house import MORNING

if __name__ == "__main__":
    with open_desk(gate="off", clock=lambda: MORNING) as desk:
        download(desk, sys.argv[2:], run=sys.argv[1])
