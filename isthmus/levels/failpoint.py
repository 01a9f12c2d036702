"""Places where a test lets the process die, to prove that nothing is lost there.

`ISTHMUS_FAILPOINT=name` kills the process the first time it passes that point, `name:3` the third time.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "ISTHMUS_FAILPOINT"
POINTS = ("after claim", "after read", "before write", "after write", "after confirm")
_passed: Counter[str] = Counter()


def passing(point: str) -> None:
    """Note that the process passes one of `POINTS`; where the environment says so, it ends here without a word."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, _, number = wanted.partition(":")
    _passed[point] += 1
    if point == name and _passed[point] == int(number or 1):
        os.kill(os.getpid(), signal.SIGKILL)
