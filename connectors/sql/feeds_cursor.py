"""Cursors of feeds: versioned JSON that nobody but the feed reads, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from isthmus.connector import FeedKind, FeedLost
from isthmus.errors import DataError

VERSION = 1
CLOCKS = ("date", "timestamp")  # one may go on from the other's cursor: both hold the moment of the last reading


@dataclass(frozen=True, slots=True)
class ClockCursor:
    """The moment at which a feed by date or timestamp was last read."""

    kind: FeedKind
    at: datetime

    def text(self) -> str:
        """Spell the cursor."""
        return spell(self.kind, {"at": self.at.astimezone(UTC).isoformat()})

    @classmethod
    def parse(cls, text: str) -> ClockCursor:
        """Read a cursor; a bare day (YYYYMMDD), as older ledgers hold it, is one too.  Raises FeedLost."""
        if re.fullmatch(r"\d{8}", text):
            return cls("date", datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC))
        found = parse(text, *CLOCKS)
        return cls(found["kind"], datetime.fromisoformat(found["at"]))


@dataclass(frozen=True, slots=True)
class PointerCursor:
    """What was visible when change pointers were last read.

    `snapshot` is PostgreSQL's own spelling (`xmin:xmax:in progress`), `server` tells histories of transaction ids
    apart (another cluster, another timeline), `triggers` what filled the pointers of each table.
    """

    snapshot: str
    server: str
    triggers: Mapping[str, str] = field(default_factory=dict)

    @property
    def xmin(self) -> int:
        """Return the transaction id below which everything had ended."""
        return int(self.snapshot.partition(":")[0])

    @property
    def xmax(self) -> int:
        """Return the first transaction id that had not been given out."""
        return int(self.snapshot.split(":")[1])

    def text(self) -> str:
        """Spell the cursor."""
        return spell(
            "pointer",
            {"snapshot": self.snapshot, "server": self.server, "triggers": dict(sorted(self.triggers.items()))},
        )

    @classmethod
    def parse(cls, text: str) -> PointerCursor:
        """Read a cursor; raises FeedLost when it is none of pointers."""
        found = parse(text, "pointer")
        return cls(found["snapshot"], found["server"], found["triggers"])


def spell(kind: str, values: Mapping[str, Any]) -> str:
    """Return the JSON text of a cursor."""
    return json.dumps({"version": VERSION, "kind": kind, **values}, separators=(",", ":"))


def parse(text: str, *kinds: str) -> dict[str, Any]:
    """Return what a cursor says; raises FeedLost for another kind or version, DataError for what is no cursor."""
    try:
        found = json.loads(text)
        version, kind = found["version"], found["kind"]
    except (ValueError, TypeError, KeyError):
        raise lost(f"the cursor kept is none of this feed ({text[:20]!r})") from None
    if version != VERSION:
        raise lost(f"the cursor is of version {version}, this feed reads version {VERSION}")
    if kind not in kinds:
        raise lost(f"the cursor is of a feed by {kind}, now the feed is by {' or '.join(kinds)}")
    if not isinstance(found, dict):
        raise DataError("A cursor is a JSON object.")
    return found


def lost(because: str) -> FeedLost:
    """Make the error of a cursor that cannot be gone on from."""
    return FeedLost(f"The feed cannot go on from where it stood: {because}. Everything is compared once instead.")
