-- What holds with keys that only its own system knows.

-- name: own keys
SELECT DISTINCT {field} FROM {active} a
WHERE a.source = %(source)s AND NOT a.deleted AND starts_with({field}, %(own)s)

-- name: records of
SELECT {key_text} FROM {active} a WHERE a.source = %(source)s AND NOT a.deleted AND {field} = ANY(%(keys)s)
