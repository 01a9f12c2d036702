"""What must hold, worked out in plain Python from the requests alone: no SQL, no images, no totals.

Requests that were deleted never were: whatever they did is forgotten and the others are played again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from warehouse.spec import Store, Warehouse

Key = tuple[Any, ...]  # (source, *key)
Values = dict[str, Any]


@dataclass
class Arrived:
    """One record of a request; `held` records have no effect."""

    key: Key
    mode: str
    seq: str | None
    values: Values
    package: int
    number: int
    held: bool = False

    @property
    def order(self) -> tuple[str, int, int]:
        return (self.seq or "", self.package, self.number)


@dataclass
class Known:
    """A record as it holds, or its tombstone."""

    values: Values
    posted: Values
    seq: str | None
    request: int
    deleted: bool = False


@dataclass
class Load:
    """One request as the oracle knows it: `posted` and `before` are noted when it is activated."""

    id: int
    store: str
    source: str
    mode: str
    as_of: date
    records: list[Arrived] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    active: bool = False
    deleted: bool = False
    compared: bool = False
    parent: int | None = None
    posted: dict[Key, Values] = field(default_factory=dict)
    before: dict[Key, Known | None] = field(default_factory=dict)  # of the keys it changed or touched
    touched: set[Key] = field(default_factory=set)


@dataclass
class Entry:
    """A record or key that is held."""

    load: int
    key: Key
    kind: str
    record: Arrived | None
    open: bool = True
    ended_by: int | None = None


class Oracle:
    """Active data, history, late records and held entries of every store, as they must be."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.loads: dict[int, Load] = {}
        self.held: list[Entry] = []
        self.forget()

    def forget(self) -> None:
        self.active: dict[str, dict[Key, Known]] = defaultdict(dict)
        self.days: dict[str, dict[Key, list[tuple[date, Values | None]]]] = defaultdict(lambda: defaultdict(list))
        self.late: set[tuple[int, int, int]] = set()

    # --- loading ------------------------------------------------------------------------------------------------

    def compare(self, load: Load) -> tuple[int, int]:
        """Cut a full load down to its differences; returns how many differ and how many are gone."""
        store = self.warehouse.stores[load.store]
        known = self.active[load.store]
        kept = []
        for record in effective(load.records):
            there = known.get(record.key)
            live = there is not None and not there.deleted
            if record.mode in "DR" and record.mode:
                differs = live
            else:
                differs = not live or own(store, there.values) != own(store, record.values)  # type: ignore[union-attr]
            if differs:
                kept.append(record)
        named = {record.key for record in load.records}
        waiting = {entry.key for entry in self.held if entry.open and self.loads[entry.load].store == load.store}
        gone = sorted(
            (key for key, there in known.items() if key[0] == load.source and not there.deleted and key not in named),
            key=repr,
        )
        package = max((record.package for record in load.records), default=0) + 1
        deletes = [Arrived(key, "D", None, {}, package, 0) for key in gone if key not in waiting]
        load.records, load.compared = kept + deletes, True
        return len(kept), len(deletes)

    def follow(self, load: Load) -> set[tuple[int, int]]:
        """Hold what follows held keys; returns package and number of every record of the load that is held."""
        for record in sorted(load.records, key=lambda item: item.order):
            if not record.held and any(self._holds_back(entry, load, record) for entry in self.held):
                record.held = True
                self.held.append(Entry(load.id, record.key, "follows", record))
        return {(record.package, record.number) for record in load.records if record.held}

    def _holds_back(self, entry: Entry, load: Load, record: Arrived) -> bool:
        if not entry.open or entry.key != record.key or self.loads[entry.load].store != load.store:
            return False
        return entry.load != load.id or entry.record is None or entry.record.order < record.order

    def newest(self, store: str, key: Key) -> Arrived | None:
        """Return the newest record of a held key that any request has."""
        first = min(entry.load for entry in self.held if entry.open and self._is(entry, store, key))
        found = [
            (record.seq or "", load.id, record.package, record.number, record)
            for load in self.loads.values()
            if load.store == store and not load.deleted and load.id >= first
            for record in load.records
            if record.key == key
        ]
        return max(found, key=lambda item: item[:4])[4] if found else None

    def end(self, store: str, key: Key, by: int) -> None:
        for entry in self.held:
            if entry.open and self._is(entry, store, key):
                entry.open, entry.ended_by = False, by

    def open_keys(self, store: str) -> dict[Key, set[str]]:
        found: dict[Key, set[str]] = defaultdict(set)
        for entry in self.held:
            if entry.open and self.loads[entry.load].store == store:
                found[entry.key].add(entry.kind)
        return dict(found)

    def _is(self, entry: Entry, store: str, key: Key) -> bool:
        return entry.key == key and self.loads[entry.load].store == store

    # --- activation ---------------------------------------------------------------------------------------------

    def activate(self, load: Load) -> None:
        load.active = True
        self._apply(load, first=True)

    def delete(self, load: Load) -> None:
        """A request that never was: the others of its store are played again, with what they had posted."""
        load.deleted = True
        for entry in self.held:
            if entry.ended_by == load.id:
                entry.open, entry.ended_by = True, None
            if entry.load == load.id and entry.open:
                entry.open = False
        store = load.store
        self.active[store], self.days[store] = {}, defaultdict(list)
        self.late = {item for item in self.late if self.loads[item[0]].store != store}
        for other in sorted(self.loads.values(), key=lambda item: item.id):
            if other.store == store and other.active and not other.deleted:
                self._apply(other, first=False)

    def may_delete(self, load: Load, absorbed: bool) -> bool:
        later = [other for other in self.loads.values() if other.store == load.store and other.id > load.id]
        later = [other for other in later if not other.deleted]
        spoken = {record.key for other in later if other.active for record in other.records if not record.held}
        return not absorbed and not any(other.compared for other in later) and not spoken & load.before.keys()

    def changed_since(self, load: Load) -> set[Key]:
        mine = load.before.keys() - load.touched
        later = [
            o for o in self.loads.values() if o.store == load.store and o.id > load.id and o.active and not o.deleted
        ]
        return {key for other in later for key in other.before if key in mine}

    def _apply(self, load: Load, first: bool) -> None:
        store, known = self.warehouse.stores[load.store], self.active[load.store]
        load.before, load.touched = {}, set()
        for record in effective(item for item in load.records if not item.held):
            self._record(load, store, known, record, first)

    def _record(self, load: Load, store: Store, known: dict[Key, Known], record: Arrived, first: bool) -> None:
        there = known.get(record.key)
        live = there is not None and not there.deleted
        stood = there.seq if there else None
        if record.seq is not None and stood is not None and record.seq < stood:
            self.late.add((load.id, record.package, record.number))
            return
        seq = stood if record.seq is None else record.seq
        gone = record.mode in ("D", "R")
        if gone == live or (live and there is not None and own(store, there.values) != own(store, record.values)):
            load.before[record.key] = there
            posted: Values = {}
            if not gone:
                posted = self._posted(load, store, record) if first else load.posted[record.key]
                load.posted[record.key] = posted
            known[record.key] = Known({} if gone else record.values, posted, seq, load.id, gone)
            self.days[load.store][record.key].append((load.as_of, None if gone else record.values))
        elif record.seq is not None and record.seq != stood:
            load.before[record.key] = there
            load.touched.add(record.key)
            if there is None:
                known[record.key] = Known({}, {}, seq, load.id, True)
            else:
                known[record.key] = Known(there.values, there.posted, seq, there.request, there.deleted)

    def _posted(self, load: Load, store: Store, record: Arrived) -> Values:
        if load.mode == "REVERSAL" and load.parent is not None:
            before = self.loads[load.parent].before.get(record.key)
            return dict(before.posted) if before else {}
        found: Values = {}
        for item in store.posted:
            dimension = self.warehouse.dimensions[item.dimension]
            of = self.warehouse.stores[dimension.store]
            sources = [feed.system for feed in of.feeds]
            wanted = record.values.get(item.by)
            value = None
            for source in reversed(sources):
                key = (source, wanted)
                if item.on and item.attribute in of.history:
                    day = record.values.get(item.on) or load.as_of
                    slices = self.slices(of.name).get(key, [])
                    hit = [values for begin, end, values in slices if begin <= day <= end]
                    value = hit[0][item.attribute] if hit else value
                else:
                    member = self.active[of.name].get(key)
                    value = member.values.get(item.attribute) if member and not member.deleted else value
            found[item.name] = value
        return found

    # --- history ------------------------------------------------------------------------------------------------

    def slices(self, store: str) -> dict[Key, list[tuple[date, date, Values]]]:
        """Return the values of each key by days: the last word of a day counts, the first known for all days before."""
        names = self.warehouse.stores[store].history
        found: dict[Key, list[tuple[date, date, Values]]] = {}
        for key, said in self.days[store].items():
            by_day = {day: values for day, values in said}
            first = next(values for _, values in said)
            days: list[tuple[date, Values | None]] = [(date.min, first)]
            days += [(day, values) for day, values in sorted(by_day.items())]
            kept: list[tuple[date, Values | None]] = []
            for day, values in days:
                shown = None if values is None else {name: values.get(name) for name in names}
                if not kept or kept[-1][1] != shown:
                    kept.append((day, shown))
            ends = [day for day, _ in kept[1:]] + [None]
            found[key] = [
                (day, date.fromordinal(end.toordinal() - 1) if end else date(9999, 12, 31), shown)
                for (day, shown), end in zip(kept, ends, strict=True)
                if shown is not None
            ]
        return found


def effective(records: Iterable[Arrived]) -> list[Arrived]:
    """Return the record that counts of each key."""
    last: dict[Key, Arrived] = {}
    for record in sorted(records, key=lambda item: item.order):
        last[record.key] = record
    return list(last.values())


def own(store: Store, values: Mapping[str, Any]) -> list[Any]:
    """Return a record's fields in the order of the store's."""
    return [values.get(item.name) for item in store.fields if item.name not in store.key]
