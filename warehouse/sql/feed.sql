-- What a feed asks of the warehouse while it is read.

-- name: wait for turn
SELECT pg_advisory_lock(hashtextextended(%(turn)s, 0))

-- name: end turn
SELECT pg_advisory_unlock(hashtextextended(%(turn)s, 0))

-- name: left open
SELECT request_id, load_key FROM warehouse.requests
WHERE store = %(store)s AND source = %(source)s AND state = 'OPEN' ORDER BY request_id

-- name: follow pointer
-- Nothing changed: the pointer moves along, and the request that moved it last stays the one to repeat.
UPDATE warehouse.pointers SET confirmed = %(to)s
WHERE store = %(store)s AND source = %(source)s AND confirmed = %(from)s

-- name: stage objects
CREATE TEMP TABLE objects ({columns}) ON COMMIT PRESERVE ROWS

-- name: drop objects
DROP TABLE IF EXISTS pg_temp.objects

-- name: analyze objects
ANALYZE pg_temp.objects

-- name: vanished
-- Records of objects that were read again and did not come with them.
SELECT DISTINCT {a_key} FROM {active} a JOIN pg_temp.objects o ON {same_objects}
WHERE a.source = %(source)s AND NOT a.deleted
    AND NOT EXISTS (SELECT FROM {inbound} i WHERE i.request_id = %(request)s AND {same_key})

-- name: vanished known
SELECT DISTINCT {a_key} FROM warehouse.objects k
JOIN pg_temp.objects o ON o.object_key = k.object_key
JOIN {active} a ON {key_text} = k.key AND a.source = k.source
WHERE k.store = %(store)s AND k.source = %(source)s AND NOT a.deleted
    AND NOT EXISTS (SELECT FROM {inbound} i WHERE i.request_id = %(request)s AND {same_key})

-- name: stage known
CREATE TEMP TABLE known (object_key text, key text) ON COMMIT DROP

-- name: remember
INSERT INTO warehouse.objects (store, source, object_key, key)
SELECT DISTINCT %(store)s, %(source)s, object_key, key FROM pg_temp.known ORDER BY object_key, key
ON CONFLICT DO NOTHING

-- name: records of
SELECT object_key, key FROM warehouse.objects
WHERE store = %(store)s AND source = %(source)s AND object_key = ANY(%(objects)s)

-- name: entries of
SELECT o.object_key, {key_text} FROM unnest(%(objects)s::text[], %(values)s) AS o(object_key, value)
JOIN {active} a ON a.source = %(source)s AND {field} = o.value AND NOT a.deleted

-- name: objects of
SELECT key, object_key FROM warehouse.objects
WHERE store = %(store)s AND source = %(source)s AND key = ANY(%(keys)s)

-- name: objects within
SELECT DISTINCT k.object_key FROM {active} a
JOIN warehouse.objects k ON k.store = %(store)s AND k.source = a.source AND k.key = {key_text}
WHERE a.source = %(source)s AND NOT a.deleted AND {field} BETWEEN %(low)s AND %(high)s

-- name: keys within
SELECT {a_key} FROM {active} a
WHERE a.source = %(source)s AND NOT a.deleted AND {field} BETWEEN %(low)s AND %(high)s

-- name: differing
-- Records of a request that say something else than what holds.
SELECT EXISTS (SELECT FROM {inbound} i LEFT JOIN {active} a ON {same_key}
WHERE i.request_id = %(request)s
    AND CASE WHEN i.record_mode IN ('D', 'R') THEN NOT a.deleted ELSE a.deleted IS NOT FALSE OR {differ} END)
