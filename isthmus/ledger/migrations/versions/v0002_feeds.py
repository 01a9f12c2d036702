"""Feeds: where each system's feed of changes stands, and the fingerprints that a snapshot feed compares with."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE ledger.feeds (
    flow text NOT NULL,
    system text NOT NULL,
    cursor text NOT NULL,
    run text NOT NULL DEFAULT '',
    moved_at timestamptz NOT NULL,
    PRIMARY KEY (flow, system)
);

CREATE TABLE ledger.fingerprints (
    flow text NOT NULL,
    system text NOT NULL,
    key text COLLATE "C" NOT NULL,
    print uuid NOT NULL,
    PRIMARY KEY (flow, system, key)
);

CREATE TABLE ledger.fingerprint_changes (
    flow text NOT NULL,
    system text NOT NULL,
    cursor text NOT NULL,
    key text COLLATE "C" NOT NULL,
    print uuid
);
CREATE INDEX fingerprint_changes_cursor ON ledger.fingerprint_changes (flow, system);
"""

COMMENTS = """
COMMENT ON TABLE ledger.feeds IS 'How far the feed of changes of each system has been taken over by each flow.';
COMMENT ON COLUMN ledger.feeds.flow IS 'The flow that reads the feed.';
COMMENT ON COLUMN ledger.feeds.system IS 'The system whose changes it reads.';
COMMENT ON COLUMN ledger.feeds.cursor IS 'Position: opaque, versioned JSON of the feed; all before it is durable here.';
COMMENT ON COLUMN ledger.feeds.run IS 'The run that moved it.';
COMMENT ON COLUMN ledger.feeds.moved_at IS 'When it was moved.';
COMMENT ON TABLE ledger.fingerprints IS 'Snapshot feeds: the fingerprint of each row whose outcome is durable.';
COMMENT ON COLUMN ledger.fingerprints.flow IS 'The flow that reads the feed.';
COMMENT ON COLUMN ledger.fingerprints.system IS 'The system the rows are of.';
COMMENT ON COLUMN ledger.fingerprints.key IS 'Canonical key of the thing in that system.';
COMMENT ON COLUMN ledger.fingerprints.print IS 'MD5 of all columns that were read of it.';
COMMENT ON TABLE ledger.fingerprint_changes IS 'What a snapshot found different, until its cursor is moved to.';
COMMENT ON COLUMN ledger.fingerprint_changes.flow IS 'The flow that reads the feed.';
COMMENT ON COLUMN ledger.fingerprint_changes.system IS 'The system the rows are of.';
COMMENT ON COLUMN ledger.fingerprint_changes.cursor IS 'The cursor that this snapshot gave.';
COMMENT ON COLUMN ledger.fingerprint_changes.key IS 'Canonical key of the thing in that system.';
COMMENT ON COLUMN ledger.fingerprint_changes.print IS 'Its fingerprint now; null where the row has vanished.';
"""


def upgrade() -> None:
    """Create the tables and describe them."""
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(COMMENTS)
