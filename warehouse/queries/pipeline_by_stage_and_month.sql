-- title: Sales pipeline by stage and month
-- question: What was being worked on at the end of each month, and what may it bring?
-- parameter: months = 24 | months up to the newest one
-- unit: opportunities = opportunities, amount = in currency, weighted = in currency
-- chart: stack x=month y=amount color=stage
WITH counted AS MATERIALIZED (
    SELECT month, stage, currency, sum(closing) AS opportunities
    FROM analysis.sales_pipeline_open
    WHERE month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
    GROUP BY month, stage, currency
    HAVING sum(closing) <> 0
),
expected AS MATERIALIZED (
    SELECT month, stage, currency, sum(closing) AS amount
    FROM analysis.sales_pipeline_open_amount GROUP BY month, stage, currency
),
weighed AS MATERIALIZED (
    SELECT month, stage, currency, sum(closing) AS weighted
    FROM analysis.sales_pipeline_open_weighted GROUP BY month, stage, currency
)
SELECT month, stage, currency, opportunities, amount, weighted
FROM counted
JOIN expected USING (month, stage, currency)
JOIN weighed USING (month, stage, currency)
ORDER BY month, stage, currency
