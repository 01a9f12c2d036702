-- Compression: facts of published requests become part of the totals.

-- name: due
-- Published requests that a cube has not absorbed, old enough or up to one.
SELECT q.request_id FROM warehouse.requests q
JOIN warehouse.rolled_up u ON u.request_id = q.request_id AND u.cube = %(cube)s AND NOT u.absorbed
JOIN warehouse.publications p USING (publication)
WHERE q.state = 'PUBLISHED' AND (%(before)s::timestamptz IS NULL OR p.at <= %(before)s)
    AND (%(up_to)s::bigint IS NULL OR q.request_id <= %(up_to)s)
ORDER BY q.request_id FOR UPDATE OF q

-- name: absorb
INSERT INTO {totals} AS t ({listed}, records)
SELECT {listed}, records FROM ({cells}) AS cells
ORDER BY {dimensions}
ON CONFLICT ({dimensions}) DO UPDATE SET {added}records = t.records + excluded.records

-- name: facts
SELECT * FROM {facts} WHERE request_id = ANY(%(requests)s)

-- name: drop zeros
DELETE FROM {totals} WHERE records = 0{zero}

-- name: drop facts
DELETE FROM {facts} WHERE request_id = ANY(%(requests)s)

-- name: note
UPDATE warehouse.rolled_up SET absorbed = true WHERE cube = %(cube)s AND request_id = ANY(%(requests)s)

-- name: finish
-- Requests that every cube of their store has absorbed.
UPDATE warehouse.requests SET state = 'COMPRESSED', ended_at = %(now)s
WHERE request_id IN (SELECT q.request_id FROM warehouse.requests q JOIN warehouse.publications p USING (publication)
    WHERE q.state = 'PUBLISHED' AND (%(before)s::timestamptz IS NULL OR p.at <= %(before)s)
        AND (%(up_to)s::bigint IS NULL OR q.request_id <= %(up_to)s)
        AND NOT EXISTS (SELECT FROM unnest(%(stores)s::text[], %(cubes)s::text[]) AS f (store, cube)
            WHERE f.store = q.store AND NOT EXISTS (SELECT FROM warehouse.rolled_up u
                WHERE u.cube = f.cube AND u.request_id = q.request_id AND u.absorbed))
    ORDER BY q.request_id FOR UPDATE OF q)
