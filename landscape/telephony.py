"""Statistics files of the telephone system: one CSV a day, one line for each half hour, queue, agent and direction.

A day is `calls/YYYYMMDD.csv` below the inbox.  It is complete when `YYYYMMDD.done` stands beside it: the marker is
made last and holds the SHA-256 of the file as it was sent, so that one which was cut on its way is told from a whole
one.  A file without a marker is still on its way.  The files connector reads one file where its name is the pattern:

    connect("files", {"path": inbox, "format": "csv", "key": [...], "pattern": "calls/20260105.csv"})

Its only table is then `calls`, which the mapping of `tel` reads as `call_interval`: what is wrong with a line of the
file is told by `rejected()` with its number, what is wrong with its values by the records' own `rejects`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from landscape import center
from landscape.columns import choose, day, stamps
from landscape.draw import Draw, Ids

FOLDER = "calls"
COLUMNS = (
    *("INTERVAL_START", "QUEUE", "AGENT", "DIRECTION", "OFFERED", "ANSWERED", "ABANDONED", "ABANDONED_SHORT"),
    *("ANSWERED_20S", "WAIT_SECONDS", "TALK_SECONDS", "HOLD_SECONDS", "WRAP_SECONDS", "TRANSFERS"),
)
NOBODY = "NONE"
"""Stands for the agent of calls that were given up in the queue."""
_TALK = np.array([205, 260, 310, 150])  # usual seconds of talk in each queue
_LOAD = np.array([46, 20, 22, 12])  # percent of all calls
CALLS = 0.015
"""Calls of a usual day for each contract; only some are written down as contacts."""
_PATIENCE = 95  # seconds of waiting that a usual caller bears
Broken = Literal["cut", "column", "negative", "date", "twice", "incomplete"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that was delivered: its day, where it lies, its lines without the header, and what is wrong with it."""

    day: date
    path: Path
    lines: int
    broken: Broken | None = None

    @property
    def marker(self) -> Path:
        """Return where the marker stands that says the file is complete."""
        return self.path.with_suffix(".done")


def write(
    folder: Path,
    *,
    contracts: int,
    days: int,
    seed: int,
    now: datetime,
    broken: Sequence[Broken] = (),
) -> tuple[Delivery, ...]:
    """Deliver the last `days` days before the day of `now` into an inbox, as busy as so many contracts make it.

    The same arguments write the same files.  Sundays have none.  The last days get what `broken` says, one each, in
    its order: a line that is `cut`, a `column` of another name, a `negative` count, a `date` that is none, the
    content of the day before `twice`, or no marker yet because the file is `incomplete`.  Raises OSError.
    """
    inbox = folder / FOLDER
    inbox.mkdir(parents=True, exist_ok=True)
    today = now.date()
    open_days = [one for one in (today - timedelta(days=back) for back in range(days, 0, -1)) if one.weekday() < 6]
    wrong: dict[date, Broken] = dict(zip(open_days[-len(broken) :], broken, strict=False)) if broken else {}
    return tuple(_deliver(inbox, one, contracts, seed, wrong.get(one)) for one in open_days)


def _deliver(inbox: Path, on: date, contracts: int, seed: int, broken: Broken | None) -> Delivery:
    drawn = on if broken != "twice" else on - timedelta(days=2 if on.weekday() == 0 else 1)
    table = intervals(drawn, contracts=contracts, seed=seed)
    sent = _text(table)
    content = SPOILED[broken](sent) if broken in SPOILED else sent
    delivery = Delivery(on, inbox / f"{on:%Y%m%d}.csv", table.num_rows, broken)
    part = delivery.path.with_suffix(".csv.part")
    part.write_bytes(content)
    part.replace(delivery.path)
    delivery.marker.unlink(missing_ok=True)
    if broken != "incomplete":
        digest = hashlib.sha256(sent if broken == "cut" else content).hexdigest()
        delivery.marker.write_text(f"{digest}\n", encoding="ascii")
    return delivery


