"""One run of the engine in a process of its own: `python -m bench.isthmus_run '{"objects": […]}'`, figures as JSON.

Time spent in the ledger, in receipts and in the gate is added up on the way: the price of each guarantee.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from bench.measure import cpu

if TYPE_CHECKING:
    from isthmus.ledger import Ledger


@dataclass
class Prices:
    """Seconds spent in calls, by what they are for; a call inside another one counts for the outer alone.

    Calls run beside each other and wait for a core, so their seconds are more than they add to a run; `cpu` is what
    their threads computed.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: Counter[str] = field(default_factory=Counter)
    depth: dict[int, int] = field(default_factory=dict)

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Add up the time of a method or function."""
        import threading

        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            thread = threading.get_ident()
            self.depth[thread] = self.depth.get(thread, 0) + 1
            began, computed = time.perf_counter(), time.thread_time()
            try:
                return inner(*args, **named)
            finally:
                self.depth[thread] -= 1
                if not self.depth[thread]:
                    self.seconds[label] += time.perf_counter() - began
                    self.cpu[label] += time.thread_time() - computed
                    self.calls[label] += 1

        replace_everywhere(inner, timed, owner, name)

    def watch_all(self) -> None:
        """Watch the ledger, the receipts, reading, mapping, spelling and writing."""
        from connectors.sql import PostgresConnector, journal
        from isthmus.ledger import Ledger
        from isthmus.ledger import keys as key_map
        from isthmus.ledger.flows import Flows
        from isthmus.ledger.packages import Packages
        from isthmus.ledger.registers import Counters, Results
        from isthmus.levels import package, resolve
        from isthmus.mapping import writing
        from isthmus.mapping.plan import ReadPlan

        self.watch(key_map.Keys, "translate", "ledger: translate keys")
        self.watch(key_map.Keys, "ids", "ledger: make ids")
        for name in ("index", "prepare", "count"):
            self.watch(key_map.Keys, name, f"ledger: {name} the key map")
        self.watch(Ledger, "confirm", "ledger: confirm packages")
        for name in ("plan", "claim", "list", "open"):
            self.watch(Packages, name, "ledger: plan and claim")
        for name in ("state", "begin_load", "finish_load"):
            self.watch(Flows, name, "ledger: plan and claim")
        self.watch(Counters, "reserve", "ledger: reserve numbers")
        self.watch(Results, "put", "ledger: keep findings")
        self.watch(package, "digest", "receipts")
        self.watch(resolve, "read_raw", "read")
        self.watch(ReadPlan, "apply", "map")
        self.watch(writing, "spell", "spell")
        self.watch(PostgresConnector, "write", "write")
        for name in ("stored", "leave"):
            self._inner(journal, name, "receipts")

    def _inner(self, owner: Any, name: str, label: str) -> None:
        """Add up the time of a function that always runs inside another watched one."""
        inner = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **named)
            finally:
                self.seconds[label] += time.perf_counter() - began
                self.calls[label] += 1

        replace_everywhere(inner, timed, owner, name)


def replace_everywhere(inner: Callable[..., Any], timed: Callable[..., Any], owner: Any, name: str) -> None:
    """Put a timed function in the place of another one, also where a module has imported it by name."""
    setattr(owner, name, timed)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("isthmus.", "connectors.")) and vars(module).get(name) is inner:
            setattr(module, name, timed)


def server_cpu(ledger: Ledger) -> float:
    """Return the CPU seconds of the ledger's sessions, as far as the pool still holds them."""
    sessions = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type ~ '^client'")
    with ledger.database.transaction() as connection:
        return cpu(list(connection.scalars(sessions)), 0)


def load(said: dict[str, Any]) -> dict[str, Any]:
    """Run the initial download; `approve` lets mass changes pass, `gate` names the gate ("off" for none)."""
    from isthmus.levels import download as levels
    from isthmus.levels import limits
    from isthmus.levels.worker import Tally
    from isthmus.mapping.spec import Flow

    prices = Prices()
    prices.watch_all()
    with levels.open_desk(gate=said.get("gate", "off"), name="bench") as opened, opened.keeping() as desk:
        objects = tuple(said["objects"])
        run = levels.begin(desk, "full", {"objects": list(objects)})
        took: dict[str, float] = {}
        counts: dict[str, dict[str, int]] = {}
        for flow in desk.flows(objects) if said.get("approve") else ():
            name = f"{flow.object}.{flow.source}.{flow.target}"
            desk.ledger.approvals.ask(run, name, limits.MASS_CHANGE, 1.0)
            desk.ledger.approvals.approve(run, name, limits.MASS_CHANGE, by="bench")
        ends = [time.perf_counter()]

        def done(flow: Flow, tally: Tally) -> None:
            ends.append(time.perf_counter())
            took[flow.object], counts[flow.object] = round(ends[-1] - ends[-2], 3), dict(tally.counts)

        levels.carry_flows(desk, desk.flows(objects), run, done=done)
        desk.ledger.runs.finish(run, "done", {})
        computed = {"ledger client": sum(prices.cpu[name] for name in prices.cpu if name.startswith("ledger"))}
        computed["ledger server"] = server_cpu(desk.ledger)
        verdicts = {}
        if said.get("reconcile"):
            for flow in desk.flows(objects):
                began = time.perf_counter()
                found = levels.reconcile_flow(desk, flow, run)
                verdicts[flow.object] = [found.agrees, round(time.perf_counter() - began, 3)]
    seconds = {name: round(value, 3) for name, value in sorted(prices.seconds.items())}
    calls = dict(prices.calls)
    return {"took": took, "counts": counts, "prices": seconds, "calls": calls, "cpu": computed, "verdicts": verdicts}


def delta(said: dict[str, Any]) -> dict[str, Any]:
    """Carry a delta as often as asked in this process: after the first the process is warm.

    `before` names a command to wait for on standard input: the caller changes the source between deltas.
    """
    from isthmus.levels import download as levels
    from isthmus.levels.delta import delta_flow

    took = []
    with levels.open_desk(gate=said.get("gate", "off"), name="bench") as desk:
        flow = desk.flow(said["object"])
        for _ in range(int(said.get("times", 1))):
            if said.get("wait"):
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                sys.stdin.readline()
            began = time.perf_counter()
            tally = delta_flow(desk, flow)
            took.append([round(time.perf_counter() - began, 3), dict(tally.counts)])
            if said.get("wait"):
                sys.stdout.write("done\n")
                sys.stdout.flush()
    return {"took": took}


def main() -> None:
    """Run what the first argument says and print one line of JSON."""
    said = json.loads(sys.argv[1])
    found = {"load": load, "delta": delta}[said.get("what", "load")](said)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
