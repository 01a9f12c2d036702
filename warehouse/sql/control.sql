-- The control tables of the warehouse.  One statement each; running them again changes nothing.
CREATE SCHEMA IF NOT EXISTS warehouse;
CREATE SCHEMA IF NOT EXISTS analysis;

CREATE SEQUENCE IF NOT EXISTS warehouse.request_ids;

CREATE TABLE IF NOT EXISTS warehouse.requests (
    request_id bigint PRIMARY KEY,
    store text NOT NULL,
    source text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('INIT', 'INIT_NODATA', 'DELTA', 'REPEAT', 'FULL', 'REPAIR_FULL', 'CORRECTION', 'REVERSAL')),
    load_key text NOT NULL,
    state text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'LOADED', 'CHECKED', 'ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED', 'FAILED', 'DELETED')),
    because text NOT NULL DEFAULT '',
    records bigint NOT NULL DEFAULT 0,
    excluded bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    control jsonb NOT NULL DEFAULT '{}',
    cursor_from text,
    cursor_to text,
    parent_request_id bigint REFERENCES warehouse.requests,
    run text NOT NULL DEFAULT '',
    as_of date NOT NULL,
    publication bigint,
    created_at timestamptz NOT NULL,
    loaded_at timestamptz,
    activated_at timestamptz,
    ended_at timestamptz
);
-- Delivering the same delta twice collides here; a request that was deleted or failed frees its load.
CREATE UNIQUE INDEX IF NOT EXISTS requests_load ON warehouse.requests (store, load_key) WHERE state NOT IN ('DELETED', 'FAILED');
CREATE INDEX IF NOT EXISTS requests_open ON warehouse.requests (store, request_id) WHERE state NOT IN ('PUBLISHED', 'COMPRESSED', 'DELETED');

CREATE TABLE IF NOT EXISTS warehouse.packages (
    request_id bigint NOT NULL REFERENCES warehouse.requests,
    package_no integer NOT NULL,
    records bigint NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (request_id, package_no)
);

-- How far each feed was read: `confirmed` is where the next delta begins, `before` where the last one began (REPEAT).
CREATE TABLE IF NOT EXISTS warehouse.pointers (
    store text NOT NULL,
    source text NOT NULL,
    confirmed text NOT NULL,
    before text,
    request_id bigint NOT NULL REFERENCES warehouse.requests,
    init_request_id bigint NOT NULL REFERENCES warehouse.requests,
    PRIMARY KEY (store, source)
);

-- Records that left their load: refused for a reason, or followers of a key that is held.  No values but the key.
CREATE TABLE IF NOT EXISTS warehouse.held (
    request_id bigint NOT NULL REFERENCES warehouse.requests,
    package_no integer NOT NULL,
    record_no bigint NOT NULL,
    store text NOT NULL,
    source text NOT NULL,
    key text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('refused', 'follows', 'unread')),
    field text NOT NULL DEFAULT '',
    code text NOT NULL,
    message text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'corrected', 'superseded')),
    by text NOT NULL DEFAULT '',
    why text NOT NULL DEFAULT '',
    at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by bigint REFERENCES warehouse.requests, -- the correction that ended it; if that is deleted, it is open again
    PRIMARY KEY (request_id, package_no, record_no, code, field)
);
CREATE INDEX IF NOT EXISTS held_open ON warehouse.held (store, source, key) WHERE state = 'open';

-- Records that arrived after a newer one of their key was active: kept for audit, they changed nothing.
CREATE TABLE IF NOT EXISTS warehouse.late (
    request_id bigint NOT NULL REFERENCES warehouse.requests,
    package_no integer NOT NULL,
    record_no bigint NOT NULL,
    store text NOT NULL,
    key text COLLATE "C" NOT NULL,
    sequence text,
    newer text,
    PRIMARY KEY (request_id, package_no, record_no)
);

-- Which cubes have added up which request.
CREATE TABLE IF NOT EXISTS warehouse.rolled_up (
    cube text NOT NULL,
    request_id bigint NOT NULL REFERENCES warehouse.requests,
    cells bigint NOT NULL,
    absorbed boolean NOT NULL DEFAULT false, -- part of the totals: compressed, or rebuilt from active data
    at timestamptz NOT NULL,
    PRIMARY KEY (cube, request_id)
);

-- What analysts see changes here, at once for all cubes.
CREATE TABLE IF NOT EXISTS warehouse.publications (
    publication bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    run text NOT NULL DEFAULT '',
    requests bigint NOT NULL
);

-- The shape that each store, dimension and cube was given last, and by which text of its file.
CREATE TABLE IF NOT EXISTS warehouse.shapes (
    kind text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    applied_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name)
);

-- What `isthmus warehouse verify` found last.
CREATE TABLE IF NOT EXISTS warehouse.verifications (
    cube text NOT NULL,
    at timestamptz NOT NULL,
    cells bigint NOT NULL,
    differing bigint NOT NULL,
    publication bigint,
    PRIMARY KEY (cube, at)
);

-- Files that were picked up from a folder, by content: the same content is taken once.
CREATE TABLE IF NOT EXISTS warehouse.files (
    store text NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('loaded', 'refused')),
    because text NOT NULL DEFAULT '',
    request_id bigint REFERENCES warehouse.requests,
    at timestamptz NOT NULL,
    PRIMARY KEY (store, digest)
);

-- What a change of the files left to do: stores whose next load is a REPAIR_FULL, cubes that are rebuilt.
CREATE TABLE IF NOT EXISTS warehouse.backfills (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('store', 'cube')),
    name text NOT NULL,
    because text NOT NULL,
    since timestamptz NOT NULL,
    done_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS backfills_waiting ON warehouse.backfills (kind, name) WHERE done_at IS NULL;

-- The days that people count in; filled once.
CREATE TABLE IF NOT EXISTS warehouse.calendar (
    day date PRIMARY KEY,
    workday boolean NOT NULL,
    holiday text NOT NULL DEFAULT ''
);

-- Which records an object of a source is in a store, where its key there does not tell: what vanishes is found by it.
CREATE TABLE IF NOT EXISTS warehouse.objects (
    store text NOT NULL,
    source text NOT NULL,
    object_key text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (store, source, object_key, key)
);
CREATE INDEX IF NOT EXISTS objects_key ON warehouse.objects (store, source, key);

-- Of what each derived store was made last: its query runs again when that has changed.
CREATE TABLE IF NOT EXISTS warehouse.derivations (
    store text PRIMARY KEY,
    inputs text NOT NULL,
    at timestamptz NOT NULL
);
