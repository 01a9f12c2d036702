-- title: Won and lost opportunities by reason
-- question: What was won, what was lost, and why?
-- parameter: months = 24 | months of decision up to the newest one
-- unit: opportunities = opportunities, amount = in currency, share = share
-- chart: bar x=opportunities y=reason color=outcome
WITH decided AS (
    SELECT month, outcome, reason, currency, sum(won + lost) AS opportunities, sum(won_amount + lost_amount) AS amount
    FROM analysis.sales_pipeline
    WHERE step = 'closed'
    GROUP BY month, outcome, reason, currency
)
SELECT outcome, reason, currency, sum(opportunities) AS opportunities, sum(amount) AS amount,
    round(sum(opportunities) / sum(sum(opportunities)) OVER (PARTITION BY currency), 4) AS share
FROM decided
WHERE month > (SELECT max(month) FROM decided) - make_interval(months => :months::int)
GROUP BY outcome, reason, currency
ORDER BY outcome DESC, opportunities DESC, reason, currency
