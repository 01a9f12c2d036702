"""Less work for every load: what the gate said is kept once, the key map tells cheaply what is not confirmed."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE ledger.packages ADD COLUMN verdict bigint;
COMMENT ON COLUMN ledger.packages.verdict IS 'gate_results.id that says the same of the package as in an earlier run.';
CREATE INDEX gate_results_package ON ledger.gate_results (flow, package, id);
"""

# Few statistics will do: statements walk the indexes anyway, and autovacuum takes all of them in time.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION ledger.index_keys(leaf text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM ledger.guard_shape();
    IF to_regclass(format('ledger.%I', leaf || '_k')) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE ledger.%I IN SHARE ROW EXCLUSIVE MODE', leaf);
    PERFORM set_config('maintenance_work_mem', '128MB', true);
    BEGIN
        EXECUTE format('CREATE UNIQUE INDEX %I ON ledger.%I (key, client)', leaf || '_k', leaf);
    EXCEPTION WHEN unique_violation THEN
        -- A load that was broken off and begun anew has brought some pairs twice.
        EXECUTE format($sql$
            DELETE FROM ledger.%1$I a USING (
                SELECT ctid, row_number() OVER (PARTITION BY client, key, id ORDER BY state = 'c' DESC, ctid) AS n
                FROM ledger.%1$I) d
            WHERE a.ctid = d.ctid AND d.n > 1 $sql$, leaf);
        EXECUTE format('CREATE UNIQUE INDEX %I ON ledger.%I (key, client)', leaf || '_k', leaf);
    END;
    EXECUTE format($sql$ CREATE UNIQUE INDEX %I ON ledger.%I (id) WHERE state <> 'r' $sql$, leaf || '_i', leaf);
    EXECUTE format($sql$ CREATE INDEX %I ON ledger.%I (key) WHERE state <> 'c' $sql$, leaf || '_s', leaf);
    EXECUTE format('ANALYZE ledger.%I', leaf);
END $$;

DO $$
DECLARE
    leaf text;
BEGIN
    FOR leaf IN SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'
        AND starts_with(relname, 'keys_') AND to_regclass(format('ledger.%I', relname || '_k')) IS NOT NULL
    LOOP
        EXECUTE format($sql$ CREATE INDEX %I ON ledger.%I (key) WHERE state <> 'c' $sql$, leaf || '_s', leaf);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    """Add the column and the indexes."""
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(FUNCTIONS.replace("%", "%%"))
