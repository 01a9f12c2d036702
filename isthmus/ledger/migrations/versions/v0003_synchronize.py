"""What both ways needs: the queue of changed keys, agreed images, conflicts, blackouts and lag."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE SEQUENCE ledger.queue_places;
CREATE SEQUENCE ledger.queue_epochs;

CREATE TABLE ledger.queue (
    flow text NOT NULL,
    id uuid NOT NULL,
    place bigint NOT NULL,
    version bigint NOT NULL,
    source_key text COLLATE "C",
    target_key text COLLATE "C",
    source_gone boolean,
    target_gone boolean,
    epoch bigint,
    claimed bigint,
    attempts integer NOT NULL DEFAULT 0,
    run text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (flow, id)
) WITH (fillfactor = 60);
CREATE INDEX queue_line ON ledger.queue (flow, place) WHERE epoch IS NULL;
CREATE INDEX queue_claimed ON ledger.queue (epoch) WHERE epoch IS NOT NULL;

CREATE TABLE ledger.claims (
    epoch bigint PRIMARY KEY,
    flow text NOT NULL,
    worker text NOT NULL,
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'settled', 'returned', 'expired')),
    keys integer NOT NULL,
    again integer NOT NULL DEFAULT 0,
    run text NOT NULL DEFAULT '',
    package text NOT NULL DEFAULT '',
    counts jsonb NOT NULL DEFAULT '{}',
    claimed_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX claims_held ON ledger.claims (flow, lease_until) WHERE state = 'held';
CREATE INDEX claims_run ON ledger.claims (run) WHERE run <> '';

CREATE TABLE ledger.image_fields (
    flow text NOT NULL,
    field text NOT NULL,
    position smallint NOT NULL,
    type text NOT NULL,
    PRIMARY KEY (flow, field)
);

CREATE TABLE ledger.image_shapes (
    flow text NOT NULL,
    number smallint NOT NULL,
    fields text[] NOT NULL,
    PRIMARY KEY (flow, number)
);

CREATE TABLE ledger.conflicts (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow text NOT NULL,
    id uuid NOT NULL,
    field text NOT NULL DEFAULT '',
    kind text NOT NULL CHECK (kind IN ('both changed', 'refused', 'duplicate', 'vanished', 'disagrees')),
    source_key text COLLATE "C",
    target_key text COLLATE "C",
    base text,
    source_value text,
    target_value text,
    source_at text,
    source_by text,
    target_at text,
    target_by text,
    because text,
    score double precision,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'decided', 'applied', 'superseded', 'closed')),
    take text CHECK (take IN ('source', 'target', 'value')),
    value text,
    decided_by text,
    decided_at timestamptz,
    why text,
    opened_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    ended_at timestamptz,
    times integer NOT NULL DEFAULT 1,
    run text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX conflicts_standing ON ledger.conflicts (flow, id, field, kind) WHERE state IN ('open', 'decided');
CREATE INDEX conflicts_ended ON ledger.conflicts (ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE ledger.flows ADD COLUMN draining boolean NOT NULL DEFAULT false;

CREATE TABLE ledger.blackouts (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow text NOT NULL DEFAULT '*',
    weekdays smallint[],
    from_time time,
    until_time time,
    zone text NOT NULL DEFAULT 'UTC',
    starts_at timestamptz,
    ends_at timestamptz,
    reason text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    lifted_by text,
    lifted_at timestamptz,
    CHECK ((from_time IS NULL) = (until_time IS NULL)),
    CHECK (from_time IS NOT NULL OR starts_at IS NOT NULL OR ends_at IS NOT NULL)
);

CREATE TABLE ledger.lags (
    flow text NOT NULL,
    system text NOT NULL,
    polled_at timestamptz NOT NULL,
    newest_change_at timestamptz,
    waiting bigint NOT NULL,
    oldest timestamptz,
    PRIMARY KEY (flow, system, polled_at)
);
"""

