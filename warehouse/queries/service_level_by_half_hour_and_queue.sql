-- title: Service level by half hour and queue
-- question: When are calls answered within 20 seconds, and when not? Of all calls offered, and of those answered or given up after the first seconds.
-- parameter: days = 28 | days up to the newest one
-- unit: offered = calls, answered_in_threshold = calls, service_level = share, service_level_served = share
-- chart: heat x=slot y=queue color=service_level
WITH daily AS (
    SELECT day, slot, queue, sum(offered) AS offered, sum(answered_in_threshold) AS answered_in_threshold,
        sum(answered + abandoned - abandoned_short) AS served
    FROM analysis.ic_calls
    WHERE direction = 'inbound'
    GROUP BY day, slot, queue
)
SELECT slot, queue, sum(offered) AS offered, sum(answered_in_threshold) AS answered_in_threshold,
    round(sum(answered_in_threshold) / nullif(sum(offered), 0), 4) AS service_level,
    round(sum(answered_in_threshold) / nullif(sum(served), 0), 4) AS service_level_served
FROM daily
WHERE day > (SELECT max(day) FROM daily) - :days::int
GROUP BY slot, queue
HAVING sum(offered) > 0
ORDER BY slot, queue
