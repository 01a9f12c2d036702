"""Change feeds: how far each system's feed has been read for each flow."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE ledger.feeds (
    flow text NOT NULL,
    system text NOT NULL,
    cursor text NOT NULL,
    moved_at timestamptz NOT NULL,
    run text NOT NULL DEFAULT '',
    PRIMARY KEY (flow, system)
);
"""

COMMENTS = """
COMMENT ON TABLE ledger.feeds IS 'How far each system''s feed of changes has been read for each flow.';
COMMENT ON COLUMN ledger.feeds.flow IS 'Name of the flow: object.source.target.';
COMMENT ON COLUMN ledger.feeds.system IS 'The system whose changes the feed brings.';
COMMENT ON COLUMN ledger.feeds.cursor IS 'Position of the feed: opaque, versioned text; moves with what it brought.';
COMMENT ON COLUMN ledger.feeds.moved_at IS 'When the position was last moved.';
COMMENT ON COLUMN ledger.feeds.run IS 'The run that moved it.';
"""


def upgrade() -> None:
    """Create the tables and describe them."""
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(COMMENTS)
