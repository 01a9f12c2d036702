"""Views of how fresh and complete everything is, of the days of the calendar, and which publication is read."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.calendar import ZONE
from warehouse.expression import literal
from warehouse.shape_tables import comment
from warehouse.spec import Warehouse
from warehouse.tables import SCHEMA, VIEWS
from warehouse.view import View

PUBLICATION = f"{VIEWS}.publication()"
# Analysts need no right on the control tables: the function reads them for whoever asks.
PUBLICATION_SQL = f"""
CREATE OR REPLACE FUNCTION {PUBLICATION} RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    pinned bigint := nullif(current_setting('isthmus.publication', true), '');
    newest bigint := (SELECT max(publication) FROM {SCHEMA}.publications);
BEGIN
    IF pinned IS NULL THEN
        RETURN newest;
    ELSIF pinned > newest OR newest IS NULL THEN
        RAISE 'there is no publication % yet, the newest is %', pinned, coalesce(newest::text, 'none')
            USING HINT = 'SET isthmus.publication to that number, or RESET isthmus.publication.';
    ELSIF EXISTS (
        SELECT FROM {SCHEMA}.rolled_up AS r JOIN {SCHEMA}.requests AS q USING (request_id)
        WHERE r.absorbed AND q.publication > pinned
    ) THEN
        RAISE 'publication % cannot be read any more: later ones were compressed into the same totals', pinned
            USING HINT = 'RESET isthmus.publication reads the newest, which is ' || newest || '.';
    END IF;
    RETURN pinned;
END
$$"""
# Balances run up to the month of the publication: a stand that is read again later is the same.
PUBLICATION_MONTH = f"{VIEWS}.publication_month()"
PUBLICATION_MONTH_SQL = f"""
CREATE OR REPLACE FUNCTION {PUBLICATION_MONTH} RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT date_trunc('month', max(at) AT TIME ZONE '{ZONE}')::date
    FROM {SCHEMA}.publications WHERE publication <= {PUBLICATION}
$$"""
PUBLISHED = f"SELECT request_id FROM {SCHEMA}.requests WHERE publication <= (SELECT {PUBLICATION})"

# Totals are of no publication: whoever reads them asks all the same, so that one that is gone is told.
READABLE = f"(SELECT {PUBLICATION}) IS DISTINCT FROM 0"


def publication_statements() -> tuple[str, ...]:
    """Return what creates the functions that say which publication a session reads, and of which month it is."""
    about = (
        "Publication that the views of this session show: the newest, or the one named by "
        "SET isthmus.publication = '12', so that several statements are answered from one stand. An error where later "
        "ones were compressed."
    )
    month = "First day of the month of the publication that is read: balances run up to it."
    return (
        PUBLICATION_SQL,
        comment("FUNCTION", PUBLICATION, about),
        PUBLICATION_MONTH_SQL,
        comment("FUNCTION", PUBLICATION_MONTH, month),
    )


def control_views(warehouse: Warehouse) -> Iterator[View]:
    """Yield the views that say how fresh and complete the others are, and the calendar."""
    yield _calendar()
    yield _freshness(warehouse)
    yield _completeness()


def _calendar() -> View:
    columns = {
        "day": "Day.",
        "week": "Monday of its week.",
        "month": "First day of its month.",
        "quarter": "First day of its quarter.",
        "year": "First day of its year.",
        "weekday": "1: Monday, 7: Sunday.",
        "workday": "True from Monday to Friday, except public holidays of all Germany.",
        "holiday": "Name of the public holiday; null on other days.",
    }
    periods = ", ".join(f"date_trunc('{name}', day::timestamp)::date AS {name}" for name in list(columns)[1:5])
    select = (
        f"SELECT day, {periods}, extract(isodow FROM day)::integer AS weekday, workday, "
        f"nullif(holiday, '') AS holiday FROM {SCHEMA}.calendar"
    )
    return View("calendar", select, "Days with their periods: one row per day from 1990 to 2060.", columns)


def _freshness(warehouse: Warehouse) -> View:
    columns = {
        "kind": "cube, or store.",
        "name": "Its name.",
        "published_at": "When what it shows was published last.",
        "publication": "Number of that publication.",
        "read_at": "When the newest of it was read from the source: later changes there are not in it.",
        "source_until": "Until when changes of the source were looked for, also where there were none; of several "
        "sources the one that is furthest behind. For files, the newest.",
        "waiting": "Requests that arrived but are not published, those of stores it is made of included.",
        "waiting_since": "When the oldest of them was opened; null where none waits.",
        "excluded": "Records that are left out because they break a rule or could not be read, also in stores it is "
        "made of.",
        "parked": "Records that wait for a left out record of the same key, also in stores it is made of.",
        "verified_at": "When a cube was last compared with a recomputation from its records.",
        "differing": "Cells that differed then: 0, or something is wrong.",
        "failing_since": "When the last load of a store it is made of began, if that failed; null where none did.",
    }
    fed = _fed(warehouse)
    select = f"""
