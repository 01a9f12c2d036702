"""Several at once, and killed processes: one after the other in the end, and nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import psycopg
import pytest

from isthmus.errors import ConflictError
from tests.warehouse.engine import Stage, emptied, line, partner
from tests.warehouse.sim import records, worker
from warehouse import activate, compress, rollup, statement, undo, verify
from warehouse.activate import Activated
from warehouse.requests import Request

KILLED = (
    "requests/note package:3",
    "activate/before images:1",
    "undo/drop images:1",
    "compress/absorb:1",
    "history/close:1",
    "inbound/gone:1",
    "rollup/facts:1",
    "publish/publish:1",
)  # in the order in which the deliveries come by them


DEEDS = ("check", "activate", "activate", "roll up", "roll up", "publish", "squeeze", "delete", "see", "anew")


@contextmanager
def another(stage: Stage) -> Iterator[Stage]:
    """Open a second session on the same warehouse."""
    with psycopg.connect(url_of(stage), autocommit=True) as connection:
        yield replace(stage, connection=connection)


def url_of(stage: Stage) -> str:
    info = stage.connection.info
    return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"


class Halt:
    """Stops the thread of one session behind a statement until it is let go."""

    def __init__(self, patch: pytest.MonkeyPatch, point: str) -> None:
        self.point, self.reached, self.free = point, threading.Event(), threading.Event()
        self.thread = 0
        patch.setattr(statement, "passing", self.passing)

    def passing(self, point: str) -> None:
        if point == self.point and threading.get_ident() == self.thread:
            self.reached.set()
            assert self.free.wait(30)

    def of(self, step: Callable[[], Any]) -> Callable[[], Any]:
        def halting() -> Any:
            self.thread = threading.get_ident()
            return step()

        return halting


def waits(stage: Stage, other: Stage, future: Future[Any]) -> bool:
    """Tell whether another session has come to wait for a lock, or is done without."""
    asked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    while not future.done():
        if stage.ask(asked, other.connection.info.backend_pid) == [(True,)]:
            return True
    return False


def two_activations(stage: Stage, patch: pytest.MonkeyPatch) -> tuple[bool, Activated, Activated]:
    """Activate two requests of a store at once; the first is in the middle of it when the second begins."""
    stage.bring("line", "isu", [line("D1")])
    first, second = (stage.load("line", "isu", [line("D1", kind=kind), line(kind)]) for kind in ("flat", "rental"))
    stage.check(first)
    stage.check(second)
    halt = Halt(patch, "activate/before images")
    with another(stage) as one, another(stage) as two, ThreadPoolExecutor(2) as pool:
        early = pool.submit(halt.of(lambda: one.activate(first)))
        assert halt.reached.wait(30)
        late = pool.submit(lambda: two.activate(second))
        waited = waits(stage, two, late)
        halt.free.set()
        return waited, early.result(30), late.result(30)


def holds(stage: Stage) -> bool:
    cubes = stage.warehouse.cubes.values()
    return all(verify.verify(stage.connection, stage.warehouse, cube, stage.now).holds for cube in cubes)


def test_the_second_of_two_activations_waits_for_the_first(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, *done = two_activations(bare, monkeypatch)
    assert waited
    assert done == [Activated(entered=1, changed=1), Activated(entered=1, changed=1)]
    assert bare.ask("SELECT kind FROM warehouse.active_line WHERE document = 'D1'") == [("rental",)]
    assert holds(bare)


def test_without_the_lock_the_second_does_not_wait(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of this file: were it not caught, the test above would prove nothing."""
    monkeypatch.setattr(activate, "lock_stores", lambda *given: None)
    with pytest.raises(ConflictError):
        two_activations(bare, monkeypatch)