COMMENTS = """
COMMENT ON SEQUENCE ledger.queue_places IS 'Places in line and versions of queued keys: every report takes a number.';
COMMENT ON SEQUENCE ledger.queue_epochs IS 'Numbers of claims; a higher one fences the lower ones off.';
COMMENT ON TABLE ledger.queue IS 'Things reported as changed and not yet agreed; one row per thing, the lock too.';
COMMENT ON COLUMN ledger.queue.flow IS 'Name of the flow: object.source.target.';
COMMENT ON COLUMN ledger.queue.id IS 'The Isthmus id of the thing.';
COMMENT ON COLUMN ledger.queue.place IS 'Place in line; kept while it waits, a new one when it goes back.';
COMMENT ON COLUMN ledger.queue.version IS 'Number of the last report; one during a claim makes it differ from claimed.';
COMMENT ON COLUMN ledger.queue.source_key IS 'Key by which the source system reported it; null where it did not.';
COMMENT ON COLUMN ledger.queue.target_key IS 'Key by which the target system reported it; null where it did not.';
COMMENT ON COLUMN ledger.queue.source_gone IS 'The source''s feed says the row is deleted; null where it said nothing.';
COMMENT ON COLUMN ledger.queue.target_gone IS 'The target''s feed says the row is deleted; null where it said nothing.';
COMMENT ON COLUMN ledger.queue.epoch IS 'The claim that holds it; null while it waits.';
COMMENT ON COLUMN ledger.queue.claimed IS 'Version at the time of the claim.';
COMMENT ON COLUMN ledger.queue.attempts IS 'How often it went back to the queue or its claim expired.';
COMMENT ON COLUMN ledger.queue.run IS 'The run that reported it last.';
COMMENT ON COLUMN ledger.queue.since IS 'First report that is not agreed yet.';
COMMENT ON COLUMN ledger.queue.seen_at IS 'Last report.';
COMMENT ON TABLE ledger.claims IS 'Sets of keys taken from the queue by a worker, and what became of each set.';
COMMENT ON COLUMN ledger.claims.epoch IS 'Number of the claim.';
COMMENT ON COLUMN ledger.claims.flow IS 'The flow whose keys were taken.';
COMMENT ON COLUMN ledger.claims.worker IS 'Who took them.';
COMMENT ON COLUMN ledger.claims.state IS 'held; settled; returned: given back unworked; expired: the lease ran out.';
COMMENT ON COLUMN ledger.claims.keys IS 'How many keys were taken.';
COMMENT ON COLUMN ledger.claims.again IS 'How many of them went back to the queue when it was settled.';
COMMENT ON COLUMN ledger.claims.run IS 'The run that settled it.';
COMMENT ON COLUMN ledger.claims.package IS 'The package of the target''s receipt.';
COMMENT ON COLUMN ledger.claims.counts IS 'What was read, written, held; as the run counts it.';
COMMENT ON COLUMN ledger.claims.claimed_at IS 'When the keys were taken.';
COMMENT ON COLUMN ledger.claims.lease_until IS 'From then on the keys may be taken by another worker.';
COMMENT ON COLUMN ledger.claims.ended_at IS 'When it was settled, returned or found expired.';
COMMENT ON TABLE ledger.image_fields IS 'Columns of the tables of agreed images, agreed_<object>__<source>__<target>.';
COMMENT ON COLUMN ledger.image_fields.flow IS 'The synchronized flow.';
COMMENT ON COLUMN ledger.image_fields.field IS 'Field of the model; the column bears its name.';
COMMENT ON COLUMN ledger.image_fields.position IS 'Place of the field in the image, from 1.';
COMMENT ON COLUMN ledger.image_fields.type IS 'Type of the field as Arrow spells it.';
COMMENT ON TABLE ledger.image_shapes IS 'Lists of fields that images were written with; others have no base yet.';
COMMENT ON COLUMN ledger.image_shapes.flow IS 'The synchronized flow.';
COMMENT ON COLUMN ledger.image_shapes.number IS 'The number that column known of an image refers to.';
COMMENT ON COLUMN ledger.image_shapes.fields IS 'Fields that are agreed in an image of this shape.';
COMMENT ON TABLE ledger.conflicts IS 'What two sides disagree on, and what people decided. Values are personal data.';
COMMENT ON COLUMN ledger.conflicts.number IS 'The number people call it by.';
COMMENT ON COLUMN ledger.conflicts.flow IS 'The synchronized flow.';
COMMENT ON COLUMN ledger.conflicts.id IS 'The Isthmus id of the thing.';
COMMENT ON COLUMN ledger.conflicts.field IS 'Field of the model; empty where the whole record is meant.';
COMMENT ON COLUMN ledger.conflicts.kind IS 'both changed, refused, duplicate, vanished or disagrees.';
COMMENT ON COLUMN ledger.conflicts.source_key IS 'Key of the thing in the source system.';
COMMENT ON COLUMN ledger.conflicts.target_key IS 'Key of the thing in the target system.';
COMMENT ON COLUMN ledger.conflicts.base IS 'Value both sides last agreed on.';
COMMENT ON COLUMN ledger.conflicts.source_value IS 'Value in the source system when it was seen first.';
COMMENT ON COLUMN ledger.conflicts.target_value IS 'Value in the target system when it was seen first.';
COMMENT ON COLUMN ledger.conflicts.source_at IS 'When the source changed the record, as it stamps it.';
COMMENT ON COLUMN ledger.conflicts.source_by IS 'Who changed the record in the source.';
COMMENT ON COLUMN ledger.conflicts.target_at IS 'When the target changed the record, as it stamps it.';
COMMENT ON COLUMN ledger.conflicts.target_by IS 'Who changed the record in the target.';
COMMENT ON COLUMN ledger.conflicts.because IS 'Why it is held, in words.';
COMMENT ON COLUMN ledger.conflicts.score IS 'A doubtful match: how alike the two records are, 0 to 1.';
COMMENT ON COLUMN ledger.conflicts.state IS 'open; decided; applied; superseded by other values; closed: seen no more.';
COMMENT ON COLUMN ledger.conflicts.take IS 'The decision: source, target or value.';
COMMENT ON COLUMN ledger.conflicts.value IS 'The value decided on where it is neither side''s.';
COMMENT ON COLUMN ledger.conflicts.decided_by IS 'Who decided.';
COMMENT ON COLUMN ledger.conflicts.decided_at IS 'When it was decided.';
COMMENT ON COLUMN ledger.conflicts.why IS 'The reason given.';
COMMENT ON COLUMN ledger.conflicts.opened_at IS 'When it was seen first.';
COMMENT ON COLUMN ledger.conflicts.last_seen IS 'When it was seen last.';
COMMENT ON COLUMN ledger.conflicts.ended_at IS 'When it was applied, superseded or closed.';
COMMENT ON COLUMN ledger.conflicts.times IS 'How often it was seen.';
COMMENT ON COLUMN ledger.conflicts.run IS 'The run that saw it last.';
COMMENT ON COLUMN ledger.flows.draining IS 'What is queued is finished, nothing new is polled.';
COMMENT ON TABLE ledger.blackouts IS 'Windows in which a flow, or every flow (*), does not run.';
COMMENT ON COLUMN ledger.blackouts.number IS 'The number people lift it by.';
COMMENT ON COLUMN ledger.blackouts.flow IS 'The flow, or * for all.';
COMMENT ON COLUMN ledger.blackouts.weekdays IS 'Days on which it begins, 1 Monday to 7 Sunday; null is every day.';
COMMENT ON COLUMN ledger.blackouts.from_time IS 'Begin on each such day, in the zone''s time; null: the whole time.';
COMMENT ON COLUMN ledger.blackouts.until_time IS 'End, exclusive; unless after from_time it is on the next day.';
COMMENT ON COLUMN ledger.blackouts.zone IS 'Time zone of the times of day.';
COMMENT ON COLUMN ledger.blackouts.starts_at IS 'Nothing is blacked out before.';
COMMENT ON COLUMN ledger.blackouts.ends_at IS 'Nothing is blacked out from then on.';
COMMENT ON COLUMN ledger.blackouts.reason IS 'Why, for those who wait.';
COMMENT ON COLUMN ledger.blackouts.made_by IS 'Who made it.';
COMMENT ON COLUMN ledger.blackouts.made_at IS 'When it was made.';
COMMENT ON COLUMN ledger.blackouts.lifted_by IS 'Who lifted it.';
COMMENT ON COLUMN ledger.blackouts.lifted_at IS 'When it was lifted; null while it stands.';
COMMENT ON TABLE ledger.lags IS 'How far a flow was behind each time its feeds were read.';
COMMENT ON COLUMN ledger.lags.flow IS 'Name of the flow.';
COMMENT ON COLUMN ledger.lags.system IS 'The system whose feed was read.';
COMMENT ON COLUMN ledger.lags.polled_at IS 'When it was read.';
COMMENT ON COLUMN ledger.lags.newest_change_at IS 'Stamp of the newest change it brought; null where none or unknown.';
COMMENT ON COLUMN ledger.lags.waiting IS 'Keys in the queue then.';
COMMENT ON COLUMN ledger.lags.oldest IS 'Since when the oldest of them waited.';
"""

