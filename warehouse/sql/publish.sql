-- Publication: what analysts see changes for all cubes at once.

-- name: ready
SELECT count(*) FROM warehouse.requests WHERE state = 'ROLLED_UP'

-- name: publication
INSERT INTO warehouse.publications (at, run, requests) VALUES (%(now)s, %(run)s, %(requests)s) RETURNING publication

-- name: publish
UPDATE warehouse.requests SET state = 'PUBLISHED', publication = %(publication)s
WHERE request_id IN (SELECT request_id FROM warehouse.requests WHERE state = 'ROLLED_UP' ORDER BY request_id FOR UPDATE)

-- name: count
UPDATE warehouse.publications SET requests = %(requests)s WHERE publication = %(publication)s

-- name: last
SELECT coalesce(max(publication), 0) FROM warehouse.publications
