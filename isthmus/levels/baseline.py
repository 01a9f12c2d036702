"""Baseline: take over what stands on both sides already, and say beforehand who would win.

Equal is agreed, different follows its field's policy or is held.  A forecast compares every thing the same way a run
does and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConfigError, ConflictError
from isthmus.ledger import Ledger
from isthmus.levels.download import Desk
from isthmus.levels.examine import Examined, examine
from isthmus.levels.feed import begin_side
from isthmus.levels.limits import refuse_paused
from isthmus.levels.match import introduce
from isthmus.levels.pair import Name, Pair, Side
from isthmus.levels.resolve import canonical_key, gather
from isthmus.levels.synchronize import CLAIM, KIND, drain, ids_of, synchronizing
from isthmus.mapping.compile import reach
from isthmus.mapping.plan import ReadPlan
from isthmus.mapping.spec import Flow

SHOWN = 5  # keys shown as examples


@dataclass(frozen=True)
class FieldForecast:
    """What would become of one field: how many things are equal, would change on either side, or would be held."""

    field: str
    owner: str
    on_conflict: str
    edits: str
    counts: Mapping[str, int]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """What a run would do to a flow: things by what becomes of them, and every field that is not equal everywhere."""

    flow: str
    things: Mapping[str, int]
    fields: tuple[FieldForecast, ...]


@dataclass(slots=True)
class Tally:
    """Adds up forecasts of sets of things."""

    things: Counter[str] = field(default_factory=Counter)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)

    def add(self, found: Examined) -> None:
        """Add one set."""
        usable = found.usable
        self.things.update(
            {
                "compared": int((usable & found.met.source.there & found.met.target.there).sum()),
                "create_target": int(found.create["target"].sum()),
                "create_source": int(found.create["source"].sum()),
                "vanished": int((found.vanished["source"] | found.vanished["target"]).sum()),
                "not_comparable": int((~usable & ~found.met.absorbed).sum()),
            }
        )
        for name, item in found.merged.items():
            masks = {
                "to_target": item.to_target & ~found.create["target"],
                "to_source": item.to_source & ~found.create["source"],
                "held": item.held,
                "refused": item.refused,
                "put_right": item.put_right,
            }
            self.counts.setdefault(name, Counter()).update({what: int(mask.sum()) for what, mask in masks.items()})
            shown = self.keys.setdefault(name, [])
            hit = np.flatnonzero(np.logical_or.reduce(list(masks.values())))[: SHOWN - len(shown)]
            known = pc.coalesce(found.met.source_key, found.met.target_key).take(pa.array(hit))
            shown.extend(known.to_pylist())

    def result(self, pair: Pair) -> Forecast:
        """Return what was added up, fields in the model's order."""
        said = [
            FieldForecast(
                policy.name,
                policy.owner,
                policy.on_conflict,
                policy.edits,
                dict(self.counts[policy.name]),
                tuple(self.keys[policy.name]),
            )
            for policy in pair.policies
            if any(self.counts.get(policy.name, Counter()).values())
        ]
        return Forecast(pair.name, dict(self.things), tuple(said))


def forecast(desk: Desk, flow: Flow, keys: pa.Array | None = None, *, whole: bool = False) -> Forecast:
    """Say what a run would do to every thing of a flow (or to those of the given source keys); writes nothing.

    With `whole` it says what a baseline would do.
    """
    tally = Tally()
    with synchronizing(desk, flow) as pair:
        pair = wholly(pair) if whole else pair
        sets: Iterable[tuple[Name, pa.Array]] = every_key(pair, desk.ledger) if keys is None else [("source", keys)]
        for name, chunk in sets:
            ids = ids_of(pair, name, chunk, desk.ledger)
            met = introduce(pair, ids, {pair.side(name).system: chunk}, desk.ledger)
            tally.add(examine(pair, met, desk.ledger))
        return tally.result(pair)


