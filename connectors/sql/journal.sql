-- Receipts of Isthmus in a target database, for the DBA to run once.
-- The user Isthmus logs on with needs USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on the table:
--   GRANT USAGE ON SCHEMA isthmus TO <user>;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON isthmus.receipt TO <user>;
-- Running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS isthmus;

CREATE TABLE IF NOT EXISTS isthmus.receipt (
    run        text        NOT NULL,
    package    text        NOT NULL,
    epoch      bigint      NOT NULL,
    digest     text        NOT NULL,
    counts     jsonb       NOT NULL DEFAULT '{}',
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, package)
);

COMMENT ON TABLE isthmus.receipt IS
    'One row per package that arrived: written in the same transaction as its rows, refused to an older epoch.';
