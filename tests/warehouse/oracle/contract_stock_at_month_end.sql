WITH months AS (SELECT unnest(generate_series(
    (SELECT month(min(first_day)) FROM placed), month(getvariable('today')), INTERVAL 1 MONTH))::DATE AS month)
SELECT month, division,
    count(*) FILTER (WHERE first_day < month AND (last_day IS NULL OR last_day >= month - 1)) AS opening,
    count(*) FILTER (WHERE month(first_day) = month) AS gained,
    count(*) FILTER (WHERE month(last_day + 1) = month) AS lost,
    count(*) FILTER (WHERE first_day <= last_day(month) AND (last_day IS NULL OR last_day >= last_day(month))) AS closing
FROM months CROSS JOIN placed
GROUP BY month, division
HAVING count(*) FILTER (WHERE first_day <= last_day(month)) > 0
