-- What the warehouse notes about its requests, their packages and the pointers of their feeds.

-- name: request
SELECT {columns} FROM warehouse.requests WHERE request_id = %(request)s {lock}

-- name: requests
SELECT {columns} FROM warehouse.requests
WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
ORDER BY request_id DESC LIMIT %(limit)s

-- name: delivered
-- A load key that was used again since its cursor had not moved is followed by `@` and the request before.
SELECT request_id, state, cursor_from, cursor_to FROM warehouse.requests
WHERE store = %(store)s AND state NOT IN ('DELETED', 'FAILED')
    AND (load_key = %(key)s OR left(load_key, length(%(key)s::text) + 1) = %(key)s || '@')
ORDER BY request_id DESC LIMIT 1

-- name: open
INSERT INTO warehouse.requests
    (request_id, store, source, mode, load_key, cursor_from, parent_request_id, run, as_of, created_at)
SELECT nextval('warehouse.request_ids'), %(store)s, %(source)s, %(mode)s, %(key)s, %(cursor)s, %(parent)s, %(run)s,
    greatest(%(as_of)s::date, max(as_of)), %(now)s
FROM warehouse.requests WHERE store = %(store)s AND state NOT IN ('FAILED', 'DELETED')
RETURNING {columns}

-- name: set state
UPDATE warehouse.requests SET state = %(state)s, because = %(because)s,
    loaded_at = CASE WHEN %(state)s = 'LOADED' THEN %(now)s ELSE loaded_at END,
    activated_at = CASE WHEN %(state)s = 'ACTIVE' THEN %(now)s ELSE activated_at END,
    ended_at = CASE WHEN %(state)s IN ('FAILED', 'DELETED', 'COMPRESSED') THEN %(now)s ELSE ended_at END
WHERE request_id = %(request)s RETURNING {columns}

-- name: count
UPDATE warehouse.requests r SET
    records = coalesce(%(records)s, records),
    changed = coalesce(%(changed)s, changed),
    control = control || %(control)s::jsonb,
    cursor_to = coalesce(%(cursor)s, cursor_to),
    excluded = (SELECT count(*) FROM (SELECT DISTINCT package_no, record_no FROM warehouse.held h
        WHERE h.request_id = r.request_id) excluded)
WHERE request_id = %(request)s RETURNING {columns}

-- name: before
-- Requests of the store that stand in the way of a later one: not active, not given up.
SELECT request_id, state FROM warehouse.requests
WHERE store = %(store)s AND request_id < %(request)s AND state = ANY(%(states)s) ORDER BY request_id

-- name: after
SELECT request_id, state, mode, control FROM warehouse.requests
WHERE store = %(store)s AND request_id > %(request)s AND state = ANY(%(states)s) ORDER BY request_id

-- name: packages
SELECT package_no, records FROM warehouse.packages WHERE request_id = %(request)s ORDER BY package_no

-- name: package
SELECT records, digest FROM warehouse.packages WHERE request_id = %(request)s AND package_no = %(package)s

-- name: note package
INSERT INTO warehouse.packages (request_id, package_no, records, digest)
VALUES (%(request)s, %(package)s, %(records)s, %(digest)s)
ON CONFLICT (request_id, package_no) DO UPDATE SET records = excluded.records, digest = excluded.digest

-- name: forget packages
DELETE FROM warehouse.packages WHERE request_id = %(request)s

-- name: pointer
SELECT confirmed, before, request_id, init_request_id FROM warehouse.pointers
WHERE store = %(store)s AND source = %(source)s

-- name: set pointer
INSERT INTO warehouse.pointers (store, source, confirmed, before, request_id, init_request_id)
VALUES (%(store)s, %(source)s, %(confirmed)s, %(before)s, %(request)s, %(init)s)
ON CONFLICT (store, source) DO UPDATE SET confirmed = excluded.confirmed, before = excluded.before,
    request_id = excluded.request_id, init_request_id = excluded.init_request_id

-- name: drop pointer
DELETE FROM warehouse.pointers WHERE store = %(store)s AND source = %(source)s

-- name: moved before
-- The request that had moved the pointer before this one, and the last init until then.
SELECT r.cursor_to, r.cursor_from, r.request_id, (SELECT max(i.request_id) FROM warehouse.requests i
    WHERE i.store = r.store AND i.source = r.source AND i.request_id <= r.request_id
        AND i.mode IN ('INIT', 'INIT_NODATA') AND i.state NOT IN ('OPEN', 'FAILED', 'DELETED'))
FROM warehouse.requests r
WHERE r.store = %(store)s AND r.source = %(source)s AND r.request_id < %(request)s AND r.cursor_to IS NOT NULL
    AND r.mode IN ('INIT', 'INIT_NODATA', 'DELTA', 'REPEAT') AND r.state NOT IN ('OPEN', 'FAILED', 'DELETED')
ORDER BY r.request_id DESC LIMIT 1

-- name: reopen held
UPDATE warehouse.held SET state = 'open', by = '', why = '', ended_at = NULL, ended_by = NULL
WHERE ended_by = %(request)s

-- name: end held
UPDATE warehouse.held SET state = 'superseded', why = 'its request was given up', ended_at = %(now)s
WHERE request_id = %(request)s AND state = 'open'

-- name: forget file
DELETE FROM warehouse.files WHERE request_id = %(request)s AND state = 'loaded'
