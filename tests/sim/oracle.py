"""What must come of a history, said again in plain Python, one thing and one field at a time.

`expected` is exact: what two undisturbed runs must leave where agents had finished before the first of them.
`allowed` bounds what may come of edits made while runs were under way or had died: nobody's edit is lost silently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tests.sim.history import OF, OTHER, Event, Row, Thing
from tests.sim.landscape import REFUSED

Policy = Literal["back", "front", "hold", "newest", "only back"]
POLICIES: dict[str, dict[str, Policy]] = {
    "partner": {
        "name": "front",
        "phone": "back",
        "tag": "hold",
        "rank": "newest",
        "grp": "only back",
        "street": "front",
        "city": "hold",
        "deleted": "back",
    },
    "deal": {"label": "front", "state": "hold", "deleted": "front"},
}
EXISTENCE = {"partner": "back", "deal": "front"}  # who owns the delete marker owns whether a thing is there


def policy(thing: Thing, name: str, dated: bool) -> Policy:
    """Return who decides a field; where back stamps days only, its owner decides instead of the newer stamp."""
    found = POLICIES[thing.object][name]
    return "back" if found == "newest" and dated else found


@dataclass(slots=True)
class Expected:
    """Both rows, what is agreed afterwards, the fields that wait for a person, and whether an exception is due."""

    back: Row | None
    front: Row | None
    base: dict[str, str | None]
    paired: bool
    held: set[str] = field(default_factory=set)
    stuck: bool = False


def expected(thing: Thing, dated: bool, parent: bool) -> Expected:
    """Say what two runs make of a thing that agents left alone meanwhile; `parent`: its partner is paired."""
    rows = {side: dict(row) if row is not None else None for side, row in thing.now.items()}
    base, paired = dict(thing.base), thing.paired
    back, front = rows["back"], rows["front"]
    result = Expected(back, front, base, paired)
    if back is not None and back.get("tag") == REFUSED:
        result.stuck = True
        return result
    if back is None and front is None:
        return result
    if back is None or front is None:
        return lacking(thing, result, parent)
    result.paired = True
    for name in POLICIES[thing.object]:
        settle_field(thing, name, back, front, result, policy(thing, name, dated))
    return result


def lacking(thing: Thing, result: Expected, parent: bool) -> Expected:
    """A thing that one side lacks: made there, or marked as deleted where it still stands."""
    lacks = "back" if result.back is None else "front"
    row = result.front if lacks == "back" else result.back
    assert row is not None
    owner = EXISTENCE[thing.object]
    if thing.paired and owner == lacks:
        row["deleted"] = "X"
        result.base = dict(row)
        return result
    if row["deleted"]:
        if thing.paired:
            result.base = dict(row)
        return result
    if thing.object == "deal" and (lacks == "back" or not parent):
        result.stuck = True
        return result
    setattr(result, lacks, dict(row))
    result.base, result.paired = dict(row), True
    return result


def settle_field(thing: Thing, name: str, back: Row, front: Row, result: Expected, decides: Policy) -> None:
    """Settle one field of two rows in place."""
    left, right = back[name], front[name]
    known, was = name in thing.base, thing.base.get(name)
    if left == right:
        result.base[name] = left
        return
    winner = winning(thing, left, right, known, was, decides)
    decided = thing.decided.get(name)
    if decided and decided[2:] == (left, right):
        winner = decided[0]
    if winner == "hold":
        result.held.add(name)
        return
    value = {"back": left, "front": right}.get(winner, decided[1] if decided else None)
    back[name] = front[name] = result.base[name] = value


def winning(thing: Thing, left: str | None, right: str | None, known: bool, was: str | None, decides: Policy) -> str:
    """Say whose value a field takes: `back`, `front`, or `hold`."""
    if decides == "only back":
        return "back"
    if known and left == was:
        return "front"
    if known and right == was:
        return "back"
    if decides != "newest":
        return decides
    mine, theirs = thing.stamps["back"], thing.stamps["front"]
    if not mine or not theirs or mine == theirs:
        return "hold"
    return "back" if mine > theirs else "front"


def allowed(thing: Thing, name: str, back: str | None, front: str | None, dated: bool) -> str:
    """Say why what stands in a field is not allowed after edits during runs, or ''."""
    start = {side: (row or {}).get(name) for side, row in thing.rows.items()}
    edits = {side: thing.done(name, side) for side in ("back", "front")}
    last = {side: edits[side][-1].value if edits[side] else start[side] for side in edits}
    decides = policy(thing, name, dated)
    decided = thing.decided.get(name)
    if back != front:
        if decides not in ("hold", "newest"):
            return "the sides disagree, and nobody is to be asked"
        stands = {"back": back, "front": front}
        third = decided[1] if decided else None  # a third value may have reached one side
        odd = [side for side in stands if stands[side] != last[side] and (third is None or stands[side] != third)]
        return f"what {odd[0]} holds is not its last edit" if odd else ""
    if decides == "only back" and thing.rows["back"] is None and not edits["back"]:
        return ""  # whatever stood in front when its row in back was made is what is put right
    agreed = start["back"] == start["front"]
    for side in ("back", "front"):
        if agreed and edits[side] and not edits[OTHER[side]]:
            due = start["back"] if decides == "only back" and side == "front" else last[side]
            return "" if back == due else f"only {side} edited, and its last edit {due} is not what stands"
    if decided and back == decided[1]:
        return ""
    if back not in last.values():
        return "what stands is nobody's last edit"
    if agreed and not edits["back"] and not edits["front"] and back != start["back"]:
        return "nobody edited it"
    return lost_by_owner(decides, edits, back, name in thing.undone, agreed)


def lost_by_owner(decides: Policy, edits: dict[str, list[Event]], value: str | None, undone: bool, agreed: bool) -> str:
    """The declared owner loses only what the other side edited after it had travelled."""
    owner = {"only back": "back"}.get(decides, decides)
    if owner not in edits or not edits[owner] or not edits[OTHER[owner]] or undone or not agreed:
        return ""
    mine, theirs = edits[owner][-1], edits[OTHER[owner]][-1]
    if value == mine.value or (theirs.late and theirs.order > mine.order and decides != "only back"):
        return ""
    return f"{owner} owns it, and its last edit {mine.value} was lost to {theirs.value}"


__all__ = ["OF", "Expected", "allowed", "expected"]
