-- title: Handling time by team and agent
-- question: How long does a call take an agent, talk, hold and work afterwards together? Teams have rows of their own.
-- parameter: days = 28 | days up to the newest one
-- unit: answered = calls, handling_time = seconds, speed_of_answer = seconds
-- chart: bar x=handling_time y=agent
WITH daily AS (
    SELECT day, agent, sum(answered) AS answered, sum(talk_seconds + hold_seconds + wrap_seconds) AS handled,
        sum(wait_seconds) AS waited
    FROM analysis.ic_calls
    WHERE direction = 'inbound'
    GROUP BY day, agent
)
SELECT agents.team, coalesce(agent, concat('all of ', agents.team)) AS agent, sum(answered) AS answered,
    round(sum(handled) / nullif(sum(answered), 0), 1) AS handling_time,
    round(sum(waited) / nullif(sum(answered), 0), 1) AS speed_of_answer
FROM daily
LEFT JOIN analysis.agent AS agents USING (agent)
WHERE day > (SELECT max(day) FROM daily) - :days::int
GROUP BY GROUPING SETS ((agents.team, agent), (agents.team))
HAVING sum(answered) > 0
ORDER BY agents.team NULLS LAST, grouping(agent) DESC, agent
