-- Records that are made of other stores by a query, compared with what is active.

-- name: drop
DROP TABLE IF EXISTS pg_temp.made, pg_temp.differing

-- name: made
CREATE TEMP TABLE made ON COMMIT DROP AS SELECT {columns} FROM (
{query}
) AS q

-- name: all at once
-- Everything is read, and active tables may have no statistics yet: a nested loop would go on for hours.
SET LOCAL enable_nestloop = off

-- name: as usual
SET LOCAL enable_nestloop = on

-- name: index
CREATE INDEX ON pg_temp.made ({key})

-- name: analyze
ANALYZE pg_temp.made

-- name: faults
SELECT count(*), count(*) FILTER (WHERE {no_key}), count(*) - count(DISTINCT ({key})) FROM pg_temp.made

-- name: holds live
SELECT EXISTS (SELECT FROM {active} WHERE source = %(source)s AND NOT deleted)

-- name: differing
CREATE TEMP TABLE differing ON COMMIT DROP AS
SELECT '' AS record_mode, {m_fields} FROM pg_temp.made m LEFT JOIN {active} a ON a.source = %(source)s AND {same}
WHERE a.deleted IS NOT FALSE OR {differ}
UNION ALL
SELECT 'D', {gone_fields} FROM {active} a
WHERE a.source = %(source)s AND NOT a.deleted AND NOT EXISTS (SELECT FROM pg_temp.made m WHERE {same})

-- name: count
SELECT count(*) FROM pg_temp.differing

-- name: write
INSERT INTO {inbound} (request_id, package_no, record_no, record_mode, source, {fields})
SELECT %(request)s, 1, row_number() OVER () - 1, record_mode, %(source)s, {fields} FROM pg_temp.differing

-- name: inputs
SELECT store, count(*) FILTER (WHERE state IN ('ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED')),
    max(request_id) FILTER (WHERE state IN ('ACTIVE', 'ROLLED_UP', 'PUBLISHED', 'COMPRESSED')),
    count(*) FILTER (WHERE state = 'DELETED' AND activated_at IS NOT NULL)
FROM warehouse.requests WHERE store = ANY(%(stores)s) GROUP BY store ORDER BY store

-- name: made of
SELECT inputs FROM warehouse.derivations WHERE store = %(store)s

-- name: note
INSERT INTO warehouse.derivations (store, inputs, at) VALUES (%(store)s, %(inputs)s, %(now)s)
ON CONFLICT (store) DO UPDATE SET inputs = excluded.inputs, at = excluded.at