WITH loaded AS (
    SELECT store, max(publication) AS publication,
        max(created_at) FILTER (WHERE publication IS NOT NULL) AS read_at,
        count(*) FILTER (WHERE publication IS NULL AND state NOT IN ('FAILED', 'DELETED')) AS waiting,
        min(created_at) FILTER (WHERE publication IS NULL AND state NOT IN ('FAILED', 'DELETED')) AS waiting_since,
        max(created_at) FILTER (WHERE state = 'FAILED') AS failed_at,
        max(created_at) FILTER (WHERE state NOT IN ('FAILED', 'DELETED')) AS went_well_at
    FROM {SCHEMA}.requests WHERE publication IS NULL OR publication <= (SELECT {PUBLICATION}) GROUP BY store
),
pointed AS (
    SELECT store, min(coalesce(
        substring(confirmed FROM '"at": ?"([^"]+)"'), substring(confirmed FROM '"name": ?"([^"]+)"'), confirmed
    )) AS source_until
    FROM {SCHEMA}.pointers GROUP BY store
),
held AS (
    SELECT store, count(DISTINCT (source, key)) FILTER (WHERE kind <> 'follows') AS excluded,
        count(DISTINCT (request_id, package_no, record_no)) FILTER (WHERE kind = 'follows') AS parked
    FROM {SCHEMA}.held WHERE state = 'open' GROUP BY store
),
proved AS (
    SELECT DISTINCT ON (cube) cube, at, differing FROM {SCHEMA}.verifications ORDER BY cube, at DESC
)
SELECT fed.kind, fed.name, max(p.at) FILTER (WHERE fed.own) AS published_at,
    max(loaded.publication) FILTER (WHERE fed.own) AS publication,
    max(loaded.read_at) FILTER (WHERE fed.own) AS read_at, min(pointed.source_until) AS source_until,
    coalesce(sum(loaded.waiting), 0)::bigint AS waiting, min(loaded.waiting_since) AS waiting_since,
    coalesce(sum(held.excluded), 0)::bigint AS excluded, coalesce(sum(held.parked), 0)::bigint AS parked,
    max(proved.at) AS verified_at, max(proved.differing) AS differing,
    min(loaded.failed_at) FILTER (WHERE loaded.failed_at > coalesce(loaded.went_well_at, '-infinity')) AS failing_since
FROM {fed} AS fed (kind, name, store, own)
LEFT JOIN loaded ON loaded.store = fed.store
LEFT JOIN pointed ON pointed.store = fed.store
LEFT JOIN held ON held.store = fed.store
LEFT JOIN {SCHEMA}.publications AS p ON p.publication = loaded.publication
LEFT JOIN proved ON fed.kind = 'cube' AND proved.cube = fed.name
GROUP BY fed.kind, fed.name"""
    return View("freshness", select, "How old every cube and store is: one row each.", columns)


def _fed(warehouse: Warehouse) -> str:
    """Return rows of kind, name, a store it is made of, and whether that store is its own or read by a query."""
    own: list[tuple[str, str, tuple[str, ...]]] = [("store", name, (name,)) for name in warehouse.stores]
    own += [("cube", cube.name, cube.stores) for cube in warehouse.cubes.values()]
    rows = [
        f"({literal(kind)}, {literal(name)}, {literal(store)}, {'true' if store in stores else 'false'})"
        for kind, name, stores in own
        for store in dict.fromkeys(read for store in stores for read in warehouse.made_of(store))
    ]
    nothing = "(SELECT ''::text, ''::text, ''::text, false WHERE false)"
    return f"(VALUES {', '.join(rows)})" if rows else nothing


def _completeness() -> View:
    columns = {
        "store": "Store.",
        "source": "System the records come from.",
        "kind": "refused: breaks a rule; unread: could not be read; follows: waits for a refused record of its key.",
        "reason": "Rule that is broken.",
        "field": "Field it is about; empty: the record as a whole.",
        "records": "Records left out for this reason.",
        "keys": "Different records of the source among them.",
        "since": "When the oldest was left out.",
    }
    select = f"""
SELECT store, source, kind, code AS reason, field, count(DISTINCT (request_id, package_no, record_no)) AS records,
    count(DISTINCT key) AS keys, min(at) AS since
FROM {SCHEMA}.held WHERE state = 'open' GROUP BY store, source, kind, code, field"""
    about = "What is left out of the warehouse until it is corrected: one row per store, source and reason."
    return View("completeness", select, about, columns)
