"""Contracts kept in step: what a run costs that carries changes both ways, by phase, in a process of its own.

`python -m bench.sync '{"times": 1}'` is that process; figures come as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import measure, synchronized
from bench.isthmus_run import replace_everywhere
from bench.measure import Cost

PHASES = (
    "poll", "enqueue", "claim", "read", "translate", "image", "examine", "spell", "promise", "write target",
    "write source", "settle", "rest",
)  # fmt: skip


@dataclass
class Phases:
    """Seconds by phase; what runs inside of another phase counts for itself alone."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: Counter[str] = field(default_factory=Counter)
    inside: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def watch(self, owner: Any, name: str, phase: str | Callable[..., str]) -> None:
        """Add up the time of a function or method; `phase` may be told by its arguments."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            open_ = self.inside[threading.get_ident()]
            label = phase if isinstance(phase, str) else phase(*args, **named)
            open_.append(0.0)
            began = time.perf_counter()
            try:
                return inner(*args, **named)
            finally:
                took = time.perf_counter() - began
                self.seconds[label] += took - open_.pop()
                self.calls[label] += 1
                if open_:
                    open_[-1] += took

        replace_everywhere(inner, timed, owner, name)

    def watch_all(self) -> None:
        """Watch every step of a synchronization."""
        from isthmus.ledger.images import Images
        from isthmus.ledger.keys import Keys
        from isthmus.ledger.queue import Queue
        from isthmus.levels import pair, synchronize

        for owner, name, phase in (
            (synchronize, "poll_side", "poll"), (synchronize, "enqueue", "enqueue"), (Queue, "claim", "claim"),
            (synchronize, "introduce", "read"), (pair, "see", "read"), (Keys, "translate", "translate"),
            (Keys, "of_ids", "translate"), (Keys, "find", "translate"), (Images, "read", "image"),
            (synchronize, "examine", "examine"), (synchronize, "wanted", "spell"), (Queue, "promise", "promise"),
            (synchronize, "settled", "settle"), (Queue, "settle", "settle"), (synchronize, "sync_flow", "rest"),
        ):  # fmt: skip
            self.watch(owner, name, phase)
        self.watch(synchronize, "write", lambda pair, want, *_: f"write {want.side.name}")


def carry(said: dict[str, Any]) -> dict[str, Any]:
    """Synchronize contracts as often as asked; with `wait` the caller changes the landscape between the runs."""
    from isthmus.levels import synchronize
    from isthmus.levels.download import open_desk

    phases = Phases()
    phases.watch_all()
    profiler = _profiler(said.get("profile", ""))
    runs = []
    with open_desk(name="bench") as desk:
        flow = desk.flow("contract")
        for number in range(int(said.get("times", 1))):
            if said.get("wait") and number:
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                sys.stdin.readline()
            phases.seconds.clear()
            began, cpu = time.perf_counter(), time.process_time()
            if profiler:
                profiler.enable()
            counts = synchronize.sync_flow(desk, flow)
            if profiler:
                profiler.disable()
            runs.append(
                {
                    "seconds": round(time.perf_counter() - began, 3),
                    "cpu": round(time.process_time() - cpu, 3),
                    "phases": {name: round(took, 3) for name, took in phases.seconds.items()},
                    "counts": {name: count for name, count in counts.items() if count},
                }
            )
    if profiler:
        profiler.dump_stats(said["profile"])
    return {"runs": runs}


def _profiler(file: str) -> Any:
    import cProfile

    return cProfile.Profile() if file else None


def run(contracts: int, changes: int, postmaster: int, word: str, **said: Any) -> tuple[Cost, Cost]:
    """Change contracts both ways and measure the run that carries them, then the run after it, which reads echoes."""
    names = synchronized.databases(contracts)
    synchronized.change(names, contracts, changes, word)
    return once(names, postmaster, **said), once(names, postmaster)


def once(names: dict[str, str], postmaster: int, **said: Any) -> Cost:
    """Measure one run in a process of its own."""
    arguments = [sys.executable, "-m", "bench.sync", json.dumps(said)]
    return measure.command(postmaster, arguments, synchronized.environment(names))


def report(found: Mapping[int, Sequence[tuple[Cost, Cost]]], changes: int) -> str:
    """Lay the sizes side by side: medians."""

    def middle(costs: Sequence[Cost], pick: Callable[[Cost], float]) -> float:
        return measure.median([pick(cost) for cost in costs])

    def engine(cost: Cost) -> float:
        return float(cost.said["runs"][0]["seconds"])

    lines = [
        "| contracts | engine s (range) | things/s | process s | client CPU s | server CPU s | peak MB | WAL MB | "
        "run after it s, of the engine | writes in it |",
        "|" + "---|" * 10,
    ]
    for contracts, pairs in found.items():
        firsts, seconds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        took = [engine(cost) for cost in firsts]
        counts = seconds[-1].said["runs"][0]["counts"]
        writes = sum(count for name, count in counts.items() if name.startswith(("updated", "created")))
        cells = [
            f"{contracts:,}", measure.spread(took), f"{changes / measure.median(took):,.0f}",
            *(f"{middle(firsts, lambda c, part=part: getattr(c, part)):.1f}"  # type: ignore[misc]
              for part in ("wall", "client_cpu", "server_cpu")),
            f"{middle(firsts, lambda c: c.peak_mb):.0f}", f"{middle(firsts, lambda c: c.wal / 1e6):.0f}",
            f"{middle(seconds, engine):.2f}", str(writes),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| phase, s | " + " | ".join(f"{size:,}" for size in found) + " |", "|---" * (1 + len(found)) + "|"]
    for phase in PHASES:
        cells = [
            f"{middle([p[0] for p in pairs], lambda c: c.said['runs'][0]['phases'].get(phase, 0.0)):.2f}"  # noqa: B023
            for pairs in found.values()
        ]
        lines.append(f"| {phase} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(carry(json.loads(sys.argv[1]))) + "\n")
