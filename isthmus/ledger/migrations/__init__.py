"""The history of the ledger's tables, one file per step; run by `isthmus.ledger.migrate`."""
