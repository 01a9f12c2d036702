"""A moment at which people work, in the spellings of both systems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is done, in UTC, and the seed by which it is chosen what is done."""

    now: datetime
    seed: int

    @property
    def date(self) -> str:
        """Return today as DATS."""
        return f"{self.now:%Y%m%d}"

    @property
    def time(self) -> str:
        """Return the time as TIMS."""
        return f"{self.now:%H%M%S}"

    @property
    def stamp(self) -> str:
        """Return the moment as CRM stamps it, YYYYMMDDhhmmss in UTC."""
        return self.date + self.time

    def order(self, guid: str) -> str:
        """Return an expression that brings documents into an order of this day."""
        return f"md5(encode({guid}, 'hex') || '{self.seed}.{self.date}')"
