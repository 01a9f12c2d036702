"""Settle conflicts: what a person sees of them, and what becomes of the answer.

The command line and the DAG `conflict_review` share this.  Personal values are hidden unless somebody asks for them
by name; a decision is kept with its reason and applied by the next round of its flow.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConfigError, DataError, did_you_mean
from isthmus.ledger.story import spellings
from isthmus.ledger.values import Conflict, Take
from isthmus.levels.download import Desk
from isthmus.levels.rounds import Round, age, keep_in_step, synchronized
from isthmus.levels.route import flow_name
from isthmus.mapping.policy import DELETED
from isthmus.mapping.reading import MASKED
from isthmus.mapping.spec import Field, Flow

TYPES: Mapping[str, pa.DataType] = {
    "date": pa.date32(),
    "time": pa.time32("s"),
    "moment": pa.timestamp("s"),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}
WRITTEN = {"date": "a date, 2026-12-31", "time": "a time, 14:30:00", "boolean": "true or false"}
VALUED = ("both changed", "refused")  # kinds where a third value makes sense
ALIKE = {"same": "it is the same thing", "create": "it is another one, which gets a record of its own"}
PAGE = 1_000
SAW = "saw the values of a conflict"


@dataclass(frozen=True, slots=True)
class Told:
    """A conflict as people see it: sides called by their systems, personal values hidden unless they were asked for."""

    number: int
    flow: str
    field: str
    kind: str
    keys: Mapping[str, str]
    base: str | None
    values: Mapping[str, str | None]
    changed: Mapping[str, str]
    because: str
    score: float | None
    state: str
    age_seconds: float
    times: int
    decision: str

    @property
    def object(self) -> str:
        """Return the object it is about."""
        return self.flow.partition(".")[0]

    @property
    def key(self) -> str:
        """Return the key people know the thing by: the source's, else the target's."""
        return next((key for key in self.keys.values() if key), "")


# --- look ---------------------------------------------------------------------------------------------------------


def standing(
    desk: Desk, flows: Sequence[Flow] = (), *, kind: str = "", field: str = "", state: str = "open", limit: int = 100
) -> list[Conflict]:
    """Return conflicts of some flows (none: of all), the oldest first; `state` "all" leaves none out."""
    names: Sequence[str | None] = [flow_name(flow) for flow in flows] or [None]
    ask = partial(desk.ledger.conflicts.open, kind=kind or None, field=field or None, limit=limit)
    found = [one for name in names for one in ask(name, state=None if state == "all" else state)]
    return sorted(found, key=lambda one: one.number)[:limit]


def waiting(desk: Desk, flows: Sequence[Flow], kind: str = "", field: str = "") -> list[Conflict]:
    """Return every open conflict of some flows, however many there are."""
    found: list[Conflict] = []
    for flow in flows:
        ask = partial(desk.ledger.conflicts.open, flow_name(flow), kind=kind or None, field=field or None, limit=PAGE)
        page = ask()
        while page:
            found += page
            page = ask(after=page[-1].number)
    return found


def tell(desk: Desk, conflict: Conflict, show_values: bool = False) -> Told:
    """Lay a conflict out for people."""
    source, target = systems(conflict)
    hidden = not show_values and is_personal(desk, conflict)
    values = (conflict.base, conflict.source_value, conflict.target_value, conflict.value)
    base, ours, theirs, third = (MASKED if hidden and value is not None else value for value in values)
    sides = {"source": source, "target": target}
    decided = f"{sides.get(conflict.take or '', third or '')} by {conflict.decided_by}" if conflict.take else ""
    return Told(
        number=conflict.number,
        flow=conflict.flow,
        field=conflict.field,
        kind=conflict.kind,
        keys={source: conflict.source_key or "", target: conflict.target_key or ""},
        base=base,
        values={source: ours, target: theirs},
        changed={
            source: changed(conflict.source_at, conflict.source_by),
            target: changed(conflict.target_at, conflict.target_by),
        },
        because=MASKED if hidden and conflict.because and conflict.kind == "refused" else conflict.because or "",
        score=conflict.score,
        state=conflict.state,
        age_seconds=age(conflict.opened_at, desk.clock()),
        times=conflict.times,
        decision=f"{decided}: {conflict.why}" if decided and conflict.why else decided,
    )


def history(desk: Desk, key: str, flows: Sequence[Flow]) -> list[Conflict]:
    """Return every conflict that a thing ever had, by its key in either system; leading zeros need not be typed."""
    asked = pa.array(spellings(key), pa.string())
    found: dict[int, Conflict] = {}
    for flow in flows:
        for system in (flow.source, flow.target):
            client = desk.project.system(system).client
            known = desk.ledger.keys.find(flow.object, system, asked)
            ids = pc.coalesce(known, desk.ledger.keys.ids(flow.object, system, client, asked))
            wanted = [uuid.UUID(bytes=id) for id in ids.to_pylist() if id]
            found |= {one.number: one for one in desk.ledger.conflicts.of(flow_name(flow), wanted)}
    return [found[number] for number in sorted(found)]


def saw(desk: Desk, conflict: Conflict, by: str) -> None:
    """Write down that somebody looked at values that are personal; the values stay out of the trail."""
    desk.ledger.events.put(
        by, SAW, flow=conflict.flow, object=conflict.flow.partition(".")[0], key=conflict.source_key,
        details={"conflict": conflict.number, "field": conflict.field},
    )  # fmt: skip


def systems(conflict: Conflict) -> tuple[str, str]:
    """Return the names of source and target."""
    _, source, target = conflict.flow.split(".")
    return source, target


def is_personal(desk: Desk, conflict: Conflict) -> bool:
    """Tell whether the model calls the field personal; a field it does not know is treated so."""
    if conflict.field in ("", "key", DELETED):
        return False
    known = field_of(desk, conflict)
    return known is None or known.personal


def changed(at: str | None, by: str | None) -> str:
    """Say when and by whom a side was changed, as far as it says so.

    >>> changed("20260102143000", "AGENT7"), changed("20260102", None), changed(None, None)
    ('2026-01-02 14:30:00 by AGENT7', '2026-01-02', '')
    """
    text = at or ""
    if len(text) == 14 and text.isdigit():
        text = f"{datetime.strptime(text, '%Y%m%d%H%M%S').replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S}"
    elif len(text) == 8 and text.isdigit():
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return " by ".join(part for part in (text, by or "") if part)


# --- decide -------------------------------------------------------------------------------------------------------


def decide(desk: Desk, conflicts: Sequence[Conflict], said: str, by: str, why: str) -> int:
    """Decide conflicts the same way: `said` is a side (source, target, or its system) or a value; returns how many.

    A value is checked against the field's type before anything is stored, and kept the way the engine spells it.
    Raises ConfigError for what cannot be taken, DataError for a value that does not fit, ConflictError for a
    conflict that does not wait any more; then none is decided.
    """
    if not by.strip():
        raise ConfigError("a decision is kept with the name of who made it; say --by NAME")
    groups: dict[tuple[Take, str | None], list[int]] = {}
    for conflict in conflicts:
        groups.setdefault(choice(desk, conflict, said), []).append(conflict.number)
    return sum(
        desk.ledger.conflicts.decide(numbers, take, value, by=by, why=why) for (take, value), numbers in groups.items()
    )


def choice(desk: Desk, conflict: Conflict, said: str) -> tuple[Take, str | None]:
    """Turn what a person said into a decision; `=TEXT` is always a value. A doubtful match is `same` or `create`."""
    source, target = systems(conflict)
    if conflict.kind == "duplicate":
        if said not in ALIKE:
            meant = " or ".join(f"{word} ({text})" for word, text in ALIKE.items())
            raise ConfigError(f"conflict {conflict.number} is a doubtful match: expected {meant}, no side")
        return "value", said
    for side, names in (("source", ("source", source)), ("target", ("target", target))):
        if said in names:
            return ("source", None) if side == "source" else ("target", None)
    return "value", checked(desk, conflict, said.removeprefix("="))


def checked(desk: Desk, conflict: Conflict, value: str) -> str:
    """Return a value the way images spell it; raises DataError when the field cannot hold it."""
    where = f"conflict {conflict.number}, {conflict.flow.partition('.')[0]}.{conflict.field or '(record)'}"
    source, target = systems(conflict)
    known = field_of(desk, conflict)
    if conflict.kind not in VALUED or known is None:
        raise ConfigError(
            f'{where}: expected {source} or {target}; a conflict of the kind "{conflict.kind}" takes no other value'
        )
    try:
        text = spelled(known, value)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        expected = WRITTEN.get(known.type, words(known))
        raise DataError(
            f"{where}: the value given does not fit, expected {expected}; nothing was decided. "
            f"To take a side, say {source} or {target}"
        ) from None  # its text holds the value
    refuse_unknown(desk, known, text, source, where)
    return text


def spelled(field: Field, value: str) -> str:
    """Spell a value as its field's type does; raises ValueError or pa.ArrowInvalid.

    >>> spelled(Field("starts_on", "date"), "2026-01-31"), spelled(Field("loud", "boolean"), "yes")
    ('2026-01-31', 'true')
    """
    if not value:
        raise ValueError("empty")
    if field.type == "boolean":
        value = {"yes": "true", "no": "false"}.get(value, value)
    if field.type == "text" and field.args and len(value) > int(field.args[0]):
        raise ValueError("too long")
    kind = type_of(field)
    return str(pc.cast(pc.cast(pa.array([value], pa.string()), kind), pa.string())[0].as_py())


def type_of(field: Field) -> pa.DataType:
    """Return the Arrow type of a field of the model."""
    if field.type == "decimal":
        precision, _, scale = (field.args[0] if field.args else "31.14").partition(".")
        return pa.decimal128(int(precision), int(scale or 0))
    return TYPES.get(field.type, pa.string())


def words(field: Field) -> str:
    """Say a field's type as the model writes it."""
    return f"{field.type}({', '.join(field.args)})" if field.args else field.type


