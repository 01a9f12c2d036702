-- title: Contribution margins by product
-- question: What do quotations leave over after grid, procurement, processing and sales?
-- parameter: status = accepted | accepted, rejected, expired or open
-- unit: net = in currency a year, db1 = in currency, db2 = in currency, db3 = in currency, db4 = in currency, margin = share
-- chart: bar x=db4 y=product
SELECT product, currency, sum(quotations) AS quotations, sum(net) AS net,
    sum(net - grid_cost) AS db1,
    sum(net - grid_cost - procurement_cost) AS db2,
    sum(net - grid_cost - procurement_cost - processing_cost) AS db3,
    sum(net - grid_cost - procurement_cost - processing_cost - sales_cost) AS db4,
    round(sum(net - grid_cost - procurement_cost - processing_cost - sales_cost) / nullif(sum(net), 0), 4) AS margin
FROM analysis.contribution_margin
WHERE status = :status
GROUP BY product, currency
ORDER BY db4 DESC, product
