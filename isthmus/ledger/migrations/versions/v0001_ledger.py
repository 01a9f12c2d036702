"""The first ledger: runs, packages, events, exceptions, flows, the key map and the small registers."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE ledger.runs (
    id text PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    scenario text NOT NULL,
    kind text NOT NULL,
    mode text NOT NULL,
    parameters jsonb NOT NULL DEFAULT '{}',
    mapping_hash text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'stopped')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    summary jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX runs_started ON ledger.runs (started_at DESC);

CREATE TABLE ledger.packages (
    run text NOT NULL REFERENCES ledger.runs ON DELETE CASCADE,
    id text NOT NULL,
    flow text NOT NULL,
    variant text NOT NULL DEFAULT '',
    number integer NOT NULL,
    low text[] COLLATE "C",
    high text[] COLLATE "C",
    expected_rows bigint,
    state text NOT NULL DEFAULT 'planned'
        CHECK (state IN ('planned', 'claimed', 'done', 'retryable', 'failed', 'withheld')),
    epoch integer NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    lease_until timestamptz,
    mapping_hash text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    rows_read bigint NOT NULL DEFAULT 0,
    rows_inserted bigint NOT NULL DEFAULT 0,
    rows_updated bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_parked bigint NOT NULL DEFAULT 0,
    counts jsonb NOT NULL DEFAULT '{}',
    digest text NOT NULL DEFAULT '',
    planned_at timestamptz NOT NULL,
    claimed_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (run, id)
);
CREATE INDEX packages_flow ON ledger.packages (flow, run, variant, number);

CREATE TABLE ledger.events (
    at timestamptz NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    who text NOT NULL,
    what text NOT NULL,
    run text,
    flow text,
    object text,
    key text COLLATE "C",
    details jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE INDEX events_key ON ledger.events (key) WHERE key IS NOT NULL;
CREATE INDEX events_run ON ledger.events (run) WHERE run IS NOT NULL;

CREATE TABLE ledger.exceptions (
    flow text NOT NULL,
    key text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('rejected', 'parked')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'released', 'resolved')),
    field text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    faults integer NOT NULL DEFAULT 1,
    value text,
    waits_object text,
    waits_key text COLLATE "C",
    run text NOT NULL,
    package text NOT NULL DEFAULT '',
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    released_at timestamptz,
    resolved_at timestamptz,
    times integer NOT NULL DEFAULT 1,
    PRIMARY KEY (flow, key)
);
CREATE INDEX exceptions_open ON ledger.exceptions (flow, kind, key) WHERE state <> 'resolved';
CREATE INDEX exceptions_waits ON ledger.exceptions (waits_object, waits_key) WHERE state = 'open' AND kind = 'parked';

CREATE TABLE ledger.flows (
    flow text PRIMARY KEY,
    state text NOT NULL DEFAULT 'never' CHECK (state IN ('never', 'loading', 'loaded')),
    cursor text,
    cursor_taken_at timestamptz,
    load_run text,
    loaded_at timestamptz,
    fill boolean NOT NULL DEFAULT false,
    watermark text,
    watermark_at timestamptz,
    last_run text,
    paused boolean NOT NULL DEFAULT false,
    paused_by text NOT NULL DEFAULT '',
    paused_why text NOT NULL DEFAULT '',
    paused_at timestamptz,
    throttle_rows_per_s integer CHECK (throttle_rows_per_s > 0)
);

CREATE TABLE ledger.systems (
    system text PRIMARY KEY,
    fingerprint text NOT NULL,
    client text NOT NULL DEFAULT '',
    identified_at timestamptz NOT NULL
);

CREATE TABLE ledger.counters (
    name text PRIMARY KEY,
    next bigint NOT NULL CHECK (next > 0)
);

CREATE TABLE ledger.gate_results (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text NOT NULL,
    flow text NOT NULL,
    package text NOT NULL DEFAULT '',
    verdict text NOT NULL,
    result jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX gate_results_run ON ledger.gate_results (run, flow);

CREATE TABLE ledger.reconciliations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text,
    flow text NOT NULL,
    verdict text NOT NULL,
    result jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX reconciliations_flow ON ledger.reconciliations (flow, at DESC);

CREATE TABLE ledger.approvals (
    run text NOT NULL,
    flow text NOT NULL,
    what text NOT NULL,
    share double precision NOT NULL,
    asked_at timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    PRIMARY KEY (run, flow, what)
);

CREATE TABLE ledger.keys (
    object text NOT NULL,
    system text NOT NULL,
    client text NOT NULL,
    key text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    state "char" NOT NULL CHECK (state IN ('p', 'c', 'r')),
    run integer NOT NULL
) PARTITION BY LIST (object);
"""

