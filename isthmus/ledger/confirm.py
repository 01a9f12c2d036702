"""The third transaction of a package: what became of it enters the ledger as one, or not at all."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from isthmus.ledger import exceptions
from isthmus.ledger.database import Database
from isthmus.ledger.images import Images
from isthmus.ledger.keys import Keys, run_number
from isthmus.ledger.packages import COUNTED, P, hold
from isthmus.ledger.pairs import add_pairs
from isthmus.ledger.tables import PACKAGES
from isthmus.ledger.values import Claimed, Confirmation


def confirm(database: Database, keys: Keys, images: Images, claimed: Claimed, told: Confirmation) -> None:
    """Store keys, exceptions and counts of a package and set it done, in one short transaction.

    The very same confirmation again is no error: the answer to the first may have been lost. Raises ConflictError
    when another worker has taken the package, or when a key points to another thing.
    """
    for pairs in told.pairs:
        keys.ensure(pairs)
    images.ready(told.image_flow, told.image)
    with database.transaction() as connection:
        if _is_done(connection, claimed, told):
            return
        hold(connection, claimed)
        _pairs(connection, keys, claimed, told)
        if told.image is not None:
            images.write(connection, told.image_flow, told.image)
        if told.exceptions is not None:
            exceptions.put(connection, claimed.flow, told.exceptions, claimed.run, claimed.id, database.now())
        if told.resolved_keys is not None:
            exceptions.resolve(connection, claimed.flow, told.resolved_keys, database.now())
        _done(connection, database, claimed, told)


def _is_done(connection: Connection, claimed: Claimed, told: Confirmation) -> bool:
    found = connection.execute(
        select(P.state, P.epoch, P.digest).where(P.run == claimed.run, P.id == claimed.id)
    ).one_or_none()
    return found is not None and tuple(found) == ("done", claimed.epoch, told.digest)


def _pairs(connection: Connection, keys: Keys, claimed: Claimed, told: Confirmation) -> None:
    if not told.pairs:
        return
    number, clients = run_number(connection, claimed.run), keys.clients(connection)
    for pairs in sorted(told.pairs, key=lambda pairs: pairs.object):
        add_pairs(connection, pairs, clients, number)


def _done(connection: Connection, database: Database, claimed: Claimed, told: Confirmation) -> None:
    counted = {f"rows_{name}": int(told.counts.get(name, 0)) for name in COUNTED}
    values = {
        **counted,
        "counts": {name: int(count) for name, count in told.counts.items()},
        "digest": told.digest,
        "state": "done",
        "lease_until": None,
        "finished_at": database.now(),
    }
    connection.execute(update(PACKAGES).where(P.run == claimed.run, P.id == claimed.id).values(values))
