"""Check a catalogue: what every file says must hold together with what the others say."""

from __future__ import annotations

from isthmus.mapping.load import Reading
from isthmus.mapping.spec import Catalogue


def check(catalogue: Catalogue, reading: Reading) -> None:
    """Add to the reading's findings whatever does not hold."""
