-- title: Churn by reason and region, rolling 12 months
-- question: Of the contracts there were a year before, how many went within 12 months, why and where? The stock is that of the region.
-- parameter: months = 12 | how many ends of months up to the newest one
-- unit: lost = contracts, stock_before = contracts, churn = share
-- chart: stack x=month y=lost color=reason
WITH stock AS MATERIALIZED (
    SELECT month, region, sum(closing) AS contracts FROM analysis.contract_movement_stock GROUP BY month, region
),
ends AS (
    SELECT DISTINCT month FROM stock
    WHERE month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
),
-- a renewal ends one contract and begins another of the same customer: nobody is lost by it
lost AS MATERIALIZED (
    SELECT ends.month, region, reason, sum(lost) AS lost
    FROM ends
    JOIN analysis.contract_movement AS moved
        ON event_month > ends.month - interval '12 months' AND event_month <= ends.month
    WHERE direction = 'out' AND kind <> 'RENEW'
    GROUP BY ends.month, region, reason
)
SELECT lost.month, lost.region, reason, lost, contracts AS stock_before, round(lost / nullif(contracts, 0), 4) AS churn
FROM lost
LEFT JOIN stock ON stock.region = lost.region AND stock.month = lost.month - interval '12 months'
ORDER BY month, region, reason
