-- title: Calls given up by day
-- question: How many callers gave up before an agent answered, with and without those who did so at once?
-- parameter: days = 90 | days up to the newest one
-- unit: offered = calls, abandoned = calls, abandonment_rate = share, abandonment_rate_long = share
-- chart: line x=day y=abandonment_rate
WITH daily AS (
    SELECT day, sum(offered) AS offered, sum(abandoned) AS abandoned, sum(abandoned_short) AS abandoned_short
    FROM analysis.ic_calls
    WHERE direction = 'inbound'
    GROUP BY day
)
SELECT day, offered, abandoned, abandoned_short, round(abandoned / nullif(offered, 0), 4) AS abandonment_rate,
    round((abandoned - abandoned_short) / nullif(offered - abandoned_short, 0), 4) AS abandonment_rate_long
FROM daily
WHERE day > (SELECT max(day) FROM daily) - :days::int
ORDER BY day
