-- Roll-up: what a request's images bring to a cube, as facts of that request.

-- name: is rolled up
SELECT EXISTS (SELECT FROM warehouse.rolled_up WHERE cube = %(cube)s AND request_id = %(request)s)

-- name: facts
INSERT INTO {facts} (request_id{columns}, records)
SELECT %(request)s{columns}, records FROM ({cells}) AS cells

-- name: images
(SELECT * FROM {changes} WHERE request_id = {request} AND sign <> 0)

-- name: note
INSERT INTO warehouse.rolled_up (cube, request_id, cells, at) VALUES (%(cube)s, %(request)s, %(cells)s, %(now)s)
