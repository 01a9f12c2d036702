"""What a landscape holds and which defects were planted in it, kept in a table of the IS-U database."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psycopg

Expected = Literal["rejected", "parked", "repaired", "warned", "harmless"]
KEYS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Planted:
    """One kind of defect: how often it was planted, where, and what is expected to happen to it."""

    number: int
    name: str
    about: str
    system: str
    table: str
    key: str
    expected: Expected
    count: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """How a landscape was made, the rows of its IS-U tables, and its defects."""

    contracts: int
    seed: int
    model: str
    devices: bool
    today: str
    rows: dict[str, int]
    planted: tuple[Planted, ...]

    def defect(self, number: int) -> Planted:
        """Return what was planted of a defect by its number; raises KeyError."""
        for planted in self.planted:
            if planted.number == number:
                return planted
        raise KeyError(number)

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Return the manifest of a JSON text."""
        content = json.loads(text)
        planted = tuple(Planted(**{**entry, "keys": tuple(entry["keys"])}) for entry in content.pop("planted"))
        return cls(**content, planted=planted)


def store(connection: psycopg.Connection[Any], manifest: Manifest) -> None:
    """Keep a manifest in the IS-U database, in place of an older one."""
    connection.execute("DROP TABLE IF EXISTS landscape_manifest")
    connection.execute("CREATE TABLE landscape_manifest (manifest jsonb NOT NULL)")
    connection.execute("INSERT INTO landscape_manifest VALUES (%s::jsonb)", (manifest.to_json(),))


def load(isu_url: str) -> Manifest | None:
    """Return the manifest of an IS-U database, None where no landscape stands."""
    with psycopg.connect(isu_url) as connection:
        found = connection.execute("SELECT to_regclass('landscape_manifest')").fetchone()
        if found is None or found[0] is None:
            return None
        row = connection.execute("SELECT manifest::text FROM landscape_manifest").fetchone()
        return Manifest.from_json(row[0]) if row else None
