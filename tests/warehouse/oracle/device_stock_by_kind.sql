WITH months AS (SELECT unnest(generate_series(
    (SELECT month(min(first_day)) FROM hung), month(getvariable('today')), INTERVAL 1 MONTH))::DATE AS month)
SELECT month, kind, material,
    count(*) FILTER (WHERE first_day < month AND (last_day IS NULL OR last_day >= month - 1)) AS opening,
    count(*) FILTER (WHERE first_day <= last_day(month) AND (last_day IS NULL OR last_day >= last_day(month))) AS closing
FROM months CROSS JOIN hung
GROUP BY month, kind, material
HAVING opening <> 0 OR closing <> 0
