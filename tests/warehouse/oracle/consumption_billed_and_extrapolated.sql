-- Billed by line and month; after the last billed day the average of the bills of the last 365 days goes on.
WITH energy AS (
    SELECT * FROM standing_lines WHERE line_kind = 'energy' AND NOT grid
),
billed AS (
    SELECT contract, division, unit, month, sum(month_quantity)::HUGEINT AS quantity,
        (SELECT count(DISTINCT d) FROM energy AS e, LATERAL (SELECT unnest(generate_series(since, until, INTERVAL 1 DAY)) AS d)
         WHERE e.contract = m.contract AND e.unit = m.unit AND month(d::DATE) = m.month) AS days
    FROM months_of_lines AS m WHERE line_kind = 'energy' AND NOT grid
    GROUP BY contract, division, unit, month
),
last_days AS (
    SELECT contract, unit, max(until) AS billed_until FROM energy GROUP BY ALL
),
recent AS (
    SELECT e.contract, e.unit, billed_until, sum(quantity)::HUGEINT AS quantity,
        date_diff('day', min(since), billed_until) + 1 AS days
    FROM energy AS e JOIN last_days AS l ON l.contract = e.contract AND l.unit = e.unit
    WHERE date_diff('day', until, billed_until) < 365
    GROUP BY e.contract, e.unit, billed_until
),
-- every open day by itself
open_days AS (
    SELECT recent.*, contracts.division, d::DATE AS open_day
    FROM recent JOIN contracts ON contracts.contract = recent.contract,
        LATERAL (SELECT unnest(generate_series(billed_until + 1,
            least((SELECT last_day(max(posted_on)) FROM energy), coalesce(contracts.last_day, DATE '9999-12-31')),
            INTERVAL 1 DAY)) AS d)
),
extrapolated AS (
    SELECT contract, division, unit, month(open_day) AS month, quotient(quantity * count(*), days) AS quantity,
        count(*) AS open_in_month
    FROM open_days
    GROUP BY contract, division, unit, month(open_day), quantity, days
)
SELECT month, 'billed' AS value_origin, unit, of_thousandths(sum(quantity)) AS quantity, sum(days) AS contract_days
FROM billed WHERE division = 'electricity' GROUP BY ALL
UNION ALL
SELECT month, 'extrapolated', unit, of_thousandths(sum(quantity)), sum(open_in_month)
FROM extrapolated WHERE division = 'electricity' GROUP BY ALL
