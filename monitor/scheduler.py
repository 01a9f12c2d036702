"""Airflow's scheduler with the engine imported first: tasks are forked from it and find everything in place.

Without this, every task that goes through the gate would spend seconds importing Great Expectations.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

ENGINE = (
    "isthmus.levels.orchestrate",
    "connectors.sql",
    "connectors.files",
    "adbc_driver_postgresql.dbapi",
    "quality.gate",
    "quality.across",
    "great_expectations",
)


def main() -> None:
    """Import the engine, then be the scheduler; what cannot be imported here fails where it is needed."""
    for name in ENGINE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", "scheduler"]
    airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
