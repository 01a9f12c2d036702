-- How stores and cubes stand.

-- name: store
SELECT (SELECT count(*) FROM {active} WHERE NOT deleted),
    (SELECT max(created_at) FROM warehouse.requests
        WHERE store = %(store)s AND state IN ('ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED')),
    (SELECT count(*) FROM warehouse.requests
        WHERE store = %(store)s AND state IN ('OPEN', 'LOADED', 'CHECKED', 'ACTIVE', 'ROLLED_UP')),
    (SELECT count(DISTINCT (source, key)) FROM warehouse.held WHERE store = %(store)s AND state = 'open'),
    (SELECT count(*) FROM warehouse.files WHERE store = %(store)s AND state = 'refused')

-- name: cube
SELECT (SELECT count(*) FROM {facts}) + (SELECT count(*) FROM {totals}),
    (SELECT count(*) FROM warehouse.rolled_up WHERE cube = %(cube)s AND NOT absorbed),
    (SELECT max(at) FROM warehouse.verifications WHERE cube = %(cube)s),
    (SELECT differing FROM warehouse.verifications WHERE cube = %(cube)s ORDER BY at DESC LIMIT 1)
