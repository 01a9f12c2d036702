-- title: Contacts by channel
-- question: By which way do customers come to us, month by month?
-- parameter: months = 24 | months up to the newest one
-- parameter: direction = inbound | inbound or outbound
-- unit: contacts = contacts
-- chart: stack x=month y=contacts color=channel
WITH monthly AS (
    SELECT month, channel, sum(contacts) AS contacts
    FROM analysis.ic_contacts
    WHERE direction = :direction
    GROUP BY month, channel
)
SELECT month, channel, contacts
FROM monthly
WHERE month > (SELECT max(month) FROM monthly) - make_interval(months => :months::int)
ORDER BY month, channel