def _text(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(quoting_style="needed"))
    return bytes(sink.getvalue())


# ---- what the telephone system counts ------------------------------------------------------------------------------


def intervals(on: date, *, contracts: int, seed: int) -> pa.Table:
    """Return the lines of one day: `COLUMNS`, counts and seconds as whole numbers, in order of their key.

    Of the calls that came in agents answered some; what was given up in the queue has no agent.  A queue that is
    busier than its agents can bear lets people wait, and those who wait too long give up.
    """
    draw, number = Draw(seed), day(on)
    halves, queues = np.arange(center.OPENS, center.CLOSES), np.arange(len(center.QUEUES))
    half, queue = (grid.ravel() for grid in np.meshgrid(halves, queues, indexing="ij"))
    ids = (number * 48 + half) * len(queues) + queue
    busy = int(center.WEEK[on.weekday()]) * int(center.YEAR[on.month - 1]) / 10_000
    usual = contracts * CALLS * busy / center.CURVE.sum()
    expected = usual * center.CURVE[half - center.OPENS] * _LOAD[queue] / 100
    offered = _whole(draw, "tel.offered", ids, expected * (0.7 + 0.6 * draw.share("tel.busy", ids)))
    waited = _waited(draw, ids, offered, queue, contracts)
    short = _whole(draw, "tel.short", ids, offered * 0.015)
    given_up = _whole(draw, "tel.given_up", ids, offered * np.minimum(waited / (waited + 9.0 * _PATIENCE), 0.5))
    abandoned = np.minimum(offered, short + given_up)
    short = np.minimum(short, abandoned)
    lines = [*_answered(draw, ids, half, queue, offered - abandoned, waited), _lost(half, queue, abandoned, short)]
    lines.append(_dialled(draw, ids, half, queue, contracts))
    table = pa.concat_tables(
        [_table(number, line) for line in lines if len(line["half"])] or [_table(number, lines[0])]
    )
    return table.sort_by([(name, "ascending") for name in COLUMNS[:4]])


Counts = Mapping[str, Ids]


def _whole(draw: Draw, stream: str, ids: Ids, expected: np.ndarray) -> Ids:
    """Return whole numbers that are as expected on average."""
    return np.floor(expected + draw.share(stream, ids)).astype(np.int64)


def _waited(draw: Draw, ids: Ids, offered: Ids, queue: Ids, contracts: int) -> np.ndarray:
    """Return the usual seconds of waiting: few while agents are free, more and more as they are not."""
    seats = np.maximum(1.0, contracts * CALLS * _LOAD[queue] / 100 / 66)
    strain = offered * (_TALK[queue] + 60) / 1800 / seats
    return np.asarray(4 + 26 * strain**2 * (0.6 + 0.8 * draw.share("tel.strain", ids)))


def _answered(draw: Draw, ids: Ids, half: Ids, queue: Ids, answered: Ids, waited: np.ndarray) -> Iterator[Counts]:
    """Yield what each agent of a queue's team answered, one place of the team at a time."""
    size = center.AGENTS_OF_A_TEAM
    turn = draw.below("tel.turn", ids, size)
    for place in range(size):
        # The calls go round the team, beginning with another agent each half hour.
        own = answered // size + ((place - turn) % size < answered % size)
        there = own > 0
        calls, key = own[there], ids[there] * size + place
        wait = waited[there]
        within = np.minimum(calls, _whole(draw, "tel.within", key, calls * np.exp(-wait / 110)))
        slow = calls - within
        talk = _whole(draw, "tel.talk", key, calls * _TALK[queue[there]] * (0.6 + 0.8 * draw.share("tel.mood", key)))
        yield {
            "half": half[there],
            "queue": queue[there],
            "agent": queue[there] * size + place,
            "direction": np.zeros(len(calls), np.int64),
            "OFFERED": calls,
            "ANSWERED": calls,
            "ANSWERED_20S": within,
            "WAIT_SECONDS": within * 8 + slow * np.maximum(21, wait.astype(np.int64) * 2),
            "TALK_SECONDS": talk,
            "HOLD_SECONDS": talk * draw.below("tel.hold", key, 20) // 100,
            "WRAP_SECONDS": calls * (25 + draw.below("tel.wrap", key, 60)),
            "TRANSFERS": _whole(draw, "tel.transfers", key, calls * 0.06),
        }


