-- Files that were picked up.

-- name: taken
-- A file counts as taken for as long as what was loaded of it is there.
SELECT f.request_id FROM warehouse.files f JOIN warehouse.requests r USING (request_id)
WHERE f.store = %(store)s AND f.digest = %(digest)s AND f.state = 'loaded' AND r.state NOT IN ('FAILED', 'DELETED')

-- name: note
INSERT INTO warehouse.files (store, digest, name, state, because, request_id, at)
VALUES (%(store)s, %(digest)s, %(file)s, %(state)s, %(because)s, %(request)s, %(now)s)
ON CONFLICT (store, digest) DO UPDATE SET name = excluded.name, state = excluded.state, because = excluded.because,
    request_id = excluded.request_id, at = excluded.at
