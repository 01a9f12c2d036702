"""A side that was restored from an older copy: its old values are no edits, and must overwrite nothing.

It is known by the receipt of the last write, which a copy of before does not hold.  Whoever restored it says so once;
then everything travels to it, and from there on both sides are in step again.
"""

from __future__ import annotations

import numpy as np

from isthmus.errors import ConflictError
from isthmus.ledger import Ledger
from isthmus.levels.pair import OTHER, Name, Pair, Side
from isthmus.levels.three_way import SOURCE, TARGET, Decided, View


def receipt_name(pair: Pair, side: Side, epoch: int) -> str:
    """Return the name under which a side keeps the receipt of a claim."""
    return f"{pair.name} {side.name} {epoch}"


def refuse_restored(pair: Pair, ledger: Ledger) -> None:
    """Raise ConflictError where a side lacks the receipt of what was written to it last."""
    for side in (pair.source, pair.target):
        last = ledger.queue.last_written(pair.name, side.name, side.system)
        if last is None or side.connector.capabilities().journal == "none":
            continue
        run, epoch = last
        if receipt_name(pair, side, epoch) not in side.connector.receipts(run):
            other = pair.side(OTHER[side.name]).system
            raise ConflictError(
                f"{pair.name}: {side.system} does not hold what run {run} wrote there, so it was restored from an "
                f"older copy, or its journal was emptied. Nothing was read or written. `isthmus sync {pair.object} "
                f"--restored {side.system} --by NAME` brings it up to date from {other}; edits made in {side.system} "
                f"since it was restored are lost by that, `isthmus sync {pair.object} --what-if` names them."
            )


def everything_to(pair: Pair, views: dict[str, View], restored: Name) -> dict[str, Decided]:
    """Decide every difference against the side that was restored."""
    take = TARGET if restored == "source" else SOURCE
    size = len(views[restored].there)
    return {policy.name: Decided(np.full(size, take), views[restored].values[policy.name]) for policy in pair.policies}