# What the first steps left without a word.
OLDER_COMMENTS = """
COMMENT ON COLUMN ledger.approvals.run IS 'The run that waits.';
COMMENT ON COLUMN ledger.approvals.flow IS 'The flow that would change.';
COMMENT ON COLUMN ledger.approvals.what IS 'What would be done: change, delete and so on.';
COMMENT ON COLUMN ledger.approvals.asked_at IS 'When it was asked for.';
COMMENT ON COLUMN ledger.approvals.approved_by IS 'Who approved; null while it waits.';
COMMENT ON COLUMN ledger.approvals.approved_at IS 'When it was approved.';
COMMENT ON COLUMN ledger.counters.name IS 'What the numbers are for: a table and column of a target.';
COMMENT ON COLUMN ledger.events.at IS 'When it happened.';
COMMENT ON COLUMN ledger.events.id IS 'Order of lines of one moment.';
COMMENT ON COLUMN ledger.events.who IS 'Who did it: a person or the engine.';
COMMENT ON COLUMN ledger.events.what IS 'What was done.';
COMMENT ON COLUMN ledger.events.run IS 'The run it belongs to, where there is one.';
COMMENT ON COLUMN ledger.events.flow IS 'The flow it concerns.';
COMMENT ON COLUMN ledger.events.object IS 'The object of the model it concerns.';
COMMENT ON COLUMN ledger.events.key IS 'Key of the thing it concerns.';
COMMENT ON COLUMN ledger.events.details IS 'More about it; no personal value and no secret.';
COMMENT ON COLUMN ledger.exceptions.flow IS 'The flow that met it.';
COMMENT ON COLUMN ledger.exceptions.key IS 'Key of the row, as the source spells it.';
COMMENT ON COLUMN ledger.exceptions.kind IS 'rejected, or parked until a parent comes.';
COMMENT ON COLUMN ledger.exceptions.field IS 'Field of the first fault.';
COMMENT ON COLUMN ledger.exceptions.code IS 'Kind of the first fault.';
COMMENT ON COLUMN ledger.exceptions.faults IS 'How many faults the row has.';
COMMENT ON COLUMN ledger.exceptions.run IS 'The run that met it last.';
COMMENT ON COLUMN ledger.exceptions.package IS 'The package that met it last.';
COMMENT ON COLUMN ledger.exceptions.first_seen IS 'When it was met first since it last passed.';
COMMENT ON COLUMN ledger.exceptions.last_seen IS 'When it was met last.';
COMMENT ON COLUMN ledger.exceptions.released_at IS 'When its parent had come.';
COMMENT ON COLUMN ledger.exceptions.resolved_at IS 'When it passed.';
COMMENT ON COLUMN ledger.flows.flow IS 'Name of the flow: object.source.target.';
COMMENT ON COLUMN ledger.flows.state IS 'never loaded, loading or loaded.';
COMMENT ON COLUMN ledger.flows.cursor_taken_at IS 'When the cursor was taken.';
COMMENT ON COLUMN ledger.flows.load_run IS 'The run that loads or has loaded it.';
COMMENT ON COLUMN ledger.flows.loaded_at IS 'When the load was finished.';
COMMENT ON COLUMN ledger.flows.watermark_at IS 'When the watermark was moved.';
COMMENT ON COLUMN ledger.flows.last_run IS 'The run that worked on it last.';
COMMENT ON COLUMN ledger.flows.paused IS 'No new package begins.';
COMMENT ON COLUMN ledger.flows.paused_by IS 'Who paused it.';
COMMENT ON COLUMN ledger.flows.paused_why IS 'The reason given.';
COMMENT ON COLUMN ledger.flows.paused_at IS 'When it was paused.';
COMMENT ON COLUMN ledger.flows.throttle_rows_per_s IS 'At most so many rows per second; null is no limit.';
COMMENT ON COLUMN ledger.gate_results.id IS 'Order in which they came.';
COMMENT ON COLUMN ledger.gate_results.run IS 'The run that was judged.';
COMMENT ON COLUMN ledger.gate_results.flow IS 'The flow that was judged.';
COMMENT ON COLUMN ledger.gate_results.package IS 'The package that was judged; empty where it was the whole run.';
COMMENT ON COLUMN ledger.gate_results.verdict IS 'What it came to.';
COMMENT ON COLUMN ledger.gate_results.result IS 'Each expectation and what was found.';
COMMENT ON COLUMN ledger.gate_results.at IS 'When it was judged.';
COMMENT ON COLUMN ledger.keys.object IS 'Object of the model.';
COMMENT ON COLUMN ledger.keys.system IS 'The system that knows the thing by this key.';
COMMENT ON COLUMN ledger.keys.client IS 'The client (MANDT) of that system.';
COMMENT ON COLUMN ledger.keys.key IS 'The key, as the mapping of that system spells it.';
COMMENT ON COLUMN ledger.packages.run IS 'The run it belongs to.';
COMMENT ON COLUMN ledger.packages.id IS 'Its name: flow, variant and number.';
COMMENT ON COLUMN ledger.packages.flow IS 'The flow it is a part of.';
COMMENT ON COLUMN ledger.packages.number IS 'Its place in the plan.';
COMMENT ON COLUMN ledger.packages.expected_rows IS 'How many rows the plan expects.';
COMMENT ON COLUMN ledger.packages.state IS 'planned, claimed, done, retryable, failed or withheld.';
COMMENT ON COLUMN ledger.packages.worker IS 'Who claimed it last.';
COMMENT ON COLUMN ledger.packages.code IS 'Kind of the failure.';
COMMENT ON COLUMN ledger.packages.message IS 'The failure in words.';
COMMENT ON COLUMN ledger.packages.rows_read IS 'Rows read from the source.';
COMMENT ON COLUMN ledger.packages.rows_inserted IS 'Rows new in the target.';
COMMENT ON COLUMN ledger.packages.rows_updated IS 'Rows changed in the target.';
COMMENT ON COLUMN ledger.packages.rows_unchanged IS 'Rows that stood in the target already.';
COMMENT ON COLUMN ledger.packages.rows_rejected IS 'Rows with a fault.';
COMMENT ON COLUMN ledger.packages.rows_parked IS 'Rows that wait for a parent.';
COMMENT ON COLUMN ledger.packages.planned_at IS 'When it was planned.';
COMMENT ON COLUMN ledger.packages.claimed_at IS 'When it was claimed last.';
COMMENT ON COLUMN ledger.packages.finished_at IS 'When it ended.';
COMMENT ON COLUMN ledger.reconciliations.id IS 'Order in which they came.';
COMMENT ON COLUMN ledger.reconciliations.run IS 'The run it belongs to, where there is one.';
COMMENT ON COLUMN ledger.reconciliations.flow IS 'The flow that was compared.';
COMMENT ON COLUMN ledger.reconciliations.verdict IS 'What it came to.';
COMMENT ON COLUMN ledger.reconciliations.result IS 'Counts and differences.';
COMMENT ON COLUMN ledger.reconciliations.at IS 'When it was compared.';
COMMENT ON COLUMN ledger.runs.id IS 'Its name.';
COMMENT ON COLUMN ledger.runs.scenario IS 'The scenario that was set going.';
COMMENT ON COLUMN ledger.runs.parameters IS 'What it was started with.';
COMMENT ON COLUMN ledger.runs.state IS 'running, done, failed or stopped.';
COMMENT ON COLUMN ledger.runs.started_at IS 'When it began.';
COMMENT ON COLUMN ledger.runs.finished_at IS 'When it ended.';
COMMENT ON COLUMN ledger.systems.system IS 'Name of the system in the project.';
COMMENT ON COLUMN ledger.systems.identified_at IS 'When it was met first.';
"""

