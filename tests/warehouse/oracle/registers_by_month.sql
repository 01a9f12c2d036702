WITH there AS (
    SELECT coalesce(said(kennziff), '#') AS identification, coalesce(coded('unit', 'isu', massread), '#') AS unit,
        day(ab) AS first_day, open_day(bis) AS last_day
    FROM isu.etdz JOIN meters USING (equnr)
),
months AS (SELECT unnest(generate_series(
    (SELECT month(min(first_day)) FROM there), month(getvariable('today')), INTERVAL 1 MONTH))::DATE AS month)
SELECT month, identification, unit,
    count(*) FILTER (WHERE first_day <= last_day(month) AND (last_day IS NULL OR last_day >= last_day(month))) AS closing
FROM months CROSS JOIN there
GROUP BY month, identification, unit
HAVING closing <> 0
