-- title: Meter readings, read and estimated
-- question: How many meter readings of each month were read, and how many estimated?
-- parameter: months = 24 | months up to the newest one
-- unit: readings = readings
-- chart: stack x=month y=readings color=kind
WITH monthly AS (
    SELECT date_trunc('month', read_on::timestamp)::date AS month, kind, count(*) AS readings
    FROM analysis.reading_result GROUP BY month, kind
)
SELECT month, coalesce(kind, '#') AS kind, readings
FROM monthly
WHERE month > (SELECT max(month) FROM monthly) - make_interval(months => :months::int)
ORDER BY month, kind
