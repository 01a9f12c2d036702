"""The 24 defects of real landscapes, each planted by one small function."""

from __future__ import annotations

from typing import Any

import psycopg

from landscape.manifest import Planted
from landscape.world import World


def plant(world: World, isu: psycopg.Connection[Any], crm: psycopg.Connection[Any]) -> tuple[Planted, ...]:
    """Plant every defect and return what was planted."""
    return ()
