-- What arrived: one row a record, by request, package and number.

-- name: drop package
DELETE FROM {inbound} WHERE request_id = %(request)s AND package_no = %(package)s

-- name: drop
DELETE FROM {inbound} WHERE request_id = %(request)s

-- name: totals
SELECT count(*){sums} FROM {inbound} WHERE request_id = %(request)s

-- name: unread
SELECT count(DISTINCT (package_no, record_no)) FROM warehouse.held WHERE request_id = %(request)s AND kind = 'unread'

-- name: effective
-- Of the records of one key the last one counts.
CREATE TEMP TABLE effective ON COMMIT DROP AS
SELECT DISTINCT ON ({key}) package_no, record_no, record_mode, sequence, {key}{fields}
FROM {inbound} i WHERE request_id = %(request)s {unless_held}
ORDER BY {key}, sequence COLLATE "C" DESC NULLS LAST, package_no DESC, record_no DESC

-- name: drop effective
DROP TABLE IF EXISTS pg_temp.effective, pg_temp.kept

-- name: holds live
SELECT EXISTS (SELECT FROM {active} WHERE source = %(source)s AND NOT deleted)

-- name: kept
-- Records that say something else than what holds.
CREATE TEMP TABLE kept ON COMMIT DROP AS
SELECT e.package_no, e.record_no FROM pg_temp.effective e LEFT JOIN {active} a ON {same}
WHERE CASE WHEN e.record_mode IN ('D', 'R') THEN NOT a.deleted ELSE a.deleted IS NOT FALSE OR {differ} END

-- name: forget others
DELETE FROM {inbound} i WHERE i.request_id = %(request)s AND NOT EXISTS (
    SELECT FROM pg_temp.kept k WHERE k.package_no = i.package_no AND k.record_no = i.record_no)

-- name: gone
-- What a full load does not bring is gone, unless it could not be read.
INSERT INTO {inbound} (request_id, package_no, record_no, record_mode, {key})
SELECT %(request)s, (SELECT coalesce(max(package_no), 0) + 1 FROM warehouse.packages WHERE request_id = %(request)s),
    row_number() OVER (), 'D', {a_key}
FROM {active} a
WHERE a.source = %(source)s AND NOT a.deleted AND NOT EXISTS (SELECT FROM pg_temp.effective e WHERE {same})
    AND NOT EXISTS (SELECT FROM warehouse.held h WHERE h.store = %(store)s AND h.source = a.source
        AND h.state = 'open' AND h.key = {key_text}) {within}

-- name: unless held
AND NOT EXISTS (SELECT FROM warehouse.held h WHERE h.request_id = {of}.request_id
    AND h.package_no = {of}.package_no AND h.record_no = {of}.record_no)

-- name: frame
COPY (SELECT package_no, record_no, record_mode, sequence, source{columns}
    FROM {inbound} i WHERE request_id = {request} AND package_no = {package} {unless_held}
    ORDER BY record_no) TO STDOUT (FORMAT csv)
