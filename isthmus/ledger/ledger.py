"""The ledger as one thing: its nouns as attributes, every method a short transaction of its own."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

from isthmus.ledger.confirm import confirm
from isthmus.ledger.conflicts import Conflicts
from isthmus.ledger.database import Clock, Database, connect, unavailable, utc_now
from isthmus.ledger.events import Events
from isthmus.ledger.exceptions import Exceptions
from isthmus.ledger.feeds import Feeds
from isthmus.ledger.flows import Flows
from isthmus.ledger.images import Images
from isthmus.ledger.keys import Keys
from isthmus.ledger.migrate import check_current
from isthmus.ledger.packages import Packages
from isthmus.ledger.queue import Queue
from isthmus.ledger.registers import Approvals, Counters, Systems, gate_results, reconciliations
from isthmus.ledger.runs import Runs
from isthmus.ledger.values import Claimed, Confirmation


class Ledger:
    """The durable memory. Open it once per process; it is safe for threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs = Runs(database)
        self.packages = Packages(database)
        self.keys = Keys(database)
        self.exceptions = Exceptions(database)
        self.flows = Flows(database)
        self.feeds = Feeds(database)
        self.events = Events(database)
        self.images = Images(database)
        self.conflicts = Conflicts(database)
        self.queue = Queue(database, self.keys, self.images)
        self.counters = Counters(database)
        self.systems = Systems(database)
        self.gate_results = gate_results(database)
        self.reconciliations = reconciliations(database)
        self.approvals = Approvals(database)

    @classmethod
    def open(cls, url: str, clock: Clock = utc_now) -> Self:
        """Connect to a migrated ledger.

        Raises ConfigError when there is none, or it is older or newer than this code; SystemUnavailable when the
        server does not answer.
        """
        engine = connect(url)
        try:
            with unavailable(engine), engine.begin() as connection:
                check_current(connection)
        except BaseException:
            engine.dispose()
            raise
        return cls(Database(engine, clock))

    def confirm(self, claimed: Claimed, confirmation: Confirmation) -> None:
        """Store what became of a package, all or nothing; raises ConflictError when its claim is void."""
        confirm(self.database, self.keys, self.images, claimed, confirmation)

    def prune(self, before: datetime) -> dict[str, int]:
        """Forget what is over: months of the trail, finished runs with packages, resolved exceptions, verdicts,
        conflicts that ended, claims and lags.

        Keys, agreed images, open exceptions and conflicts, flows and approvals stay. Returns how much of each went.
        """
        return {
            "months of events": self.events.prune(before),
            "runs": self.runs.prune(before),
            "exceptions": self.exceptions.prune(before),
            "verdicts": self.gate_results.prune(before) + self.reconciliations.prune(before),
            "conflicts": self.conflicts.prune(before),
            "claims": self.queue.prune(before),
            "lags": self.flows.prune(before),
        }

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
