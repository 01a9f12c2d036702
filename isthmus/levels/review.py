"""A review: a batch of open conflicts laid before a person, and the answers carried out.

What the DAG `conflict_review` calls.  Parameters: scenario, object, kind, limit.  Personal values are hidden unless
`isthmus.yaml` says `review: {show_values: yes}`: what a page of Airflow shows, everybody who may open it can read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.errors import ConflictError
from isthmus.ledger.values import Conflict
from isthmus.levels.download import Desk
from isthmus.levels.orchestrate import desk_of
from isthmus.levels.rounds import synchronized
from isthmus.levels.settle_conflicts import ALIKE, Told, decide, standing, systems, tell
from isthmus.levels.sync_summary import duration

Parameters = Mapping[str, Any]
LEAVE = "leave open"
SHOWED = "showed values of conflicts in a review"


@dataclass(frozen=True, slots=True)
class Batch:
    """Conflicts to be decided together, all between the same two systems; `open` counts all that wait."""

    numbers: tuple[int, ...] = ()
    systems: tuple[str, ...] = ()
    open: int = 0
    alike: tuple[int, ...] = ()  # those that are doubtful matches: the same thing, or another one?


def pick(parameters: Parameters) -> Batch:
    """Choose the oldest conflicts of an object and kind (or of all) that wait."""
    object_, kind = parameters.get("object") or "", parameters.get("kind") or ""
    with desk_of(parameters, gate="off") as desk:
        flows = synchronized(desk, [object_] if object_ else [])
        found = standing(desk, flows, kind=kind, limit=int(parameters.get("limit") or 20))
        if not found:
            return Batch()
        pair = systems(found[0])
        many = sum(count.conflicts for count in desk.ledger.conflicts.counts() if count.state == "open")
        found = [one for one in found if systems(one) == pair]
        alike = tuple(one.number for one in found if one.kind == "duplicate")
        return Batch(tuple(one.number for one in found), pair, many, alike)


def lay_out(parameters: Parameters, numbers: Sequence[int], run: str) -> tuple[str, dict[int, str]]:
    """Return the batch as a table in Markdown, and a title for each conflict; what was decided meanwhile says so."""
    with desk_of(parameters, gate="off") as desk:
        show = shows_values(desk)
        told = [tell(desk, desk.ledger.conflicts.show(number), show) for number in numbers]
        if show:
            desk.ledger.events.put(
                "conflict_review", SHOWED, run=None, details={"conflicts": list(numbers), "run": run}
            )
    return table(told), {one.number: title(one) for one in told}


def shows_values(desk: Desk) -> bool:
    """Tell whether personal values may be shown in a review."""
    return str(desk.project.review.get("show_values", "no")).lower() in ("yes", "true")


def title(one: Told) -> str:
    """Name a conflict for people."""
    return f"{one.number}: {one.object.replace('_', ' ')} {one.key}, {one.field or 'the whole record'}"


def table(told: Sequence[Told]) -> str:
    """Write conflicts as a table in Markdown."""
    names = list(told[0].values) if told else []
    head = ["", "object", "key", "field", *names, "agreed last", "why", "age"]
    lines = [row(head), row(["---"] * len(head))]
    for one in told:
        values = [said(one.values[name], one.changed[name]) for name in names]
        age = duration(one.age_seconds)
        cells = [str(one.number), one.object.replace("_", " "), one.key, one.field, *values, said(one.base, "")]
        lines.append(row([*cells, reason(one), age]))
    return "\n".join(lines)


def said(value: str | None, changed: str) -> str:
    """Write a value with when and by whom it was changed."""
    text = "*(nothing)*" if value is None else cell(value)
    return f"{text} <br> *{cell(changed)}*" if changed else text


def reason(one: Told) -> str:
    """Say why a conflict waits."""
    score = f", alike by {one.score:.0%}" if one.score is not None else ""
    return cell(one.because or one.kind) + (f" ({one.state})" if one.state != "open" else "") + score


def row(cells: Sequence[str]) -> str:
    """Write one row of a table."""
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Write a text so that it stays in its cell and means nothing to Markdown or HTML.

    >>> cell("a|b <i>")
    'a&#124;b &lt;i&gt;'
    """
    for sign, plain in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("\n", " ")):
        text = text.replace(sign, plain)
    return text


def settle(parameters: Parameters, answers: Mapping[int, str], by: str, run: str) -> dict[str, Any]:
    """Carry out answers (number -> system, value, LEAVE, or of a doubtful match `same` or `create`) for a person.

    A conflict that does not wait any more is passed over and told of: somebody else was faster, or the sides agree
    by now.  Returns what was decided and the objects that have to be synchronized.
    """
    decided: list[Conflict] = []
    over: dict[int, str] = {}
    left: list[int] = []
    with desk_of(parameters, gate="off") as desk:
        for number, answer in answers.items():
            conflict = desk.ledger.conflicts.show(number)
            # whose value counts says nothing about whether two records are one
            if answer == LEAVE or (conflict.kind == "duplicate" and answer not in ALIKE):
                left.append(number)
                continue
            try:
                decide(desk, [conflict], answer, by, f"conflict_review {run}")
            except ConflictError as error:
                over[number] = str(error)
                continue
            decided.append(conflict)
        touched = {one.flow for one in decided}
        order = [flow.object for flow in synchronized(desk) if f"{flow.object}.{flow.source}.{flow.target}" in touched]
    return {
        "decided": [one.number for one in decided],
        "left": left,
        "over": over,
        "objects": order,
    }
