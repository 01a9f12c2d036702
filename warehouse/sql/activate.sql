-- Activation: what a request changes in active data, as images, and the changes themselves.

-- name: is empty
SELECT NOT EXISTS (SELECT FROM {active})

-- name: has deletes
SELECT EXISTS (SELECT FROM {inbound} WHERE request_id = %(request)s AND record_mode IN ('D', 'R'))

-- name: drop work
DROP TABLE IF EXISTS pg_temp.work, pg_temp.turned

-- name: drop lookup
DROP TABLE IF EXISTS {lookup}

-- name: look up
-- Attributes of a dimension as they are now: one row a key.
CREATE TEMP TABLE {lookup} ON COMMIT DROP AS
SELECT DISTINCT ON (d.{d_key}) d.{d_key} AS "the key"{attributes}
FROM (SELECT DISTINCT {by} AS key FROM {records} AS r WHERE {by} IS NOT NULL {only}) k
JOIN {members} d ON d.{d_key} = k.key AND d.source = ANY(%(sources)s)
WHERE NOT d.deleted ORDER BY d.{d_key}, {rank}

-- name: look up history
-- Attributes of a dimension as they were on a day: one row a key and day.
CREATE TEMP TABLE {lookup} ON COMMIT DROP AS
SELECT DISTINCT ON (k.key, k.day) k.key AS "the key", k.day AS "the day"{attributes}
FROM (SELECT DISTINCT {by} AS key, {on} AS day FROM {records} AS r
    WHERE {by} IS NOT NULL {only}) k
JOIN {members} d ON d.{d_key} = k.key AND d.source = ANY(%(sources)s) AND k.day BETWEEN d.valid_from AND d.valid_to
ORDER BY k.key, k.day, {rank}

-- name: work
-- What becomes of each record that counts: its fate, what was there, and the values of both.
CREATE TEMP TABLE work ON COMMIT DROP AS
SELECT row_number() OVER () AS n, e.package_no, e.record_no, {e_fields}{posted}{former},
    a.request_id AS "former request", a.sequence AS "former sequence", e.sequence AS "own sequence",
    coalesce(e.sequence, a.sequence) AS sequence,
    CASE WHEN a.deleted THEN 'tombstone' WHEN NOT a.deleted THEN 'row' ELSE '' END AS was,
    CASE
        WHEN e.sequence COLLATE "C" < a.sequence COLLATE "C" THEN 'late'
        WHEN e.record_mode IN ('D', 'R') AND NOT a.deleted THEN 'leaves'
        WHEN e.record_mode NOT IN ('D', 'R') AND a.deleted IS NOT FALSE THEN 'enters'
        WHEN e.record_mode NOT IN ('D', 'R') AND {differ} THEN 'changes'
        WHEN e.sequence IS DISTINCT FROM a.sequence AND e.sequence IS NOT NULL THEN 'touches'
        ELSE 'same'
    END AS fate
FROM pg_temp.effective e LEFT JOIN {active} a ON {same} {lookups}

-- name: fates
SELECT fate, was, count(*) FROM pg_temp.work GROUP BY fate, was

-- name: late
INSERT INTO warehouse.late (request_id, package_no, record_no, store, key, sequence, newer)
SELECT %(request)s, package_no, record_no, %(store)s, {key_text}, "own sequence", "former sequence"
FROM pg_temp.work w WHERE fate = 'late'

-- name: before images
INSERT INTO {changes} (request_id, record_no, image, sign, was, former_request_id, former_sequence{columns})
SELECT %(request)s, 2 * n, CASE fate WHEN 'leaves' THEN 'R' ELSE 'X' END, -1, '', "former request", "former sequence"
    {former_columns}
FROM pg_temp.work WHERE fate IN ('leaves', 'changes')

-- name: after images
INSERT INTO {changes} (request_id, record_no, image, sign, was, former_request_id, former_sequence{columns})
SELECT %(request)s, 2 * n + 1, CASE fate WHEN 'enters' THEN 'N' ELSE '' END, 1,
    CASE WHEN was = 'tombstone' THEN was ELSE '' END, "former request", "former sequence"{columns}
FROM pg_temp.work WHERE fate IN ('enters', 'changes')

-- name: touches
-- Only the sequence moves on: no figure counts, but undo must know where it stood.
INSERT INTO {changes} (request_id, record_no, image, sign, was, former_request_id, former_sequence{keys})
SELECT %(request)s, 2 * n + 1, '', 0, was, "former request", "former sequence"{keys}
FROM pg_temp.work WHERE fate = 'touches'

-- name: enter
INSERT INTO {active} (request_id, sequence, deleted{columns})
SELECT %(request)s, sequence, false{columns} FROM pg_temp.work WHERE fate = 'enters' AND was = '' ORDER BY {key}

-- name: change
UPDATE {active} a SET {assigned} request_id = %(request)s, sequence = w.sequence, deleted = false
FROM pg_temp.work w WHERE {same} AND (w.fate = 'changes' OR (w.fate = 'enters' AND w.was = 'tombstone'))

-- name: leave
UPDATE {active} a SET {nulled} request_id = %(request)s, sequence = w.sequence, deleted = true
FROM pg_temp.work w WHERE {same} AND w.fate = 'leaves'

-- name: touch
UPDATE {active} a SET sequence = w.sequence FROM pg_temp.work w WHERE {same} AND w.fate = 'touches'

-- name: keep out
-- A delete of what never was here leaves a tombstone: what is older may still arrive.
INSERT INTO {active} (request_id, sequence, deleted{keys})
SELECT %(request)s, sequence, true{keys} FROM pg_temp.work WHERE fate = 'touches' AND was = '' ORDER BY {key}

-- name: turned
CREATE TEMP TABLE turned ON COMMIT DROP AS
SELECT {keys_and_history}, fate <> 'leaves' AS live
FROM pg_temp.work w WHERE fate IN ('enters', 'leaves') OR (fate = 'changes' AND {turned})

-- name: first
-- The first load of an empty store: everything enters, nothing is there to be compared with.
INSERT INTO {active} (request_id, sequence, deleted{columns})
SELECT %(request)s, e.sequence, false, {e_fields}{posted}
FROM {inbound} e {lookups} WHERE e.request_id = %(request)s {unless_held}

-- name: first images
INSERT INTO {changes} (request_id, record_no, image, sign, was{columns})
SELECT %(request)s, row_number() OVER (), 'N', 1, ''{columns} FROM {active} WHERE request_id = %(request)s

-- name: first slices
INSERT INTO {history} ({keys_and_history}, valid_from, valid_to)
SELECT {keys_and_history}, '0001-01-01', '9999-12-31' FROM {active} WHERE request_id = %(request)s
