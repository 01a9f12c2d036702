"""Keep pandas out of processes that never ask for it.

pyarrow looks for pandas when it makes its first array; importing it costs 35 MB and half a second of every process.
Told once that there is none it goes on without, and looks again when somebody calls `to_pandas`.
"""

from __future__ import annotations

import sys


class _NotNow:
    """Answers the one question whether pandas is there."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ImportError("not needed yet", name=name)


def settle() -> None:
    """Let pyarrow make its first array while pandas cannot be found; where pandas is loaded, nothing changes."""
    import pyarrow as pa

    if "pandas" in sys.modules:
        return
    finder = _NotNow()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([""])
    finally:
        sys.meta_path.remove(finder)
