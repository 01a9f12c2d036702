"""Histories: what agents do to things on both sides, drawn from a seed, thing by thing.

Every thing has a random stream of its own, so a thing that fails is played again alone (`only`) and does the same.
An event is early when no run of its epoch has begun yet, late afterwards; what must come of early events is exact.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import psycopg

from isthmus.ledger.values import Take
from tests.sim.landscape import FIELDS, REFUSED
from tests.sim.world import World

OF = {
    "partner": ("name", "phone", "tag", "rank", "grp", "street", "city"),
    "deal": ("label", "state"),
}
ROOT = {"partner": {"back": "partner", "front": "person"}, "deal": {"back": "deal", "front": "item"}}
ADDRESS = {"back": "paddr", "front": "place"}
STAMP = {"back": "chdat", "front": "changed_at"}
OTHER = {"back": "front", "front": "back"}
Row = dict[str, str | None]
TWINS = True  # a thing born on the other side too, after the first side's was seen


@dataclass(slots=True)
class Event:
    """Something an agent did: an edit of a field, or a kind such as born, dropped, restored of the whole row."""

    order: int
    side: str
    kind: str
    field: str = ""
    value: str | None = None
    late: bool = False


@dataclass(slots=True)
class Thing:
    """A partner or a deal with its number, what is known to stand on both sides, and what was done to it."""

    object: str
    number: int
    random: Random
    rows: dict[str, Row | None] = field(default_factory=lambda: {"back": None, "front": None})
    base: dict[str, str | None] = field(default_factory=dict)
    paired: bool = False
    decided: dict[str, tuple[str, str | None, str | None, str | None]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    stamps: dict[str, str] = field(default_factory=lambda: {"back": "", "front": ""})
    now: dict[str, Row | None] = field(default_factory=lambda: {"back": None, "front": None})
    guid: bytes | None = None
    story: list[str] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        return f"{self.number:010d}"

    def done(self, field_: str, side: str) -> list[Event]:
        return [event for event in self.events if event.field == field_ and event.side == side]

    @property
    def whole(self) -> bool:
        """Tell whether something befell a whole row in this epoch."""
        return any(event.kind != "edit" for event in self.events)


class History:
    """Things of one world and the agents that work on them."""

    def __init__(self, world: World, seed: int, size: int, only: Sequence[tuple[str, int]] = ()) -> None:
        self.world, self.seed = world, seed
        self.random = Random(f"{seed}")
        self.order = 0
        self.late = False
        numbers = range(1, size + 1)
        every = [("partner", n) for n in numbers] + [("deal", n) for n in numbers if n % 2]
        kept = [who for who in every if not only or who in only or (who[0] == "partner" and ("deal", who[1]) in only)]
        self.things = {who: Thing(*who, Random(f"{seed}/{who}")) for who in kept}
        self.values: dict[str, int] = {}
        self.slow: set[tuple[str, int]] = set()
        self.pending: psycopg.Connection[Any] | None = None

    # --- what stands there ------------------------------------------------------------------------------------------

    def read(self) -> dict[tuple[str, int], dict[str, Row | None]]:
        """Read what both systems hold, by their own SQL; two rows of one number are an error here and now."""
        found: dict[tuple[str, int], dict[str, Row | None]] = {
            who: {"back": None, "front": None} for who in self.things
        }
        for side in ("back", "front"):
            for object_ in OF:
                for row in self._rows(side, object_):
                    who = (object_, int(row.pop("number") or 0))
                    thing = self.things.get(who)
                    assert thing is not None, f"{side} holds {who}, which nobody made"
                    thing.stamps[side] = row.pop("stamp") or ""
                    assert found[who][side] is None, f"{side} holds {who} twice\n{self.tell(thing)}"
                    found[who][side] = row
        return found

    def _rows(self, side: str, object_: str) -> list[Row]:
        key = {"back": f"t.{object_}", "front": "t.number"}[side]
        columns = [FIELDS[name][0] for name in OF[object_]]
        join = ""
        if object_ == "partner":
            tie = "partner" if side == "back" else "guid"
            join = f"LEFT JOIN {ADDRESS[side]} a USING ({tie})"
        stamp = f"t.{STAMP[side]}" if object_ == "deal" else f"greatest(t.{STAMP[side]}, a.{STAMP[side]})"
        statement = f"SELECT {key}, {', '.join(columns)}, t.gone, {stamp} FROM {ROOT[object_][side]} t {join}"
        names = ("number", *OF[object_], "deleted", "stamp")
        return [
            dict(zip(names, (v or None if v != "" else None for v in row), strict=True))
            for row in self.world.ask(side, statement)
        ]

    # --- what agents do ---------------------------------------------------------------------------------------------

    def note(self, thing: Thing, side: str, kind: str, field_: str = "", value: str | None = None) -> None:
        self.order += 1
        thing.events.append(Event(self.order, side, kind, field_, value, self.late))
        thing.story.append(f"{'late ' if self.late else ''}{side} {kind} {field_} {value or ''}".strip())

    def fresh(self, side: str) -> str:
        self.order += 1
        return f"{side[0]}{self.order}"

    def stamp(self, thing: Thing, side: str) -> str:
        """Spell the moment as the agent's clock has it: an hour wrong at times, or nothing where feeds allow it."""
        if thing.random.random() < 0.1:
            return ""
        skew = thing.random.choice([0, 0, 0, -60, 60, -30])
        at = self.world.clock() + timedelta(minutes=skew)
        return f"{at:%Y%m%d}" if side == "back" and self.world.kind("back") == "date" else f"{at:%Y%m%d%H%M%S}"

    def edit(self, thing: Thing, side: str, name: str, value: str | None) -> None:
        """Change one field the way an agent does; a change of the address stamps the address alone."""
        row = thing.now[side]
        if row is None:
            return
        column, *tables = FIELDS[name]
        table = ROOT[thing.object][side] if name == "deleted" else tables[side == "front"]
        stamp = self.stamp(thing, side)
        where, key = self._where(thing, side, table)
        statement = f"UPDATE {table} SET {column} = %s, {STAMP[side]} = %s WHERE {where}"
        if not self.world.tell(side, statement, value if name != "deleted" else value or "", stamp, key):
            if table != ADDRESS[side]:
                return
            tie = where.partition(" ")[0]
            self.world.tell(
                side, f"INSERT INTO {table} ({tie}, {column}, {STAMP[side]}) VALUES (%s, %s, %s)", key, value, stamp
            )
        row[name] = value
        if value in self.values:
            thing.undone.add(name)
        elif value:
            self.values[value] = self.order
        self.note(thing, side, "edit", name, value)

    def _where(self, thing: Thing, side: str, table: str) -> tuple[str, Any]:
        if side == "back":
            return ("deal = %s" if table == "deal" else "partner = %s"), thing.key
        return "guid = %s", self.guid(thing)

    def guid(self, thing: Thing) -> bytes | None:
        """Look up the GUID of a thing in the front office; the engine may have made it."""
        if thing.guid is None:
            found = self.world.ask(
                "front", f"SELECT guid FROM {ROOT[thing.object]['front']} WHERE number = %s", thing.key
            )
            thing.guid = bytes(found[0][0]) if found else None
        return thing.guid

    def born(self, thing: Thing, side: str, values: Row | None = None, kind: str = "born") -> None:
        """Make a row on one side."""
        partner = self.things["partner", thing.number]
        if thing.now[side] is not None or (thing.object == "deal" and side == "front" and self.guid(partner) is None):
            return
        row: Row = {name: (values or {}).get(name) or self.fresh(side) for name in OF[thing.object]} | {"deleted": None}
        stamp = self.stamp(thing, side)
        if side == "front" and thing.guid is None:
            thing.guid = uuid.UUID(int=thing.random.getrandbits(128)).bytes
        key = thing.key if side == "back" else thing.guid
        if thing.object == "partner":
            names = ("name", "phone", "tag", "rank", "grp")
            more, number = ("partner", ()) if side == "back" else ("guid, number", (thing.key,))
            self._insert(
                side,
                ROOT["partner"][side],
                f"{more}, {', '.join(names)}, {STAMP[side]}",
                (key, *number, *(row[n] for n in names), stamp),
            )
            tie = "partner" if side == "back" else "guid"
            self._insert(
                side, ADDRESS[side], f"{tie}, street, city, {STAMP[side]}", (key, row["street"], row["city"], stamp)
            )
        elif side == "back":
            self._insert(
                side, "deal", "deal, partner, label, state, chdat", (key, thing.key, row["label"], row["state"], stamp)
            )
        else:
            person = self.guid(self.things["partner", thing.number])
            self._insert(
                side,
                "item",
                "guid, number, person, label, state, changed_at",
                (key, thing.key, person, row["label"], row["state"], stamp),
            )
        thing.now[side] = row
        for value in row.values():
            if value and value not in self.values:
                self.values[value] = self.order
        self.note(thing, side, kind)

    def _insert(self, side: str, table: str, columns: str, values: tuple[Any, ...]) -> None:
        self.world.tell(side, f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(values))})", *values)

    def drop(self, thing: Thing, side: str) -> None:
        """Delete a row for good; only feeds that can see it are asked to."""
        if thing.now[side] is None or self.world.kind(side) not in ("pointer", "snapshot"):
            return
        for table in (ADDRESS[side], ROOT[thing.object][side]) if thing.object == "partner" else (ROOT["deal"][side],):
            where, key = self._where(thing, side, table)
            self.world.tell(side, f"DELETE FROM {table} WHERE {where}", key)
        thing.now[side] = None
        if side == "front" and not thing.paired:
            thing.guid = None
        self.note(thing, side, "dropped")

    def touch(self, thing: Thing, side: str) -> None:
        """Save without a change: the stamp moves, the key is delivered again."""
        if thing.now[side] is not None:
            table = ROOT[thing.object][side]
            where, key = self._where(thing, side, table)
            stamp = self.stamp(thing, side)
            self.world.tell(side, f"UPDATE {table} SET {STAMP[side]} = %s WHERE {where}", stamp, key)

    # --- what befalls a thing in one epoch ----------------------------------------------------------------------------

    def befall(self, thing: Thing, sides: Sequence[str] = ("back", "front")) -> None:
        """Let one thing happen, drawn from the thing's own stream."""
        draw, side = thing.random, thing.random.choice(list(sides))
        there = [name for name in ("back", "front") if thing.now[name] is not None]
        alive = [name for name in sides if name in there]
        if not there:
            self.born(thing, side, kind="restored" if thing.paired else "born")
        if not alive:
            return
        side = side if side in alive else alive[0]
        what = draw.random()
        name = draw.choice(OF[thing.object])
        before = [event.field for event in thing.events if event.field]
        if self.late and before and draw.random() < 0.7:  # what is on its way already is what gets lost
            name = draw.choice(before)
            what = 0.7 if name == "deleted" else 0.0
        if what < 0.5:
            self.edit(thing, side, name, self.fresh(side))
        elif what < 0.6 and len(alive) == 2:
            value = self.fresh(side) if draw.random() < 0.5 else None
            for one in alive:
                self.edit(thing, one, name, value or self.fresh(one))
        elif what < 0.66 and thing.base.get(name):
            self.edit(thing, side, name, thing.base[name])
        elif what < 0.74:
            row = thing.now[side] or {}
            self.edit(thing, side, "deleted", None if row.get("deleted") else "X")
        elif what < 0.80:
            self.drop(thing, side)
        elif what < 0.84:
            self.touch(thing, side)
        elif what < 0.87 and thing.object == "partner" and "back" in alive:
            self.edit(thing, "back", "tag", REFUSED)
        elif (
            what < 0.92
            and len(there) == 1
            and not self.late
            and (TWINS or thing.paired or thing.rows[there[0]] is None)
        ):
            self.born(thing, OTHER[side], kind="restored" if thing.paired else "born")
        elif thing.object == "partner":
            self.edit(thing, side, draw.choice(("street", "city")), self.fresh(side))
        if thing.now["back"] and thing.now["back"].get("tag") == REFUSED and draw.random() < 0.5:
            self.edit(thing, "back", "tag", self.fresh("back"))

    def early(self, share: float = 0.4) -> None:
        """Let agents work before any run of this epoch."""
        self.late = False
        for thing in self.things.values():
            while not self.is_slow(thing) and thing.random.random() < share:
                self.befall(thing)

    def begin_slow(self) -> None:
        """An agent begins a transaction on some things and takes his time; nobody else touches them meanwhile."""
        side = self.random.choice(("back", "front"))
        usual, self.slow = self.world.agents[side], set()
        connection = psycopg.connect(self.world.urls[side], application_name="agent")
        self.world.agents[side] = connection
        self.late = True
        for thing in self.things.values():
            if not thing.events and thing.random.random() < 0.04:
                self.edit(thing, side, thing.random.choice(OF[thing.object]), self.fresh(side))
                self.slow.add((thing.object, thing.number))
        self.late = False
        self.world.agents[side] = usual
        self.pending = connection

    def end_slow(self) -> None:
        """That agent saves."""
        if self.pending is not None:
            self.pending.commit()
            self.pending.close()
            self.pending = None

    def decide(self) -> None:
        """A person decides some of what is held, as the ledger shows it."""
        for name in OF:
            for one in self.world.ledger.conflicts.open(f"{name}.back.front", kind="both changed", limit=1000):
                thing = self.thing(name, one.source_key)
                if thing is None or thing.random.random() < 0.6:
                    continue
                take: Take = thing.random.choice(("source", "target", "value"))
                value = f"d{one.number}" if take == "value" and one.field != "deleted" else None
                take = take if value or take != "value" else "source"
                self.world.ledger.conflicts.decide([one.number], take, value, by="somebody")
                side = {"source": "back", "target": "front", "value": "value"}[take]
                thing.decided[one.field] = (side, value, one.source_value, one.target_value)
                thing.story.append(f"decided {one.field}: {side} {value or ''}")

    def thing(self, object_: str, key: str | None) -> Thing | None:
        return self.things.get((object_, int(key))) if key and key.isdigit() else None

    def meanwhile(self, sides: Sequence[str], share: float = 0.15) -> None:
        """Let agents work while a run is under way."""
        self.late = True
        for thing in self.things.values():
            if thing.random.random() < share and not self.is_slow(thing):
                self.befall(thing, sides)

    def is_slow(self, thing: Thing) -> bool:
        """Tell whether somebody works on a thing in a transaction that is not over."""
        return self.pending is not None and (thing.object, thing.number) in self.slow

    def begin_epoch(self) -> None:
        """Go on from what stands there: verified before."""
        for thing in self.things.values():
            thing.events.clear()
            thing.now = {side: dict(row) if row is not None else None for side, row in thing.rows.items()}
        self.late = False

    def tell(self, thing: Thing) -> str:
        """Say what befell a thing, and how to play it again."""
        said = "\n  ".join(thing.story[-25:])
        return (
            f"{thing.object} {thing.number} of seed {self.seed}, feeds {self.world.kinds}:\n  {said}\n"
            f"  stood {thing.rows}, agreed {thing.base}, decided {thing.decided}"
        )