def baseline(desk: Desk, flow: Flow, run: str = "", restored: str = "") -> dict[str, int]:
    """Compare every thing of both sides once and remember what they agree on; differences follow their policies.

    The feeds' cursors are taken before the first key is read, so what changes meanwhile comes with the next run.
    `restored` names a system that was set back to an older copy: every difference travels to it.
    """
    with synchronizing(desk, flow) as pair:
        pair = replace(wholly(pair), restored=side_named(pair, restored))
        refuse_paused(pair.target.route, desk.ledger)
        started = desk.ledger.runs.start(
            desk.scenario.name, KIND, "baseline", {"flow": pair.name}, pair.mapping_hash, id=run or None
        )
        try:
            counts = queue_everything(desk, pair, flow, started.id) + drain(desk, pair, started.id)
        except BaseException as wrong:
            desk.ledger.runs.finish(started.id, "failed", {"flow": pair.name, "because": type(wrong).__name__})
            raise
        if restored:
            desk.ledger.events.put(desk.name, "restored", run=started.id, flow=pair.name, details={"system": restored})
        if desk.ledger.flows.state(pair.name).load_run == started.id:
            desk.ledger.flows.finish_load(pair.name, started.id)
        desk.ledger.runs.finish(started.id, "done", {"flow": pair.name, **counts})
    return dict(counts)


def side_named(pair: Pair, system: str) -> Name | None:
    """Return the side that a system is, None where none is named; raises ConfigError for a system of another flow."""
    sides: dict[str, Name] = {pair.source.system: "source", pair.target.system: "target"}
    if system and system not in sides:
        raise ConfigError(f"{pair.name} goes between {' and '.join(sides)}; {system} is neither.")
    return sides.get(system)


def wholly(pair: Pair) -> Pair:
    """Let fields that only travel along with other changes travel alone as well."""
    return replace(pair, policies=tuple(replace(policy, along=False) for policy in pair.policies))


def queue_everything(desk: Desk, pair: Pair, flow: Flow, run: str) -> Counter[str]:
    """Put every key of both sides into the queue, cursors first."""
    ledger = desk.ledger
    cursors = {pair.side(name).system: begin_side(desk, flow, name) for name in ("source", "target")}
    ledger.keys.prepare(pair.object, (pair.source.system, pair.target.system))
    ledger.keys.index(pair.object)
    counts: Counter[str] = Counter()
    state = ledger.flows.state(pair.name)
    if state.state == "loading" and ledger.runs.get(state.load_run or "").kind != KIND:
        raise ConflictError(
            f"{pair.name} is being loaded by run {state.load_run}; that leaves the image by itself. Wait for it."
        )
    if state.state != "loaded":  # a baseline that was broken off is taken over
        ledger.flows.begin_load(pair.name, run, cursor=f"{desk.clock():%Y%m%d}", fill=False)
    for name, keys in every_key(pair, ledger):
        ids = ids_of(pair, name, keys, ledger)
        counts["queued"] += ledger.queue.put(pair.name, ids, pair.side(name).system, keys, run=run)
    none = pa.array([], pa.binary(16)), pa.array([], pa.string())
    ledger.queue.put(pair.name, none[0], pair.source.system, none[1], cursors=cursors, run=run)  # all is queued now
    return counts


def every_key(pair: Pair, ledger: Ledger) -> Iterator[tuple[Name, pa.Array]]:
    """Yield the canonical keys of both sides; of the target only those that the key map pairs with no source key."""
    for keys in keys_of(pair.source):
        yield "source", keys
    for keys in keys_of(pair.target):
        known = ledger.keys.translate(pair.object, pair.target.system, pair.source.system, keys)
        alone = keys.filter(pc.is_null(known))
        if len(alone):
            yield "target", alone


def keys_of(side: Side) -> Iterator[pa.Array]:
    """Yield the canonical keys of a side, a set at a time."""
    plan = key_plan(side.plan)
    for where in side.connector.partitions(plan.query, CLAIM):
        rows = gather(side.connector, plan.query, where)
        keys = pc.unique(pc.drop_null(canonical_key(plan, rows)))
        if len(keys):
            yield keys


def key_plan(plan: ReadPlan) -> ReadPlan:
    """Narrow a plan to its key: tables that only hold other fields are left out."""
    wanted = tuple(column for column in plan.query.columns if str(column) in plan.key.columns)
    aliases = {column.alias for column in wanted} | {term.left.alias for term in plan.query.where}
    return replace(plan, query=replace(plan.query, sources=reach(plan.query, aliases), columns=wanted))


__all__ = ["FieldForecast", "Forecast", "baseline", "forecast"]
