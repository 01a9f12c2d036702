WITH ends AS (SELECT unnest(generate_series(
    (SELECT month(min(first_day)) FROM placed), month(getvariable('today')), INTERVAL 1 MONTH))::DATE AS month),
gone AS (
    SELECT coalesce(region, '#') AS region, last_day,
        CASE
            WHEN loss_reason IS NOT NULL THEN loss_reason
            WHEN next_customer IS NOT NULL THEN 'new_tenant'
            WHEN cancelled_on IS NOT NULL THEN 'notice'
            ELSE 'no_notice'
        END AS reason
    FROM placed WHERE last_day IS NOT NULL AND next_customer IS DISTINCT FROM customer
),
lost AS (
    SELECT month, region, reason, count(*) AS lost
    FROM ends JOIN gone ON last_day > last_day(month - INTERVAL 12 MONTH) AND last_day <= last_day(month)
    GROUP BY month, region, reason
)
SELECT *, share4(lost, stock_before) AS churn FROM (SELECT month, region, reason, lost,
    (SELECT count(*) FROM placed
     WHERE coalesce(placed.region, '#') = lost.region AND first_day <= last_day(month - INTERVAL 12 MONTH)
         AND (placed.last_day IS NULL OR placed.last_day >= last_day(month - INTERVAL 12 MONTH))) AS stock_before
FROM lost)
