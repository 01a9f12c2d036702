WITH teams AS (
    SELECT agent, team FROM contacts
    WHERE team IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY agent ORDER BY began DESC, contact DESC) = 1
)
SELECT team, coalesce(agent, concat('all of ', team)) AS agent, sum(answered) AS answered, share1(sum(handled), sum(answered)) AS handling_time,
    share1(sum(waited), sum(answered)) AS speed_of_answer
FROM calls LEFT JOIN teams USING (agent)
WHERE direction = 'IN'
GROUP BY GROUPING SETS ((team, agent), (team))
HAVING sum(answered) > 0
