"""The invariants, checked from outside: both systems and the ledger are read by SQL of the test's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.sim.history import STAMP, History, Row, Thing
from tests.sim.landscape import OVERLAP
from tests.sim.oracle import EXISTENCE, POLICIES, allowed, expected
from tests.sim.world import OBJECTS, World

CONFLICTS = """
SELECT field, source_value, target_value, coalesce(source_key, ''), coalesce(target_key, ''), kind
FROM ledger.conflicts WHERE flow = %s AND state IN ('open', 'decided')
"""
EXCEPTIONS = "SELECT key, message FROM ledger.exceptions WHERE state = 'open' AND flow = %s"
PAIRS = """
SELECT a.key, encode(a.id::text::bytea, 'escape'), b.key FROM ledger.keys a JOIN ledger.keys b
    ON b.object = a.object AND b.id = a.id AND b.system = 'front' WHERE a.object = %s AND a.system = 'back'
"""


class Broken(AssertionError):
    """An invariant does not hold; `who` names the things."""


def settled(history: History) -> None:
    """Check everything after quiescence, then let the history go on from what stands there."""
    found, ledger = history.read(), Told(history)
    dated = history.world.kind("back") == "date"
    wrong: list[str] = []
    for who, thing in history.things.items():
        rows = found[who]
        said = verdict(history, thing, rows, ledger, dated)
        if said:
            wrong.append(
                f"{said}\n{history.tell(thing)}\n  did {thing.now}\n  stands {rows}\n  held {ledger.held(thing)}"
            )
    if wrong:
        raise Broken(f"{len(wrong)} things are wrong; the first:\n" + "\n\n".join(wrong[:2]))
    versions_only_rise(history)
    for who, thing in history.things.items():
        carry_on(thing, found[who], ledger)


def verdict(history: History, thing: Thing, rows: dict[str, Row | None], ledger: Told, dated: bool) -> str:
    """Return what is wrong with one thing, or ''."""
    parent = (
        thing.object == "partner" or history.things["partner", thing.number].key.lstrip("0") in ledger.paired["partner"]
    )
    if not parent and rows["back"] is not None and rows["front"] is not None:
        return ""  # whose it is cannot be compared before its partner is known; the exception says so
    late = any(event.late for event in thing.events)
    if not late:
        due = expected(thing, dated, parent)
        waited = (
            thing.rows["back"]
            and thing.rows["front"]
            and thing.rows["back"].get("rank") != thing.rows["front"].get("rank")
        )
        if not dated and waited and due.back and due.front and rows["back"] and rows["front"]:
            # stamps may have moved by a save that changed nothing, and a feed may have seen that or not
            due.back["rank"], due.front["rank"] = rows["back"]["rank"], rows["front"]["rank"]
            due.held = due.held - {"rank"} | ({"rank"} if rows["back"]["rank"] != rows["front"]["rank"] else set())
        if rows != {"back": due.back, "front": due.front}:
            return f"I4: expected back {due.back}\n    and front {due.front}, held {due.held}"
        nowhere = due.back is None and due.front is None  # an exception of what is gone may still be shown
        if due.stuck != bool(ledger.stuck(thing)) and not nowhere:
            return f"I1: an exception is {'due' if due.stuck else 'not due'}: {ledger.stuck(thing)}"
        if not due.stuck and set(ledger.held(thing)) != due.held:
            return f"I1: held are {set(ledger.held(thing))}, expected {due.held}"
    if ledger.stuck(thing):
        return ""
    back, front = rows["back"], rows["front"]
    if back is not None and front is not None:
        return both(thing, back, front, ledger, dated, late)
    if late and (back is None) != (front is None):
        return alone(thing, rows, ledger)
    return ""


def both(thing: Thing, back: Row, front: Row, ledger: Told, dated: bool, late: bool) -> str:
    """Check a thing that stands on both sides."""
    held = ledger.held(thing)
    for name in POLICIES[thing.object]:
        if (back[name] != front[name]) != (name in held):
            return f"I1: {name} is {back[name]} and {front[name]}, and held {name in held}"
        if name in held and held[name] != (spelled(name, back[name]), spelled(name, front[name])):
            return f"I1: {name} is held with {held[name]}, which does not stand there"
        if late and not thing.whole:
            said = allowed(thing, name, back[name], front[name], dated)
            if said:
                return f"I4: {name} is {back[name]} and {front[name]}: {said}"
    image = ledger.images[thing.object].get(ledger.paired[thing.object].get(thing.key.lstrip("0"), ""))
    if image is None:
        return "the thing is paired nowhere, or has no image"
    for name in POLICIES[thing.object]:
        if name not in held and name in image and image[name] != spelled(name, back[name]):
            return f"what is agreed of {name} is {image[name]}, and both sides hold {back[name]}"
    return ""


def alone(thing: Thing, rows: dict[str, Row | None], ledger: Told) -> str:
    """Check a thing of which one row is gone, after events in mid-run."""
    side = "back" if rows["back"] is not None else "front"
    row = rows[side] or {}
    if row["deleted"]:
        return ""
    if thing.paired and EXISTENCE[thing.object] != side:
        return f"I2: {side} still shows what its owner has not any more"
    return f"I1: {side} holds it alone, and nothing says why"


def spelled(name: str, value: str | None) -> str | None:
    return ("true" if value else "false") if name == "deleted" else value


class Told:
    """What the ledger says, by thing."""

    def __init__(self, history: History) -> None:
        world = history.world
        self.paired: dict[str, dict[str, str]] = {}
        self.fronts: dict[str, dict[str, str]] = {}
        self.images: dict[str, dict[str, dict[str, str | None]]] = {}
        self._held: dict[str, dict[str, dict[str, tuple[str | None, str | None]]]] = {}
        self._stuck: dict[str, dict[str, str]] = {}
        self.history = history
        guids = {
            row[0]: row[1].lstrip("0")
            for o, t in (("partner", "person"), ("deal", "item"))
            for row in world.ask("front", f"SELECT upper(encode(guid, 'hex')), number FROM {t}")
        }
        for name in OBJECTS:
            flow = f"{name}.back.front"
            pairs = world.ask("ledger", PAIRS, name)
            self.paired[name] = {key: id_ for key, id_, _ in pairs}
            there = world.ask("ledger", "SELECT field FROM ledger.image_fields WHERE flow = %s", flow)
            fields = [field for field in POLICIES[name] if (field,) in there]
            listed = ", ".join(f"{field}::text" for field in fields)
            rows = world.ask("ledger", f"SELECT id::text, {listed} FROM ledger.agreed_{name}__back__front")
            self.images[name] = {row[0]: dict(zip(fields, row[1:], strict=True)) for row in rows}
            held = self._held.setdefault(name, {})
            for field, left, right, source, target, kind in world.ask("ledger", CONFLICTS, flow):
                key = source or guids.get(target, target)
                thing = history.thing(name, key)
                assert field not in held.get(key, {}), f"{name} {key}: {field} is held twice\n" + (
                    history.tell(thing) if thing else ""
                )
                assert kind in ("both changed", "vanished"), f"{name} {key} {field}: {kind}"
                held.setdefault(key, {})[field] = (left, right)
            stuck = self._stuck.setdefault(name, {})
            for way in (flow, f"{name}.front.back"):
                for key, because in world.ask("ledger", EXCEPTIONS, way):
                    stuck[guids.get(key, key)] = because

    def held(self, thing: Thing) -> dict[str, tuple[str | None, str | None]]:
        return self._held[thing.object].get(thing.key.lstrip("0"), {})

    def stuck(self, thing: Thing) -> str:
        return self._stuck[thing.object].get(thing.key.lstrip("0"), "")


def carry_on(thing: Thing, rows: dict[str, Row | None], ledger: Told) -> None:
    """Take what stands there, now that it is right, as what the next epoch begins with."""
    key = thing.key.lstrip("0")
    thing.rows = rows
    thing.paired = key in ledger.paired[thing.object]
    if thing.paired and not ledger.stuck(thing):
        image = ledger.images[thing.object].get(ledger.paired[thing.object][key], {})
        held = ledger.held(thing)
        thing.base = {
            name: (("X" if value == "true" else None) if name == "deleted" else value)
            for name, value in image.items()
            if name not in held or name in thing.base
        }
    thing.decided.clear()


def versions_only_rise(history: History) -> None:
    """I3: no write of the engine puts an older version of a side in the place of a newer one of the same side."""
    for side in ("back", "front"):
        rows = history.world.ask(
            side, "SELECT seq, was, now FROM audit WHERE who <> 'agent' AND op = 'UPDATE' ORDER BY seq"
        )
        for _, was, now in rows:
            for column, new in now.items():
                if column == "grp":  # a change by the side that may not make it is put right
                    continue
                old = was.get(column)
                first, second = history.values.get(old or ""), history.values.get(new or "")
                if old != new and first and second and old[0] == new[0] and second < first and not undone(history, new):
                    raise Broken(
                        f"I3: {side} {column}: {old} (event {first}) was overwritten with the older {new} ({second})"
                    )


def undone(history: History, value: str) -> bool:
    return any(event.value == value for t in history.things.values() if t.undone for event in t.events) or any(
        value in " ".join(t.story) for t in history.things.values() if t.undone
    )


def written(world: World) -> int:
    """Count what the engine has written in both systems since ever."""
    return sum(
        int(world.ask(side, "SELECT count(*) FROM audit WHERE who <> 'agent'")[0][0]) for side in ("back", "front")
    )


def quiet(history: History, most: int = 2) -> None:
    """Faults are over: at most two runs write, the next one writes nothing and reads at most the overlap again."""
    world = history.world
    for _ in range(most):
        world.clock.move(minutes=6)
        counts(history)
    before = written(world)
    world.clock.move(minutes=1)
    said = world.sync("quiet")
    if written(world) != before:
        raise Broken(f"echo: the run after {most} quiet ones wrote {written(world) - before} rows: {said}")
    for name, found in said.items():
        if found.get("again"):
            stay = world.ask("ledger", "SELECT source_key, target_key, attempts FROM ledger.queue LIMIT 5")
            told = [history.tell(t) for row in stay if (t := history.thing(name, row[0]))]
            raise Broken(f"echo: {found['again']} things of {name} go back in a quiet run: {stay}\n" + "\n".join(told))
        for side, system in (("source", "back"), ("target", "front")):
            most_rows = overlap(world, system, name)
            if found[f"polled_{side}"] > most_rows:
                raise Broken(
                    f"{name} reads {found[f'polled_{side}']} rows of {system} again, the overlap holds {most_rows}"
                )


def overlap(world: World, system: str, name: str) -> int:
    """Count the rows that a feed may read again."""
    kind = world.kind(system)
    every: dict[str, dict[str, tuple[str, ...]]] = {
        "partner": {"back": ("partner", "paddr"), "front": ("person", "place")},
        "deal": {"back": ("deal",), "front": ("item",)},
    }
    tables = every[name][system]
    if kind == "pointer":
        return 0
    if kind == "snapshot":
        return int(world.ask(system, f"SELECT count(*) FROM {tables[0]}")[0][0])
    since = (
        world.clock() - timedelta(seconds=OVERLAP + 600) if kind == "timestamp" else world.clock() - timedelta(hours=13)
    )
    text = f"{since:%Y%m%d%H%M%S}" if kind == "timestamp" else f"{since:%Y%m%d}"
    return sum(
        int(
            world.ask(
                system,
                f"SELECT count(*) FROM {t} WHERE coalesce({STAMP[system]}, '') = '' OR {STAMP[system]} >= %s",
                text,
            )[0][0]
        )
        for t in tables
    )


def counts(history: History) -> dict[str, Any]:
    """Run once undisturbed; I6: what the run says it made is what was made."""
    world = history.world
    marks = {side: int(world.ask(side, "SELECT coalesce(max(seq), 0) FROM audit")[0][0]) for side in ("back", "front")}
    said = world.sync()
    for side, name in (("back", "source"), ("front", "target")):
        roots = {"back": ("partner", "deal"), "front": ("person", "item")}[side]
        for object_, root in zip(OBJECTS, roots, strict=True):
            made = world.ask(
                side,
                "SELECT count(*) FROM audit WHERE who <> 'agent' AND op = 'INSERT' AND tab = %s AND seq > %s",
                root,
                marks[side],
            )
            if int(made[0][0]) != said[object_].get(f"created_{name}", 0):
                raise Broken(f"I6: {object_} says {said[object_]} and made {made[0][0]} rows in {side}")
    return said