COMMENTS = """
COMMENT ON SCHEMA ledger IS 'The durable memory of Isthmus: what was read, sent, accepted, refused, agreed.';
COMMENT ON TABLE ledger.runs IS 'One row per run of a scenario.';
COMMENT ON COLUMN ledger.runs.number IS 'The short number of the run; the key map refers to it.';
COMMENT ON COLUMN ledger.runs.kind IS 'What kind of run: initial download, delta, guard, reconciliation and so on.';
COMMENT ON COLUMN ledger.runs.mode IS 'full, request or repair.';
COMMENT ON COLUMN ledger.runs.mapping_hash IS 'Hash of the mappings the run was started with.';
COMMENT ON COLUMN ledger.runs.summary IS 'The figures shown at the end of the run.';
COMMENT ON TABLE ledger.packages IS 'The units of work: a half-open key range [low, high) of one flow in one run.';
COMMENT ON COLUMN ledger.packages.variant IS 'Variant of the mapping the range belongs to; empty where there is one.';
COMMENT ON COLUMN ledger.packages.low IS 'Lowest raw key of the range, inclusive; null is unbounded.';
COMMENT ON COLUMN ledger.packages.high IS 'Highest raw key of the range, exclusive; null is unbounded.';
COMMENT ON COLUMN ledger.packages.epoch IS 'Number of claims so far. Who works under an older epoch is fenced off.';
COMMENT ON COLUMN ledger.packages.lease_until IS 'From then on another worker may claim the package.';
COMMENT ON COLUMN ledger.packages.mapping_hash IS 'Hash of the mapping of the last claim.';
COMMENT ON COLUMN ledger.packages.counts IS 'Every count that was confirmed, also those without a column.';
COMMENT ON COLUMN ledger.packages.digest IS 'Digest of the receipt that the target holds.';
COMMENT ON TABLE ledger.events IS 'The trail: who did what, when, to which run, flow or thing.';
COMMENT ON TABLE ledger.exceptions IS 'Rows that were rejected or are parked: key and reason, never the row itself.';
COMMENT ON COLUMN ledger.exceptions.state IS 'open; released: the parent came, the row is to be read again; resolved.';
COMMENT ON COLUMN ledger.exceptions.message IS 'All faults of the row, separated by "; ".';
COMMENT ON COLUMN ledger.exceptions.value IS 'The value that was refused, masked where it is personal.';
COMMENT ON COLUMN ledger.exceptions.waits_object IS 'A parked row: the object it waits for.';
COMMENT ON COLUMN ledger.exceptions.waits_key IS 'A parked row: the key it waits for, as the source spells it.';
COMMENT ON COLUMN ledger.exceptions.times IS 'How often the row was met with a fault since it last passed.';
COMMENT ON TABLE ledger.flows IS 'Control and state of each flow.';
COMMENT ON COLUMN ledger.flows.cursor IS 'Position of the feed, taken before the first package of the load was read.';
COMMENT ON COLUMN ledger.flows.fill IS 'The load fills an object that was empty, and is its only writer.';
COMMENT ON COLUMN ledger.flows.watermark IS 'Position of the feed up to which receipts are held.';
COMMENT ON TABLE ledger.systems IS 'Which system a name stands for, so that one ledger is never used with two.';
COMMENT ON COLUMN ledger.systems.fingerprint IS 'What the system says of itself.';
COMMENT ON COLUMN ledger.systems.client IS 'The client (MANDT) of the system; part of every key.';
COMMENT ON TABLE ledger.counters IS 'Numbers given out for keys that a target does not make itself.';
COMMENT ON COLUMN ledger.counters.next IS 'The first number that is still free.';
COMMENT ON TABLE ledger.gate_results IS 'What the quality gate said of a package or of a run.';
COMMENT ON TABLE ledger.reconciliations IS 'Proofs that both sides agree, or where they do not.';
COMMENT ON TABLE ledger.approvals IS 'Mass changes that wait for a person, and who approved them.';
COMMENT ON COLUMN ledger.approvals.share IS 'Share that would change, 0 to 1; an approval covers no greater one.';
COMMENT ON TABLE ledger.keys IS 'The key map: each system''s key of a thing points to the thing''s one Isthmus id.';
COMMENT ON COLUMN ledger.keys.id IS 'The Isthmus id of the thing, the same in every system.';
COMMENT ON COLUMN ledger.keys.state IS 'p pending, c confirmed, r retired; a retired key is never reused.';
COMMENT ON COLUMN ledger.keys.run IS 'Number of the run that brought the pair.';
"""

