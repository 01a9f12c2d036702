"""A process that brings flows of this house in step; it dies at a fail point if one is named."""

from __future__ import annotations

import sys
from datetime import datetime

from isthmus.levels.download import open_desk
from isthmus.levels.synchronize import sync_flow

if __name__ == "__main__":
    at = datetime.fromisoformat(sys.argv[1])
    with open_desk(gate="off", clock=lambda: at) as desk:
        for name in sys.argv[2:]:
            sync_flow(desk, desk.flow(name))
