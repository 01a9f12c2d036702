-- title: Billing documents and reversals
-- question: How many bills were posted and how many reversed in each month, and how many contract months do they bill?
-- parameter: months = 24 | months up to the newest one
-- unit: documents = bills, reversals = bills, reversal_rate = share, contract_months = months
-- chart: bar x=month y=reversals
WITH monthly AS (
    SELECT month, sum(documents) AS documents, sum(reversals) AS reversals, sum(contract_days + standing) AS days
    FROM analysis.billing_documents
    GROUP BY month
)
SELECT month, documents, reversals, round(reversals / nullif(documents, 0), 4) AS reversal_rate,
    round(days * 12 / 365, 1) AS contract_months
FROM monthly
WHERE month > (SELECT max(month) FROM monthly) - make_interval(months => :months::int)
ORDER BY month
