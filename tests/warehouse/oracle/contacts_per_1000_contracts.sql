WITH asked AS (
    SELECT month, coalesce(segment, '#') AS segment, count(*) AS contacts
    FROM contacts WHERE direction = 'inbound' AND segment IS NOT NULL GROUP BY ALL
)
SELECT *, share2(1000 * contacts, contracts) AS contacts_per_1000 FROM (SELECT month, segment, contacts,
    (SELECT count(*) FROM placed WHERE coalesce(placed.segment, '#') = asked.segment
        AND first_day <= last_day(month) AND (last_day IS NULL OR last_day >= last_day(month))) AS contracts
FROM asked)
