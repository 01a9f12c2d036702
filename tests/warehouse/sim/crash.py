"""Dying behind a statement: the transaction is lost, and whatever was done before it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from unittest.mock import patch

Result = TypeVar("Result")


class Died(Exception):
    """The process that did a step is gone."""


def crashing(step: Callable[[], Result], statement: int) -> Result:
    """Do a step; it dies behind its n-th statement, if it has so many."""
    passed = 0

    def die(_: str) -> None:
        nonlocal passed
        passed += 1
        if passed == statement:
            raise Died

    with patch("warehouse.statement.passing", die):
        return step()
