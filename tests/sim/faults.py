"""Faults and the boundaries they strike at: every place where the engine passes from one durable step to the next."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from isthmus.errors import IsthmusError, SystemUnavailable
from isthmus.ledger.database import Database
from isthmus.levels import synchronize
from tests.sim.history import History
from tests.sim.world import Died, World

Strike = Callable[[History, str], None]


def boundaries() -> tuple[str, ...]:
    """Return every point that the engine's source passes; `{name}` stands for both sides."""
    found: list[str] = []
    for node in ast.walk(ast.parse(inspect.getsource(synchronize))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "passing":
            text = ast.unparse(node.args[0])
            spelled = text.lstrip("f").strip("'\"")
            found += [spelled.replace("{name}", side) for side in ("target", "source")] if "{" in spelled else [spelled]
    return tuple(dict.fromkeys(found))


def died(history: History, point: str) -> None:
    """F01: the process is killed; the next run comes after its lease."""
    raise Died(point)


def cut(history: History, point: str) -> None:
    """F02: a connection breaks; the engine gives back what it holds, and the run fails."""
    raise SystemUnavailable(f"simulated at {point}")


def duplicates(history: History, point: str) -> None:
    """F04, F05: every key is delivered again, in another order, children before parents."""
    world = history.world
    ledger, project = world.ledger, world.project
    for name, (back, front) in {"deal": ("deal", "item"), "partner": ("partner", "person")}.items():
        for system, keys in (
            ("back", f"SELECT ltrim({name}, '0') FROM {back}"),
            ("front", f"SELECT upper(encode(guid, 'hex')) FROM {front}"),
        ):
            said = [key for (key,) in world.ask(system, keys)]
            history.random.shuffle(said)
            array = pa.array(said, pa.string())
            known = ledger.keys.find(name, system, array)
            ids = pc.coalesce(known, ledger.keys.ids(name, system, project.system(system).client, array))
            ledger.queue.put(f"{name}.back.front", ids, system, array)


def clock_back(history: History, point: str) -> None:
    """F06: the clock is set back by an hour."""
    history.world.clock.move(hours=-1)


def clock_ahead(history: History, point: str) -> None:
    """F06: the clock jumps ahead by an hour, past every lease."""
    history.world.clock.move(hours=1)


def edits_back(history: History, point: str) -> None:
    """F11: agents work in the back office."""
    history.meanwhile(("back",))


def edits_front(history: History, point: str) -> None:
    """F11: agents work in the front office."""
    history.meanwhile(("front",))


def edits_both(history: History, point: str) -> None:
    """F14: agents work on both sides."""
    history.meanwhile(("back", "front"))


def twice(history: History, point: str) -> None:
    """F13: the same flows run at once."""
    alone(history.world, lambda: history.world.sync("other"))


def edits_and_twice(history: History, point: str) -> None:
    """F05, F13: agents work, and another run reports it while the first holds its claim."""
    history.meanwhile(("back", "front"))
    twice(history, point)


def zombie(history: History, point: str) -> None:
    """F12: the worker sleeps past its lease; agents work, another settles their work, and then it wakes."""
    history.world.clock.move(minutes=20)
    history.meanwhile(("back", "front"))
    twice(history, point)
    history.meanwhile(("back", "front"), 0.1)


def slow_commit(history: History, point: str) -> None:
    """F05: somebody saves now what he began before the run, and others had begun and saved after him."""
    history.end_slow()


def edits_and_dies(history: History, point: str) -> None:
    """F01, F11: agents work, then the process is killed."""
    history.meanwhile(("back", "front"))
    raise Died(point)


FAULTS: dict[str, Strike] = {
    strike.__name__: strike
    for strike in (
        died,
        cut,
        duplicates,
        clock_back,
        clock_ahead,
        edits_back,
        edits_front,
        edits_both,
        twice,
        edits_and_twice,
        zombie,
        slow_commit,
        edits_and_dies,
    )
}


def alone(world: World, run: Callable[[], object]) -> None:
    """Run without striking again."""
    hook, world.hook = world.hook, None
    try:
        run()
    finally:
        world.hook = hook


@dataclass
class Struck:
    """Which faults have struck at which boundaries, over all histories of a test run."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def table(self) -> str:
        """Lay out how often each fault struck at each boundary."""
        points = boundaries()
        wide = max(map(len, points))
        lines = [f"{'':<{wide}} " + " ".join(f"{name:>15}" for name in FAULTS)]
        lines += [
            f"{point:<{wide}} " + " ".join(f"{self.pairs[name, point]:>15}" for name in FAULTS) for point in points
        ]
        return "\n".join(lines)


@contextmanager
def dying_after(world: World, transactions: int) -> Iterator[None]:
    """Let the process die when the ledger has ended so many transactions, whichever they are."""
    database = world.ledger.database
    ended = 0

    @contextmanager
    def counted() -> Iterator[Connection]:
        nonlocal ended
        with Database.transaction(database) as connection:
            yield connection
        ended += 1
        if ended == transactions:
            raise Died(f"after transaction {transactions}")

    database.transaction = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        del database.transaction


@contextmanager
def striking(history: History, fault: str, point: str, passage: int, struck: Struck) -> Iterator[None]:
    """Let a fault strike when the engine passes a point for the n-th time; the run may die of it."""
    passed = 0
    world = history.world

    def hook(at: str) -> None:
        nonlocal passed
        passed += at == point
        if at == point and passed == passage:
            struck.pairs[fault, point] += 1
            FAULTS[fault](history, point)

    world.hook = hook
    try:
        yield
    except (Died, IsthmusError):
        pass
    finally:
        world.hook = None
