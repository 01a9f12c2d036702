-- Undo: a request's images taken back, while nothing else was built on them.

-- name: absorbed
SELECT cube FROM warehouse.rolled_up WHERE request_id = %(request)s AND absorbed ORDER BY cube

-- name: undone
-- One row a key: what was there before the request.
CREATE TEMP TABLE undone ON COMMIT DROP AS
SELECT image, sign, was, former_request_id, former_sequence{columns}
FROM {changes} WHERE request_id = %(request)s AND (image IN ('N', 'X', 'R') OR sign = 0)

-- name: drop undone
DROP TABLE IF EXISTS pg_temp.undone, pg_temp.turned

-- name: later
-- Later requests that spoke of the same keys: with them, what was before is not what would be now.
SELECT i.request_id, count(*) FROM {inbound} i JOIN pg_temp.undone u ON {same_inbound}
WHERE i.request_id IN (SELECT q.request_id FROM warehouse.requests q WHERE q.store = %(store)s
        AND q.request_id > %(request)s AND q.state IN ('ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED'))
    AND NOT EXISTS (SELECT FROM warehouse.held h WHERE h.request_id = i.request_id
        AND h.package_no = i.package_no AND h.record_no = i.record_no)
GROUP BY i.request_id ORDER BY i.request_id

-- name: bring back
UPDATE {active} a SET {assigned} request_id = u.former_request_id, sequence = u.former_sequence, deleted = false
FROM pg_temp.undone u WHERE {same} AND u.sign = -1

-- name: bury
UPDATE {active} a SET {nulled} request_id = u.former_request_id, sequence = u.former_sequence, deleted = true
FROM pg_temp.undone u WHERE {same} AND u.image = 'N' AND u.was = 'tombstone'

-- name: untouch
UPDATE {active} a SET sequence = u.former_sequence FROM pg_temp.undone u WHERE {same} AND u.sign = 0 AND u.was <> ''

-- name: remove
DELETE FROM {active} a USING pg_temp.undone u WHERE {same} AND u.was = '' AND (u.image = 'N' OR u.sign = 0)

-- name: turned
CREATE TEMP TABLE turned ON COMMIT DROP AS
SELECT {keys_and_history}, u.sign = -1 AS live FROM pg_temp.undone u
WHERE u.image IN ('X', 'R') OR (u.image = 'N' AND u.was = 'tombstone')

-- name: forget slices
-- What entered for the first time; the tombstone of a record that never was here has no former values either.
DELETE FROM {history} h USING pg_temp.undone u WHERE {same_history} AND u.image = 'N' AND (u.was = '' OR EXISTS (
    SELECT FROM {changes} l WHERE l.request_id = u.former_request_id AND {same_log} AND l.sign = 0 AND l.was = ''))

-- name: drop images
DELETE FROM {changes} WHERE request_id = %(request)s

-- name: drop facts
DELETE FROM {facts} WHERE request_id = %(request)s

-- name: forget rolled up
DELETE FROM warehouse.rolled_up WHERE request_id = %(request)s

-- name: forget late
DELETE FROM warehouse.late WHERE request_id = %(request)s

-- name: reversal
-- The records that put every key back to what it was before the request.
INSERT INTO {inbound} (request_id, package_no, record_no, record_mode{reversal_columns})
SELECT %(reversal)s, 1, row_number() OVER (ORDER BY {u_key}) - 1, CASE WHEN u.image = 'N' THEN 'D' ELSE '' END
    {reversed_columns}
FROM pg_temp.undone u WHERE u.sign <> 0 AND NOT EXISTS (SELECT FROM pg_temp.changed_since c WHERE {same_changed})

-- name: changed since
CREATE TEMP TABLE changed_since ON COMMIT DROP AS
SELECT DISTINCT {u_key}, {key_text} AS text
FROM {changes} l JOIN pg_temp.undone u ON {same_log}
WHERE l.request_id > %(request)s AND u.sign <> 0

-- name: drop changed since
DROP TABLE IF EXISTS pg_temp.changed_since

-- name: texts of changed since
SELECT text FROM pg_temp.changed_since ORDER BY text
