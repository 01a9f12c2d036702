-- One row a contact.  Only contacts that customers began are repeats of each other.
WITH judged AS (
    SELECT *,
        customer IS NOT NULL AND reason IS NOT NULL AND direction = 'inbound' AS judged,
        max(created_at) OVER () AS newest
    FROM warehouse.active_contact
    WHERE NOT deleted
),
neighbours AS (
    SELECT *,
        lead(created_at) OVER same AS next_at,
        lag(created_at) OVER same AS former_at
    FROM judged
    WINDOW same AS (PARTITION BY judged, customer, reason ORDER BY created_at, number)
)
SELECT number AS contact, judged,
    judged AND (next_at IS NULL OR next_at > created_at + interval '7 days') AS resolved_first,
    judged AND former_at IS NOT NULL AND former_at >= created_at - interval '7 days' AS repeats,
    created_at + interval '7 days' < newest OR (judged AND next_at <= created_at + interval '7 days') IS TRUE AS decided,
    created_at, channel, direction, reason, agent, team, campaign, status, segment, region
FROM neighbours
