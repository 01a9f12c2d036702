-- title: Contacts per 1,000 contracts
-- question: How often do the customers of each segment come to us, for every 1,000 contracts they have?
-- parameter: months = 24 | months up to the newest one with contacts
-- unit: contacts = contacts, contracts = contracts, contacts_per_1000 = contacts
-- chart: line x=month y=contacts_per_1000 color=segment
-- Two cubes on the dimensions they share, month and segment: each is added up first, then they are joined.
WITH asked AS (
    SELECT month, segment, sum(contacts) AS contacts
    FROM analysis.ic_contacts
    WHERE direction = 'inbound' AND segment <> '#'  -- who has no segment has no contract
    GROUP BY month, segment
),
stock AS MATERIALIZED (
    SELECT month, segment, sum(closing) AS contracts FROM analysis.contract_movement_stock GROUP BY month, segment
)
SELECT month, segment, contacts, coalesce(contracts, 0) AS contracts,
    round(1000 * contacts / nullif(contracts, 0), 2) AS contacts_per_1000
FROM asked LEFT JOIN stock USING (month, segment)
WHERE month > (SELECT max(month) FROM asked) - make_interval(months => :months::int)
ORDER BY month, segment
