"""Processes of their own that a test may kill: forked from one that has imported the engine once for all of them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from multiprocessing.context import ForkServerProcess

from isthmus.levels import failpoint as failpoints
from isthmus.levels.download import download, open_desk
from isthmus.levels.synchronize import sync_flow
from tests.flows.house import MORNING

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])


def loading(run: str, *objects: str, failpoint: str = "") -> ForkServerProcess:
    """Begin a process that loads objects of this house; it dies at a fail point if one is named."""
    return _begun(_load, (run, objects), failpoint)


def synchronizing(at: datetime, *flows: str, failpoint: str = "") -> ForkServerProcess:
    """Begin a process that brings flows of this house in step; it dies at a fail point if one is named."""
    return _begun(_synchronize, (at, flows), failpoint)


def _begun(work: Callable[..., None], arguments: Sequence[object], failpoint: str) -> ForkServerProcess:
    environment = {**os.environ, **({failpoints.VARIABLE: failpoint} if failpoint else {})}
    process = SERVER.Process(target=_alone, args=(work, arguments, environment))
    process.start()
    return process


def _alone(work: Callable[..., None], arguments: Sequence[object], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    work(*arguments)


def _load(run: str, objects: Sequence[str]) -> None:
    with open_desk(gate="off", clock=lambda: MORNING) as desk:
        download(desk, objects, run=run)


def _synchronize(at: datetime, flows: Sequence[str]) -> None:
    with open_desk(gate="off", clock=lambda: at) as desk:
        for name in flows:
            sync_flow(desk, desk.flow(name))
