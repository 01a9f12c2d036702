-- title: Customers by division
-- question: How many customers were billed in each division, each counted once, and in all divisions together?
-- unit: customers = customers
-- chart: bar x=customers y=division
-- Customers of several divisions count in each of them, and once in the row of all.
SELECT coalesce(division, 'all') AS division, count(DISTINCT customer) AS customers
FROM analysis.billing_documents_customers
GROUP BY GROUPING SETS ((division), ())
ORDER BY division IS NULL, division
