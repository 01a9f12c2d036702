"""The durable memory: runs, packages, keys, cursors, outcomes."""

from isthmus.ledger.ledger import Ledger
from isthmus.ledger.migrate import migrate
from isthmus.ledger.values import (
    EXCEPTIONS,
    Approval,
    Claimed,
    Confirmation,
    Event,
    FlowState,
    Package,
    Pairs,
    Progress,
    Reason,
    Result,
    RowException,
    Run,
)

__all__ = [
    "EXCEPTIONS",
    "Approval",
    "Claimed",
    "Confirmation",
    "Event",
    "FlowState",
    "Ledger",
    "Package",
    "Pairs",
    "Progress",
    "Reason",
    "Result",
    "RowException",
    "Run",
    "migrate",
]
