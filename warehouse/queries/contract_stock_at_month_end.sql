-- title: Contracts at the end of each month
-- question: How many contracts are there on the last day of each month, and how many came and went?
-- parameter: months = 36 | months up to the newest one
-- unit: opening = contracts, gained = contracts, lost = contracts, closing = contracts
-- chart: area x=month y=closing color=division
WITH stock AS MATERIALIZED (
    SELECT month, division, sum(opening) AS opening, sum(closing) AS closing
    FROM analysis.contract_movement_stock
    WHERE month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
    GROUP BY month, division
),
moved AS MATERIALIZED (
    SELECT month, division, sum(gained) AS gained, sum(lost) AS lost
    FROM analysis.contract_movement GROUP BY month, division
)
SELECT month, division, opening, coalesce(gained, 0) AS gained, coalesce(lost, 0) AS lost, closing
FROM stock LEFT JOIN moved USING (month, division)
ORDER BY month, division
