-- Former values by days.  `turned` has the keys whose values change on a day: live or not, and the values from then on.
-- Slices of one key follow each other; two that touch never say the same.

-- name: drop same day
DELETE FROM {history} h USING pg_temp.turned t WHERE {same} AND h.valid_from >= %(as_of)s

-- name: close
UPDATE {history} h SET valid_to = %(as_of)s::date - 1
FROM pg_temp.turned t WHERE {same} AND h.valid_to >= %(as_of)s

-- name: extend
UPDATE {history} h SET valid_to = '9999-12-31'
FROM pg_temp.turned t WHERE {same} AND t.live AND h.valid_to = %(as_of)s::date - 1 AND NOT {differ}

-- name: open
INSERT INTO {history} ({columns}, valid_from, valid_to)
SELECT {t_columns},
    CASE WHEN EXISTS (SELECT FROM {history} h WHERE {same}) THEN %(as_of)s::date ELSE '0001-01-01' END, '9999-12-31'
FROM pg_temp.turned t
WHERE t.live AND NOT EXISTS (SELECT FROM {history} h WHERE {same} AND h.valid_to = '9999-12-31')
ORDER BY {t_key}