def _lost(half: Ids, queue: Ids, abandoned: Ids, short: Ids) -> Counts:
    there = abandoned > 0
    nobody = np.full(int(there.sum()), len(center.AGENTS))
    return {
        "half": half[there],
        "queue": queue[there],
        "agent": nobody,
        "direction": np.zeros(len(nobody), np.int64),
        "OFFERED": abandoned[there],
        "ABANDONED": abandoned[there],
        "ABANDONED_SHORT": short[there],
    }


def _dialled(draw: Draw, ids: Ids, half: Ids, queue: Ids, contracts: int) -> Counts:
    """Return the calls that sales made; some were not answered."""
    made = np.where(queue == center.QUEUES.index("sales"), contracts * 0.00002, 0.0)
    offered = _whole(draw, "tel.dialled", ids, made)
    there = offered > 0
    calls, key = offered[there], ids[there]
    answered = _whole(draw, "tel.reached", key, calls * 0.6)
    return {
        "half": half[there],
        "queue": queue[there],
        "agent": queue[there] * center.AGENTS_OF_A_TEAM + draw.below("tel.seller", key, center.AGENTS_OF_A_TEAM),
        "direction": np.ones(len(calls), np.int64),
        "OFFERED": calls,
        "ANSWERED": answered,
        "ABANDONED": calls - answered,
        "ANSWERED_20S": answered,
        "WAIT_SECONDS": answered * 6,
        "TALK_SECONDS": answered * (90 + draw.below("tel.pitch", key, 240)),
        "WRAP_SECONDS": calls * (10 + draw.below("tel.note", key, 30)),
    }


def _table(number: int, counts: Counts) -> pa.Table:
    rows = len(counts["half"])
    nothing = np.zeros(rows, np.int64)
    start = stamps(np.full(rows, number), counts["half"] * 1800)
    words = {
        "INTERVAL_START": start.cast(pa.string()),
        "QUEUE": choose(center.QUEUES, counts["queue"]),
        "AGENT": choose((*center.AGENTS, NOBODY), counts["agent"]),
        "DIRECTION": choose(("IN", "OUT"), counts["direction"]),
    }
    return pa.table({name: words.get(name, pa.array(counts.get(name, nothing))) for name in COLUMNS})


# ---- what may be wrong with a file ----------------------------------------------------------------------------------


def _edited(content: bytes, change: Callable[[list[str]], None]) -> bytes:
    """Change the fields of the line in the middle."""
    lines = content.decode().splitlines()
    fields = lines[len(lines) // 2].split(",")
    change(fields)
    lines[len(lines) // 2] = ",".join(fields)
    return ("\n".join(lines) + "\n").encode()


def _cut(content: bytes) -> bytes:
    """End the file in the middle of a line."""
    return content[: content.rindex(b",", 0, len(content) * 2 // 3)]


def _column(content: bytes) -> bytes:
    return content.replace(b"ANSWERED_20S", b"ANSWERED_30S", 1)


def _negative(content: bytes) -> bytes:
    def change(fields: list[str]) -> None:
        fields[COLUMNS.index("OFFERED")] = "-4"

    return _edited(content, change)


def _date(content: bytes) -> bytes:
    def change(fields: list[str]) -> None:
        fields[0] = fields[0][:4] + "0230" + fields[0][8:]

    return _edited(content, change)


SPOILED: Mapping[Broken | None, Callable[[bytes], bytes]] = MappingProxyType(
    {"cut": _cut, "column": _column, "negative": _negative, "date": _date}
)
"""How a file is spoiled; `twice` and `incomplete` spoil no content."""