def refuse_unknown(desk: Desk, field: Field, value: str, source: str, where: str) -> None:
    """Raise DataError for a code that is in no table, or a reference to a thing nobody knows."""
    table = desk.project.catalogue.codes.get(field.args[0]) if field.type == "code" and field.args else None
    if table is not None:
        codes = sorted(set.intersection(*(set(values) for values in table.systems.values())))
        if value not in codes:
            raise DataError(
                f'{where}: "{value}" is no {table.name}.{did_you_mean(value, codes)} Known: {", ".join(codes)}.'
            )
    if field.type == "ref" and field.args:
        found = desk.ledger.keys.find(field.args[0], source, pa.array([value], pa.string()))
        if found.null_count:
            raise DataError(f"{where}: {source} has no {field.args[0]} of that key; give it as {source} writes it")


def field_of(desk: Desk, conflict: Conflict) -> Field | None:
    """Return the field of the model that a conflict is about; None for a whole record."""
    model = desk.project.catalogue.models.get(conflict.flow.partition(".")[0])
    if model is None:
        return None
    return model.deleted if conflict.field == DELETED else model.field(conflict.field)


# --- apply --------------------------------------------------------------------------------------------------------


def apply(desk: Desk, flows: Sequence[str], run: str = "") -> list[Round]:
    """Run the flows whose conflicts were decided; what has to wait says so and is applied later."""
    return [keep_in_step(desk, flow, run) for flow in synchronized(desk) if flow_name(flow) in set(flows)]


__all__ = ["Told", "apply", "decide", "history", "saw", "standing", "systems", "tell", "waiting"]