def test_one_request_activated_by_two_at_once_is_activated_once(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bare.check(bare.load("line", "isu", [line("D1"), line("D2")]))
    halt = Halt(monkeypatch, "activate/first")
    with another(bare) as one, another(bare) as two, ThreadPoolExecutor(2) as pool:
        early = pool.submit(halt.of(lambda: one.activate(made)))
        assert halt.reached.wait(30)
        late = pool.submit(lambda: two.activate(made))
        assert waits(bare, two, late)
        halt.free.set()
        assert early.result(30) == late.result(30) == Activated(entered=2)
    assert bare.ask("SELECT count(*) FROM warehouse.changes_line") == [(2,)]


def test_a_deletion_and_a_later_activation_do_not_cross(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.bring("line", "isu", [line("D1")])
    first = bare.bring("line", "isu", [line("D1", kind="flat")])
    second = bare.check(bare.load("line", "isu", [line("D1", kind="rental")]))
    halt = Halt(monkeypatch, "undo/bring back")
    with another(bare) as one, another(bare) as two, ThreadPoolExecutor(2) as pool:
        gone = pool.submit(
            halt.of(lambda: undo.delete_request(one.connection, one.warehouse, one.store("line"), first.id, one.now))
        )
        assert halt.reached.wait(30)
        came = pool.submit(lambda: two.activate(second))
        assert waits(bare, two, came)
        halt.free.set()
        assert (gone.result(30).images, came.result(30)) == (1, Activated(changed=1))
    before = "SELECT kind FROM warehouse.changes_line WHERE request_id = %s AND image = 'X'"
    assert bare.ask(before, second.id) == [("energy",)]


def test_nothing_is_published_in_the_middle_of_a_rebuild(bare: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published meanwhile would be taken for a part of the totals that it is not."""
    made = bare.check(bare.load("line", "isu", [line("D1")]))
    bare.activate(made)
    bare.roll_up(made)
    halt = Halt(monkeypatch, "compress/absorb")
    cube = bare.warehouse.cubes["lines"]
    with another(bare) as one, another(bare) as two, ThreadPoolExecutor(2) as pool:
        built = pool.submit(halt.of(lambda: verify.rebuild(one.connection, one.warehouse, cube, one.now)))
        assert halt.reached.wait(30)
        published = pool.submit(two.publish)
        assert waits(bare, two, published)
        halt.free.set()
        assert (built.result(30), published.result(30) > 0) == (0, True)
    assert holds(bare)


def test_everybody_at_once_ends_as_one_after_the_other(bare: Stage) -> None:
    """Four sessions do whatever can be done, again and again: no deadlock, no wrong cube at any moment."""
    bare.bring("partner", "crm", [partner()])
    loads = [bare.load("line", "isu", records.some(Random(n), "line", full=False)) for n in range(16)]
    loads += [bare.load("visit", "crm", records.some(Random(n), "visit", full=False)) for n in range(8)]
    found: list[str] = []

    def work(seed: int) -> None:
        random = Random(seed)
        with another(bare) as mine:
            for _ in range(60):
                try:
                    wrong = _anything(mine, random, loads)
                except ConflictError:
                    continue
                found.extend(wrong)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work, seed) for seed in range(4)]:
            future.result(120)
    assert found == []
    for made in loads:
        if bare.state(made) != "DELETED":
            bare.check(made)
            bare.activate(made)
            bare.roll_up(made)
    bare.publish()
    assert holds(bare)


def _anything(stage: Stage, random: Random, loads: list[Request]) -> list[str]:
    """Do one step of one request, or something for all; returns cubes that were found wrong meanwhile."""
    made = random.choice(loads)
    store, given = stage.store(made.store), (stage.connection, stage.warehouse)
    match random.choice(
        ("check", "activate", "activate", "roll up", "roll up", "publish", "squeeze", "delete", "see", "anew")
    ):
        case "check":
            stage.check(made)
        case "activate":
            activate.activate(*given, store, made.id, stage.now)
        case "roll up":
            rollup.roll_up(*given, store, made.id, stage.now)
        case "publish":
            stage.publish()
        case "squeeze":
            compress.compress(*given, stage.now, up_to=made.id)
        case "delete":
            if random.random() < 0.2:
                undo.delete_request(*given, store, made.id, stage.now)
        case "anew":
            if random.random() < 0.3:
                verify.rebuild(*given, random.choice(list(stage.warehouse.cubes.values())), stage.now)
        case "see":
            cube = random.choice(list(stage.warehouse.cubes.values()))
            moment = stage.now.replace(microsecond=random.randrange(10**6))
            return [] if verify.verify(*given, cube, moment).holds else [cube.name]
    return []


def seen(stage: Stage) -> list[list[tuple[Any, ...]]]:
    """Return everything that may not depend on where a process was killed; numbers of requests may."""
    asked = [
        "SELECT source, document, line, kind, amount, region, segment, sequence, deleted FROM warehouse.active_line",
        "SELECT source, number, segment, region, sequence, deleted FROM warehouse.active_partner",
        "SELECT source, visited_at, partner, minutes, price, deleted FROM warehouse.active_visit",
        "SELECT source, number, segment, discount, valid_from, valid_to FROM warehouse.history_partner",
        "SELECT load_key, mode, state, records, excluded, changed FROM warehouse.requests",
        "SELECT image, sign, was, source, document, line, amount FROM warehouse.changes_line",
        "SELECT kind, net, lines, records FROM warehouse.totals_lines",
    ]
    return [sorted(stage.ask(text), key=repr) for text in asked]


def test_a_process_killed_anywhere_and_started_again_ends_where_an_undisturbed_one_does(bare: Stage) -> None:
    worker.work(replace(bare))
    due = seen(bare)
    stage = emptied(bare)
    for point in KILLED:
        process = subprocess.run(
            [sys.executable, "-m", "tests.warehouse.sim.worker", url_of(stage)],
            env={**os.environ, "ISTHMUS_FAILPOINT": point},
            capture_output=True,
            timeout=60,
        )
        assert process.returncode == -signal.SIGKILL, f"{point}: {process.stderr.decode()}"
        assert holds(stage), point
    worker.work(replace(stage))
    assert seen(stage) == due
    assert holds(stage)
