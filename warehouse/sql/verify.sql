-- Verification and rebuild: a cube is what its postings make of active data.

-- name: active
SELECT {columns}, 1 AS sign FROM {active} WHERE NOT deleted

-- name: not rolled up
-- Images of requests that a cube does not have yet, taken away from active data.
SELECT {columns}, -sign FROM {changes} c WHERE sign <> 0 AND request_id IN (
    SELECT q.request_id FROM warehouse.requests q
    WHERE q.store = {store} AND q.state IN ('ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED')
        AND NOT EXISTS (SELECT FROM warehouse.rolled_up u WHERE u.cube = {cube} AND u.request_id = q.request_id))

-- name: not published
SELECT {columns}, -sign FROM {changes} c WHERE sign <> 0 AND request_id IN (
    SELECT q.request_id FROM warehouse.requests q WHERE q.store = {store} AND q.state IN ('ACTIVE', 'ROLLED_UP'))

-- name: compare
WITH held AS ({held}),
due AS ({due})
SELECT (SELECT count(*) FROM due), count(*) FROM (
    (SELECT {listed}, records FROM held EXCEPT SELECT {listed}, records FROM due)
    UNION ALL
    (SELECT {listed}, records FROM due EXCEPT SELECT {listed}, records FROM held)
) AS differing

-- name: cells
SELECT {listed}, records FROM {totals} UNION ALL SELECT {listed}, records FROM {facts}

-- name: note
INSERT INTO warehouse.verifications (cube, at, cells, differing, publication)
VALUES (%(cube)s, %(now)s, %(cells)s, %(differing)s, (SELECT max(publication) FROM warehouse.publications))
ON CONFLICT (cube, at) DO UPDATE SET cells = excluded.cells, differing = excluded.differing,
    publication = excluded.publication

-- name: empty
DELETE FROM {table}

-- name: forget rolled up
DELETE FROM warehouse.rolled_up u USING warehouse.requests q
WHERE q.request_id = u.request_id AND u.cube = %(cube)s AND q.store = ANY(%(stores)s) AND q.state = 'ROLLED_UP'

-- name: absorb
INSERT INTO warehouse.rolled_up (cube, request_id, cells, absorbed, at)
SELECT %(cube)s, request_id, 0, true, %(now)s FROM warehouse.requests
WHERE store = ANY(%(stores)s) AND state IN ('PUBLISHED', 'COMPRESSED') ORDER BY request_id
ON CONFLICT (cube, request_id) DO UPDATE SET absorbed = true

-- name: rolled up
SELECT store, request_id FROM warehouse.requests
WHERE store = ANY(%(stores)s) AND state = 'ROLLED_UP' ORDER BY request_id FOR UPDATE
