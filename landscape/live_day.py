"""What a day of business is made of: its kinds of change, and the manifest that accounts for each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import psycopg

from landscape.draw import Draw
from landscape.moment import Moment
from landscape.rows import Connection

Expected = Literal[
    "to crm",  # changed in IS-U, reaches CRM
    "to isu",  # changed in CRM, reaches IS-U
    "agreed",  # both sides say the same by themselves
    "conflict",  # both sides say different things about what nobody decides alone: held for a person
    "owner decides",  # both sides say different things: the owner's value stands
    "refused",  # a rule of the business holds it: the other side keeps what it has
    "put right",  # edited where it may only be shown: the owner's value comes back
    "created in crm",
    "created in isu",
    "duplicate",  # somebody is there already: held for a person
    "nothing",  # a stamp without a change
]
Object = Literal["business_partner", "contract_account", "contract"]
Pool = Literal["person", "account", "contract", "billed", "flagged", "none"]
ISU_USER, CRM_USER = "AGENT07", "AGENT21"
KEPT = "landscape_live"  # the table of the IS-U database that keeps the manifests, one row a day


@dataclass(frozen=True, slots=True)
class Day(Moment):
    """The day that is played: the moment, open sessions, and the draw that decides what is said."""

    isu: Connection
    crm: Connection
    isu_url: str = field(repr=False)

    @property
    def draw(self) -> Draw:
        """Return the random numbers of this day."""
        return Draw(self.seed)

    def chosen(self, stream: str, words: Sequence[str], count: int) -> list[str]:
        """Draw `count` of these words."""
        at = self.draw.below(stream, np.arange(count), len(words))
        return [str(word) for word in np.asarray(words, object)[at]]


@dataclass(frozen=True, slots=True)
class Made:
    """Keys that a kind of change made by itself, and the keys of those they resemble."""

    keys: tuple[str, ...]
    others: tuple[str, ...] = ()


Play = Callable[[Day, list[str]], Made | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change: whom it befalls, what is expected of each field, how often it happens beside others.

    `fields` are fields of the model, `deleted` the delete marker. `during`: it happens in IS-U alone, so it may
    happen while CRM is being loaded. `stamped`: the system notes the change.
    """

    name: str
    about: str
    object: Object
    pool: Pool
    fields: Mapping[str, Expected]
    expected: Expected
    weight: float
    during: bool
    stamped: bool
    play: Play


KINDS: list[Kind] = []


def kind(
    object_: Object,
    pool: Pool,
    expected: Expected,
    *fields: str,
    weight: float = 1.0,
    during: bool = False,
    stamped: bool = True,
    also: Mapping[str, Expected] | None = None,
) -> Callable[[Play], Play]:
    """Register a function as a kind of change under its name; its docstring is what people read.

    Every field of `fields` is expected to fare as the whole, those of `also` as they say.
    """

    def register(play: Play) -> Play:
        fared: dict[str, Expected] = {**dict.fromkeys(fields, expected), **(also or {})}
        about = " ".join((play.__doc__ or "").split())
        KINDS.append(Kind(play.__name__, about, object_, pool, fared, expected, weight, during, stamped, play))
        return play

    return register


@dataclass(frozen=True, slots=True)
class Played:
    """How often one kind of change happened, to whom, and what is expected to become of it.

    `keys` are numbers of IS-U (partner, account, contract); of partners made in CRM their number there. `others`
    are the partners that duplicates resemble, in the order of `keys`.
    """

    kind: str
    about: str
    object: Object
    fields: Mapping[str, Expected]
    expected: Expected
    stamped: bool
    count: int
    keys: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A day that was played."""

    changes: int
    seed: int
    now: str
    during: bool
    played: tuple[Played, ...]

    def kind(self, name: str) -> Played:
        """Return what was played of a kind; raises KeyError."""
        for played in self.played:
            if played.kind == name:
                return played
        raise KeyError(name)

    def expected(self, object_: Object | None = None) -> dict[Expected, int]:
        """Add up what is expected, of all objects or of one."""
        found: dict[Expected, int] = {}
        for played in self.played:
            if object_ in (None, played.object):
                found[played.expected] = found.get(played.expected, 0) + played.count
        return found

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Return the manifest of a JSON text."""
        content = json.loads(text)
        played = tuple(
            Played(**{**entry, "keys": tuple(entry["keys"]), "others": tuple(entry["others"])})
            for entry in content.pop("played")
        )
        return cls(**content, played=played)


def keep(isu: Connection, manifest: Manifest) -> None:
    """Keep the manifest in the IS-U database, behind those of earlier days."""
    isu.execute(f"CREATE TABLE IF NOT EXISTS {KEPT} (day bigserial PRIMARY KEY, manifest jsonb NOT NULL)")
    isu.execute(f"INSERT INTO {KEPT} (manifest) VALUES (%s::jsonb)", (manifest.to_json(),))


def kept(isu_url: str) -> tuple[Manifest, ...]:
    """Return the days that were played in a landscape, in order."""
    with psycopg.connect(isu_url) as connection:
        there = connection.execute("SELECT to_regclass(%s)", (KEPT,)).fetchone()
        if there is None or there[0] is None:
            return ()
        rows = connection.execute(f"SELECT manifest::text FROM {KEPT} ORDER BY day").fetchall()
        return tuple(Manifest.from_json(row[0]) for row in rows)
