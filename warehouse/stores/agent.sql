-- One row an agent: of contacts and of telephony, with the team that the newest contact names.
SELECT agent, max(team) AS team
FROM (
    SELECT DISTINCT ON (agent) agent, team
    FROM warehouse.active_contact
    WHERE NOT deleted AND agent IS NOT NULL
    ORDER BY agent, (team IS NOT NULL) DESC, created_at DESC, number DESC
) AS newest
FULL JOIN (
    SELECT DISTINCT agent FROM warehouse.active_call_interval WHERE NOT deleted AND agent IS NOT NULL
) AS telephony USING (agent)
GROUP BY agent
