-- Billed energy by contract and month: every line gives each month its share of the days, rounded so that the shares
-- sum up to the line.  After the last billed day, up to the end of the month in which the newest bill was posted and
-- no longer than the contract lasts, the daily average of the bills of the last 365 days is carried on.
WITH energy AS (
    SELECT contract, customer, division, unit, period_from, period_to, posted_on, quantity,
        period_to - period_from + 1 AS days
    FROM warehouse.active_billing_line
    WHERE NOT deleted AND kind = 'energy' AND NOT grid AND NOT reversed AND contract IS NOT NULL
        AND quantity IS NOT NULL AND unit IS NOT NULL AND period_to >= period_from
),
shares AS (
    SELECT contract, customer, division, unit, month, period_from, period_to,
        least(period_to, month_end) - greatest(period_from, month) + 1 AS days,
        round(quantity * (least(period_to, month_end) - period_from + 1) / days, 3)
            - round(quantity * (greatest(period_from, month) - period_from) / days, 3) AS quantity
    FROM energy
    CROSS JOIN LATERAL (
        SELECT first::date AS month, (first + interval '1 month - 1 day')::date AS month_end
        FROM generate_series(date_trunc('month', period_from::timestamp), period_to::timestamp, '1 month') AS first
    ) AS months
),
-- lines of one period, such as high and low tariff, stand for the same days
periods AS (
    SELECT contract, month, unit, max(customer) AS customer, max(division) AS division,
        sum(quantity) AS quantity, max(days) AS days
    FROM shares GROUP BY contract, month, unit, period_from, period_to
),
billed AS (
    SELECT contract, month, unit, max(customer) AS customer, max(division) AS division,
        sum(quantity) AS quantity, sum(days) AS days
    FROM periods GROUP BY contract, month, unit
),
last_bills AS (
    SELECT contract, unit, max(period_to) AS billed_until FROM energy GROUP BY contract, unit
),
recent AS (
    SELECT contract, unit, billed_until, sum(quantity) AS quantity, billed_until - min(period_from) + 1 AS days
    FROM energy JOIN last_bills USING (contract, unit)
    WHERE period_to > billed_until - 365
    GROUP BY contract, unit, billed_until
),
horizon AS (
    SELECT (date_trunc('month', max(posted_on)::timestamp) + interval '1 month - 1 day')::date AS last_day FROM energy
),
open_months AS (
    SELECT contract, unit, customer, division, recent.quantity, recent.days, first::date AS month,
        greatest(first::date, recent.billed_until + 1) AS since,
        least((first + interval '1 month - 1 day')::date, ends_on, last_day) AS until
    FROM recent
    JOIN warehouse.active_contract ON number = contract AND NOT deleted
    CROSS JOIN horizon
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', (recent.billed_until + 1)::timestamp), least(ends_on, last_day)::timestamp, '1 month'
    ) AS first
),
extrapolated AS (
    SELECT contract, month, unit, customer, division, round(quantity * (until - since + 1) / days, 3) AS quantity, until - since + 1 AS days
    FROM open_months WHERE until >= since
),
together AS (
    SELECT 'billed' AS value_origin, * FROM billed
    UNION ALL
    SELECT 'extrapolated', * FROM extrapolated
)
SELECT contract, month, value_origin, unit, quantity, days, together.customer, together.division,
    usage, region, segment, rate_category
FROM together LEFT JOIN warehouse.active_contract ON number = contract AND NOT deleted
