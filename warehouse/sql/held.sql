-- Records that left their load, and what became of them.

-- name: stage
CREATE TEMP TABLE findings (package_no integer, record_no bigint, key text, field text, code text, message text)
ON COMMIT DROP

-- name: drop stage
DROP TABLE IF EXISTS pg_temp.findings

-- name: refuse
INSERT INTO warehouse.held
    (request_id, package_no, record_no, store, source, key, kind, field, code, message, at)
SELECT DISTINCT ON (i.package_no, i.record_no, f.code, f.field)
    i.request_id, i.package_no, i.record_no, %(store)s, i.source, {key_text}, 'refused', f.field, f.code, f.message,
    %(now)s::timestamptz
FROM pg_temp.findings f JOIN {inbound} i
    ON i.request_id = %(request)s AND i.package_no = f.package_no AND i.record_no = f.record_no
ORDER BY i.package_no, i.record_no, f.code, f.field, f.message
ON CONFLICT DO NOTHING

-- name: unread
-- There is no inbound record of what could not be read: its number is negative.
INSERT INTO warehouse.held
    (request_id, package_no, record_no, store, source, key, kind, field, code, message, at)
SELECT DISTINCT ON (dense_rank() OVER (ORDER BY f.key), f.code, f.field)
    %(request)s, %(package)s, -dense_rank() OVER (ORDER BY f.key), %(store)s, %(source)s, f.key, 'unread',
    f.field, f.code, f.message, %(now)s::timestamptz
FROM pg_temp.findings f ORDER BY dense_rank() OVER (ORDER BY f.key), f.code, f.field, f.message
ON CONFLICT DO NOTHING

-- name: forget unread
DELETE FROM warehouse.held WHERE request_id = %(request)s AND package_no = %(package)s AND kind = 'unread'

-- name: is any open
SELECT EXISTS (SELECT FROM warehouse.held WHERE store = %(store)s AND source = %(source)s AND state = 'open')

-- name: follow
-- Whatever comes later for a key that is held waits with it; within one request, what is newer than what is held.
INSERT INTO warehouse.held
    (request_id, package_no, record_no, store, source, key, kind, code, message, at)
SELECT i.request_id, i.package_no, i.record_no, %(store)s, i.source, {key_text}, 'follows', 'follows',
    'an earlier record of this key is held; it waits until that is corrected', %(now)s
FROM {inbound} i
WHERE i.request_id = %(request)s AND {key_text} IN (SELECT h.key FROM warehouse.held h
        WHERE h.store = %(store)s AND h.source = %(source)s AND h.state = 'open')
    AND EXISTS (SELECT FROM warehouse.held h LEFT JOIN {inbound} b
        ON b.request_id = h.request_id AND b.package_no = h.package_no AND b.record_no = h.record_no
        WHERE h.store = %(store)s AND h.source = %(source)s AND h.state = 'open' AND h.key = {key_text}
            AND (h.request_id <> %(request)s OR h.kind = 'unread'
                OR (coalesce(b.sequence COLLATE "C", ''), b.package_no, b.record_no)
                    < (coalesce(i.sequence COLLATE "C", ''), i.package_no, i.record_no)))
    AND NOT EXISTS (SELECT FROM warehouse.held h WHERE h.request_id = i.request_id
        AND h.package_no = i.package_no AND h.record_no = i.record_no)

-- name: end
UPDATE warehouse.held SET state = %(state)s, by = %(by)s, why = %(why)s, ended_at = %(now)s, ended_by = %(ended_by)s
WHERE store = %(store)s AND source = %(source)s AND state = 'open' AND key = ANY(%(keys)s)

-- name: open entries
SELECT source, key, min(at), array_agg(DISTINCT kind ORDER BY kind), array_agg(DISTINCT request_id ORDER BY request_id),
    array_agg(DISTINCT concat_ws(': ', nullif(field, ''), message)) FILTER (WHERE kind <> 'follows')
FROM warehouse.held WHERE state = 'open' AND store = %(store)s AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s))
GROUP BY source, key ORDER BY source, key

-- name: is loading
SELECT request_id FROM warehouse.requests WHERE store = %(store)s AND source = %(source)s AND state = 'OPEN'

-- name: newest
-- The newest record of a key that any request has, whether it was held or not.
INSERT INTO {inbound} (request_id, package_no, record_no, record_mode, sequence, source{fields})
SELECT %(request)s, 1, 0, i.record_mode, i.sequence, i.source{newest}
FROM {inbound} i JOIN warehouse.requests q USING (request_id)
WHERE i.source = %(source)s AND {key_text} = %(key)s AND i.request_id <> %(request)s
    AND q.state NOT IN ('OPEN', 'FAILED', 'DELETED')
    AND i.request_id >= (SELECT min(request_id) FROM warehouse.held
        WHERE store = %(store)s AND source = %(source)s AND key = %(key)s AND state = 'open')
ORDER BY i.sequence COLLATE "C" DESC NULLS LAST, i.request_id DESC, i.package_no DESC, i.record_no DESC LIMIT 1