# The engine's role may use the tables but does not own them: what changes their shape runs as their owner, and
# only for a role that may create in the schema.
FUNCTIONS = """
CREATE FUNCTION ledger.guard_shape() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT has_schema_privilege(session_user, 'ledger', 'CREATE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('role %s may not change the shape of the ledger', session_user);
    END IF;
    PERFORM pg_advisory_xact_lock(360140037);
END $$;

CREATE FUNCTION ledger.index_keys(leaf text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
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
    EXECUTE format('ANALYZE ledger.%I', leaf);
END $$;

CREATE FUNCTION ledger.add_keys(object text, system text, indexed boolean) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    middle text := 'keys_' || object;
    leaf text := 'keys_' || object || '__' || system;
BEGIN
    PERFORM ledger.guard_shape();
    IF to_regclass(format('ledger.%I', middle)) IS NULL THEN
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.keys INCLUDING ALL) PARTITION BY LIST (system)', middle);
        EXECUTE format('ALTER TABLE ledger.keys ATTACH PARTITION ledger.%I FOR VALUES IN (%L)', middle, object);
    END IF;
    IF to_regclass(format('ledger.%I', leaf)) IS NULL THEN
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.keys INCLUDING ALL)', leaf);
        -- Rows are copied straight into the partition: what is the same in all of them does not travel.
        EXECUTE format('ALTER TABLE ledger.%I ALTER object SET DEFAULT %L, ALTER system SET DEFAULT %L',
            leaf, object, system);
        EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES IN (%L)', middle, leaf, system);
        IF indexed THEN
            PERFORM ledger.index_keys(leaf);
        END IF;
    END IF;
END $$;

CREATE FUNCTION ledger.add_month(month date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    leaf text := 'events_' || to_char(month, 'YYYYMM');
BEGIN
    PERFORM ledger.guard_shape();
    IF to_regclass('ledger.' || leaf) IS NULL THEN
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.events INCLUDING DEFAULTS INCLUDING COMMENTS)', leaf);
        EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)', leaf,
            to_char(month, 'YYYY-MM-01 00:00:00+00'),
            to_char(month + interval '1 month', 'YYYY-MM-01 00:00:00+00'));
    END IF;
END $$;

CREATE FUNCTION ledger.drop_months(before date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    leaf text;
    dropped integer := 0;
BEGIN
    PERFORM ledger.guard_shape();
    FOR leaf IN SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'ledger.events'::regclass AND relname < 'events_' || to_char(before, 'YYYYMM') ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE ledger.%I', leaf);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
"""


def upgrade() -> None:
    """Create the tables and describe them."""
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(FUNCTIONS.replace("%", "%%"))
    connection.exec_driver_sql(COMMENTS)