# As with the key map: their owner changes the shape of images, on behalf of a role that may create in the schema.
FUNCTIONS = """
CREATE FUNCTION ledger.add_image(leaf text, flow text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM ledger.guard_shape();
    IF to_regclass(format('ledger.%I', leaf)) IS NULL THEN
        EXECUTE format('CREATE TABLE ledger.%I (id uuid NOT NULL, known smallint NOT NULL,
            gone_source boolean NOT NULL DEFAULT false, gone_target boolean NOT NULL DEFAULT false)', leaf);
        EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', leaf, 'What both sides of ' || flow || ' last agreed on.');
        EXECUTE format('COMMENT ON COLUMN ledger.%I.id IS %L', leaf, 'The Isthmus id of the thing.');
        EXECUTE format('COMMENT ON COLUMN ledger.%I.known IS %L', leaf, 'Agreed fields: image_shapes.number.');
        EXECUTE format('COMMENT ON COLUMN ledger.%I.gone_source IS %L', leaf, 'The source holds no such row any more.');
        EXECUTE format('COMMENT ON COLUMN ledger.%I.gone_target IS %L', leaf, 'The target holds no such row any more.');
    END IF;
END $$;

CREATE FUNCTION ledger.add_image_field(leaf text, field text, kind text, anew boolean) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM ledger.guard_shape();
    IF leaf !~ '^agreed_' OR NOT (kind ~ '^numeric[(][0-9]+, ?[0-9]+[)]$' OR kind IN ('text', 'boolean', 'smallint',
        'integer', 'bigint', 'double precision', 'date', 'time', 'timestamp', 'timestamptz', 'bytea')) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s cannot have a field of type %s', leaf, kind);
    END IF;
    IF anew THEN
        EXECUTE format('ALTER TABLE ledger.%I DROP COLUMN IF EXISTS %I', leaf, field);
    END IF;
    EXECUTE format('ALTER TABLE ledger.%I ADD COLUMN IF NOT EXISTS %I ' || kind, leaf, field);
    EXECUTE format('COMMENT ON COLUMN ledger.%I.%I IS %L', leaf, field, 'The agreed value of ' || field || '.');
END $$;

CREATE FUNCTION ledger.index_image(leaf text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    name text := leaf || '_i';
BEGIN
    PERFORM ledger.guard_shape();
    IF to_regclass(format('ledger.%I', name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE ledger.%I IN SHARE ROW EXCLUSIVE MODE', leaf);
    PERFORM set_config('maintenance_work_mem', '128MB', true);
    BEGIN
        EXECUTE format('CREATE UNIQUE INDEX %I ON ledger.%I (id)', name, leaf);
    EXCEPTION WHEN unique_violation THEN
        -- A load that was broken off and begun anew has left some images twice: the later one counts.
        EXECUTE format($sql$
            DELETE FROM ledger.%1$I a USING (
                SELECT ctid, row_number() OVER (PARTITION BY id ORDER BY ctid DESC) AS n FROM ledger.%1$I) d
            WHERE a.ctid = d.ctid AND d.n > 1 $sql$, leaf);
        EXECUTE format('CREATE UNIQUE INDEX %I ON ledger.%I (id)', name, leaf);
    END;
    EXECUTE format('ANALYZE ledger.%I', leaf);
END $$;
"""


def upgrade() -> None:
    """Create the tables and describe them."""
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(FUNCTIONS.replace("%", "%%"))
    connection.exec_driver_sql(COMMENTS)
    connection.exec_driver_sql(OLDER_COMMENTS)
